"""The findings at a glance: a table, a figure of all cells of the paper, and a few sentences."""

import math
from collections import Counter
from collections.abc import Iterable

import pandas as pd
from IPython.display import Markdown

from .claims import count_verdicts
from .escape import escape_code, escape_markdown
from .html_figures import INK, Picture
from .paper import read_paper
from .records import (
    PAPER_ARMS,
    arms,
    dataset_title,
    datasets,
    describe_data,
    describe_evidence,
    missing_runs,
    shown_records,
)
from .styles import draw_intervals, draw_legend, style_arms
from .table_export import write_markdown
from .tables import find_cells
from .tidy import MEASURES, PAPER_METRICS, RMS, differences, estimates, find_estimate
from .verdicts import LEVEL, SIGNS, judge, print_verdict, reasons_not_comparable

#: Columns of the overview: head to metric and shift.
HEADS = {
    "Accuracy, clean": ("accuracy", "clean"),
    "Lost to brightness": ("accuracy_lost", "brightness"),
    "Lost to blur": ("accuracy_lost", "blur"),
    **{f"RMS error, {shift}": (RMS, shift) for shift in ("clean", "brightness", "blur")},
}


def show_overview() -> Markdown:
    """Return a table per data set, as drawn and published images never share one.

    It has a row per arm: each value with the paper's in brackets, the best of a column in bold.
    """
    tables = []
    for dataset in datasets():
        columns = [find_cells(dataset, metric, [(shift, None)]) for metric, shift in HEADS.values()]
        rows = [[dataset_title(dataset), *HEADS], [":--", *["--:"] * len(HEADS)]]
        rows += [[label, *(_print(cells[label][0]) for cells in columns)] for label in columns[0]]
        tables.append(f"[{describe_data(dataset)}: {describe_evidence(dataset)}.]{{.caption}}")
        table = write_markdown(rows)
        tables.append(f"```{{table}}\n:class: overview\n:align: left\n\n{table}\n```")
    return Markdown("\n\n".join(tables))


def _print(row: dict) -> str:
    text, paper = (MEASURES[row["metric"]].print(row[name]) for name in ("mean", "paper"))
    text = f"**{text}**" if row["best"] else text
    return text + f" [{paper}]{{.paper}}" * (paper != "—")


def show_cells() -> Picture:
    """Return the paper's cells against the runs', a panel per data set and metric."""
    picture = Picture(
        caption="The closer to the dotted line, the better the agreement. Bars: 95 % intervals."
    )
    for dataset in filter(shown_records, PAPER_ARMS):
        picture.panels.append(draw_legend(dataset))
        cells = estimates().query("dataset == @dataset and variant == '' and n_seeds > 0")
        for metric in PAPER_METRICS:
            own = cells[(cells.metric == metric) & cells.paper.notna()]
            if not own.empty:  # as it is for arms that the paper lacks
                _plot_cells(picture, dataset, metric, own)
    return picture


def _plot_cells(picture: Picture, dataset: str, metric: str, cells: pd.DataFrame) -> None:
    inside = int(((cells.low <= cells.paper) & (cells.paper <= cells.high)).sum())
    alt = (
        f"{dataset_title(dataset)}, {MEASURES[metric].title}: {len(cells)} cells, the paper's"
        f" against the measured value; the 95 % interval includes the paper's in {inside}"
    )
    scale, margin = 100 if MEASURES[metric].percent else 1, 0.03
    values = cells[["paper", "mean", "low", "high"]]
    limits = scale * (values.min(axis=None) - margin), scale * (values.max(axis=None) + margin)
    unit = "accuracy (%)" if metric == "accuracy" else "calibration error"
    axes = {"title": dataset_title(dataset), "xlabel": f"{unit}, paper", "ylabel": "here"}
    axes |= {"xlim": limits, "ylim": limits, "aspect": "equal", "grid": "both"}
    with picture.plot(alt, 2, 2.05, **axes) as panel:
        panel.plot(limits, limits, color=INK, linewidth=0.8, linestyle=":")
        for label, style in style_arms(dataset).items():
            own = scale * values[cells.arm == label]
            draw_intervals(panel, own["paper"], own, style._replace(line=""))


def show_summary() -> Markdown:
    """Return the findings, a bullet per data set, and the verdicts on the paper."""
    bullets = [f"**{describe_data(d)}**: {_summarise(d)}" for d in datasets()]
    bullets.append(_judge_cells())
    bullets.append(f"**{{doc}}`The paper's statements </claims>`.** {count_verdicts()}")
    return Markdown("\n".join(f"- {bullet}" for bullet in bullets))


def show_findings(dataset: str) -> Markdown:
    """Return the findings of one data set."""
    return Markdown(_summarise(dataset))


def _summarise(dataset: str) -> str:
    """Return what the shifts cost, and how many differences are clear."""
    if not shown_records(dataset):
        return missing_runs(dataset)
    texts = []
    for shift in ("brightness", "blur"):
        rows = [find_estimate(dataset, label, "accuracy_lost", shift) for label in arms(dataset)]
        spans = [_print_span(row[name] for row in rows) for name in ("mean", "paper")]
        if spans[0]:
            paper = f" (paper: {spans[1]})" * bool(spans[1])
            texts.append(f"{shift.capitalize()} costs {spans[0]} points of accuracy{paper}.")
    table = differences().query("dataset == @dataset and family == 'arms'")
    tested, clear = table["p_holm"].notna().sum(), (table["p_holm"] < LEVEL).sum()
    text = f"Of {tested} differences between arms, {clear} are clear (p < {LEVEL})."
    return " ".join([*texts, text if tested else "No pair of arms has two seeds in common."])


def _print_span(values: Iterable[float]) -> str:
    known = sorted(value for value in values if not math.isnan(value))
    ends = [MEASURES["accuracy_lost"].print(end) for end in known[:1] + known[-1:]]
    return " to ".join(dict.fromkeys(ends))


def _judge_cells() -> str:
    """Return how many of the paper's cells the runs reproduce, or why this is not judged."""
    cells = estimates().query("variant == '' and n_seeds > 0 and paper > 0")
    cells = cells[cells["metric"].isin(PAPER_METRICS)].to_dict("records")
    words, total = Counter(map(judge, cells)), len(read_paper())
    judged = [f"{print_verdict(word)} {words[word]}" for word in SIGNS if words[word]]
    named = {(row["dataset"], row["arm"]) for row in cells}
    reasons = sorted({reason for arm in named for reason in reasons_not_comparable(*arm)})
    judged += [f"not judged {words['']} ({'; '.join(reasons)})"] * bool(words[""])
    judged += [f"not measured {total - len(cells)}"] * (total > len(cells))
    return f"**The paper's {total} cells:** {', '.join(judged)}."


def show_made_from() -> Markdown:
    """Return a line with the profile, data, seeds, commits and dates of the shown runs."""
    parts, days, commits = [], [], set()
    for dataset in datasets():
        records = [record for group in shown_records(dataset).values() for record in group]
        days += [str(record.run["started"])[:10] for record in records]
        commits |= {str(record.environment["git_commit"] or "unknown")[:10] for record in records}
        described = f"{describe_data(dataset)}, {describe_evidence(dataset)}"
        parts.append(described if records else f"no runs of {dataset_title(dataset)}")
    text = f"**This build:** {'; '.join(parts)}."
    if days:
        names = ", ".join(map(escape_code, sorted(commits)))
        dates = " to ".join(dict.fromkeys(map(escape_markdown, (min(days), max(days)))))
        text += f" Runs of commit {names}, {dates}."
    return Markdown(text)
