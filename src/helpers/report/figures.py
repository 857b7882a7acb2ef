"""Figures: training curves, reliability, scores by strength of a shift, and risk-coverage.

Every figure draws the arms that have records, and omits conditions that were not measured.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from helpers.catalogue import CORRUPTIONS, Corruption
from helpers.metrics import assign_equal_width, risk_coverage

from .html_figures import INK, Picture, explain
from .paper import read_curves
from .records import PAPER_ARMS, list_evidence, missing_runs, shown_records
from .styles import choose_style, draw_intervals, draw_legend, style_arms
from .tidy import RMS, Predictions, estimates, read_predictions

#: Score to the title and factor of its axis.
AXES = {"accuracy": ("accuracy (%)", 100), "loss": ("loss", 1), RMS: ("RMS calibration error", 1)}

#: Query for the measured arms of a data set, without variants.
SHOWN = "dataset == @dataset and variant == '' and n_seeds > 0"

#: Split to the dashes of its curve.
DASHES = {"train": (4, 2), "validation": ()}


def plot_history(history: pd.DataFrame, experiment: str) -> Picture:
    """Return the loss and the accuracy of one run by epoch.

    The history has epoch, train_loss, validation_loss, train_accuracy and validation_accuracy
    (fractions). Arms of the paper have their own colours.
    """
    places = {name: k for arms in PAPER_ARMS.values() for k, name in enumerate(arms.values())}
    colour = choose_style(places.get(experiment, 0)).colour
    picture = Picture(caption="Clean training (dashed) and validation images (solid).")
    for score in ("loss", "accuracy"):
        _plot_curves(picture, history, score, colour, score, width=3.6)
    return picture


def show_curves(dataset: str) -> Picture:
    """Return train and validation accuracy by epoch; for published images, also the authors'."""
    picture, histories, styles = Picture(), {}, style_arms(dataset)
    for evidence in list_evidence(dataset):
        for label, records in evidence.arms.items():
            kept = [record.history for record in records if record.history is not None]
            if kept:
                histories[label, evidence.profile] = pd.concat(kept)
    official = [group[0].data["official"] for group in shown_records(dataset).values()]
    if dataset == "pathmnist" and any(official):
        for label, curve in read_curves().groupby("row", sort=False):
            histories[label, "authors"] = curve
    lows = [h[["train_accuracy", "validation_accuracy"]].min(axis=None) for h in histories.values()]
    limits = (10 * (100 * min(lows, default=0) // 10), 100)  # the same axis for all panels
    for (label, source), history in histories.items():
        title, colour = f"{label}, {source}", styles.get(label, choose_style(0)).colour
        axes = {"title": title, "ylim": limits}
        _plot_curves(picture, history, "accuracy", colour, f"{title}: accuracy", **axes)
    return _finish(picture, dataset)


def _plot_curves(picture, history, score: str, colour: str, name: str, **axes) -> None:
    """Add a panel with the curves of both splits by epoch."""
    title, scale = AXES[score]
    names = {f"{split}_{score}": split for split in DASHES}
    curves = history.rename(columns=names).melt("epoch", list(DASHES), "split", title)
    curves[title] *= scale
    last = curves["epoch"] == curves["epoch"].max()
    ends = curves[last].groupby("split")[title].mean()
    texts = [f"{split} {end:.3g}" for split, end in ends.items()]
    alt = f"{name} by epoch; in epoch {history['epoch'].max()} {', '.join(texts)}"
    look = {"style": "split", "dashes": DASHES, "color": colour}
    look["marker"] = "o" if last.all() else None  # a single epoch draws no line
    with picture.plot(alt, **axes) as panel:
        _draw_seeds(panel, curves, "epoch", title, **look)
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))


def _draw_seeds(panel, table: pd.DataFrame, x: str, y: str, **look) -> None:
    """Draw the means over the seeds as lines, and their ranges as bands."""
    import seaborn  # late: it takes a second to import, and most pages do without it

    band = {"errorbar": ("pi", 100), "err_kws": {"alpha": 0.2, "linewidth": 0}}
    seaborn.lineplot(table, x=x, y=y, legend=False, ax=panel, **band, **look)


def _finish(picture: Picture, dataset: str, legend: bool = False) -> Picture:
    if not picture.panels:
        return explain(missing_runs(dataset) or "Not measured.")
    if legend:
        picture.panels.insert(0, draw_legend(dataset))
    return picture


def read_arms(dataset: str) -> dict[str, Predictions]:
    """Return the predictions of the arms that have any, by label."""
    found = {label: read_predictions(dataset, label) for label in shown_records(dataset)}
    return {label: predictions for label, predictions in found.items() if predictions}


