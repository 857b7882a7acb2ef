"""Did the runs reproduce the paper's value? Judged only where they repeat the study itself."""

from dataclasses import dataclass

import numpy as np

from helpers import metrics
from helpers.metrics import Sample

from .facts import list_changes
from .source import ARMS, DATASETS, Source, describe_data, shown_records

#: Verdict to the sign that stands before it, so that none rests on colour.
SIGNS = {"inside": "✓", "near": "≈", "off": "✗", "cannot tell": "?"}

MEANINGS = {
    "inside": "the paper's value lies in the 95 % interval of the expected score, which says the"
    " less the wider that is",
    "near": "it lies outside of that, yet one more seed on the same test images could give it"
    " (95 % prediction interval)",
    "off": "it lies outside of both",
    "cannot tell": "one seed alone, or not measured: how far seeds differ is not known",
}


@dataclass(frozen=True)
class Verdict:
    """How a measured cell stands to the paper's value.

    Attributes
    ----------
    word : a key of `SIGNS`
    distance : measured mean minus the paper's value, in the paper's units; NaN if not measured
    """

    word: str
    distance: float


def judge(measured: Sample | None, value: float, digits: int) -> Verdict:
    """Return whether seeds and test images explain the distance to a printed value.

    The paper's value is that of one seed on the test images that the runs use too. So a value
    outside the interval of the expected score is "near" as long as it could be one more seed's.

    Parameters
    ----------
    measured : the runs, None where they did not measure the cell
    value, digits : the paper's value and to how many decimals it is rounded
    """
    if measured is None:
        return Verdict("cannot tell", np.nan)
    half = 0.5 * 10.0**-digits
    estimate = measured.estimate()
    distance = estimate.mean - value
    if len(measured.seeds) == 1:
        return Verdict("cannot tell", distance)
    if estimate.low - half <= value <= estimate.high + half:
        return Verdict("inside", distance)
    low, high = metrics.predict_next(measured.values)
    return Verdict("near" if low - half <= value <= high + half else "off", distance)


def why_withheld(dataset: str) -> list[str]:
    """Return the reasons for which runs cannot speak about the paper's values; none: they can."""
    runs = [shown_records()[name] for name in ARMS[dataset]]
    records = [record for arm in runs for record in arm]
    reasons = []
    if (profile := Source.from_environment().profile) != "paper":
        reasons.append(f"the profile is `{profile}`, not `paper`")
    if not all(record.run["data"]["official"] for record in records):
        reasons.append(f"the data are {describe_data(dataset)}, not {DATASETS[dataset]}")
    if not all(record.run["weights"]["official"] for record in records):
        reasons.append("some networks started from stand-in weights")
    if changes := list_changes([arm[0] for arm in runs]):  # seeds share their recipe
        names = ", ".join(f"`{name}`" for name in changes)
        reasons.append(f"parameters differ from the study's ({names})")
    return reasons
