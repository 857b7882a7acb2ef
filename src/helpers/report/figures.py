"""Training curves, and reliability, strength, risk-coverage and temperature figures.

Every figure draws the arms that have records, and leaves out what an arm was not measured on.
"""

from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.ticker import MaxNLocator

from helpers.catalogue import CORRUPTIONS
from helpers.metrics import risk_coverage

from .html_figures import INK, Picture, explain, plot_panel
from .paper import read_curves
from .records import PAPER_ARMS, missing_runs, shown_records
from .styles import choose_style, draw_intervals, draw_legend, style_arms
from .tidy import Predictions, estimates, read_predictions

RMS = "rms_calibration_error_10"

#: Metric to the title and the factor of an axis.
AXES = {"accuracy": ("accuracy (%)", 100), RMS: ("RMS calibration error", 1)}

DASHES = {"train": (3, 1.5), "validation": (None, None)}
HISTORY_CAPTION = (
    "Clean training (dashed) and validation images (solid). A validation loss that rises while the"
    " training loss falls is a sign of overfitting."
)


def plot_history(history: pd.DataFrame, experiment: str) -> Picture:
    """Return the loss and, where it was measured, the accuracy of one run by epoch.

    Parameters
    ----------
    history : epoch, train_loss, validation_loss and, except for pretraining without labels,
        train_accuracy, validation_accuracy (fractions)
    experiment : an arm of the paper is drawn in its colour
    """
    places = {name: k for arms in PAPER_ARMS.values() for k, name in enumerate(arms.values())}
    colour, panels = choose_style(places.get(experiment, 0)).colour, []
    for score, unit, scale in [("loss", "loss", 1), ("accuracy", "accuracy (%)", 100)]:
        if f"train_{score}" in history:
            curves = _summarise(history, score, scale)
            ends = [f"{part} ends at {c['mean'].iloc[-1]:.3g}" for part, c in curves.items()]
            draw = partial(_draw_curves, curves=curves, colour=colour)
            alt = f"{score} by epoch: {', '.join(ends)}"
            panels.append(plot_panel(draw, alt, 3.6, xlabel="epoch", ylabel=unit))
    several = "train_accuracy" in history and len(history) > 1
    return Picture(panels, HISTORY_CAPTION if several else "")


