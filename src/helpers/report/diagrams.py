"""Reliability, strength and risk-coverage diagrams, a colour an arm as on every page."""

import numpy as np
from IPython.display import Markdown

from helpers import metrics
from helpers.metrics.bins import assign_equal_width

from .cells import EXPERIMENT_OF, estimate, read_predictions
from .paper import SHIFTS, list_strengths
from .pictures import INK, Picture, plot_panel
from .styles import draw_estimates, legend_panel, style_arms

AXES = {"brightness": "brightness factor", "blur": "σ of the blur (pixels)"}
LABELS = {"accuracy_percent": "accuracy (%)", "rms_calibration_error": "RMS calibration error"}


def show_reliability(dataset: str, bins: int = 10) -> Picture:
    """Return reliability diagrams: accuracy by confidence, a row an arm, a column a shift.

    All seeds and all strengths of a shift are pooled. The area of a dot is proportional to the
    number of images in its bin; bins of less than one image in a thousand are left out. A bar
    spans the accuracies that single seeds have in a bin.
    """
    panels = []
    for row, style in style_arms(dataset).items():
        predictions = read_predictions(EXPERIMENT_OF[dataset, row])
        for column, shift in SHIFTS.items():
            places = predictions.find(dataset, column)
            if places is None:
                continue
            confidence, correct = predictions.confidence[:, places], predictions.correct[:, places]
            draw, gap = _reliability(confidence, correct, bins, style.colour, f"{row}, {shift}")
            tendency = "over-confident" if gap > 0 else "under-confident"
            alt = f"{row}, {shift}: {abs(gap):.3f} {tendency} on average"
            panels.append(plot_panel(draw, alt, 2.3, 2.3))
    return Picture(panels)


