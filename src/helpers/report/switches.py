"""What the switched choices did, in a table: to the scores, and to the paper's conclusions."""

from collections.abc import Iterator

from IPython.display import Markdown

from helpers.runs.parameters import PROFILES
from helpers.runs.record import read_records

from .ablation import Effect, Variant, compare_variant, read_variants
from .contrasts import UNITS
from .downloads import print_number, write_listing
from .paper import DIGITS, SHIFTS
from .source import ARMS, DATASETS, Source, describe_data, list_numbers, shown_records

#: Conclusion to the sign that stands before it, so that none rests on colour.
SIGNS = {"stays": "✓", "moves": "✗", "undecided": "?"}

LEGEND = (
    "Each cell: the score with the choice switched minus the score without, {interval}. Below it"
    " this arm minus each other arm, before → after the switch, and whether the conclusion from"
    " that difference {stays}, {moves} (the sign changes), or is {undecided} (one of the two 95 %"
    " intervals holds 0, or only one seed gave both arms: one network of each kind says nothing of"
    " the next)."
)

ONE_SEED = (
    "with its 95 % interval for other test images, from seed {seeds} alone, which does not tell"
    " how far other seeds would lie: every conclusion is undecided"
)

MORE_SEEDS = "with its 95 % interval for other seeds and other test images, from the seeds {seeds}"


def show_ablation(dataset: str) -> Markdown:
    """Return what each switched choice does to the scores and conclusions of a data set."""
    source = Source.from_environment()
    records = read_records(source.results, f"ablation_{dataset}", [])
    shown = shown_records()
    if not records:
        return Markdown(_explain(dataset, "belongs to these runs", "Make it"))
    for record in records:
        for arm, origin in record.run["arms"].items():
            base = {part.seed: part for part in shown[arm]}.get(record.seed)
            if base is None:
                why = f"can be shown without {arm} seed {record.seed}, which it is compared with"
                return Markdown(_explain(dataset, why, "Make it"))
            if base.origin != origin:
                why = f"was made from these runs: that of seed {record.seed} had another {arm}"
                return Markdown(_explain(dataset, why, "Delete it and make it anew"))
    variants = read_variants(dataset, records)
    seeds = list_numbers([record.seed for record in records])
    interval = (ONE_SEED if len(records) == 1 else MORE_SEEDS).format(seeds=seeds)
    words = {word: f"*{sign} {word}*" for word, sign in SIGNS.items()}
    legend = LEGEND.format(interval=interval, **words)
    return Markdown(f"{_tabulate(dataset, variants)}\n\n{legend}")


def _explain(dataset: str, why: str, mend: str) -> str:
    profile = Source.from_environment().profile
    known = f" --profile {profile}" if (PROFILES / f"{profile}.yaml").exists() else ""
    seed = shown_records()[next(iter(ARMS[dataset]))][0].seed
    command = f"python -m helpers run{known} --only ablation_{dataset} --seeds {seed}"
    also = "" if known else " and the parameters of these runs"
    return f"No ablation of {DATASETS[dataset]} {why}. {mend} with `{command}`{also}."


def _tabulate(dataset: str, variants: list[Variant]) -> str:
    rows, facts = [["Switch", *SHIFTS], [":--", *["--:"] * len(SHIFTS)]], []
    for metric, unit in UNITS.items():
        rows.append([f"*{unit}*", *[""] * len(SHIFTS)])
        for variant in variants:
            known = {"metric": metric, "model": variant.row, "switch": variant.switch}
            rows.append([f"{variant.row}: {variant.label}"])
            for column in SHIFTS:
                effect = compare_variant(dataset, variant, metric, column)
                rows[-1].append(_cell(effect, DIGITS[metric]))
                differences = _list(effect, DIGITS[metric]) if effect else []
                facts += [known | {"column": column} | row for row in differences]
    caption = (
        f"Scores on {describe_data(dataset)} with a choice switched minus those without, with 95 %"
        " interval; below, this arm minus each other arm, before → after the switch"
    )
    return write_listing(f"{dataset}-switches", caption, rows, facts)


def _list(effect: Effect, digits: int) -> Iterator[dict[str, str]]:
    """Give a cell as rows of CSV, a difference a row."""
    differences = [("switched", "as it was", effect.effect, "")]
    for row, pair in effect.comparisons.items():
        differences.append(("as it was", row, pair.before, ""))
        differences.append(("switched", row, pair.after, pair.conclusion))
    for minuend, subtrahend, found, conclusion in differences:
        row = {"minuend": minuend, "subtrahend": subtrahend}
        row |= {n: print_number(getattr(found, n), digits) for n in ("mean", "low", "high")}
        yield row | {"conclusion": conclusion}


def _cell(effect: Effect | None, digits: int) -> str:
    if effect is None:
        return "not measured"
    mean, _, low, high, *_ = effect.effect
    parts = [
        f"{_print(mean, digits)} [{_print(low, digits)} to {_print(high, digits)}]{{.interval}}"
    ]
    for row, pair in effect.comparisons.items():
        change = f"{_print(pair.before.mean, digits)} → {_print(pair.after.mean, digits)}"
        verdict = f"{SIGNS[pair.conclusion]} {pair.conclusion}"
        parts += [f"[minus {row}:]{{.verdict}}", f"[{change} {verdict}]{{.verdict}}"]
    return " ".join(parts)


def _print(value: float, digits: int) -> str:
    value = round(value, digits) + 0.0  # no minus before a zero
    return f"{value:{'+' if value else ''}.{digits}f}".replace("-", "−")
