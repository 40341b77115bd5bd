"""Paired comparison of two observers that decided about the same sounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

__all__ = ["Comparison", "compare"]

RESAMPLES = 2000


@dataclass(frozen=True)
class Comparison:
    """How observer a differs from observer b on the same sounds.

    accuracy_difference         accuracy of a less that of b
    p_value                     exact two-sided McNemar test of equal accuracy
    error_difference_deg        mean absolute error of a less that of b, degrees
    error_difference_deg_ci95   its 95 % interval, from bootstrap resampling of sounds
    """

    accuracy_difference: float
    p_value: float
    error_difference_deg: float
    error_difference_deg_ci95: tuple[float, float]


def compare(correct_a: Tensor, correct_b: Tensor, error_a: Tensor, error_b: Tensor, *, seed: int = 0) -> Comparison:
    """Compare two observers by their correct decisions [n], boolean, and their absolute errors [n], degrees.

    McNemar's test asks whether, among the sounds that only one of the two got right, each got half (McNemar 1947);
    the exact form is a binomial test. The bootstrap keeps the pairing: it resamples differences (Efron 1979).
    """
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
    difference = (error_a - error_b).double().numpy()
    low, high = bootstrap_interval(difference, seed=seed)
    accuracy_difference, p_value = (only_a - only_b) / len(correct_a), _of_a_fair_coin(only_a, only_b)
    return Comparison(accuracy_difference, p_value, float(difference.mean()), (low, high))


def _of_a_fair_coin(heads: int, tails: int) -> float:
    """Probability that n = heads + tails throws differ at least as much, either way: min(1, 2 sum_k C(n, k) / 2^n), k
    up to the lesser. Of whole numbers, therefore exact.
    """
    n, ways = heads + tails, 1
    total = ways
    for k in range(min(heads, tails)):
        ways = ways * (n - k) // (k + 1)
        total += ways
    return min(1.0, 2 * total / 2**n)


def bootstrap_interval(values: np.ndarray, *, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the mean of values [n] under resampling with replacement."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
