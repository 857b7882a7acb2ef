"""What one number, a temperature fitted on clean validation images, does for calibration."""

from itertools import starmap

import numpy as np
import pandas as pd
from IPython.display import Markdown

from helpers.metrics import Estimate, Floor

from .cells import EXPERIMENT_OF, RMS, estimate, find_floor, read_predictions
from .contrasts import Contrast, compare, tabulate
from .downloads import print_floor_numbers, print_number, write_listing
from .paper import SHIFTS
from .pictures import Picture, plot_panel
from .source import ARMS, describe_data, describe_spread
from .styles import draw_estimates, legend_panel, style_arms
from .tables import explain_floors, print_floor, print_spread

ERROR = "rms_calibration_error"


def show_temperatures(dataset: str) -> Markdown:
    """Return each arm's temperature, and its calibration error without and with it."""
    rows, facts = [["Model", "T", *SHIFTS], [":--", "--:", *["--:"] * len(SHIFTS)]], []
    for row in ARMS[dataset].values():
        values = read_predictions(EXPERIMENT_OF[dataset, row]).temperatures
        spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
        cells = [f"[{print_spread(np.mean(values), spread, 2)}]{{.line}}"]
        numbers = print_number(np.mean(values), 2), print_number(spread, 2)
        known = {"model": row} | dict(zip(("T", "T_deviation"), numbers, strict=True))
        for column in SHIFTS:
            errors = _find_errors(dataset, row, column)
            cells.append(" ".join(starmap(_print, errors)) or "not measured")
            facts += [known | {"column": column} | _list(*error) for error in errors]
        rows.append([row, *cells])
    caption = (
        f"Temperature T of the arms on {describe_data(dataset)}, and their RMS calibration error as"
        f" trained and at T: {describe_spread(dataset)}, noise floor"
    )
    table = write_listing(f"{dataset}-temperatures", caption, rows, facts)
    return Markdown("\n\n".join([table, *explain_floors(dataset)]))


def _find_errors(dataset: str, row: str, column: str) -> list[tuple[str, Estimate, Floor]]:
    """Return the calibration error as trained and at the temperature, each with its noise floor;
    nothing where it was not measured.
    """
    errors = []
    for tempered, name in [(False, "as trained"), (True, "at T")]:
        if found := estimate(dataset, ERROR, row, column, tempered):
            errors.append((name, found, find_floor(dataset, row, column, RMS, tempered)))
    return errors


def _print(name: str, found: Estimate, floor: Floor) -> str:
    text = f"{name} {print_spread(found.mean, found.deviation, 3)}"
    return f"[{text}]{{.line}} {print_floor(found.mean, floor, 3)}"


def _list(name: str, found: Estimate, floor: Floor) -> dict[str, str]:
    mean, deviation = (print_number(value, 3) for value in (found.mean, found.deviation))
    error = {"logits": name, "mean": mean, "deviation": deviation}
    return error | print_floor_numbers(floor, 3)


def show_beyond_temperature(dataset: str) -> Markdown:
    """Return in words and as a table how the calibration error of later arms differs from the
    first's at its temperature.

    The later arms are taken both as trained and at their own temperatures; Holm's method covers
    the whole table.
    """
    first, *later = ARMS[dataset].values()
    contrasts = [Contrast(ERROR, row, first, own, True) for own in (False, True) for row in later]
    table = compare(dataset, contrasts)
    title = f"Differences to {first} at its temperature on {describe_data(dataset)}"
    shown = tabulate(table, f"{dataset}-differences-to-temperature", title)
    return Markdown(f"{_answer(table, first, later)}\n\n{shown}")


def _answer(table: pd.DataFrame, first: str, later: list[str]) -> str:
    """Return in how many columns each later arm is clearly better or worse."""
    bullets = []
    for row in later:
        told = []
        for own, name in [(False, "as trained"), (True, "at its own temperature")]:
            same = [c.minuend == row and c.minuend_tempered == own for c in table["contrast"]]
            part = table[same]
            part = part[part["p_value"].notna()]
            clear = part["mean"][part["clear"]]
            counts = f"lower in {(clear < 0).sum()} of {len(part)} columns, higher in"
            text = f"{counts} {(clear > 0).sum()}" if len(part) else "cannot be told from chance"
            told.append(f"{name}, {text}")
        bullets.append(f"- {row}: {'; '.join(told)}.")
    head = f"Clear differences of the calibration error to {first} at its temperature:"
    return "\n".join([f"{head}\n", *bullets])


def plot_temperatures(dataset: str) -> Picture:
    """Return each arm's calibration error without and with its temperature, a panel a shift."""
    shown = {}
    for column, shift in SHIFTS.items():
        pairs = {
            row: [estimate(dataset, ERROR, row, column, tempered) for tempered in (False, True)]
            for row in style_arms(dataset)
        }
        shown[shift] = {row: pair for row, pair in pairs.items() if None not in pair}
    # One axis for all panels, as slopes are compared.
    highs = [found.high for pairs in shown.values() for pair in pairs.values() for found in pair]
    top = max(highs, default=1)
    panels = [legend_panel(dataset)]
    for shift, pairs in shown.items():
        told = [f"{row} {before.mean:.3f} to {at.mean:.3f}" for row, (before, at) in pairs.items()]
        alt = f"RMS calibration error, {shift}, as trained to at its temperature: {'; '.join(told)}"
        panels.append(plot_panel(_pairs(dataset, pairs, shift, 1.05 * top), alt, 2.6, 2.3))
    return Picture(panels)


def _pairs(dataset, pairs, title, top):
    def draw(axes):
        for place, (row, pair) in enumerate(pairs.items()):
            shift = 0.06 * (place - 1)  # so that bars do not hide each other
            draw_estimates(axes, (shift, 1 + shift), pair, style_arms(dataset)[row])
        axes.set(title=title, ylabel="RMS calibration error", xlim=(-0.3, 1.3), ylim=(0, top))
        axes.set_xticks([0, 1], ["as trained", "at T"])
        axes.grid(axis="y")

    return draw
