"""Tables of the calibration page: every metric, and the effect of a temperature."""

from IPython.display import Markdown

from helpers.metrics import METRICS

from .estimates import MEASURES, RMS, TEMPERED, find_estimate
from .paper import name_column
from .records import describe_data, describe_evidence, shown_records
from .table_export import render_table
from .tables import SPREAD, list_columns, list_gaps, print_floor, print_spread, render_differences


def show_scores(dataset: str) -> Markdown:
    """Return every metric as a table: a row per metric, grouped by shift, a column per arm."""
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
            named = zip(("as trained", "at T"), pair, strict=True)
            rows[-1].append(" ".join(f"[{name}]{{.line}} {_print(row)}" for name, row in named))
            data += pair
    title = "Temperature T, and RMS calibration error as trained and at T"
    return _render(dataset, "temperatures", title, rows, data)


def show_temperature_differences(dataset: str) -> Markdown:
    """Return how the calibration error of later arms differs from the first's at its temperature.

    The later arms are taken as trained and at their own temperatures.
    """
    first, *later = list(shown_records(dataset)) or [""]
    named = []
    for metric in (RMS, TEMPERED):
        for label in later:
            title = f"{label}{' at its temperature' * (metric == TEMPERED)} − {first} at its"
            pair = (dataset, label), (dataset, first), metric
            named.append((f"{title} temperature", pair, {"other_metric": TEMPERED}))
    title = f"Differences to {first} at its temperature on {describe_data(dataset)}"
    name = f"{dataset}-differences-to-temperature"
    return Markdown(render_differences(dataset, name, title, named))


def _render(dataset: str, name: str, title: str, rows: list, data: list[dict]) -> Markdown:
    if not shown_records(dataset):
        return Markdown("\n\n".join(list_gaps(dataset)))
    caption = f"{title} on {describe_data(dataset)}: {SPREAD}, noise floor"
    caption += f"; {describe_evidence(dataset)}"
    table = render_table(f"{dataset}-{name}", caption, rows, data)
    return Markdown("\n\n".join([table, *list_gaps(dataset)]))


def _print(row: dict) -> str:
    return print_spread(row, "+" * (MEASURES[row["metric"]].better == 0)) + print_floor(row)
