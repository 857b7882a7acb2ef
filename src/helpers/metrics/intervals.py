r"""Intervals for the score that other seeds and other test images would give; tests of differences.

Seeds and images are crossed: every network sees every image. To first order the score of seed s is

.. math:: Y_s = \theta + A_s + \frac{1}{N} \sum_n (B_n + C_{sn}),

with a part of the seed, of the image and of the pair, so that the mean over S seeds has the
variance :math:`\sigma_A^2 / S + \sigma_B^2 / N + \sigma_C^2 / (SN)`. The spread of the S values
holds the first and the last; the images' influence on each value gives the second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit


class Part(NamedTuple):
    """Estimated variance that one source adds to the mean, and its degrees of freedom."""

    variance: float
    freedom: int


class Estimate(NamedTuple):
    """What seeds and test images say about an expected score, in the units of its sample.

    Attributes
    ----------
    mean : over the seeds
    deviation : standard deviation of the seeds' values, NaN for one seed
    low, high : ends of the interval
    seed, image : the two parts of the variance of the mean
    """

    mean: float
    deviation: float
    low: float
    high: float
    seed: Part
    image: Part

    @property
    def standard_error(self) -> float:
        """Of the mean, over seeds and images."""
        return float(np.sqrt(self.seed.variance + self.image.variance))

    @property
    def p_value(self) -> float:
        r"""Of the hypothesis that the expected score is 0, two-sided.

        The p that solves :math:`t_{S-1}^2(p) V_{seed} + t_{N-1}^2(p) V_{image} = mean^2`, with
        two-sided quantiles t, which errs at most as often as it says at every level. The t of the
        interval would not do: far out, where Holm's method reads, it errs up to eight times too
        often (three seeds, level 0.001). So p < 0.05 implies that the 95 % interval excludes 0,
        but not the reverse. Without any variance it is 1 for a mean of 0, else 0.

        Source: Banerjee 1961, On confidence interval for two-means problem, Sankhya A 23.
        """
        parts = [part for part in (self.seed, self.image) if part.variance > 0]
        if not parts:
            return float(self.mean == 0)
        bounds = [2 * stdtr(freedom, -abs(self.mean) / self.standard_error) for _, freedom in parts]
        low, high = np.log(np.maximum([min(bounds), max(bounds)], 1e-100))

        def exceed(log_p):
            half = np.exp(log_p) / 2
            return sum(v * stdtrit(freedom, half) ** 2 for v, freedom in parts) - self.mean**2

        # With one part, or next to one, the bounds are the answer up to rounding.
        if exceed(high) >= 0 or exceed(low) <= 0:
            return float(max(bounds) if exceed(high) >= 0 else np.exp(low))
        return float(np.exp(brentq(exceed, low, high)))


@dataclass(frozen=True, eq=False)
class Sample:
    """One score of one arm: a value a seed, and how each test image moves it.

    Attributes
    ----------
    seeds : S different numbers
    values : float64 (S,), the score of each seed over all N images
    influence : float32 (S, N), in the units of the values: N times the derivative of the value
        with respect to the weight of an image, as `accuracy_influence` and `rms_influence` give it
    """

    seeds: tuple[int, ...]
    values: np.ndarray
    influence: np.ndarray

    def __sub__(self, other: "Sample") -> "Sample":
        """Return the differences over the seeds in common; ValueError if none or other images."""
        common = tuple(seed for seed in self.seeds if seed in other.seeds)
        if not common:
            raise ValueError(f"no seed in common: {self.seeds} and {other.seeds}")
        if self.influence.shape[1] != other.influence.shape[1]:
            raise ValueError("paired samples need the same test images")
        mine = [self.seeds.index(seed) for seed in common]
        its = [other.seeds.index(seed) for seed in common]
        influence = self.influence[mine] - other.influence[its]
        return Sample(common, self.values[mine] - other.values[its], influence)

    def __mul__(self, factor: float) -> "Sample":
        return Sample(self.seeds, factor * self.values, np.float32(factor) * self.influence)

    __rmul__ = __mul__

    def estimate(self, level: float = 0.95) -> Estimate:
        r"""Return the mean and an interval for its expectation over seeds and test images.

        Of a score that is biased at N images, as the calibration error, it is the expected score
        at this N. :math:`V_{seed}`, the variance of the values divided by S, estimates
        :math:`\sigma_A^2 / S + \sigma_C^2 / (SN)`. The influence averaged over the seeds varies by
        :math:`\sigma_B^2 + \sigma_C^2 / S` over the images. Less :math:`\sigma_C^2 / S`, known from
        the seeds' distance to that average, and divided by N, it gives :math:`V_{image}` (at least
        0). The interval is

        .. math:: mean \pm t_f \sqrt{V}, \qquad V = V_{seed} + V_{image}, \qquad
            \frac{1}{f} = \frac{V_{seed} / V}{S-1} + \frac{V_{image} / V}{N-1} .

        Satterthwaite's f has the squares of the two shares, but these are known badly themselves:
        with normal seeds and many images it covers 92 % at worst for S = 3, while the rule of
        `Estimate.p_value` covers up to 97.7 %. This f covers 94.2 to 96.3 % for S = 3, 95.0 to
        96.0 % for 5 and 95.0 to 95.6 % for 10, whichever part prevails; 90.6 % at worst for S = 2.

        Known to be covered less, since the seeds' values are skewed: a calibration error where the
        seeds differ so much that some are calibrated or err the other way (about 90 %; 87 % with
        ten errors in a test set), an accuracy near 1 (92 %). Covered more: a calibration error at
        the noise floor where all seeds err in the same images (up to 99 %). Differences of two
        arms suffer less.

        One seed says nothing of others: deviation is NaN, and the interval is that for this seed
        and other test images. Without any variance it is the mean itself.

        Source: crossed variances as in Owen 2007, The pigeonhole bootstrap; f after Satterthwaite
        1946, An approximate distribution of estimates of variance components.
        """
        count, images = self.influence.shape
        mean, deviation = float(self.values.mean()), float("nan")
        psi = self.influence - self.influence.mean(axis=1, keepdims=True, dtype=np.float64)
        shared = psi.mean(axis=0)
        divisor = images * max(images - 1, 1)
        of_seed, of_image = 0.0, float((shared**2).sum() / divisor)
        if count > 1:
            deviation = float(self.values.std(ddof=1))
            of_seed = deviation**2 / count
            own = float(((psi - shared) ** 2).sum() / divisor / (count - 1) / count)
            of_image = max(of_image - own, 0.0)
        seed, image = Part(of_seed, max(count - 1, 1)), Part(of_image, max(images - 1, 1))
        variance, half = of_seed + of_image, 0.0
        if variance > 0:
            inverse = sum(part.variance / variance / part.freedom for part in (seed, image))
            half = float(stdtrit(1 / inverse, (1 + level) / 2) * np.sqrt(variance))
        return Estimate(mean, deviation, mean - half, mean + half, seed, image)


def mean_samples(samples: Sequence[Sample]) -> Sample:
    """Return the average of several scores of the same seeds and test images; else ValueError."""
    first = samples[0]
    if len(samples) == 1:
        return first
    for sample in samples[1:]:
        if sample.seeds != first.seeds or sample.influence.shape != first.influence.shape:
            raise ValueError("averaged samples need the same seeds and test images")
    values = np.mean([sample.values for sample in samples], axis=0)
    influence = reduce(np.add, (sample.influence for sample in samples))
    return Sample(first.seeds, values, influence / np.float32(len(samples)))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return the p-values float (M,) of a family of M tests, adjusted by Holm's method, in order.

    Rejecting where the adjusted value is below 5 % rejects any true hypothesis of the family in at
    most 5 % of the cases, however the tests depend on each other.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def predict_next(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return where the value of one more seed on the same images falls, if seeds are normal.

    From the values float (S,) of the seeds at hand, in their units; NaN for fewer than two seeds.
    """
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    quantile = stdtrit(count - 1, (1 + level) / 2)
    half = quantile * np.std(values, ddof=1) * np.sqrt(1 + 1 / count)
    return float(np.mean(values) - half), float(np.mean(values) + half)
