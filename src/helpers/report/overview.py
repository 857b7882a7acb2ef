"""The findings at a glance: a table, a figure of all cells of the paper, and a few sentences."""

import math
from collections import Counter

import pandas as pd
from IPython.display import Markdown

from .claims import count_verdicts
from .escape import escape_code, escape_markdown
from .estimates import MEASURES, PAPER_METRICS, RMS, differences, estimates, find_estimate
from .html_figures import INK, Picture
from .paper import name_column, read_paper
from .records import (
    PAPER_ARMS,
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
from .verdicts import LEVEL, SIGNS, judge, print_verdict, reasons_not_comparable

#: Columns of the overview: head to metric and shift.
HEADS = {
    "Accuracy, clean": ("accuracy", "clean"),
    "Lost to brightness": ("accuracy_lost", "brightness"),
    "Lost to blur": ("accuracy_lost", "blur"),
    **{f"RMS error, {shift}": (RMS, shift) for shift in ("clean", "brightness", "blur")},
}


def show_overview() -> Markdown:
    """Return a row per arm: each value above the paper's, the best of a column in bold."""
    rows = [["Model", *HEADS], [":--", *["--:"] * len(HEADS)]]
    for dataset in datasets():
        rows.append([f"**{dataset_title(dataset)}**", *[""] * len(HEADS)])
        columns = [find_cells(dataset, metric, [(shift, None)]) for metric, shift in HEADS.values()]
        for label in columns[0]:
            rows.append([label])
            for row, best in (cells[label][0] for cells in columns):
                text, paper = (MEASURES[row["metric"]].print(row[n]) for n in ("mean", "paper"))
                text = f"**{text}**" if best else text
                rows[-1].append(text + f" [{paper}]{{.paper}}" * (paper != "—"))
    table = write_markdown(rows)
    return Markdown(f"```{{table}}\n:class: overview\n:align: left\n\n{table}\n```")


def show_cells() -> Picture:
    """Return the paper's cells against the runs', a panel per data set and metric."""
    caption = (
        "The paper’s cells: the nearer to the dotted line, the better they agree. Bars: 95 %"
        " intervals."
    )
    picture = Picture(caption=caption)
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
    bullets = [f"**{dataset_title(d)}**. {_summarise(d)}" for d in datasets()]
    bullets += [
        _judge_cells(),
        f"**{{doc}}`The paper's statements </claims>`.** {count_verdicts()}",
    ]
    return Markdown("\n".join(f"- {bullet}" for bullet in bullets))


def show_findings(dataset: str) -> Markdown:
    """Return the findings of one data set, a bullet per question."""
    bullets = [_summarise(dataset)]
    for shift in ("clean", "brightness", "blur") if shown_records(dataset) else ():
        rows = {
            label: find_estimate(dataset, label, RMS, shift) for label in shown_records(dataset)
        }
        calibrated = [k for k, row in rows.items() if abs(row["mean"]) <= row["noise_floor_95"]]
        named = " and ".join(calibrated) or "none"
        bullets.append(
            f"Not distinguishable from calibrated, {name_column(shift).lower()}: {named}."
        )
    return Markdown("\n".join(f"- {bullet}" for bullet in bullets))


def _summarise(dataset: str) -> str:
    """Return what the shifts cost, and which differences are clear."""
    if not shown_records(dataset):
        return missing_runs(dataset)
    texts = []
    for shift in ("brightness", "blur"):
        rows = [
            find_estimate(dataset, label, "accuracy_lost", shift) for label in style_arms(dataset)
        ]
        spans = []
        for name in ("mean", "paper"):
            known = sorted(row[name] for row in rows if not math.isnan(row[name]))
            ends = [MEASURES["accuracy_lost"].print(end) for end in known[:1] + known[-1:]]
            spans.append(" to ".join(dict.fromkeys(ends)))
        if spans[0]:
            paper = f" (paper: {spans[1]})" * bool(spans[1])
            texts.append(f"{shift} costs {spans[0]} points of accuracy{paper}")
    costs = f"{'; '.join(texts)}. ".capitalize() if texts else ""
    table = differences().query("dataset == @dataset and p_holm == p_holm")
    table = table[table["metric"].isin(PAPER_METRICS) & (table["metric"] == table["other_metric"])]
    clear = table[table["p_holm"] < LEVEL]
    if table.empty:
        return f"{costs}No pair of arms has two seeds in common, so no difference can be tested."
    text = f"{costs}Of {len(table)} differences between arms, {len(clear)} are clear (p < {LEVEL})."
    accuracy = clear[clear["metric"] == "accuracy"]
    if len(accuracy):
        row = accuracy.loc[accuracy["mean"].abs().idxmax()]
        better, worse = (row.arm, row.other) if row["mean"] > 0 else (row.other, row.arm)
        size = f"{100 * abs(row['mean']):.1f} points ({name_column(row['shift']).lower()})"
        text += f" The largest in accuracy: {better} over {worse} by {size}."
    return text


def _judge_cells() -> str:
    """Return how many of the paper's cells the runs reproduce, or why this is not judged."""
    measured = estimates().query("variant == '' and n_seeds > 0").to_dict("records")
    cells = [row for row in measured if row["metric"] in PAPER_METRICS and row["paper"] > 0]
    words, total = Counter(map(judge, cells)), len(read_paper())
    judged = [f"{print_verdict(word)} {words[word]}" for word in SIGNS if words[word]]
    reasons = {
        reason
        for dataset in PAPER_ARMS
        for label in shown_records(dataset)
        for reason in reasons_not_comparable(dataset, label)
    }
    judged += [f"not judged {words['']} ({'; '.join(sorted(reasons))})"] * bool(words[""])
    judged += [f"not measured {total - len(cells)}"] * (total > len(cells))
    return f"**The paper's {total} cells:** {', '.join(judged)}."


def show_made_from() -> Markdown:
    """Return a line with the profile, data, seeds, commits and dates of the shown runs."""
    parts, runs = [], []
    for dataset in datasets():
        records = [record for group in shown_records(dataset).values() for record in group]
        runs += [record.run for record in records]
        if records:
            parts.append(f"{describe_data(dataset)}, {describe_evidence(dataset)}")
        else:
            parts.append(f"no runs of {dataset_title(dataset)}")
    text = f"**This build:** {'; '.join(parts)}."
    if runs:
        days = sorted(str(run["started"])[:10] for run in runs)
        commits = {
            str((run.get("environment") or {}).get("git_commit") or "unknown")[:10] for run in runs
        }
        names = ", ".join(map(escape_code, sorted(commits)))
        dates = " to ".join(dict.fromkeys(map(escape_markdown, (days[0], days[-1]))))
        text += f" Runs of commit {names}, {dates}."
    return Markdown(text)
