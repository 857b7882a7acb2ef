"""Tables of estimates: the paper's Tables 1-8, those of other data sets, and of calibration."""

import math
from collections.abc import Callable
from itertools import chain

import pandas as pd
from IPython.display import Markdown

from helpers import InputError
from helpers.metrics import METRICS

from .paper import name_column, paper_strengths, read_paper
from .records import (
    PAPER_ARMS,
    arms,
    describe_data,
    describe_evidence,
    find_evidence,
    list_evidence,
    missing_runs,
    show_each,
    shown_records,
)
from .table_export import link_files, render_table, write_csv, write_markdown
from .tidy import MEASURES, PAPER_METRICS, RMS, TEMPERED, estimates, find_estimate, load_tables
from .verdicts import judge, print_verdict, reasons_not_comparable

#: Characters of a table that LaTeX reads as commands, or that pdfLaTeX's fonts may lack.
LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "%_&#"}
    | {"±": r"$\pm$", "−": "$-$", "σ": r"$\sigma$", "–": "--", "—": "---"}
)

SPREAD = "mean ± standard deviation over the seeds"


def show_table(number: int) -> Markdown:
    """Return one of the paper's tables as numbered MyST with links, for each evidence."""
    dataset, metric, columns = _find(number)

    def show() -> str:
        if profile := _name_beneath(dataset):
            return _render(dataset, metric, columns, f"-{columns[0][0]}-{profile}")
        caption = _write_caption(dataset, metric, columns)
        rows = _lay_out(columns, find_cells(dataset, metric, columns), print_cell)
        options = f":name: table-{number}\n:align: left"
        table = f"```{{table}} {caption}.\n{options}\n\n{write_markdown(rows)}\n```"
        files = {"csv": export_table(number, "csv"), "tex": export_table(number, "latex")}
        links = link_files(f"table-{number}", f"Table {number}", **files)
        return f"{table}\n\n{links}"

    return Markdown("\n\n".join(show_each(dataset, show)))


def show_results(dataset: str) -> Markdown:
    """Return all tables of a data set that the paper lacks, below their legend."""
    parts = [_render(dataset, metric, list_columns(dataset)) for metric in PAPER_METRICS]
    others = show_other_shifts(dataset)
    parts = [show_legend(dataset).data, *parts, *([others.data] if others else [])]
    return Markdown("\n\n".join(parts))


def show_other_shifts(dataset: str) -> Markdown | None:
    """Return tables by strength for each shift that the paper's tables of the data set lack."""
    parts = []
    for shift, _ in list_columns(dataset)[1:]:
        if not paper_strengths(dataset, shift):
            strengths = estimates().query("dataset == @dataset and shift == @shift")["strength"]
            columns = [(shift, value) for value in sorted(strengths.dropna().unique().tolist())]
            parts += [_render(dataset, metric, columns, f"-{shift}") for metric in PAPER_METRICS]
    return Markdown("\n\n".join(parts)) if parts else None  # a page would show an empty one


def _render(dataset: str, metric: str, columns: list[tuple], ending: str = "") -> str:
    caption, cells = _write_caption(dataset, metric, columns), find_cells(dataset, metric, columns)
    rows, data = _lay_out(columns, cells, print_cell), chain(*cells.values())
    return render_table(f"{dataset}-{metric}{ending}", caption, rows, data)


def export_table(number: int, format: str) -> str:
    """Return one of the paper's tables as md, csv (rows of `estimates`, verdicts) or latex."""
    if number not in set(read_paper()["table"]):
        raise InputError(f"table {number}: unknown table; choose from 1 to 8")
    if format not in ("md", "csv", "latex"):
        raise InputError(f"format {format!r}: unknown format; choose from md, csv, latex")
    place = dataset, *_ = _find(number)
    if format == "csv":  # one header for all profiles
        found = show_each(dataset, lambda: find_cells(*place))
        rows = chain.from_iterable(row for cells in found for row in cells.values())
        return write_csv({"table": number} | row for row in rows)
    return "\n".join(show_each(dataset, lambda: _export(number, format, *place)))


