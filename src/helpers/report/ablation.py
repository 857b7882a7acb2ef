"""What an open choice decides: arms with one choice switched, against the arms as they are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from IPython.display import Markdown

from helpers import metrics
from helpers.metrics import Estimate
from helpers.runs.parameters import PROFILES
from helpers.runs.record import Record, read_records

from .cells import DIGITS, SHIFTS, Predictions, sample, score
from .contrasts import UNITS
from .source import ARMS, DATASETS, Source, list_numbers, shown_records

#: Conclusion to the sign that stands before it, so that none rests on colour.
SIGNS = {"stays": "✓", "moves": "✗", "undecided": "?"}

LEGEND = (
    "Each cell: the score with the choice switched minus the score without, {interval}. Below it"
    " the difference between this arm and the one that it is held against, before and after the"
    " switch, and whether the conclusion from it {stays}, {moves} (the sign changes), or is"
    " {undecided} (one of the two 95 % intervals holds 0)."
)

ONE_SEED = (
    "with its 95 % interval for other test images, from seed {seeds} alone: how far other seeds"
    " would lie, it cannot know"
)

MORE_SEEDS = "with its 95 % interval for other seeds and other test images, from the seeds {seeds}"


@dataclass(frozen=True)
class Variant:
    """An arm with a choice switched, over the seeds that were made.

    Attributes
    ----------
    row : the arm, as tables call it
    reference : the arm before it in the paper's tables, with which conclusions compare it
    label : the parameters, each with its value before and after
    predictions : as of an arm
    """

    row: str
    reference: str
    label: str
    predictions: Predictions


@dataclass(frozen=True)
class Effect:
    """What a switch does to one score.

    Attributes
    ----------
    effect : switched minus as it was
    before, after : the arm minus its reference, as it was and switched
    """

    effect: Estimate
    before: Estimate
    after: Estimate

    @property
    def conclusion(self) -> str:
        """A key of `SIGNS`."""
        if any(part.low <= 0 <= part.high for part in (self.before, self.after)):
            return "undecided"
        return "stays" if self.before.mean * self.after.mean > 0 else "moves"


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
    rows = list(ARMS[dataset].values())
    row = ARMS[dataset][arm]
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
    # The first arm has none before it; its conclusion is the one from the next.
    reference = rows[1] if row == rows[0] else rows[rows.index(row) - 1]
    return Variant(row, reference, ", ".join(changes), predictions)


def compare_variant(dataset: str, variant: Variant, metric: str, column: str) -> Effect | None:
    """Return what a switch does to a score, in the units of the paper's tables.

    Parameters
    ----------
    metric, column : as in the paper's tables

    Returns
    -------
    Effect, over the seeds that variant, arm and reference share and paired by image; None where
    the runs did not measure the column
    """
    places = variant.predictions.find(dataset, column)
    base, reference = (
        sample(dataset, metric, row, column) for row in (variant.row, variant.reference)
    )
    if places is None or base is None or reference is None:
        return None
    parts = [score(variant.predictions, metric, place) for place in places]
    effect = metrics.mean_samples(parts) - base
    after = metrics.mean_samples(parts) - reference
    # As a difference of the two, the arm as it was counts the same seeds.
    return Effect(*(part.estimate() for part in (effect, after - effect, after)))


def show_ablation(dataset: str) -> Markdown:
    """Return what each switched choice does to the scores and conclusions of a data set."""
    source = Source.from_environment()
    records = read_records(source.results, f"ablation_{dataset}")
    shown = shown_records()
    if not records:
        return Markdown(_explain(dataset, "belongs to these runs", "Make it"))
    for record in records:
        arms = {arm: {part.seed: part for part in shown[arm]} for arm in record.run["arms"]}
        for arm, origin in record.run["arms"].items():
            base = arms[arm].get(record.seed)
            if base is None or base.origin != origin:
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
    seed = next(iter(shown_records().values()))[0].seed
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
            yield f"| {variant.row}, against {variant.reference}: {variant.label} | {cells} |"


def _cell(effect: Effect | None, digits: int) -> str:
    if effect is None:
        return "not measured"
    interval = f"{effect.effect.low:+.{digits}f} to {effect.effect.high:+.{digits}f}"
    pair = f"{effect.before.mean:+.{digits}f}, then {effect.after.mean:+.{digits}f}"
    verdict = f"{SIGNS[effect.conclusion]} {effect.conclusion}"
    parts = [f"[{interval}]{{.interval}}", f"[{pair}]{{.verdict}}", f"[{verdict}]{{.verdict}}"]
    return " ".join([f"{effect.effect.mean:+.{digits}f}", *parts]).replace("-", "−")
