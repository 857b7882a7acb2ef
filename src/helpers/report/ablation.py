"""Ablations: arms with one choice changed, compared with the arms as they are."""

from IPython.display import Markdown

from .escape import escape_code, escape_markdown
from .records import describe_data, find_evidence, list_numbers, list_parameters, shown_records
from .table_export import render_table
from .tables import head_columns, head_row, list_columns
from .tidy import MEASURES, PAPER_METRICS, find_difference
from .verdicts import judge_change, print_verdict

LEGEND = (
    "Each cell: the score with the choice changed minus that without, and its 95 % interval."
    " Below: this arm minus each other arm, before → after the change. The conclusion from that"
    " difference ✓ *holds* (same sign), ✗ *fails* (the sign changes) or is ? *inconclusive* (one of"
    " the two 95 % intervals includes 0, or only one seed is in common)."
)


def show_ablation(dataset: str) -> Markdown:
    """Return the effect of each variant on the scores and conclusions of a data set."""
    shown, variants = shown_records(dataset), find_evidence(dataset).variants
    variants = {key: records for key, records in variants.items() if key[0] in shown}
    if not variants:
        profile = find_evidence(dataset).profile or "paper"
        command = f"python -m helpers run --profile {profile} --only '{dataset}_*@*'"
        return Markdown(f"No ablation of these runs yet. Make them with `{command}`.")
    columns, data = list_columns(dataset), []
    rows = head_columns("Change", columns)
    for metric in PAPER_METRICS:
        rows.append(head_row(metric, len(columns)))
        for (label, variant), records in variants.items():
            rows.append([_describe_change(label, shown[label][0], records)])
            for column in columns:
                lines = list(_compare(dataset, label, variant, metric, column))
                rows[-1].append(" ".join(text for text, _ in lines) or "—")
                data += [row for _, found in lines for row in found]
    caption = f"Scores on {describe_data(dataset)} with one choice changed, minus without"
    return Markdown(f"{render_table(f'{dataset}-ablation', caption, rows, data)}\n\n{LEGEND}")


def _describe_change(label: str, arm, records: list) -> str:
    before, after = map(list_parameters, (arm, records[0]))
    changes = ", ".join(
        f"{escape_code(name)} {escape_markdown(before.get(name))} → {escape_markdown(value)}"
        for name, value in after.items()
        if value != before.get(name)
    )
    seeds = list_numbers([record.seed for record in records])
    return f"{label}: {changes} [seeds {seeds}]{{.interval}}"


def _compare(dataset, label, variant, metric, column):
    measure = MEASURES[metric]
    effect = find_difference(dataset, label, label, metric, *column, variant=variant)
    if effect["n_seeds"]:
        text = measure.print(effect["mean"], "+") + measure.print_interval(effect, "+")
        yield text, [effect | {"conclusion": ""}]
    for other in shown_records(dataset):
        before = find_difference(dataset, label, other, metric, *column)
        after = find_difference(dataset, label, other, metric, *column, variant=variant)
        if other != label and before["n_seeds"] and after["n_seeds"]:
            word = judge_change(before, after)
            change = " → ".join(measure.print(row["mean"], "+") for row in (before, after))
            text = f"[minus {other}:]{{.verdict}} [{change} {print_verdict(word)}]{{.verdict}}"
            yield text, [before | {"conclusion": ""}, after | {"conclusion": word}]
