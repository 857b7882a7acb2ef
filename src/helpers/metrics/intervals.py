r"""Confidence intervals and tests over seeds and test images, by one method.

Seeds and images are crossed: every network predicts every image. To first order the score of seed
s is

.. math:: Y_s = \theta + A_s + \frac{1}{N} \sum_n (B_n + C_{sn}),

with effects of the seed, the image and their interaction, so the mean over S seeds has variance
:math:`\sigma_A^2 / S + \sigma_B^2 / N + \sigma_C^2 / (SN)`. The spread of the S values holds the
first and third terms; the influence of the images on each value gives the second.

Sources: crossed variances, Owen 2007, The pigeonhole bootstrap; influence (the infinitesimal
jackknife), Efron 2014, Estimation and accuracy after model selection; interval, Cochran and Cox
1950, Experimental Designs (also Snedecor and Cochran, Statistical Methods).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit


class Estimate(NamedTuple):
    """Mean over seeds with its confidence interval, in the units of the sample."""

    mean: float
    sd: float  # of the seeds' values; NaN for one seed, which says nothing about other seeds
    low: float  # end of the interval; NaN for one seed without influence
    high: float
    #: Contributions of seeds and test images to the variance of the mean, and their degrees of
    #: freedom.
    variances: np.ndarray
    dofs: np.ndarray

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over seeds and test images."""
        return float(np.sqrt(self.variances.sum()))

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the expected score is 0.

        It is below 0.05 exactly if the 95 % interval of `Sample.estimate` excludes 0, and likewise
        at every other level. Without any variance it is 1 for a mean of 0 and 0 otherwise; NaN if
        the interval is NaN.
        """
        error = self.standard_error
        if np.isnan(error):
            return float("nan")
        if error == 0:
            return float(self.mean == 0)
        # The interval's quantile is a mean of the two components' quantiles, so p lies between.
        bounds = np.sort(2 * stdtr(self.dofs, -abs(self.mean) / error))
        low, high = np.log(np.maximum(bounds, 1e-100))

        def excess(log_p: float) -> float:
            return _half_width(self.variances, self.dofs, np.exp(log_p) / 2) - abs(self.mean)

        if excess(high) >= 0 or excess(low) <= 0:  # one component (up to rounding), or p < 1e-100
            return float(bounds[-1] if excess(high) >= 0 else bounds[0])
        return float(np.exp(brentq(excess, low, high, xtol=1e-13)))


def _half_width(variances: np.ndarray, dofs: np.ndarray, tail: float) -> float:
    """Return the half width of Cochran and Cox's interval with probability `tail` in each tail."""
    total = variances.sum()
    return -(variances @ stdtrit(dofs, tail)) / np.sqrt(total) if total > 0 else total


@dataclass(frozen=True, eq=False)
class Sample:
    """One metric of one model: its value for each seed and the influence of each test image."""

    seeds: tuple[int, ...]  # S different numbers
    values: np.ndarray  # float64 (S,), the score of each seed over all N images
    #: float32 (S, N) in the units of the values: N times the derivative of the value with respect
    #: to the weight of an image; for a mean over images, each image's value minus the mean. None if
    #: the metric has no such derivative.
    influence: np.ndarray | None = None

    def __sub__(self, other: "Sample") -> "Sample":
        """Return paired differences; ValueError without common seeds or with different images."""
        common = tuple(seed for seed in self.seeds if seed in other.seeds)
        if not common:
            raise ValueError(f"no seed in common: {self.seeds} and {other.seeds}")
        mine = [self.seeds.index(seed) for seed in common]
        others = [other.seeds.index(seed) for seed in common]
        values = self.values[mine] - other.values[others]
        if self.influence is None or other.influence is None:
            return Sample(common, values)
        if self.influence.shape[1] != other.influence.shape[1]:
            raise ValueError("paired samples need the same test images")
        return Sample(common, values, self.influence[mine] - other.influence[others])

    def estimate(self, level: float = 0.95) -> Estimate:
        r"""Return the mean and a confidence interval over seeds and test images.

        The target is the expected score at N images, bias included (a calibration error has some).
        :math:`V_{seed}`, the variance of the values divided by S, estimates :math:`\sigma_A^2 / S
        + \sigma_C^2 / (SN)`. The influence averaged over the seeds varies by :math:`\sigma_B^2 +
        \sigma_C^2 / S` over the images; less :math:`\sigma_C^2 / S`, known from the distance of
        each seed to that average, and divided by N, it gives :math:`V_{image}` (at least 0). The
        interval is Cochran and Cox's,

        .. math:: mean \pm \frac{V_{seed} t_{S-1} + V_{image} t_{N-1}}{\sqrt{V_{seed} + V_{image}}}.

        The coverage of the 95 % interval is on page "Method" of the book. Far in the tail it is
        less accurate: at level 0.001 with 3 seeds the error rate reaches 0.0023.

        For one seed, sd is NaN and the interval is for this network and other test images. Without
        influence it is Student's interval over the seeds.
        """
        count, mean = len(self.values), float(self.values.mean())
        sd = float(self.values.std(ddof=1)) if count > 1 else float("nan")
        of_seed, of_image, images = sd**2 / count, 0.0, 1
        if self.influence is not None:
            images = self.influence.shape[1]
            psi = self.influence - self.influence.mean(axis=1, keepdims=True, dtype=np.float64)
            shared = psi.mean(axis=0)
            divisor = images * max(images - 1, 1)
            own = ((psi - shared) ** 2).sum() / divisor / (max(count - 1, 1) * count)
            of_image = max(float((shared**2).sum() / divisor - own), 0.0)
            of_seed = of_seed if count > 1 else 0.0
        variances = np.array([of_seed, of_image])
        dofs = np.maximum([count - 1, images - 1], 1)
        half = _half_width(variances, dofs, (1 - level) / 2)
        return Estimate(mean, sd, mean - half, mean + half, variances, dofs)


def mean_samples(samples: Sequence[Sample]) -> Sample:
    """Return the average over conditions; ValueError unless seeds and test images agree."""
    first, influence = samples[0], [sample.influence for sample in samples]
    if len({(sample.seeds, np.shape(sample.influence)) for sample in samples}) > 1:
        raise ValueError("averaged samples need the same seeds and test images")
    values = np.mean([sample.values for sample in samples], axis=0)
    averaged = None if first.influence is None else np.mean(influence, axis=0)
    return Sample(first.seeds, values, averaged)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return the p-values float (M,) of a family of M tests, adjusted by Holm's method.

    Rejecting adjusted values below 0.05 keeps the probability of any false rejection below 5 %,
    however the tests depend on each other.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def predict_next(mean, count, sd, dof, level: float = 0.95) -> tuple:
    """Return the prediction interval for one more seed on the same images, assuming normality.

    Mean and count of seeds are those of the present runs; the standard deviation of single seeds
    and its degrees of freedom may come from other runs. NaN if sd is NaN or dof is 0.
    """
    half = stdtrit(dof, (1 + level) / 2) * sd * np.sqrt(1 + 1 / count)
    return mean - half, mean + half
