"""Training curves."""

from itertools import cycle

import pandas as pd
from matplotlib.ticker import MaxNLocator

from .paper import read_curves
from .pictures import Picture, plot_panel
from .source import ARMS, Source, shown_records
from .styles import STYLES, find_colour

DASHES = {"train": (3, 1.5), "validation": ""}
HISTORY_CAPTION = (
    "On clean training (dashed) and validation images (solid), epoch by epoch. A validation loss"
    " that rises while that of training falls tells of overfitting."
)
MARKERS = {"train": "s", "validation": "o"}  # where one epoch makes no line


def plot_history(history: pd.DataFrame, experiment: str) -> Picture:
    """Return the loss and, where it was measured, the accuracy of one run, epoch by epoch.

    Parameters
    ----------
    history : epoch, train_loss, validation_loss and, but for a pretraining without labels,
        train_accuracy, validation_accuracy (fractions)
    experiment : whose run it is; an arm has its colour
    """
    panels, colour = [], find_colour(experiment)
    for score, unit, scale in [("loss", "loss", 1), ("accuracy", "accuracy (%)", 100)]:
        if f"train_{score}" not in history:
            continue
        parts = {part: scale * history[f"{part}_{score}"] for part in DASHES}
        ends = [f"{part} ends at {values.iloc[-1]:.3g}" for part, values in parts.items()]
        alt = f"{score} by epoch: {', '.join(ends)}"
        panels.append(plot_panel(_trace(history["epoch"], parts, unit, colour), alt, 3.6))
    several = "train_accuracy" in history and len(history) > 1
    return Picture(panels, HISTORY_CAPTION if several else "")


def _trace(epoch: pd.Series, parts: dict[str, pd.Series], unit: str, colour: str):
    """Draw one run without seaborn, whose import takes longer than the drawing of all runs."""

    def draw(axes):
        for part, values in parts.items():
            dashes, marker = DASHES[part] or (None, None), MARKERS[part] if len(epoch) == 1 else ""
            axes.plot(epoch, values, dashes=dashes, marker=marker, color=colour)
        _frame(axes, unit)
        _name_curves(axes, {part: values.iloc[-1] for part, values in parts.items()})

    return draw


def show_curves(dataset: str) -> Picture:
    """Return train and validation accuracy by epoch, a panel an arm, seeds as a band.

    With the profile ``paper`` and PathMNIST, the authors' own logs follow, a panel an arm.
    """
    arms = ARMS[dataset]
    histories = {
        row: pd.concat(
            [record.history.assign(seed=record.seed) for record in shown_records()[name]]
        )
        for name, row in arms.items()
    }
    if dataset == "pathmnist" and Source.from_environment().profile == "paper":
        authors = read_curves().groupby("row", sort=False)
        histories |= {f"{row}, authors": curve for row, curve in authors}
    longs = {title: _lengthen(history, "accuracy", 100) for title, history in histories.items()}
    lowest = min(long.accuracy.min() for long in longs.values())
    limits = (10 * (lowest // 10), 100)  # one axis for all panels
    panels = []
    for (title, long), style in zip(longs.items(), cycle(STYLES), strict=False):
        last = long[long.epoch == long.epoch.max()].groupby("part").accuracy.mean()
        alt = (
            f"{title}: accuracy by epoch; in epoch {long.epoch.max()} training"
            f" {last['train']:.1f} %, validation {last['validation']:.1f} %"
        )
        draw = _lines(long, "accuracy", "accuracy (%)", style.colour, title, limits)
        panels.append(plot_panel(draw, alt))
    return Picture(panels)


def _lengthen(history: pd.DataFrame, score: str, scale: float) -> pd.DataFrame:
    """Return a row an epoch, seed and part (train, validation) of one score."""
    parts = [
        pd.DataFrame({"epoch": history["epoch"], "part": part, score: scale * history[column]})
        for part, column in [("train", f"train_{score}"), ("validation", f"validation_{score}")]
    ]
    return pd.concat(parts, ignore_index=True)


def _lines(long: pd.DataFrame, score: str, unit: str, colour: str, title="", limits=None):
    def draw(axes):
        import seaborn  # here: a second to import, and most pages and all runs do without

        seaborn.lineplot(
            long,
            x="epoch",
            y=score,
            style="part",
            dashes=DASHES,
            color=colour,
            errorbar=("pi", 100),
            err_kws={"alpha": 0.2, "linewidth": 0},
            markers=MARKERS if long.epoch.min() == long.epoch.max() else False,
            legend=False,
            ax=axes,
        )
        _frame(axes, unit, title, limits)
        last = long[long.epoch == long.epoch.max()].groupby("part")[score].mean()
        _name_curves(axes, last.to_dict())

    return draw


def _frame(axes, unit: str, title: str = "", limits: tuple[float, float] | None = None) -> None:
    axes.set_title(title, pad=12)  # the name of a curve that ends high stays below
    axes.set(xlabel="epoch", ylabel=unit, ylim=limits)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.grid(axis="y")


def _name_curves(axes, ends: dict[str, float]) -> None:
    """Write right of the ends of two curves which they are, apart even where they end together."""
    lower, higher = sorted(ends, key=ends.get)
    for part, side in [(lower, "top"), (higher, "bottom")]:
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": side}
        axes.annotate(part, (1, ends[part]), (3, 0), **place)
