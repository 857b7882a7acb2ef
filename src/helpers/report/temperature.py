"""What one number, a temperature fitted on clean validation images, does for calibration."""

import numpy as np
from IPython.display import Markdown

from helpers.metrics import Sample

from .cells import EXPERIMENTS, SHIFTS, read_temperatures, sample
from .contrasts import Contrast, compare, tabulate
from .figures import draw_estimates, legend_panel, style_arms
from .pictures import Picture, plot_panel
from .source import ARMS

ERROR = "rms_calibration_error"


def show_temperatures(dataset: str) -> Markdown:
    """Return each arm's temperature, and its calibration error without and with it."""
    lines = [f"| Model | T | {' | '.join(SHIFTS)} |", "|:--|--:|" + "--:|" * len(SHIFTS)]
    for row in ARMS[dataset].values():
        temperatures = list(read_temperatures(EXPERIMENTS[dataset, row]).values())
        cells = [_spread(temperatures, 2)]
        for column in SHIFTS:
            trained, tempered = _measure(dataset, row, column)
            if trained is None:
                cells.append("not measured")
                continue
            at = _spread(tempered.values, 3)
            cells.append(f"{_spread(trained.values, 3)} [at T {at}]{{.interval}}")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def _measure(dataset: str, row: str, column: str) -> list[Sample | None]:
    """Return the calibration error as trained and at the temperature."""
    return [sample(dataset, ERROR, row, column, tempered) for tempered in (False, True)]


def _spread(values, digits: int) -> str:
    text = f"{np.mean(values):.{digits}f}"
    return text + (f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else "")


def show_beyond_temperature(dataset: str) -> Markdown:
    """Return how the calibration error of later arms differs from the first's at its temperature.

    The later arms are taken both as trained and at their own temperatures; Holm's method covers
    the whole table.
    """
    first, *later = ARMS[dataset].values()
    contrasts = [Contrast(ERROR, row, first, own, True) for own in (False, True) for row in later]
    return Markdown(tabulate(compare(dataset, contrasts)))


def plot_temperatures(dataset: str) -> Picture:
    """Return each arm's calibration error without and with its temperature, a panel a shift."""
    panels = [legend_panel(dataset)]
    for column, shift in SHIFTS.items():
        pairs = {row: _measure(dataset, row, column) for row in style_arms(dataset)}
        pairs = {
            row: [error.estimate() for error in pair]
            for row, pair in pairs.items()
            if None not in pair
        }
        told = [f"{row} {before.mean:.3f} to {at.mean:.3f}" for row, (before, at) in pairs.items()]
        alt = f"RMS calibration error, {shift}, as trained to at its temperature: {'; '.join(told)}"
        panels.append(plot_panel(_pairs(dataset, pairs, shift), alt, 2.6, 2.3))
    return Picture(panels)


def _pairs(dataset, pairs, title):
    def draw(axes):
        for place, (row, pair) in enumerate(pairs.items()):
            shift = 0.06 * (place - 1)  # so that bars do not hide each other
            draw_estimates(axes, (shift, 1 + shift), pair, style_arms(dataset)[row])
        axes.set(title=title, ylabel="RMS calibration error", xlim=(-0.3, 1.3), ylim=(0, None))
        axes.set_xticks([0, 1], ["as trained", "at T"])
        axes.grid(axis="y")

    return draw
