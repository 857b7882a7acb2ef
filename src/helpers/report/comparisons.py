"""Tables of differences: between arms, and between an arm and its variants (ablations)."""

import math

from IPython.display import Markdown

from .escape import escape_code, escape_markdown
from .records import (
    describe_data,
    describe_evidence,
    find_evidence,
    list_numbers,
    list_parameters,
    shown_records,
)
from .table_export import render_table
from .tables import head_row, list_columns, list_gaps
from .tidy import MEASURES, PAPER_METRICS, TEMPERED, differences, find_difference
from .verdicts import LEVEL, judge_change, print_p_value, print_verdict


def show_differences(dataset: str) -> Markdown:
    """Return the differences of all pairs of arms, later minus earlier, as a table."""
    return _show_family(dataset, "arms", "Differences between the arms")


def show_temperature_differences(dataset: str) -> Markdown:
    """Return the calibration errors of later arms minus that of the first at its temperature."""
    first = next(iter(shown_records(dataset)), "")
    return _show_family(dataset, "temperature", f"Differences from {first} at its temperature")


def _show_family(dataset: str, family: str, title: str) -> Markdown:
    """Return a family of differences as a table, in bold if clear by Holm's method."""
    table = differences().query("dataset == @dataset and family == @family")
    if table.empty:
        text = "A difference needs runs of two arms with a seed in common."
        return Markdown("\n\n".join([text, *list_gaps(dataset)]))
    columns = list_columns(dataset)
    rows = [head_row("Difference", columns)]
    for metric, part in table.groupby("metric", sort=False):
        rows.append([_name_unit(metric)])
        pairs = part.groupby(["arm", "other", "other_metric"], sort=False)
        for (arm, other, other_metric), cells in pairs:
            arm += " at its temperature" * (metric == TEMPERED)
            other += " at its temperature" * (other_metric == TEMPERED)
            rows.append([f"{arm} − {other}"])
            found = {row["shift"]: row for row in cells.to_dict("records")}
            for shift, _ in columns:
                row = found.get(shift)
                rows[-1].append(_print_difference(row) + _print_tests(row) if row else "—")
    title += f" on {describe_data(dataset)}: mean, 95 % interval, p-value, and p-value by Holm's"
    title += f" method over this table, in bold and with \\* below {LEVEL}"
    caption = f"{title}; {describe_evidence(dataset)}"
    return Markdown(render_table(f"{dataset}-differences-{family}", caption, rows, table))


def show_ablation(dataset: str) -> Markdown:
    """Return the effect of each variant on the scores and conclusions of a data set."""
    shown, variants = shown_records(dataset), find_evidence(dataset).variants
    variants = {key: records for key, records in variants.items() if key[0] in shown}
    if not variants:
        profile = find_evidence(dataset).profile or "paper"
        command = f"python -m helpers run --profile {profile} --only '{dataset}_*@*'"
        return Markdown(f"No ablation of these runs yet. Make them with `{command}`.")
    columns, data = list_columns(dataset), []
    rows = [head_row("Change", columns)]
    for metric in PAPER_METRICS:
        rows.append([_name_unit(metric)])
        for (label, variant), records in variants.items():
            name = f"{label} ({escape_markdown(variant)})"
            rows.append([f"{name}: {_list_changes(shown[label], records)}"])
            for column in columns:
                row = find_difference(dataset, label, label, metric, *column, variant=variant)
                rows[-1].append(_print_difference(row))
                data.append(row | {"conclusion": ""})
            for other in (other for other in shown if other != label):
                rows.append([f"{name} minus {other}"])
                for column in columns:
                    key = dataset, label, other, metric, *column
                    before, after = find_difference(*key), find_difference(*key, variant=variant)
                    word = judge_change(before, after)
                    rows[-1].append(_print_change(before, after, word))
                    data += [before | {"conclusion": ""}, after | {"conclusion": word}]
    data = [row for row in data if row["n_seeds"]]
    caption = f"Scores on {describe_data(dataset)} with one choice changed, minus without"
    return Markdown(render_table(f"{dataset}-ablation", caption, rows, data))


def _name_unit(metric: str) -> str:
    return f"*{MEASURES[metric].title}{' (percentage points)' * MEASURES[metric].percent}*"


def _print_difference(row: dict) -> str:
    measure = MEASURES[row["metric"]]
    mean = measure.print(row["mean"], "+")
    text = f"**{mean}** \\*" if row["p_holm"] < LEVEL else mean
    return text + measure.print_interval(row, "+")


def _print_tests(row: dict) -> str:
    tests = print_p_value(row["p"])
    if not math.isnan(row["p"]):
        tests += f", Holm {print_p_value(row['p_holm'])}"
    return f" [{tests}]{{.interval}}"


def _print_change(before: dict, after: dict, word: str) -> str:
    if not (before["n_seeds"] and after["n_seeds"]):
        return "—"
    change = " → ".join(MEASURES[row["metric"]].print(row["mean"], "+") for row in (before, after))
    return f"{change} [{print_verdict(word)}]{{.verdict}}"


def _list_changes(arm: list, variant: list) -> str:
    before, after = (list_parameters(records[0]) for records in (arm, variant))
    changes = ", ".join(
        f"{escape_code(name)} {escape_markdown(before.get(name))} → {escape_markdown(value)}"
        for name, value in after.items()
        if value != before.get(name)
    )
    return f"{changes} [seeds {list_numbers([record.seed for record in variant])}]{{.interval}}"
