"""What an open choice decides: arms with one choice switched, against the arms as they are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from IPython.display import Markdown

from helpers import metrics
from helpers.metrics import Estimate
from helpers.runs.parameters import PROFILES
from helpers.runs.record import Record, read_records

from .cells import Predictions, sample, score
from .contrasts import UNITS
from .paper import DIGITS, SHIFTS
from .source import ARMS, DATASETS, Source, list_numbers, shown_records

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
    "with its 95 % interval for other test images, from seed {seeds} alone: how far other seeds"
    " would lie, it cannot know, so that every conclusion is undecided"
)

MORE_SEEDS = "with its 95 % interval for other seeds and other test images, from the seeds {seeds}"


@dataclass(frozen=True)
class Variant:
    """An arm with a choice switched, over the seeds that were made.

    Attributes
    ----------
    row : the arm, as tables call it
    label : the parameters, each with its value before and after
    predictions : as of an arm
    """

    row: str
    label: str
    predictions: Predictions


@dataclass(frozen=True)
class Comparison:
    """An arm minus another one, before and after a switch of the first.

    Attributes
    ----------
    before, after : from the same seeds
    """

    before: Estimate
    after: Estimate

    @property
    def conclusion(self) -> str:
        """A key of `SIGNS`."""
        one_seed = np.isnan(self.before.deviation)
        if one_seed or any(part.low <= 0 <= part.high for part in (self.before, self.after)):
            return "undecided"
        return "stays" if self.before.mean * self.after.mean > 0 else "moves"


@dataclass(frozen=True)
class Effect:
    """What a switch does to one score.

    Attributes
    ----------
    effect : switched minus as it was
    comparisons : with each other arm that has the score and a seed in common, by its row
    """

    effect: Estimate
    comparisons: dict[str, Comparison]


def read_variants(dataset: str, records: list[Record]) -> list[Variant]:
    """Return the variants that the records of an ablation hold, each over all its seeds."""
    found: dict[str, list[tuple[Record, int]]] = {}
    for record in records:
        for place, name in enumerate(record.predictions["variants"].tolist()):
            found.setdefault(name, []).append((record, place))
    return [_join(dataset, name, parts) for name, parts in found.items()]


def _join(dataset: str, name: str, parts: list[tuple[Record, int]]) -> Variant:
    record, place = parts[0]
    arrays = record.predictions
    arm = arrays["experiments"][place].item()
    parameters = shown_records()[arm][0].run["parameters"]
    changes = [
        f"`{parameter}` {parameters[parameter]} → {value}"
        for parameter, value in record.run["changes"][name].items()
    ]
    logits = [part.predictions["logits"][place] for part, place in parts]
    predictions = Predictions(
        tuple(part.seed for part, _ in parts),
        list(zip(arrays["corruption"].tolist(), arrays["strength"].tolist(), strict=True)),
        metrics.confidence(np.stack(logits)),
        metrics.correct(np.stack(logits), arrays["labels"]),
    )
    return Variant(ARMS[dataset][arm], ", ".join(changes), predictions)


def compare_variant(dataset: str, variant: Variant, metric: str, column: str) -> Effect | None:
    """Return what a switch does to a score, in the units of the paper's tables.

    Parameters
    ----------
    metric, column : as in the paper's tables

    Returns
    -------
    Effect, paired by seed and image; None where the runs did not measure the column
    """
    places = variant.predictions.find(dataset, column)
    base = sample(dataset, metric, variant.row, column)
    if places is None or base is None:
        return None
    switched = metrics.mean_samples([score(variant.predictions, metric, p) for p in places])
    effect = switched - base
    comparisons = {}
    for row in ARMS[dataset].values():
        other = sample(dataset, metric, row, column)
        if row != variant.row and other and set(other.seeds) & set(effect.seeds):
            after = switched - other
            # As a difference of the two, the arm as it was counts the same seeds.
            comparisons[row] = Comparison((after - effect).estimate(), after.estimate())
    return Effect(effect.estimate(), comparisons)


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
    return Markdown("\n".join([*_tabulate(dataset, variants), "", legend]))


def _explain(dataset: str, why: str, mend: str) -> str:
    profile = Source.from_environment().profile
    known = f" --profile {profile}" if (PROFILES / f"{profile}.yaml").exists() else ""
    seed = shown_records()[next(iter(ARMS[dataset]))][0].seed
    command = f"python -m helpers run{known} --only ablation_{dataset} --seeds {seed}"
    also = "" if known else " and the parameters of these runs"
    return f"No ablation of {DATASETS[dataset]} {why}. {mend} with `{command}`{also}."


def _tabulate(dataset: str, variants: list[Variant]) -> Iterator[str]:
    yield f"| Switch | {' | '.join(SHIFTS)} |"
    yield "|:--|" + "--:|" * len(SHIFTS)
    for metric, unit in UNITS.items():
        yield f"| *{unit}* |" + " |" * len(SHIFTS)
        for variant in variants:
            effects = [compare_variant(dataset, variant, metric, column) for column in SHIFTS]
            cells = " | ".join(_cell(effect, DIGITS[metric]) for effect in effects)
            yield f"| {variant.row}: {variant.label} | {cells} |"


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
