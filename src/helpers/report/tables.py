"""Tables of results: the paper's Tables 1-8, those of other data sets, and differences."""

import math
from collections.abc import Iterator
from itertools import combinations

import pandas as pd
from IPython.display import Markdown

from helpers import InputError
from helpers.metrics import METRICS

from .escape import escape_markdown
from .estimates import (
    FLOOR_SEEDS,
    MEASURES,
    PAPER_METRICS,
    differences,
    estimates,
    find_difference,
    find_estimate,
)
from .paper import is_bold, name_column, paper_strengths, read_paper
from .records import (
    PAPER_ARMS,
    arms,
    describe_data,
    describe_evidence,
    list_warnings,
    missing_runs,
    shown_records,
)
from .table_export import link_files, render_table, write_csv, write_markdown
from .verdicts import LEVEL, RULE, judge, print_p_value, print_verdict, reasons_not_comparable

NETWORKS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}

#: Characters of a table that pdfLaTeX's fonts may lack.
LATEX = str.maketrans({"±": r"$\pm$", "−": "$-$", "σ": r"$\sigma$", "–": "--", "—": "---"})

SPREAD = "mean ± standard deviation over the seeds"

CELLS = (
    "**A cell** shows the mean ± standard deviation over the seeds; its 95 % interval for other"
    " seeds and other test images; for a calibration error its noise floor, the error that a"
    " perfectly calibrated network would have by chance (mean; 95 % quantile in brackets,"
    " {doc}`/method`); and the paper's value. “◦ as calibrated” marks an error within the floor."
)

PATIENTS = (
    "Test images count as independent. Those of PathMNIST come from the slides of few patients,"
    " whom the file does not identify ({doc}`/data`), so the test-image part of the interval is too"
    " narrow."
)


def show_table(number: int) -> Markdown:
    """Return one of the paper's tables as a numbered MyST table with links to CSV and LaTeX."""
    dataset, metric, columns = _find(number)
    caption, table = _write_caption(dataset, metric, columns), _lay_out(dataset, metric, columns)
    options = f":name: table-{number}\n:align: left"
    files = {"csv": export_table(number, "csv"), "tex": export_table(number, "latex")}
    parts = [
        f"```{{table}} {caption}.\n{options}\n\n{write_markdown(table)}\n```",
        link_files(f"table-{number}", f"Table {number}", **files),
    ]
    return Markdown("\n\n".join(parts + list_gaps(dataset)))


def show_results(dataset: str) -> Markdown:
    """Return all tables of a data set that the paper lacks, as the body of its page."""
    parts = [_render(dataset, metric, list_columns(dataset)) for metric in PAPER_METRICS]
    others = show_other_shifts(dataset).data, show_differences(dataset).data
    return Markdown("\n\n".join([show_legend(dataset).data, *parts, *others]))


def show_other_shifts(dataset: str) -> Markdown:
    """Return tables by strength for each shift that the paper's tables of the data set lack."""
    parts = []
    for shift, _ in list_columns(dataset)[1:]:
        if not paper_strengths(dataset, shift):
            strengths = estimates().query("dataset == @dataset and shift == @shift")["strength"]
            columns = [(shift, value) for value in sorted(strengths.dropna().unique().tolist())]
            parts += [_render(dataset, metric, columns) for metric in PAPER_METRICS]
    return Markdown("\n\n".join(parts))


def _render(dataset: str, metric: str, columns: list[tuple]) -> str:
    caption, name = (
        _write_caption(dataset, metric, columns),
        f"{dataset}-{metric}" + f"-{columns[0][0]}" * (columns[0][1] is not None),
    )
    rows, data = _lay_out(dataset, metric, columns), _list(dataset, metric, columns)
    return "\n\n".join([render_table(name, caption, rows, data), *list_gaps(dataset)])