def _export(number: int, format: str, dataset: str, metric: str, columns: list[tuple]) -> str:
    bold = r"\textbf{{{}}}" if format == "latex" else "**{}**"

    def print_plain(row: dict) -> str:
        text, paper = print_spread(row), MEASURES[metric].print(row["paper"])
        text = bold.format(text) if row["best"] else text
        return f"{text} ({bold.format(paper) if row['paper_bold'] else paper})"

    rows = _lay_out(columns, find_cells(dataset, metric, columns), print_plain)
    caption = f"{_write_caption(dataset, metric, columns)}; in brackets the paper's value."
    if format == "md":
        return f"Table {number}: {caption}\n\n{write_markdown(rows)}\n"
    heads, *body = [[text.translate(LATEX) for text in row] for row in rows]
    style = pd.DataFrame(body, columns=heads).style.hide(axis="index")
    kind, label = "l" + "r" * len(columns), f"tab:{number}"
    if profile := _name_beneath(dataset):
        label += f"-{profile}"
    caption = caption.translate(LATEX)
    text = style.to_latex(hrules=True, caption=caption, label=label, column_format=kind)
    return "% needs \\usepackage{booktabs}\n" + text


def _name_beneath(dataset: str) -> str:
    """Return the profile shown if it stands beneath the best one, else an empty string."""
    profile = find_evidence(dataset).profile
    return profile if profile != list_evidence(dataset)[0].profile else ""


def _find(number: int) -> tuple[str, str, list[tuple]]:
    """Return data set, metric and columns (shift, strength) of one of the paper's tables."""
    cells = read_paper().query("table == @number")
    columns = cells[["shift", "strength"]].drop_duplicates().itertuples(index=False)
    found = [(shift, None if math.isnan(strength) else strength) for shift, strength in columns]
    return cells["dataset"].iloc[0], cells["metric"].iloc[0], found


def list_columns(dataset: str) -> list[tuple[str, None]]:
    """Return the columns for a whole data set: clean and the mean of each shift."""
    table = estimates().query("dataset == @dataset and metric == 'accuracy' and variant == ''")
    shifts = table[table["strength"].isna()]["shift"].unique()
    return [(shift, None) for shift in sorted(shifts, key=lambda shift: shift != "clean")]


def _write_caption(dataset: str, metric: str, columns: list[tuple]) -> str:
    measure, (shift, strength) = MEASURES[metric], columns[0]
    better = f"{'%, ' * measure.percent}{'higher' if measure.better > 0 else 'lower'} is better"
    over = "on clean images and averaged over the strengths of each shift"
    over = over if strength is None else f"by strength of {name_column(shift).lower()}"
    text = f"{measure.title} ({better}) on {describe_data(dataset)}, {over}: {SPREAD}, best in bold"
    return f"{text}; {describe_evidence(dataset)}"


def find_cells(dataset: str, metric: str, columns: list[tuple]) -> dict[str, list[dict]]:
    """Map labels to their cells: rows of `estimates` with best (as printed) and verdict."""
    measure, cells = MEASURES[metric], {label: [] for label in arms(dataset)}
    for column in columns:
        rows = [find_estimate(dataset, label, metric, *column) for label in cells]
        merits = pd.Series([measure.scale(row["mean"]) * measure.better for row in rows])
        best = merits.eq(merits.max()) & (merits.count() > 1)
        for row, is_best in zip(rows, best.tolist(), strict=True):
            cells[row["arm"]].append(row | {"best": is_best, "verdict": judge(row)})
    return cells


def head_row(first: str, columns: list[tuple]) -> list[str]:
    """Return the header of a table with these columns (shift, strength)."""
    return [first, *(name_column(*column) for column in columns)]


def _lay_out(columns: list[tuple], cells: dict, print_one: Callable) -> list[list[str]]:
    body = [[label, *map(print_one, row)] for label, row in cells.items()]
    return [head_row("Model", columns), *body]


def print_cell(row: dict) -> str:
    """Return a cell as Markdown lines: value, interval, noise floor, paper's value, verdict."""
    measure, text = MEASURES[row["metric"]], print_spread(row)
    text = f"**{text}**" if row["best"] else text
    text += measure.print_interval(row) + print_floor(row)
    if not math.isnan(row["paper"]):
        paper = measure.print(row["paper"])
        text += f" [{f'**{paper}**' if row['paper_bold'] else paper}]{{.paper}}"
    if row["verdict"]:
        distance = measure.print(row["mean"] - row["paper"], "+")
        text += f" [{print_verdict(row['verdict'])} ({distance})]{{.verdict}}"
    return text


def print_spread(row: dict, sign: str = "") -> str:
    """Return mean ± standard deviation (of two seeds or more); "—" if not measured."""
    measure = MEASURES[row["metric"]]
    spread = "" if math.isnan(row["sd"]) else f" ± {measure.print(row['sd'])}"
    return measure.print(row["mean"], sign) + spread