def _reliability(confidence, correct, bins, colour, title):
    """Return what draws a diagram, and the mean gap; the first axis of the arrays is the seed."""
    seeds = len(confidence)
    index = assign_equal_width(confidence, bins).reshape(seeds, -1)
    place = (index + bins * np.arange(seeds)[:, None]).ravel()  # a bin of one seed
    count, surety, hits = (
        np.bincount(place, weights, seeds * bins).reshape(seeds, bins)
        for weights in (None, confidence.ravel(), correct.ravel())
    )
    shown = count.sum(axis=0) >= count.sum() / 1000
    count, surety, hits = (sums[:, shown] for sums in (count, surety, hits))
    images = count.sum(axis=0)
    mean, accuracy = (sums.sum(axis=0) / images for sums in (surety, hits))
    single = hits / np.ma.masked_equal(count, 0)

    def draw(axes):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        axes.vlines(mean, mean, accuracy, color=colour, linewidth=1)
        axes.vlines(mean, single.min(axis=0), single.max(axis=0), color=colour, lw=3, alpha=0.35)
        # Not clipped: half a dot would lie.
        axes.scatter(mean, accuracy, s=240 * images / len(place), color=colour, clip_on=False)
        axes.set(title=title, xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(visible=True)

    return draw, float(np.mean(confidence) - np.mean(correct))


def show_strengths(dataset: str) -> Picture:
    """Return accuracy and calibration error against the strength, a line an arm.

    Bars are 95 % intervals over seeds and test images, moved apart a little. The clean test set
    stands where the corruption does nothing: brightness 1, σ 0.
    """
    panels = [legend_panel(dataset)]
    for metric, unit in LABELS.items():
        shown = {}
        for corruption in AXES:
            lines = {row: _trace(dataset, metric, row, corruption) for row in style_arms(dataset)}
            shown[corruption] = {row: line for row, line in lines.items() if line}
        limits = _span(shown)
        for corruption, lines in shown.items():
            ends = [
                f"{row} ends at {list(line.values())[-1].mean:.3g}" for row, line in lines.items()
            ]
            alt = f"{unit} against {AXES[corruption]}: {'; '.join(ends)}"
            draw = _strengths(dataset, lines, AXES[corruption], unit, limits)
            panels.append(plot_panel(draw, alt, 3.6, 2.6))
    return Picture(panels)


def _span(shown) -> tuple[float, float] | None:
    """Return the limits that hold every interval, for one axis of all panels of a metric."""
    found = [e for lines in shown.values() for line in lines.values() for e in line.values()]
    if not found:
        return None
    low, high = min(e.low for e in found), max(e.high for e in found)
    margin = 0.04 * (high - low) or 0.01
    return low - margin, high + margin


def _trace(dataset, metric, row, corruption) -> dict[float, metrics.Estimate]:
    """Return what was measured at each strength, clean at the strength that does nothing."""
    measured = {
        strength: estimate(dataset, metric, row, column)
        for strength, column in list_strengths(dataset, corruption)
    }
    return {strength: found for strength, found in measured.items() if found}


def _strengths(dataset, lines, axis, unit, limits):
    def draw(axes):
        for number, (row, line) in enumerate(lines.items()):
            aside = 0.01 * (number - 1) * np.ptp(list(line))  # so that bars do not hide each other
            draw_estimates(
                axes, aside + np.array(list(line)), line.values(), style_arms(dataset)[row]
            )
        axes.set(xlabel=axis, ylabel=unit, ylim=limits)
        axes.grid(axis="y")

    return draw


def show_risk_coverage(dataset: str) -> Picture:
    """Return the risk of the images kept when the least confident go to an expert, a panel a shift.

    Lines are means over the seeds, bands reach from the lowest to the highest; a shift pools its
    strengths.
    """
    coverage = np.linspace(0.02, 1, 99)
    shown = _find_risks(dataset, coverage)
    highs = [100 * curves.max() for risks in shown.values() for curves in risks.values()]
    top = 1.05 * max(highs, default=0) or 1  # one axis for all panels
    panels = [legend_panel(dataset)]
    for shift, risks in shown.items():
        told = [
            f"{row} {100 * np.interp(0.5, coverage, risk):.1f} % at half, {100 * risk[-1]:.1f} %"
            " at full coverage"
            for row, risk in ((row, curves.mean(axis=0)) for row, curves in risks.items())
        ]
        alt = f"risk against coverage, {shift}: {'; '.join(told)}"
        panels.append(plot_panel(_risks(dataset, coverage, risks, shift, top), alt, 2.6, 2.3))
    return Picture(panels)


def show_deferral(dataset: str) -> Markdown:
    """Return the error rates of all images and of those that remain if an expert sees the least
    confident fifth, a bullet a shift.
    """
    bullets = []
    for shift, risks in _find_risks(dataset, np.array([0.8, 1])).items():
        means = {row: 100 * curves.mean(axis=0) for row, curves in risks.items()}
        told = [f"{row} from {full:.1f} to {kept:.1f} %" for row, (kept, full) in means.items()]
        told += [f"{row} not measured" for row in style_arms(dataset) if row not in risks]
        bullets.append(f"- {shift}: {', '.join(told)}")
    text = (
        "With the least confident fifth of the images, strengths pooled, handed to an expert, the"
    )
    return Markdown(
        "\n".join([f"{text} error rate on the others goes (mean over the seeds):\n", *bullets])
    )


def _find_risks(dataset, coverage) -> dict[str, dict[str, np.ndarray]]:
    """Return the risks of the arms that were measured, by shift."""
    shown = {}
    for column, shift in SHIFTS.items():
        risks = {row: _find_risk(dataset, row, column, coverage) for row in style_arms(dataset)}
        shown[shift] = {row: risk for row, risk in risks.items() if risk is not None}
    return shown


def _find_risk(dataset, row, column, coverage) -> np.ndarray | None:
    """Return the risk of each seed at each coverage; None if not measured."""
    predictions = read_predictions(EXPERIMENT_OF[dataset, row])
    places = predictions.find(dataset, column)
    if places is None:
        return None
    seeds = zip(predictions.confidence[:, places], predictions.correct[:, places], strict=True)
    curves = [metrics.risk_coverage(pair[0].ravel(), pair[1].ravel()) for pair in seeds]
    return np.array([np.interp(coverage, *curve) for curve in curves])


def _risks(dataset, coverage, risks, title, top):
    def draw(axes):
        for row, curves in risks.items():
            style, risk = style_arms(dataset)[row], 100 * curves
            look = {"color": style.colour, "marker": style.marker, "markevery": 24, "ms": 4}
            axes.plot(100 * coverage, risk.mean(axis=0), style.line, **look)
            band = {"color": style.colour, "alpha": 0.2, "linewidth": 0}
            axes.fill_between(100 * coverage, risk.min(axis=0), risk.max(axis=0), **band)
        axes.set(title=title, xlabel="coverage (%)", ylabel="risk (%)")
        axes.set(xlim=(0, 100), ylim=(0, top))
        axes.grid(axis="y")

    return draw