def _pool(dataset: str) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Yield label, shift (clean first), and confidence and correct of the S seeds: (S, images)."""
    for label, predictions in read_arms(dataset).items():
        names = np.array([shift for shift, _ in predictions.conditions])
        for shift in dict.fromkeys(names.tolist()):
            both = predictions.confidence, predictions.correct
            yield label, shift, *(part[:, names == shift].reshape(len(part), -1) for part in both)


def show_reliability(dataset: str, bins: int = 10) -> Picture:
    """Return reliability diagrams: accuracy by confidence, one row per arm, one column per shift.

    Seeds and strengths are pooled. The area of a dot is proportional to the images in its bin; bins
    with less than one image in a thousand are omitted. A bar spans the accuracies of single seeds.
    """
    picture, styles = Picture(), style_arms(dataset)
    axes = {"xlabel": "confidence", "ylabel": "accuracy", "xlim": (0, 1), "ylim": (0, 1.02)}
    axes |= {"xticks": np.linspace(0, 1, 6), "grid": "both"}
    for label, shift, confidence, correct in _pool(dataset):
        seeds = [bin_confidence(*pair, bins) for pair in zip(confidence, correct, strict=True)]
        gap = float(np.mean(confidence) - np.mean(correct))
        tendency = "overconfident" if gap > 0 else "underconfident"
        alt = f"{label}, {shift}: {abs(gap):.3f} {tendency} on average"
        with picture.plot(alt, 2.3, title=f"{label}, {shift}", **axes) as panel:
            _draw_reliability(panel, np.stack(seeds, axis=1), styles[label].colour)
    return _finish(picture, dataset)


def bin_confidence(confidence, correct, bins: int) -> np.ndarray:
    """Return images, summed confidence and correct images (3, bins); bins include upper edges."""
    confidence, correct = np.ravel(confidence), np.ravel(correct)
    index = assign_equal_width(confidence, bins)
    weights = np.ones_like(confidence), confidence, correct
    return np.stack([np.bincount(index, weight, bins) for weight in weights])


def _draw_reliability(panel, seeds: np.ndarray, colour: str) -> None:
    """Draw bins (3, S, bins) from `bin_confidence`."""
    total = seeds[0].sum()
    count, sums, hits = seeds[..., seeds[0].sum(axis=0) >= max(total / 1000, 1)]
    images = count.sum(axis=0)
    mean, accuracy = sums.sum(axis=0) / images, hits.sum(axis=0) / images
    single = hits / np.ma.masked_equal(count, 0)
    panel.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    panel.vlines(mean, mean, accuracy, color=colour, linewidth=1)
    panel.vlines(mean, single.min(axis=0), single.max(axis=0), color=colour, lw=3, alpha=0.35)
    # Not clipped: half a dot would misrepresent the number of images.
    panel.scatter(mean, accuracy, s=240 * images / total, color=colour, clip_on=False)


def describe_axis(shift: str) -> tuple[str, float]:
    """Return the title of an axis of strengths, and the strength that changes nothing, or 0."""
    known = CORRUPTIONS.get(shift, Corruption(""))
    return known.title or shift, known.neutral


def show_strengths(dataset: str) -> Picture:
    """Return accuracy and calibration error by strength, with 95 % intervals, one line per arm."""
    picture = Picture()
    for metric in ("accuracy", RMS):
        name, scale = AXES[metric]
        table = estimates().query(SHOWN).query(f"metric == '{metric}'")
        table = table.assign(**scale * table[["mean", "low", "high"]])
        clean = table[table["shift"] == "clean"]
        limits = 0, 1.05 * table[["mean", "high"]].max(axis=None)  # the same axis for all shifts
        for shift, rows in table[table["strength"].notna()].groupby("shift", sort=False):
            title, neutral = describe_axis(shift)
            rows = pd.concat([clean.assign(strength=neutral), rows])
            lines = {
                arm: line.sort_values("strength") for arm, line in rows.groupby("arm", sort=False)
            }
            texts = [f"{arm} {line['mean'].iloc[-1]:.3g}" for arm, line in lines.items()]
            alt = f"{name} against {title}; at the largest {', '.join(texts)}"
            axes = {"xlabel": title, "ylabel": name, "ylim": limits}
            with picture.plot(alt, 3.6, 2.6, **axes) as panel:
                for number, (arm, line) in enumerate(lines.items()):
                    # Bars are a hundredth of the axis apart, so that none hides another.
                    aside = 0.01 * (number - (len(lines) - 1) / 2) * np.ptp(line["strength"])
                    draw_intervals(panel, line["strength"] + aside, line, style_arms(dataset)[arm])
    return _finish(picture, dataset, legend=True)


def show_risk_coverage(dataset: str) -> Picture:
    """Return the error rate of the images kept if the least confident go to an expert.

    Lines are means over the seeds, bands span the seeds, and strengths of a shift are pooled.
    """
    coverage, curves, picture = np.linspace(0.02, 1, 99), [], Picture()
    for label, shift, *seeds in _pool(dataset):
        for seed in zip(*seeds, strict=True):
            risk = np.interp(coverage, *risk_coverage(*seed))
            values = {"coverage (%)": 100 * coverage, "risk (%)": 100 * risk}
            curves.append(pd.DataFrame({"shift": shift, "arm": label, **values}))
    if not curves:
        return _finish(picture, dataset)
    table, styles = pd.concat(curves), style_arms(dataset)
    look = {"hue": "arm", "palette": {label: style.colour for label, style in styles.items()}}
    look |= {"style": "arm", "dashes": {label: style.dashes for label, style in styles.items()}}
    limits = {"xlim": (0, 100), "ylim": (0, 1.05 * table["risk (%)"].max() or 1)}  # of all panels
    for shift, rows in table.groupby("shift", sort=False):
        ends = rows[rows["coverage (%)"] == 100].groupby("arm", sort=False)["risk (%)"].mean()
        texts = [f"{label} {risk:.3g}" for label, risk in ends.items()]
        alt = f"risk against coverage, {shift}; of all images {', '.join(texts)}"
        with picture.plot(alt, title=shift, **limits) as panel:
            _draw_seeds(panel, rows, "coverage (%)", "risk (%)", **look)
    return _finish(picture, dataset, legend=True)