def print_floor(row: dict) -> str:
    """Return the noise floor of a calibration error, with a mark if the error is within it."""
    if math.isnan(row["noise_floor"]):
        return ""
    mean, high = (MEASURES[row["metric"]].print(row[f"noise_floor{end}"]) for end in ("", "_95"))
    mark = " [◦ as calibrated]{.floor}" * (abs(row["mean"]) <= row["noise_floor_95"])
    return f" [floor {mean} (to {high})]{{.floor}}{mark}"


def list_gaps(dataset: str) -> list[str]:
    """Return lines on missing and omitted runs, with the command that makes them."""
    missing = missing_runs(dataset)
    return [missing] * bool(missing) + [f"*{line}.*" for line in find_evidence(dataset).warnings]


def show_legend(dataset: str) -> Markdown:
    """Return the runs behind a data set's tables, those missing, and why cells are not judged."""
    gaps = chain(*show_each(dataset, lambda: list_gaps(dataset)))
    if not shown_records(dataset):
        none = "No runs of this data set: the tables show the paper's values."
        return Markdown("\n\n".join([none, *gaps]))
    best, *beneath = show_each(dataset, lambda: describe_evidence(dataset))
    lines = [f"**These tables** show {best}, on {describe_data(dataset)}."]
    if beneath:
        lines[0] += f" Since an arm has fewer than three seeds there, those of {beneath[0]} follow"
        lines[0] += " below. The differences between arms, the claims and the calibration page use"
        lines[0] += " the latter."
    lines += filter(None, dict.fromkeys(show_each(dataset, lambda: _list_reasons(dataset))))
    return Markdown("\n\n".join([*lines, *gaps]))


def _list_reasons(dataset: str) -> str:
    """Return why the paper's values are not judged, and for which arms, if not for all."""
    reasons: dict[str, list[str]] = {}
    for label in shown_records(dataset) if dataset in PAPER_ARMS else ():
        reasons.setdefault("; ".join(reasons_not_comparable(dataset, label)), []).append(label)
    lines = []
    for why, labels in reasons.items():
        named = f" ({', '.join(labels)})" * (len(reasons) > 1)
        lines += [f"**The paper's values are not judged**{named}: {why}."] * bool(why)
    return "\n\n".join(lines)


def show_scores(dataset: str) -> Markdown:
    """Return every metric as a table: one row per metric, grouped by shift, one column per arm."""
    labels, data = list(shown_records(dataset)), []
    rows = [["Metric", *labels]]
    for shift, _ in list_columns(dataset):
        rows.append([f"*{name_column(shift)}*"])
        for metric in METRICS:
            found = [find_estimate(dataset, label, metric, shift) for label in labels]
            title = MEASURES[metric].title + " (%)" * MEASURES[metric].percent
            rows.append([title, *map(_print_score, found)])
            data += found
    return _show_calibration(dataset, "scores", "Every metric", rows, data)


def show_temperatures(dataset: str) -> Markdown:
    """Return each arm's calibration error as trained and at its temperature, in rows below it."""
    columns, data = list_columns(dataset), []
    rows = [head_row("Model", columns)]
    for label in shown_records(dataset):
        data.append(find_estimate(dataset, label, "temperature"))
        tempered = f"{label} at T = {print_spread(data[-1])}"
        for name, metric in ((label, RMS), (tempered, TEMPERED)):
            found = [find_estimate(dataset, label, metric, *column) for column in columns]
            rows.append([name, *map(_print_score, found)])
            data += found
    title = "RMS calibration error as trained and at the temperature T"
    return _show_calibration(dataset, "temperatures", title, rows, data)


def _show_calibration(dataset: str, name: str, title: str, rows: list, data: list) -> Markdown:
    parts = list_gaps(dataset)
    if shown_records(dataset):
        caption = f"{title} on {describe_data(dataset)}: {SPREAD}, noise floor"
        caption += f"; {describe_evidence(dataset)}"
        parts.insert(0, render_table(f"{dataset}-{name}", caption, rows, data))
    return Markdown("\n\n".join(parts))


def _print_score(row: dict) -> str:
    return print_spread(row, "+" * (MEASURES[row["metric"]].better == 0)) + print_floor(row)


def show_tidy() -> Markdown:
    """Return links that save both tidy tables as CSV."""
    tables = zip(("estimates", "differences"), load_tables(), strict=True)
    links = [link_files(name, name.capitalize(), csv=write_csv(table)) for name, table in tables]
    return Markdown("\n\n".join(links))
