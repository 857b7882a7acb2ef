"""What an open choice decides: arms with one choice switched, against the arms as they are."""

from dataclasses import dataclass

import numpy as np

from helpers import metrics
from helpers.metrics import Estimate
from helpers.runs.record import Record

from .cells import Predictions, sample, score
from .foreign import hide_places, quote, quote_code
from .source import ARMS, shown_records


@dataclass(frozen=True)
class Variant:
    """An arm with a choice switched, over the seeds that were made.

    Attributes
    ----------
    row : the arm, as tables call it
    label : the parameters, each with its value before and after, as Markdown
    switch : the same as plain text
    predictions : as of an arm
    """

    row: str
    label: str
    switch: str
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
        """One of stays, moves and undecided."""
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
        (parameter, parameters[parameter], value)
        for parameter, value in record.run["changes"][name].items()
    ]
    label = ", ".join(f"{quote_code(p)} {quote(old)} → {quote(new)}" for p, old, new in changes)
    switch = hide_places(", ".join(f"{p} {old} → {new}" for p, old, new in changes))
    logits = [part.predictions["logits"][place] for part, place in parts]
    predictions = Predictions(
        tuple(part.seed for part, _ in parts),
        list(zip(arrays["corruption"].tolist(), arrays["strength"].tolist(), strict=True)),
        metrics.confidence(np.stack(logits)),
        metrics.correct(np.stack(logits), arrays["labels"]),
    )
    return Variant(ARMS[dataset][arm], label, switch, predictions)


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
