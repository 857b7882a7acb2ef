"""The book in one screen: what was found, and how far all cells agree with the paper."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from .assessment import judge_claims
from .claims import count_verdicts
from .contrasts import compare, list_contrasts
from .facts import describe_commits
from .findings import ACCURACY, count_clear, find_losses, name_largest, span_losses
from .foreign import quote
from .paper import SHIFTS
from .pictures import INK, Picture, plot_panel
from .source import DATASETS, Source, describe_data, describe_seeds, shown_records
from .styles import legend_panel, style_arms
from .tables import summarise
from .verdicts import SIGNS, why_withheld

#: Head of a column to the digits of its values; of the first more is better, of the others less.
HEADS = {
    "Accuracy, clean": 1,
    "Lost to brightness": 1,
    "Lost to blur": 1,
    **{f"RMS error, {shift}": 3 for shift in SHIFTS.values()},
}

#: Metric to its title, its unit, and by how much axes are widened beyond the values.
PANELS = {
    "accuracy_percent": ("accuracy (%)", 3),
    "rms_calibration_error": ("calibration error", 0.02),
}

CELLS_CAPTION = (
    "All 84 cells of the paper’s tables: the nearer to the dotted line, the better they agree."
    " Bars: 95 % intervals for {others}."
)


def show_overview() -> Markdown:
    """Return a table of the findings: a row an arm, each value beside the paper's, best in bold."""
    lines = [f"| Model | {' | '.join(HEADS)} |", "|:--|" + "--:|" * len(HEADS)]
    for dataset, title in DATASETS.items():
        lines.append(f"| **{title}** |" + " |" * len(HEADS))
        here, paper = _condense(dataset, "mean"), _condense(dataset, "value")
        columns = zip(*here.values(), strict=True)
        first, *others = ([v for v in column if not np.isnan(v)] for column in columns)
        best = max(first, default=None), *(min(column, default=None) for column in others)
        for row, values in here.items():
            shown = map(_pair, values, paper[row], best, HEADS.values())
            lines.append(f"| {row} | {' | '.join(shown)} |")
    table = "\n".join(lines)
    return Markdown(f"```{{table}}\n:class: overview\n:align: left\n\n{table}\n```")


def _condense(dataset: str, values: str) -> dict[str, list[float]]:
    """Return the values of each row, as printed: of the runs (mean) or of the paper (value)."""
    cells = summarise().set_index(["table", "row", "column"]).sort_index()[values]
    losses = [find_losses(dataset, shift, values) for shift in list(SHIFTS)[1:]]
    rows = {}
    for row in style_arms(dataset):
        accuracy, error = (cells.loc[ACCURACY[dataset] + place, row] for place in (0, 1))
        found = [accuracy["Clean"], *(loss[row] for loss in losses)]
        found += [error[shift] for shift in SHIFTS]
        rows[row] = [round(v, digits) for v, digits in zip(found, HEADS.values(), strict=True)]
    return rows


def _pair(here: float, paper: float, best: float, digits: int) -> str:
    measured = "not measured" if np.isnan(here) else f"{here:z.{digits}f}"
    shown = f"**{measured}**" if here == best else measured
    return f"{shown} [{paper:.{digits}f}]{{.paper}}".replace("-", "−")


def show_cells() -> Picture:
    """Return the paper's 84 cells against the runs': on the dotted line they agree.

    A panel a data set and metric; bars are 95 % intervals over seeds and test images.
    """
    cells = summarise()
    panels = []
    for dataset, title in DATASETS.items():
        panels.append(legend_panel(dataset))
        for metric, (unit, margin) in PANELS.items():
            own = cells[(cells.dataset == dataset) & (cells.metric == metric)]
            own = own[own["mean"].notna()]
            inside = int(((own.low <= own.value) & (own.value <= own.high)).sum())
            alt = (
                f"{title}, {unit}: {len(own)} cells, the paper's value against that of these runs;"
                f" the paper's lies in the 95 % interval of {inside}"
            )
            panels.append(plot_panel(_scatter(own, title, unit, margin), alt, 2, 2.05))
    one = all(len(records) == 1 for records in shown_records().values())
    others = "other test images, of one seed" if one else "other seeds and other test images"
    return Picture(panels, CELLS_CAPTION.format(others=others))