def export_table(number: int, format: str) -> str:
    """Return one of the paper's tables as the text of a file.

    Parameters
    ----------
    number : 1 to 8
    format : ``md``, ``csv`` (rows of `estimates` with a verdict, as fractions) or ``latex``

    Raises
    ------
    InputError : for another number or format
    """
    if number not in set(read_paper()["table"]):
        raise InputError(f"table {number}: unknown table; choose from 1 to 8")
    if format not in ("md", "csv", "latex"):
        raise InputError(f"format {format!r}: unknown format; choose from md, csv, latex")
    dataset, metric, columns = _find(number)
    if format == "csv":
        return write_csv({"table": number} | row for row in _list(dataset, metric, columns))
    mark = r"\textbf{{{}}}" if format == "latex" else "**{}**"
    heads, rows = ["Model", *(name_column(*column) for column in columns)], []
    for label, cells in find_cells(dataset, metric, columns).items():
        rows.append([label])
        for row, best in cells:
            text, paper = print_spread(row), MEASURES[metric].print(row["paper"])
            paper = mark.format(paper) if is_bold(row) else paper
            rows[-1].append(f"{mark.format(text) if best else text} ({paper})")
    caption = f"{_write_caption(dataset, metric, columns, 0)}; in brackets the paper's value"
    if format == "md":
        lines = write_markdown([heads, [":--", *["--:"] * len(columns)], *rows])
        return f"Table {number}: {caption}.\n\n{lines}\n"
    caption = caption.translate(str.maketrans({sign: f"\\{sign}" for sign in "%_&#"}))
    style = pd.DataFrame(rows, columns=heads).style.hide(axis="index")
    kind, label = "l" + "r" * len(columns), f"tab:{number}"
    text = style.to_latex(hrules=True, caption=f"{caption}.", label=label, column_format=kind)
    return "% needs \\usepackage{booktabs}\n" + text.translate(LATEX)


def _find(number: int) -> tuple[str, str, list[tuple]]:
    """Return data set, metric and columns (shift, strength) of one of the paper's tables."""
    cells = read_paper().query("table == @number")
    columns = cells[["shift", "strength"]].drop_duplicates().itertuples(index=False)
    found = [(shift, None if math.isnan(strength) else strength) for shift, strength in columns]
    return cells["dataset"].iloc[0], cells["metric"].iloc[0], found


def list_columns(dataset: str) -> list[tuple[str, None]]:
    """Return the columns for a data set as a whole: clean and the mean of each shift."""
    table = estimates().query("dataset == @dataset and metric == 'accuracy' and variant == ''")
    shifts = table[table["strength"].isna()]["shift"].unique()
    return [(shift, None) for shift in sorted(shifts, key=lambda shift: shift != "clean")]


def _write_caption(dataset: str, metric: str, columns: list[tuple], parts: bool = True) -> str:
    """Return what a table holds and, with `parts`, what stands below the value of a cell."""
    measure, shown = MEASURES[metric], shown_records(dataset).values()
    names = {str(record.parameters.get("network")) for records in shown for record in records}
    networks = " and ".join(NETWORKS.get(n) or escape_markdown(n) for n in sorted(names))
    of = f"{networks} on " * bool(names) + describe_data(dataset)
    better = f"{'%, ' * measure.percent}{'higher' if measure.better > 0 else 'lower'} is better"
    over = "clean, and as the mean over the strengths of each shift"
    if columns[0][1] is not None:
        over = f"by strength of {name_column(columns[0][0]).lower()}"
    floor = ", noise floor" * bool(METRICS[metric].definition)
    below = f", 95 % interval{floor}{', paper' * (dataset in PAPER_ARMS)}" * parts
    text = f"{measure.title} ({better}) of {of}, {over}. Each cell: {SPREAD}"
    return f"{text}{below}; best in bold; {describe_evidence(dataset)}"


