"""The findings at a glance: a table, a figure of all cells of the paper, and sentences."""

from collections import Counter
from functools import partial
from itertools import product

import pandas as pd
from IPython.display import Markdown

from .claims import count_verdicts, is_real
from .html_figures import INK, Picture
from .paper import name_column
from .records import (
    PAPER_ARMS,
    arms,
    dataset_title,
    datasets,
    describe_data,
    describe_evidence,
    find_evidence,
    missing_runs,
    show_each,
    shown_records,
)
from .styles import draw_intervals, draw_legend, style_arms
from .table_export import write_markdown
from .tables import find_cells, list_columns
from .tidy import MEASURES, PAPER_METRICS, RMS, estimates, find_difference, find_estimate
from .verdicts import LEVEL, SIGNS, judge

#: Columns of the overview: title to metric and shift.
HEADS = {
    "Accuracy, clean": ("accuracy", "clean"),
    "Lost to brightness": ("accuracy_lost", "brightness"),
    "Lost to blur": ("accuracy_lost", "blur"),
    **{f"RMS error, {shift}": (RMS, shift) for shift in ("clean", "brightness", "blur")},
}

#: Metrics that the findings compare, to their names and units there.
COMPARED = {"accuracy": ("accuracy", " points"), RMS: ("RMS calibration error", "")}


def show_overview() -> Markdown:
    """Return one table per data set and profile: a row for each arm, with the paper's values."""
    tables = [table for d in datasets() for table in show_each(d, partial(_lay_out, d))]
    return Markdown("\n\n".join(tables))


def _lay_out(dataset: str) -> str:
    columns = [find_cells(dataset, metric, [(shift, None)]) for metric, shift in HEADS.values()]
    rows = [[dataset_title(dataset), *HEADS]]
    rows += [[label, *(_print(cells[label][0]) for cells in columns)] for label in columns[0]]
    caption = f"[{describe_data(dataset)}: {describe_evidence(dataset)}.]{{.caption}}"
    options = ":class: overview\n:align: left"
    return f"{caption}\n\n```{{table}}\n{options}\n\n{write_markdown(rows)}\n```"


def _print(row: dict) -> str:
    text, paper = (MEASURES[row["metric"]].print(row[name]) for name in ("mean", "paper"))
    text = f"**{text}**" if row["best"] else text
    return text + f" [{paper}]{{.paper}}" * (paper != "—")


def show_cells() -> Picture:
    """Return the paper's cells against the runs', one panel per data set and metric."""
    picture = Picture(caption="Ours against the paper's; equal on the dotted line; 95 % intervals.")
    for dataset in filter(shown_records, PAPER_ARMS):
        picture.panels.append(draw_legend(dataset))
        cells = estimates().query("dataset == @dataset and variant == '' and n_seeds > 0")
        for metric in PAPER_METRICS:
            own = cells[(cells.metric == metric) & cells.paper.notna()]
            if not own.empty:  # arms that the paper lacks have none
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
    title = f"{dataset_title(dataset)}, {find_evidence(dataset).profile}"
    axes = {"title": title, "xlabel": f"{unit}, paper", "ylabel": "this book"}
    axes |= {"xlim": limits, "ylim": limits, "aspect": "equal", "grid": "both"}
    with picture.plot(alt, 2, 2.05, **axes) as panel:
        panel.plot(limits, limits, color=INK, linewidth=0.8, linestyle=":")
        for label, style in style_arms(dataset).items():
            own = scale * values[cells.arm == label]
            draw_intervals(panel, own["paper"], own, style, line=False)


def show_summary() -> Markdown:
    """Return the findings, published images first, and the verdicts on the paper, as bullets."""
    bullets = []
    for dataset in sorted(filter(shown_records, datasets()), key=lambda d: not is_real(d)):
        for found in show_each(dataset, partial(_summarise, dataset)):
            bullets += filter(None, found)
    bullets.append(f"**{{doc}}`The paper's statements </claims>`.** {count_verdicts()}")
    return Markdown(_list(bullets))


