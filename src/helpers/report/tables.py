"""Tables of results: the paper's Tables 1-8, those of other data sets, and differences."""

import math
from collections.abc import Callable
from itertools import chain

import pandas as pd
from IPython.display import Markdown

from helpers import InputError

from .escape import escape_markdown
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
from .tidy import (
    FLOOR_SEEDS,
    MEASURES,
    PAPER_METRICS,
    TEMPERED,
    differences,
    estimates,
    find_estimate,
    load_tables,
)
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
    "Test images count as independent. Those of PathMNIST come from the slides of a few patients,"
    " whom the file does not identify ({doc}`/data`), so the test-image part of the interval is too"
    " narrow."
)


def show_table(number: int) -> Markdown:
    """Return one of the paper's tables as numbered MyST with links, for each evidence."""
    dataset, metric, columns = _find(number)

    def show() -> str:
        if profile := _name_beneath(dataset):
            return _render(dataset, metric, columns, f"-{columns[0][0]}-{profile}")
        rows = _lay_out(columns, find_cells(dataset, metric, columns), print_cell)
        title = f"{{table}} {_write_caption(dataset, metric, columns)}."
        options = f":name: table-{number}\n:align: left"
        table = f"```{title}\n{options}\n\n{write_markdown(rows)}\n```"
        files = {"csv": export_table(number, "csv"), "tex": export_table(number, "latex")}
        links = link_files(f"table-{number}", f"Table {number}", **files)
        return "\n\n".join([table, links, *list_gaps(dataset)])

    return Markdown("\n\n".join(show_each(dataset, show)))


def show_results(dataset: str) -> Markdown:
    """Return all tables of a data set that the paper lacks, as the body of its page."""
    parts = [_render(dataset, metric, list_columns(dataset)) for metric in PAPER_METRICS]
    parts = [show_legend(dataset).data, *parts, *_list_others(dataset)]
    return Markdown("\n\n".join([*parts, show_differences(dataset).data]))


def show_other_shifts(dataset: str) -> Markdown | None:
    """Return tables by strength for each shift that the paper's tables of the data set lack."""
    parts = _list_others(dataset)
    return Markdown("\n\n".join(parts)) if parts else None


def _list_others(dataset: str) -> list[str]:
    parts = []
    for shift, _ in list_columns(dataset)[1:]:
        if not paper_strengths(dataset, shift):
            strengths = estimates().query("dataset == @dataset and shift == @shift")["strength"]
            columns = [(shift, value) for value in sorted(strengths.dropna().unique().tolist())]
            parts += [_render(dataset, metric, columns, f"-{shift}") for metric in PAPER_METRICS]
    return parts


def _render(dataset: str, metric: str, columns: list[tuple], ending: str = "") -> str:
    cells, caption = find_cells(dataset, metric, columns), _write_caption(dataset, metric, columns)
    rows, data = _lay_out(columns, cells, print_cell), chain(*cells.values())
    table = render_table(f"{dataset}-{metric}{ending}", caption, rows, data)
    return "\n\n".join([table, *list_gaps(dataset)])


def export_table(number: int, format: str) -> str:
    """Return one of the paper's tables as md, csv (rows of `estimates`, verdicts) or latex."""
    if number not in set(read_paper()["table"]):
        raise InputError(f"table {number}: unknown table; choose from 1 to 8")
    if format not in ("md", "csv", "latex"):
        raise InputError(f"format {format!r}: unknown format; choose from md, csv, latex")
    dataset, *place = _find(number)
    if format == "csv":  # one header for all profiles
        found = show_each(dataset, lambda: find_cells(dataset, *place))
        rows = chain.from_iterable(row for cells in found for row in cells.values())
        return write_csv({"table": number} | row for row in rows)
    texts = show_each(dataset, lambda: _export(number, format, find_cells(dataset, *place), *place))
    return "\n".join(texts)


def _export(number: int, format: str, cells: dict, metric: str, columns: list[tuple]) -> str:
    dataset, bold = _find(number)[0], r"\textbf{{{}}}" if format == "latex" else "**{}**"

    def print_plain(row: dict) -> str:
        text, paper = print_spread(row), MEASURES[metric].print(row["paper"])
        text = bold.format(text) if row["best"] else text
        return f"{text} ({bold.format(paper) if row['paper_bold'] else paper})"

    heads, alignments, *rows = _lay_out(columns, cells, print_plain)
    caption = f"{_write_caption(dataset, metric, columns)}; in brackets the paper's value"
    if format == "md":
        return f"Table {number}: {caption}.\n\n{write_markdown([heads, alignments, *rows])}\n"
    caption = caption.translate(str.maketrans({sign: f"\\{sign}" for sign in "%_&#"}))
    style = pd.DataFrame(rows, columns=heads).style.hide(axis="index")
    kind, label = "l" + "r" * len(columns), f"tab:{number}"
    if profile := _name_beneath(dataset):
        label += f"-{profile}"
    text = style.to_latex(hrules=True, caption=f"{caption}.", label=label, column_format=kind)
    return "% needs \\usepackage{booktabs}\n" + text.translate(LATEX)


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
    measure, shown = MEASURES[metric], shown_records(dataset).values()
    names = {str(record.parameters.get("network")) for records in shown for record in records}
    networks = " and ".join(NETWORKS.get(n) or escape_markdown(n) for n in sorted(names))
    of = f"{networks} on " * bool(names) + describe_data(dataset)
    better = f"{'%, ' * measure.percent}{'higher' if measure.better > 0 else 'lower'} is better"
    over = "clean, and as the mean over the strengths of each shift"
    if columns[0][1] is not None:
        over = f"by strength of {name_column(columns[0][0]).lower()}"
    text = f"{measure.title} ({better}) of {of}, {over}: {SPREAD}, best in bold"
    return f"{text}; {describe_evidence(dataset)}"