def find_cells(dataset: str, metric: str, columns: list[tuple]) -> dict[str, list[tuple]]:
    """Return label to its cells: a row of `estimates`, and whether it is best as printed."""
    measure, cells = MEASURES[metric], {label: [] for label in arms(dataset)}
    for column in columns:
        rows = {label: find_estimate(dataset, label, metric, *column) for label in cells}
        values = {label: measure.scale(row["mean"]) for label, row in rows.items()}
        merit = {k: v * measure.better if measure.better else -abs(v) for k, v in values.items()}
        top = max((value for value in merit.values() if not math.isnan(value)), default=None)
        for label, row in rows.items():
            cells[label].append((row, merit[label] == top))
    return cells


def _lay_out(dataset: str, metric: str, columns: list[tuple]) -> Iterator[list[str]]:
    """Yield the rows of a table in Markdown: below a value a line each for what explains it."""
    yield ["Model", *(name_column(*column) for column in columns)]
    yield [":--", *["--:"] * len(columns)]
    for label, cells in find_cells(dataset, metric, columns).items():
        yield [label, *(print_cell(row, best, is_bold(row)) for row, best in cells)]


def _list(dataset: str, metric: str, columns: list[tuple]) -> Iterator[dict]:
    for cells in find_cells(dataset, metric, columns).values():
        for row, best in cells:
            yield row | {"best": best, "paper_bold": is_bold(row), "verdict": judge(row)}


def print_cell(row: dict, best: bool = False, bold: bool = False) -> str:
    """Return a row of `estimates` as Markdown: value, interval, noise floor, paper, verdict."""
    measure = MEASURES[row["metric"]]
    text = f"**{print_spread(row)}**" if best else print_spread(row)
    if not math.isnan(row["low"]):
        text += f" [{measure.print(row['low'])} to {measure.print(row['high'])}]{{.interval}}"
    text += print_floor(row)
    if not math.isnan(row["paper"]):
        paper = measure.print(row["paper"])
        text += f" [{f'**{paper}**' if bold else paper}]{{.paper}}"
    if verdict := judge(row):
        distance = measure.print(row["mean"] - row["paper"], "+")
        text += f" [{print_verdict(verdict)} ({distance})]{{.verdict}}"
    return text


def print_spread(row: dict, sign: str = "") -> str:
    """Return mean ± standard deviation, the latter from two seeds on; "—" if not measured."""
    measure = MEASURES[row["metric"]]
    spread = "" if math.isnan(row["sd"]) else f" ± {measure.print(row['sd'])}"
    return measure.print(row["mean"], sign) + spread


def print_floor(row: dict) -> str:
    """Return the noise floor of a calibration error, and a mark if the error lies within it."""
    if math.isnan(row["noise_floor"]):
        return ""
    mean, high = (MEASURES[row["metric"]].print(row[f"noise_floor{end}"]) for end in ("", "_95"))
    mark = " [◦ as calibrated]{.floor}" * (abs(row["mean"]) <= row["noise_floor_95"])
    return f" [floor {mean} (to {high})]{{.floor}}{mark}"


def list_gaps(dataset: str) -> list[str]:
    """Return the lines under a table: what is missing or left out, with the command."""
    missing = missing_runs(dataset)
    return [missing] * bool(missing) + [f"*{line}.*" for line in list_warnings(dataset)]


def show_legend(dataset: str) -> Markdown:
    """Return how to read the cells of a data set's tables, and whether they can be judged."""
    shown = shown_records(dataset)
    if not shown:
        return Markdown("No runs of this data set: the tables show the paper's values.")
    counts = [len(records) for records in shown.values()]
    lines = [f"**These tables** show {describe_evidence(dataset)}, on {describe_data(dataset)}."]
    lines += [CELLS, *[PATIENTS] * (dataset == "pathmnist")]
    lines += ["The interval of a single seed covers other test images only."] * (1 in counts)
    if max(counts) > FLOOR_SEEDS:
        lines.append(f"Noise floors are simulated for the first {FLOOR_SEEDS} seeds of each arm.")
    reasons: dict[str, list[str]] = {}
    for label in shown if dataset in PAPER_ARMS else ():
        reasons.setdefault("; ".join(reasons_not_comparable(dataset, label)), []).append(label)
    lines += [RULE] * ("" in reasons)
    for why, labels in reasons.items():
        named = f" ({', '.join(labels)})" * (len(reasons) > 1)
        lines += [f"**The paper's values are not judged**{named}: {why}."] * bool(why)
    return Markdown("\n\n".join(lines))


