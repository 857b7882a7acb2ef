"""Confidence intervals over seeds and test images at once, paired contrasts, several tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit


class Estimate(NamedTuple):
    mean: float
    deviation: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Sample:
    """One score of one arm: a value a seed, and how each test image moves it."""

    seeds: tuple[int, ...]
    values: np.ndarray
    influence: np.ndarray

    def __sub__(self, other: "Sample") -> "Sample":
        common = tuple(seed for seed in self.seeds if seed in other.seeds)
        if not common:
            raise ValueError(f"no seed in common: {self.seeds} and {other.seeds}")
        if self.influence.shape[1] != other.influence.shape[1]:
            raise ValueError("paired samples need the same test images")
        mine = [self.seeds.index(seed) for seed in common]
        its = [other.seeds.index(seed) for seed in common]
        return Sample(
            common,
            self.values[mine] - other.values[its],
            self.influence[mine] - other.influence[its],
        )

    def __mul__(self, factor: float) -> "Sample":
        return Sample(self.seeds, factor * self.values, np.float32(factor) * self.influence)

    __rmul__ = __mul__

    def estimate(self, level: float = 0.95) -> Estimate:
        count, images = self.influence.shape
        mean = float(self.values.mean())
        psi = self.influence - self.influence.mean(axis=1, keepdims=True, dtype=np.float64)
        shared = psi.mean(axis=0)
        image = (shared**2).sum() / images / max(images - 1, 1)
        deviation, seed = float("nan"), 0.0
        if count > 1:
            deviation = float(self.values.std(ddof=1))
            seed = deviation**2 / count
            own = ((psi - shared) ** 2).sum() / (count - 1) / count / images / max(images - 1, 1)
            image = max(image - own, 0.0)
        variance = seed + image
        if variance == 0:
            return Estimate(mean, deviation, mean, mean, 0.0, float("nan"), float(mean == 0))
        share = seed / variance
        freedom = 1 / (share / max(count - 1, 1) + (1 - share) / max(images - 1, 1))
        error = float(np.sqrt(variance))
        half = float(stdtrit(freedom, (1 + level) / 2)) * error
        p_value = 2 * float(stdtr(freedom, -abs(mean) / error))
        return Estimate(mean, deviation, mean - half, mean + half, error, freedom, p_value)


def mean_samples(samples: Sequence[Sample]) -> Sample:
    first = samples[0]
    for sample in samples[1:]:
        if sample.seeds != first.seeds or sample.influence.shape != first.influence.shape:
            raise ValueError("averaged samples need the same seeds and test images")
    return Sample(
        first.seeds,
        np.mean([sample.values for sample in samples], axis=0),
        reduce(np.add, (sample.influence for sample in samples)) / np.float32(len(samples)),
    )


def accuracy_influence(correct: np.ndarray) -> np.ndarray:
    return (correct - np.mean(correct)).astype(np.float32)


def rms_influence(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> np.ndarray:
    index = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    difference = correct - confidence
    count = np.bincount(index, minlength=bins)
    gap = np.bincount(index, difference, bins) / np.maximum(count, 1)
    square = (count * gap**2).sum() / len(index)
    if square == 0:
        return np.zeros(len(index), np.float32)
    psi = 2 * gap[index] * difference - gap[index] ** 2 - square
    return (psi / (2 * np.sqrt(square))).astype(np.float32)


def holm(p_values: np.ndarray) -> np.ndarray:
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def predict_next(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    quantile = stdtrit(count - 1, (1 + level) / 2)
    half = quantile * np.std(values, ddof=1) * np.sqrt(1 + 1 / count)
    return float(np.mean(values) - half), float(np.mean(values) + half)