def _scatter(cells: pd.DataFrame, title: str, unit: str, margin: float):
    def draw(axes):
        values = cells[["value", "low", "high"]]
        limits = values.min(axis=None) - margin, values.max(axis=None) + margin
        axes.plot(limits, limits, color=INK, linewidth=0.8, linestyle=":")
        for dataset, group in cells.groupby("dataset"):
            for row, style in style_arms(dataset).items():
                own = group[group.row == row]
                bars = np.abs([own["mean"] - own.low, own.high - own["mean"]])
                look = {"color": style.colour, "marker": style.marker, "linestyle": ""}
                axes.errorbar(own.value, own["mean"], bars, ms=4, alpha=0.8, **look)
        axes.set(title=title, xlabel=f"{unit}, paper", ylabel="here")
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        axes.grid(visible=True)

    return draw


def show_summary() -> Markdown:
    """Return what was found, a bullet a data set, and how the runs stand to the paper."""
    bullets = []
    for dataset, title in DATASETS.items():
        table = compare(dataset, list_contrasts(dataset))
        bullets.append(
            f"**{title}**. {span_losses(dataset)} {count_clear(table)}{name_largest(table)}"
        )
    bullets += [_judge_cells(), _judge_statements()]
    return Markdown("\n".join(f"- {bullet}" for bullet in bullets))


def _judge_cells() -> str:
    """Return how many of the paper's cells the runs reproduce, or why this is not judged."""
    judged = {}
    for dataset, title in DATASETS.items():
        own = summarise().query("dataset == @dataset")
        if reasons := why_withheld(dataset):
            judged[title] = f"no verdict, since {reasons[0]}"
            continue
        counts = own.verdict.value_counts().reindex(list(SIGNS), fill_value=0)
        told = ", ".join(f"{SIGNS[word]} {number} {word}" for word, number in counts.items())
        columns = own.groupby(["table", "column"])
        same = sum(bool((column.best & column.paper_best).any()) for _, column in columns)
        judged[title] = f"{told}, the best row is the paper's in {same} of {len(columns)} columns"
    withheld = all(map(why_withheld, DATASETS))
    listed = "; ".join(f"{title}: {told}" for title, told in judged.items())
    if withheld and len(set(judged.values())) == 1:
        (listed,) = set(judged.values())
    meaning = "" if withheld else " {ref}`What the words mean <reproduced>`."
    return f"**The paper's {len(summarise())} cells**: {listed}.{meaning}"


def _judge_statements() -> str:
    """Return how many of the paper's statements hold."""
    text = f"{{doc}}`The paper's statements </claims>`, in {len(judge_claims())} readings."
    withheld = [title for dataset, title in DATASETS.items() if why_withheld(dataset)]
    on = "" if len(withheld) == len(DATASETS) else f" on {' and '.join(withheld)}"
    note = f" The runs{on} stand in for the study." if withheld else ""
    return f"{text} {count_verdicts()}{note}"


def show_made_from() -> Markdown:
    """Return in a line what this build is: profile, data, seeds, commit and date of the runs."""
    runs = [record.run for records in shown_records().values() for record in records]
    data = dict.fromkeys(describe_data(dataset) for dataset in DATASETS)
    seeds = dict.fromkeys(describe_seeds(dataset) for dataset in DATASETS)
    days = [run["started"][:10] for run in runs]
    return Markdown(
        f"**This build:** profile `{Source.from_environment().profile}`; {'; '.join(data)};"
        f" {'; '.join(seeds)}; runs of commit {describe_commits(runs)},"
        f" {' to '.join(dict.fromkeys(map(quote, (min(days), max(days)))))}."
    )