def show_differences(dataset: str) -> Markdown:
    """Return the differences of all pairs of arms, later minus earlier, as a table."""
    pairs = list(combinations(shown_records(dataset), 2))
    named = [
        (f"{later} − {first}", ((dataset, later), (dataset, first), metric), {})
        for metric in PAPER_METRICS
        for first, later in pairs
    ]
    title = f"Differences between the arms on {describe_data(dataset)}"
    return Markdown(render_differences(dataset, f"{dataset}-differences", title, named))


def render_differences(dataset: str, name: str, title: str, named: list[tuple]) -> str:
    """Return differences as a table; those below 0.05 by Holm's method are bold and starred.

    Parameters
    ----------
    name : file name of the CSV
    named : label of the row; arm, other and metric of `find_difference`, and its keywords
    """
    if not named:
        return "\n\n".join(["A difference needs runs of two arms.", *list_gaps(dataset)])
    columns, heading, data = list_columns(dataset), None, []
    rows = [["Difference", *(name_column(*column) for column in columns)]]
    rows.append([":--", *["--:"] * len(columns)])
    for label, pair, keywords in named:
        if pair[-1] != heading:
            heading = pair[-1]
            rows.append(head_row(heading, len(columns)))
        found = [find_difference(*pair, *column, **keywords) for column in columns]
        rows.append([label, *map(_print_difference, found)])
        data += found
    title += ": mean, 95 % interval, p-value, and p-value by Holm's method over this table"
    note = f"Bold and \\*: below {LEVEL} by Holm's method. Runs: {describe_evidence(dataset)}."
    return "\n\n".join([render_table(name, title, rows, data), note, *list_gaps(dataset)])


def head_row(metric: str, columns: int) -> list[str]:
    """Return the row that heads the differences in one metric."""
    unit = " (percentage points)" * MEASURES[metric].percent
    return [f"*{MEASURES[metric].title}{unit}*", *[""] * columns]


def _print_difference(row: dict) -> str:
    if not row["n_seeds"]:
        return "—"
    mean, low, high = (MEASURES[row["metric"]].print(row[n], "+") for n in ("mean", "low", "high"))
    tests = [print_p_value(row["p"])]
    tests += [] if math.isnan(row["p"]) else [f"Holm {print_p_value(row['p_holm'])}"]
    text = f"**{mean}** \\*" if row["p_holm"] < LEVEL else mean
    return f"{text} [{low} to {high}]{{.interval}} [{', '.join(tests)}]{{.interval}}"


def show_tidy() -> Markdown:
    """Return links that save both tidy tables as CSV."""
    tables = {"estimates": estimates(), "differences": differences()}
    links = [link_files(n, n.capitalize(), csv=write_csv(t)) for n, t in tables.items()]
    return Markdown("\n\n".join(links))


def show_metrics(record) -> Markdown:
    """Return the scores of one run as a table, for its own notebook."""
    rows = [["Shift", "Strength", "Accuracy (%)", "RMS calibration error", "Noise floor"]]
    rows.append([":--", *["--:"] * 4])
    for row in record.metrics.itertuples():
        strength = "" if math.isnan(row.strength) else f"{row.strength:g}"
        mark = "\xa0◦" * (row.rms_calibration_error <= row.noise_floor_95)
        error = f"{row.rms_calibration_error:.3f}{mark}"
        floor = f"{row.noise_floor:.3f} ({row.noise_floor_95:.3f})"
        rows.append([row.corruption, strength, f"{100 * row.accuracy:.1f}", error, floor])
    name = escape_markdown(record.run["data"]["name"])
    return Markdown(f"*Seed {record.seed} on {name}.*\n\n{write_markdown(rows)}")
