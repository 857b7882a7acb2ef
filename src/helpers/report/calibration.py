"""Tables of the calibration page: every metric, and the effect of a temperature."""

from IPython.display import Markdown

from helpers.metrics import METRICS

from .paper import name_column
from .records import describe_data, describe_evidence, shown_records
from .table_export import render_table
from .tables import (
    SPREAD,
    list_columns,
    list_gaps,
    print_floor,
    print_spread,
    render_differences,
)
from .tidy import MEASURES, RMS, TEMPERED, find_estimate


def show_scores(dataset: str) -> Markdown:
    """Return every metric as a table: one row per metric, grouped by shift, one column per arm."""
    labels, data = list(shown_records(dataset)), []
    rows = [["Metric", *labels], [":--", *["--:"] * len(labels)]]
    for shift, _ in list_columns(dataset):
        rows.append([f"*{name_column(shift)}*", *[""] * len(labels)])
        for metric in METRICS:
            found = [find_estimate(dataset, label, metric, shift) for label in labels]
            title = MEASURES[metric].title + " (%)" * MEASURES[metric].percent
            rows.append([title, *map(_print, found)])
            data += found
    return _render(dataset, "scores", "Every metric", rows, data)


def show_temperatures(dataset: str) -> Markdown:
    """Return each arm's temperature, and its calibration error without and with it."""
    columns, data = list_columns(dataset), []
    rows = [["Model", "T", *(name_column(*column) for column in columns)]]
    rows.append([":--", "--:", *["--:"] * len(columns)])
    for label in shown_records(dataset):
        data.append(find_estimate(dataset, label, "temperature"))
        rows.append([label, f"[{print_spread(data[-1])}]{{.line}}"])
        for column in columns:
            pair = [find_estimate(dataset, label, metric, *column) for metric in (RMS, TEMPERED)]
            trained, tempered = map(_print, pair)
            rows[-1].append(f"[as trained]{{.line}} {trained} [at T]{{.line}} {tempered}")
            data += pair
    title = "Temperature T, and RMS calibration error as trained and at T"
    return _render(dataset, "temperatures", title, rows, data)


def show_temperature_differences(dataset: str) -> Markdown:
    """Return the calibration errors of later arms minus that of the first at its temperature."""
    first = next(iter(shown_records(dataset)), "")
    title = f"Differences from {first} at its temperature"
    return render_differences(dataset, "temperature", title)


def _render(dataset: str, name: str, title: str, rows: list, data: list[dict]) -> Markdown:
    parts = list_gaps(dataset)
    if shown_records(dataset):
        caption = f"{title} on {describe_data(dataset)}: {SPREAD}, noise floor"
        caption += f"; {describe_evidence(dataset)}"
        parts.insert(0, render_table(f"{dataset}-{name}", caption, rows, data))
    return Markdown("\n\n".join(parts))


def _print(row: dict) -> str:
    return print_spread(row, "+" * (MEASURES[row["metric"]].better == 0)) + print_floor(row)