def _summarise(dataset: str) -> list[str]:
    named = f"**{describe_data(dataset)}**, {describe_evidence(dataset)}."
    costs = f"{named} {_describe_costs(dataset)}"
    return [costs, *_compare_arms(dataset), _judge_cells(dataset)]


def show_gaps() -> Markdown:
    """Return what is not measured yet, with commands and requirements, as bullets."""
    gaps = [f"**{dataset_title(d)}.** {line}" for d in datasets() if (line := missing_runs(d))]
    gaps += [
        f"**{dataset_title(d)}**, with the study's number of epochs and three seeds:"
        f" `python -m helpers run --profile paper --only '{d}_*' --seeds 0-2`."
        for d in datasets()
        if is_real(d) and find_evidence(d).profile == "short"
    ]
    return Markdown(_list(gaps) or "Every arm of the paper is measured.")


def _list(texts: list[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _describe_costs(dataset: str) -> str:
    """Return a sentence for each shift: the accuracy that each arm loses to it."""
    measure, sentences = MEASURES["accuracy_lost"], []
    for shift, _ in list_columns(dataset)[1:]:
        rows = [find_estimate(dataset, label, "accuracy_lost", shift) for label in arms(dataset)]
        costs = [f"{r['arm']} {measure.print(r['mean'])}" for r in rows if r["n_seeds"]]
        if costs:
            each = " and ".join(costs)
            sentences.append(f"{name_column(shift)} costs {each} points of accuracy.")
    return " ".join(sentences)


def _compare_arms(dataset: str) -> list[str]:
    """Return whether each arm differs from the first one, by metric, with the differences."""
    texts, (first, *others) = [], shown_records(dataset)
    for label, (metric, (name, unit)) in product(others, COMPARED.items()):
        shifts = [shift for shift, _ in list_columns(dataset)]
        rows = [find_difference(dataset, label, first, metric, shift) for shift in shifts]
        if rows[0]["n_seeds"] < 2:
            one = f"One seed in common cannot tell whether {label} differs from {first}."
            texts += [one] * (rows[0]["n_seeds"] == 1 and one not in texts)
            continue
        measure = MEASURES[metric]
        found, sizes = [], []
        for row in rows:
            place = "on clean images" if row["shift"] == "clean" else f"under {row['shift']}"
            if row["p_holm"] < LEVEL:
                word = "better" if row["mean"] * measure.better > 0 else "worse"
                found.append(f"{word} {place}")
            mean, low, high = (measure.print(row[end], "+") for end in ("mean", "low", "high"))
            sizes.append(f"{mean}{unit} {place} ({low} to {high})")
        verdict = "does not differ significantly from"
        if found:
            verdict = f"is significantly {' and '.join(found)} than"
        texts.append(f"In {name}, {label} {verdict} {first}: {', '.join(sizes)}.")
    return texts


def _judge_cells(dataset: str) -> str:
    cells = estimates().query("dataset == @dataset and variant == '' and paper.notna()")
    cells = cells[cells["metric"].isin(PAPER_METRICS)]
    known = cells[cells["n_seeds"] > 0]
    words = Counter(map(judge, known.to_dict("records")))
    judged = [f"{SIGNS[word]}\xa0{word} {words[word]}" for word in SIGNS if words[word]]
    judged += [f"not judged {words['']}"] * bool(words[""])
    judged += [f"not measured {len(cells) - len(known)}"] * (len(cells) > len(known))
    text = f"**The paper's {len(cells)} cells of {dataset_title(dataset)}**,"
    text += f" {describe_evidence(dataset)}: {', '.join(judged)}."
    for name in set(known["spread_from"]) - {"", find_evidence(dataset).profile}:
        text += f" The spread between seeds is taken from profile {name}."
    return text if len(known) else ""