def show_curves(dataset: str) -> Picture:
    """Return train and validation accuracy by epoch, one panel per arm, the seeds as a band.

    Where the runs used the published images, the authors' own logs follow.
    """
    records, styles = shown_records(dataset), style_arms(dataset)
    histories = {}
    for label, group in records.items():
        kept = [r.history for r in group if r.history is not None and "train_accuracy" in r.history]
        if kept:
            histories[label] = pd.concat(kept), styles[label].colour
    if dataset == "pathmnist" and any(group[0].data["official"] for group in records.values()):
        for label, curve in read_curves().groupby("row", sort=False):
            histories[f"{label}, authors"] = curve, styles[label].colour
    shown = {
        title: (_summarise(history, "accuracy", 100), colour)
        for title, (history, colour) in histories.items()
    }
    lows = [curve["min"].min() for curves, _ in shown.values() for curve in curves.values()]
    limits = (10 * (min(lows, default=0) // 10), 100)  # the same axis for all panels
    panels = []
    for title, (curves, colour) in shown.items():
        train, validation = (curve["mean"].iloc[-1] for curve in curves.values())
        alt = (
            f"{title}: accuracy by epoch; in epoch {curves['train'].index[-1]}"
            f" training {train:.1f} %, validation {validation:.1f} %"
        )
        draw = partial(_draw_curves, curves=curves, colour=colour)
        axes = {"title": title, "xlabel": "epoch", "ylabel": "accuracy (%)", "ylim": limits}
        panels.append(plot_panel(draw, alt, **axes))
    return _join(dataset, panels)


def _summarise(history: pd.DataFrame, score: str, scale: float) -> dict[str, pd.DataFrame]:
    """Return mean, min and max over the seeds by epoch, for the training and validation images."""
    epochs = history.groupby("epoch")
    return {part: scale * epochs[f"{part}_{score}"].agg(["mean", "min", "max"]) for part in DASHES}


def _draw_curves(axes, curves, colour: str) -> None:
    for part, curve in curves.items():
        marker = "o" if len(curve) == 1 else ""  # one epoch makes no line
        axes.plot(curve["mean"], dashes=DASHES[part], marker=marker, color=colour)
        axes.fill_between(curve.index, curve["min"], curve["max"], color=colour, alpha=0.2, lw=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    # Each curve's name right of its end, apart even where both end together.
    ends = sorted((curve["mean"].iloc[-1], part) for part, curve in curves.items())
    for (end, part), side in zip(ends, ("top", "bottom"), strict=True):
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate(part, (1, end), (3, 0), va=side, **place)


def _join(dataset: str, panels: list[str], legend: bool = False) -> Picture:
    """Return panels as a picture, or the line that says which command makes the runs."""
    if not panels:
        return explain(missing_runs(dataset) or "Not measured.")
    return Picture([draw_legend(dataset), *panels] if legend else panels)


def read_arms(dataset: str) -> dict[str, Predictions]:
    """Return the predictions of the arms that have any, by label."""
    found = {label: read_predictions(dataset, label) for label in shown_records(dataset)}
    return {label: predictions for label, predictions in found.items() if predictions}


def _pool(dataset: str) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Return confidence and correct, (S, strengths, N), by shift (clean first) and arm."""
    pooled = {}
    for label, p in read_arms(dataset).items():
        names = np.array([shift for shift, _ in p.conditions])
        for shift in dict.fromkeys(names.tolist()):
            pair = p.confidence[:, names == shift], p.correct[:, names == shift]
            pooled.setdefault(shift, {})[label] = pair
    return pooled


def show_reliability(dataset: str, bins: int = 10) -> Picture:
    """Return reliability diagrams: accuracy by confidence, one row per arm, one column per shift.

    Seeds and strengths of a shift are pooled. The area of a dot is proportional to the number of
    images in its bin; bins with less than one image in a thousand are left out. A bar spans the
    accuracies of the single seeds in a bin.
    """
    pooled, panels = _pool(dataset), []
    axes = {"xlabel": "confidence", "ylabel": "accuracy", "xlim": (0, 1), "ylim": (0, 1.02)}
    axes |= {"xticks": np.linspace(0, 1, 6), "grid": "both"}
    for label, style in style_arms(dataset).items():
        for shift, group in pooled.items():
            if label in group:
                confidence, correct = group[label]
                seeds = [bin_confidence(*p, bins) for p in zip(confidence, correct, strict=True)]
                draw = partial(_draw_reliability, seeds=np.stack(seeds, 1), colour=style.colour)
                gap = float(np.mean(confidence) - np.mean(correct))
                tendency = "over-confident" if gap > 0 else "under-confident"
                alt = f"{label}, {shift}: {abs(gap):.3f} {tendency} on average"
                title = f"{label}, {shift}"
                panels.append(plot_panel(draw, alt, 2.3, 2.3, title=title, **axes))
    return _join(dataset, panels)


def bin_confidence(confidence, correct, bins: int) -> np.ndarray:
    """Return images, summed confidence and correct images per bin of equal width: (3, bins).

    Parameters
    ----------
    confidence, correct : of one shape
    bins : each includes its upper edge
    """
    confidence, correct = np.ravel(confidence), np.ravel(correct)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    weights = np.ones_like(confidence), confidence, correct
    return np.stack([np.bincount(index, weight, bins) for weight in weights])


def _draw_reliability(axes, seeds: np.ndarray, colour: str) -> None:
    """Draw bins, (3, S, bins) as of `bin_confidence`."""
    total = seeds[0].sum()
    count, sums, hits = seeds[..., seeds[0].sum(axis=0) >= max(total / 1000, 1)]
    images = count.sum(axis=0)
    mean, accuracy = sums.sum(axis=0) / images, hits.sum(axis=0) / images
    single = hits / np.ma.masked_equal(count, 0)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    axes.vlines(mean, mean, accuracy, color=colour, linewidth=1)
    axes.vlines(mean, single.min(axis=0), single.max(axis=0), color=colour, lw=3, alpha=0.35)
    # Not clipped: half a dot would misrepresent the number of images.
    axes.scatter(mean, accuracy, s=240 * images / total, color=colour, clip_on=False)


def find_neutral(shift: str) -> float:
    """Return the strength at which a shift changes nothing; 0 for one that the catalogue lacks."""
    return getattr(CORRUPTIONS.get(shift), "neutral", 0.0)


def title_axis(shift: str) -> str:
    """Return the title of an axis of strengths."""
    return getattr(CORRUPTIONS.get(shift), "title", None) or shift


def select(dataset: str, *metrics: str) -> pd.DataFrame:
    """Return the estimates of some metrics of a data set's arms, without variants."""
    table = estimates()
    chosen = (table["dataset"] == dataset) & (table["variant"] == "") & (table["n_seeds"] > 0)
    return table[chosen & table["metric"].isin(metrics)]


def show_strengths(dataset: str) -> Picture:
    """Return accuracy and calibration error against the strength, one line per arm.

    Bars are 95 % intervals. The clean test set counts as the strength that changes nothing.
    """
    panels = []
    for metric, (name, scale) in AXES.items():
        table = select(dataset, metric)
        table = table.assign(**{key: scale * table[key] for key in ("mean", "low", "high")})
        clean, table = table[table["shift"] == "clean"], table[table["strength"].notna()]
        limits = _span(pd.concat([clean, table]))
        for shift, rows in table.groupby("shift", sort=False):
            rows = pd.concat([clean.assign(strength=find_neutral(shift)), rows])
            lines = {k: line.sort_values("strength") for k, line in rows.groupby("arm", sort=False)}
            ends = [f"{label} ends at {t['mean'].iloc[-1]:.3g}" for label, t in lines.items()]
            alt = f"{name} against {title_axis(shift)}: {'; '.join(ends)}"
            draw = partial(_draw_lines, lines=lines, x="strength", styles=style_arms(dataset))
            axes = {"xlabel": title_axis(shift), "ylabel": name, "ylim": limits}
            panels.append(plot_panel(draw, alt, 3.6, 2.6, **axes))
    return _join(dataset, panels, legend=True)


def _span(table: pd.DataFrame) -> tuple[float, float]:
    """Return limits that include every interval, so that all panels of a metric share an axis."""
    values = table[["mean", "low", "high"]]
    low, high = values.min(axis=None), values.max(axis=None)
    margin = 0.04 * (high - low) or 0.01
    return low - margin, high + margin


def _draw_lines(axes, lines: dict[str, pd.DataFrame], x: str, styles) -> None:
    for number, (label, line) in enumerate(lines.items()):
        # Slightly apart, so that bars do not hide each other.
        aside = 0.01 * (number - (len(lines) - 1) / 2) * np.ptp(line[x])
        draw_intervals(
            axes, line[x] + aside, line["mean"], line["low"], line["high"], styles[label]
        )


def plot_temperatures(dataset: str) -> Picture:
    """Return each arm's calibration error as trained and at its temperature, by shift."""
    places, panels = {RMS: 0, f"{RMS}_tempered": 1}, []
    table = select(dataset, *places)
    table = table[table["strength"].isna()].assign(place=table["metric"].map(places))
    axes = {"ylabel": AXES[RMS][0], "xlim": (-0.3, 1.3), "ylim": (0, 1.05 * table["high"].max())}
    axes |= {"xticks": [0, 1], "xticklabels": ["as trained", "at T"]}
    for shift, rows in table.groupby("shift", sort=False):
        lines = {label: rows[rows["arm"] == label] for label in rows["arm"].unique()}
        lines = {label: line.sort_values("place") for label, line in lines.items()}
        changes = [f"{k} {' to '.join(f'{m:.3f}' for m in t['mean'])}" for k, t in lines.items()]
        alt = f"RMS calibration error, {shift}, as trained and at its temperature: {changes}"
        draw = partial(_draw_lines, lines=lines, x="place", styles=style_arms(dataset))
        panels.append(plot_panel(draw, alt, 2.6, 2.3, title=shift, **axes))
    return _join(dataset, panels, legend=True)


def show_risk_coverage(dataset: str) -> Picture:
    """Return the error rate of the images kept when the least confident go to an expert.

    Lines are means over the seeds, bands reach from the lowest to the highest; strengths of a
    shift are pooled.
    """
    coverage, panels = np.linspace(0.02, 1, 99), []
    risks = _find_risks(dataset, coverage)
    highest = [curves.max() for group in risks.values() for curves in group.values()]
    axes = {"xlabel": "coverage (%)", "ylabel": "risk (%)", "xlim": (0, 100)}
    axes["ylim"] = (0, 1.05 * max(highest, default=0) or 1)  # the same axis for all panels
    for shift, group in risks.items():
        means = {label: curves.mean(axis=0) for label, curves in group.items()}
        ends = [
            f"{label} {np.interp(0.5, coverage, risk):.1f} % at half, {risk[-1]:.1f} % at full"
            for label, risk in means.items()
        ]
        alt = f"risk against coverage, {shift}: {'; '.join(ends)}"
        draw = partial(_draw_risks, risks=group, coverage=coverage, styles=style_arms(dataset))
        panels.append(plot_panel(draw, alt, 2.6, 2.3, title=shift, **axes))
    return _join(dataset, panels, legend=True)


def _find_risks(dataset: str, coverage: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Return the risk in percent of each seed at each coverage, by shift and arm."""
    risks = {}
    for shift, group in _pool(dataset).items():
        for label, pair in group.items():
            curves = [risk_coverage(c.ravel(), r.ravel()) for c, r in zip(*pair, strict=True)]
            risk = np.array([np.interp(coverage, *curve) for curve in curves])
            risks.setdefault(shift, {})[label] = 100 * risk
    return risks


def _draw_risks(axes, risks, coverage, styles) -> None:
    for label, curves in risks.items():
        style, x = styles[label], 100 * coverage
        look = {"color": style.colour, "marker": style.marker, "markevery": 24, "ms": 4}
        axes.plot(x, curves.mean(axis=0), style.line, **look)
        low, high = curves.min(axis=0), curves.max(axis=0)
        axes.fill_between(x, low, high, color=style.colour, alpha=0.2, lw=0)


def show_deferral(dataset: str) -> Markdown:
    """Return by how much the error rate falls if an expert sees the least confident fifth."""
    bullets = []
    for shift, group in _find_risks(dataset, np.array([0.8, 1])).items():
        means = {label: curves.mean(axis=0) for label, curves in group.items()}
        falls = [
            f"{label} from {full:.1f} to {kept:.1f} %" for label, (kept, full) in means.items()
        ]
        bullets.append(f"- {shift}: {', '.join(falls)}")
    text = (
        "If an expert sees the least confident fifth of the images (strengths pooled), the error"
        " rate on the others falls as follows (mean over the seeds):\n"
    )
    return Markdown("\n".join([text, *bullets]) if bullets else missing_runs(dataset) or "")
