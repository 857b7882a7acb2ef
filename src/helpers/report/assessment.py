"""The paper's claims, judged twice: on its own tables and curves, and on the runs.

A claim is a set of comparisons (a pair of rows by a column), all of which must come out as
claimed.

On the paper, a claim holds if every difference has the claimed sign and fails if one has the
other. Where the paper states a figure for the largest difference, the claim also fails if the two
differ by more than rounding explains.

On the runs, a comparison is a difference paired by seed and test image, with its 95 % interval. A
claim holds if every interval lies on the claimed side. Since all must, no correction is due: the
chance that a claim holds wrongly is at most that of its one wrong comparison (an
intersection-union test; Berger 1982, Technometrics 24:295). A claim fails if at least one
difference lies on the other side by more than chance explains. That one may be any of them, so
the p-values are adjusted over the claim's comparisons (Holm 1979) and held against 0.05. All else
cannot be told; nor can a comparison with one seed in common, whose interval knows test images
only: a claim speaks about ways to train, and one network of each does not say how far the next
would lie. A figure is not tested on the runs: the largest difference stands there with its
interval.

What denies a claim fails where that one holds. That the claim fails is not enough for the denial
to hold, as one comparison of many can make it fail: every one must come out the other way.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from helpers import metrics

from .contrasts import LEVEL
from .evidence import MEASURES, read_paper, subtract, trained_shorter
from .statements import Claim, Comparison, Denial, Untested, read_claims


@dataclass(frozen=True)
class Effect:
    """How one comparison of a claim came out.

    Attributes
    ----------
    pair, column : what is compared; column None for a measure of the training
    difference : the left row minus the right one or the number, in the units of `read_paper`
    interval : 95 % interval of the difference; None for the paper's
    p_value : adjusted over the claim's comparisons; NaN for the paper's and for one seed
    stand : 1 as claimed, -1 the other way, 0 if neither is sure
    """

    pair: Comparison
    column: str | None
    difference: float
    interval: tuple[float, float] | None = None
    p_value: float = np.nan
    stand: int = 0

    @property
    def gain(self) -> float:
        """The difference in the claimed direction."""
        return self.pair.sign * self.difference

    @property
    def margin(self) -> float:
        """The end of the interval that speaks most against the claim, in the claimed direction."""
        return min(self.pair.sign * end for end in self.interval or [self.difference])

    @property
    def clarity(self) -> float:
        """The gain, of the runs in half widths of its interval: above 1 clearly as claimed."""
        low, high = self.interval or (0, 0)
        return self.gain / ((high - low) / 2 or 1)


@dataclass(frozen=True)
class Finding:
    """What is found of a claim.

    Attributes
    ----------
    word : ``holds``, ``fails`` or ``cannot tell``
    effects : of the comparisons that are known
    shown : the effect that decides: the worst of those on the other side, else the one with the
        least clarity; the largest where the claim states a figure; None if none is known
    why : a reason that lies not in the effects
    """

    word: str
    effects: list[Effect]
    shown: Effect | None
    why: str = ""


def judge_paper(claim: Claim) -> Finding:
    """Return whether the paper's own tables and curves bear a claim out."""
    effects = []
    for pair, column in claim.comparisons:
        threshold = isinstance(pair.right, float)
        right = pair.right if threshold else read_paper(claim.measure, pair.right, column)
        # Printed values have few decimals: what lies beyond is noise of the subtraction.
        difference = round(read_paper(claim.measure, pair.left, column) - right, 9)
        if not np.isnan(difference):
            stand = int(np.sign(pair.sign * difference))
            effects.append(Effect(pair, column, difference, stand=stand))
    finding = _conclude(claim, effects, "given as numbers")
    if claim.figure is None:
        return finding
    # Two values and the figure, each rounded: three halves of the last digit.
    digits = MEASURES[claim.measure].digits
    largest = max((effect.gain for effect in effects), default=np.nan)
    if abs(largest - claim.figure) > 1.5 * 10.0**-digits:
        why = f"the largest is not {claim.figure:.{digits}f}"
        finding = replace(finding, word="fails", why=why)
    return finding


def judge_runs(claim: Claim) -> Finding:
    """Return whether the shown runs bear a claim out."""
    samples = {
        (pair, column): subtract(claim.measure, pair.left, pair.right, column)
        for pair, column in claim.comparisons
    }
    known = {key: sample for key, sample in samples.items() if sample is not None}
    estimates = [sample.estimate() for sample in known.values()]
    adjusted = metrics.holm(np.array([estimate.p_value for estimate in estimates]))
    effects = []
    for ((pair, column), sample), estimate, p_value in zip(
        known.items(), estimates, adjusted, strict=True
    ):
        interval = estimate.low, estimate.high
        effect = Effect(pair, column, estimate.mean, interval)
        if len(sample.seeds) > 1:
            against = -1 if effect.gain < 0 and p_value < LEVEL else 0
            stand = 1 if effect.margin > 0 else against
            effect = replace(effect, p_value=p_value, stand=stand)
        effects.append(effect)
    finding = _conclude(claim, effects, "measured")
    if claim.fewer_epochs and not all(trained_shorter(p.left, p.right) for p in claim.compare):
        return replace(finding, word="cannot tell", why="not trained for fewer epochs")
    whys = [finding.why] * bool(finding.why)
    if any(len(sample.seeds) == 1 for sample in known.values()):
        whys.append("only one seed in common")
    if claim.figure is not None:
        whys.append("the direction is judged, not the figure")
    return replace(finding, why="; ".join(whys))


def _conclude(claim: Claim, effects: list[Effect], source: str) -> Finding:
    """Return the finding that the known effects give; `source` is what the others are not."""
    missing = len(claim.comparisons) - len(effects)
    why = f"{missing} of {len(claim.comparisons)} not {source}" if missing else ""
    if against := [effect for effect in effects if effect.stand < 0]:
        return Finding("fails", effects, min(against, key=lambda effect: effect.gain), why)
    sure = not missing and all(effect.stand > 0 for effect in effects)
    if claim.figure is None:
        shown = min(effects, key=lambda effect: effect.clarity, default=None)
    else:
        shown = max(effects, key=lambda effect: effect.gain, default=None)
    return Finding("holds" if sure else "cannot tell", effects, shown, why)


def _deny(claim: Finding, opposite: Finding) -> Finding:
    """Return what is found of a denial, from the denied claim and from its opposite."""
    if claim.word == "holds":
        return replace(claim, word="fails")
    return replace(opposite, word="holds" if opposite.word == "holds" else "cannot tell")


@cache
def judge_claims() -> list[tuple[Claim | Denial | Untested, Finding, Finding]]:
    """Return each claim with what is found on the paper and on the runs."""
    judged: dict[str, tuple[Claim | Denial | Untested, Finding, Finding]] = {}
    for claim in read_claims():
        if isinstance(claim, Untested):
            whys = "not given as numbers", claim.untested
            found = [Finding("cannot tell", [], None, why) for why in whys]
        elif isinstance(claim, Denial):
            denied, *findings = judged[claim.denies]
            opposites = judge_paper(denied.opposite), judge_runs(denied.opposite)
            found = map(_deny, findings, opposites)
        else:
            found = judge_paper(claim), judge_runs(claim)
        judged[claim.id] = (claim, *found)
    return list(judged.values())