def find_cells(dataset: str, metric: str, columns: list[tuple]) -> dict[str, list[dict]]:
    """Map labels to their cells: rows of `estimates` with best (as printed) and verdict."""
    measure, cells = MEASURES[metric], {label: [] for label in arms(dataset)}
    for column in columns:
        rows = [find_estimate(dataset, label, metric, *column) for label in cells]
        values = [measure.scale(row["mean"]) for row in rows]
        merits = [v * measure.better if measure.better else -abs(v) for v in values]
        known = [merit for merit in merits if not math.isnan(merit)]
        top = max(known) if len(known) > 1 else None
        for row, merit in zip(rows, merits, strict=True):
            cells[row["arm"]].append(row | {"best": merit == top, "verdict": judge(row)})
    return cells


def head_columns(first: str, columns: list[tuple]) -> list[list[str]]:
    """Return the header and alignments of a table with these columns."""
    return [[first, *(name_column(*c) for c in columns)], [":--", *["--:"] * len(columns)]]


def _lay_out(columns: list[tuple], cells: dict, print_one: Callable) -> list[list[str]]:
    rows = [[label, *map(print_one, row)] for label, row in cells.items()]
    return [*head_columns("Model", columns), *rows]


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
    """Return the lines below a table: missing and omitted runs, with the command."""
    missing = missing_runs(dataset)
    return [missing] * bool(missing) + [f"*{line}.*" for line in find_evidence(dataset).warnings]


def show_legend(dataset: str) -> Markdown:
    """Return an explanation of a data set's cells, and whether they can be judged."""
    if not shown_records(dataset):
        return Markdown("No runs of this data set: the tables show the paper's values.")
    best, *beneath = show_each(dataset, lambda: describe_evidence(dataset))
    lines = [f"**These tables** show {best}, on {describe_data(dataset)}."]
    if beneath:
        lines[0] += f" Since an arm has fewer than three seeds there, those of {beneath[0]} follow"
        lines[0] += " below; the differences between arms and all other pages use the latter."
    lines += [CELLS, *[PATIENTS] * (dataset == "pathmnist")]
    groups = [group for evidence in list_evidence(dataset) for group in evidence.arms.values()]
    counts = [len(group) for group in groups]
    lines += ["The interval of a single seed covers other test images only."] * (1 in counts)
    if max(counts) > FLOOR_SEEDS:
        lines.append(f"Noise floors are simulated for the first {FLOOR_SEEDS} seeds of each arm.")
    lines += dict.fromkeys(show_each(dataset, lambda: _explain_verdicts(dataset)))
    return Markdown("\n\n".join(lines))


def _explain_verdicts(dataset: str) -> str:
    reasons: dict[str, list[str]] = {}
    for label in shown_records(dataset) if dataset in PAPER_ARMS else ():
        reasons.setdefault("; ".join(reasons_not_comparable(dataset, label)), []).append(label)
    lines = [RULE] * ("" in reasons)
    for why, labels in reasons.items():
        named = f" ({', '.join(labels)})" * (len(reasons) > 1)
        lines += [f"**The paper's values are not judged**{named}: {why}."] * bool(why)
    return "\n\n".join(lines)


def show_differences(dataset: str) -> Markdown:
    """Return the differences of all pairs of arms, later minus earlier, as a table."""
    return render_differences(dataset, "arms", "Differences between the arms")


def render_differences(dataset: str, family: str, title: str) -> Markdown:
    """Return a family of differences as a table, in bold if clear by Holm's method."""
    table = differences().query("dataset == @dataset and family == @family")
    if table.empty:
        text = "A difference needs runs of two arms with a seed in common."
        return Markdown("\n\n".join([text, *list_gaps(dataset)]))
    columns = list_columns(dataset)
    rows = head_columns("Difference", columns)
    for metric, part in table.groupby("metric", sort=False):
        rows.append(head_row(metric, len(columns)))
        for (arm, other), cells in part.groupby(["arm", "other"], sort=False):
            warm, other_warm = (
                " at its temperature" * (cells[name].iloc[0] == TEMPERED)
                for name in ("metric", "other_metric")
            )
            texts = {row["shift"]: _print_difference(row) for row in cells.to_dict("records")}
            found = [texts.get(shift, "—") for shift, _ in columns]
            rows.append([f"{arm}{warm} − {other}{other_warm}", *found])
    title += f" on {describe_data(dataset)}: mean, 95 % interval, p-value, and p-value by Holm's"
    title += " method over this table"
    table = render_table(f"{dataset}-differences-{family}", title, rows, table)
    note = f"Bold and \\*: below {LEVEL} by Holm's method. Runs: {describe_evidence(dataset)}."
    return Markdown("\n\n".join([table, note, *list_gaps(dataset)]))


def head_row(metric: str, columns: int) -> list[str]:
    """Return the row that introduces the differences in one metric."""
    unit = " (percentage points)" * MEASURES[metric].percent
    return [f"*{MEASURES[metric].title}{unit}*", *[""] * columns]


def _print_difference(row: dict) -> str:
    measure, tests = MEASURES[row["metric"]], print_p_value(row["p"])
    if not math.isnan(row["p"]):
        tests += f", Holm {print_p_value(row['p_holm'])}"
    mean = measure.print(row["mean"], "+")
    text = f"**{mean}** \\*" if row["p_holm"] < LEVEL else mean
    return f"{text}{measure.print_interval(row, '+')} [{tests}]{{.interval}}"


def show_tidy() -> Markdown:
    """Return links that save both tidy tables as CSV."""
    tables = zip(("estimates", "differences"), load_tables(), strict=True)
    links = [link_files(name, name.capitalize(), csv=write_csv(table)) for name, table in tables]
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
