import numpy as np
import pytest
import torch
from scipy import stats

from spikeloc.comparison import bootstrap_interval, compare


def bits(text):
    return torch.tensor([character == "1" for character in text])


def test_mcnemar_by_hand():
    """Five sounds that only a got right, one that only b did: 2 (1 + 6) / 64."""
    a, b = bits("1111100110"), bits("0000010110")
    result = compare(a, b, torch.zeros(10), torch.zeros(10))
    assert result.p_value == pytest.approx(2 * 7 / 64)
    assert result.accuracy_difference == pytest.approx(0.4)


def test_mcnemar_is_the_exact_binomial_test():
    for only_a, only_b in ((0, 1), (3, 3), (0, 40), (17, 30), (400, 333)):
        a, b = bits("1" * only_a + "0" * only_b), bits("0" * only_a + "1" * only_b)
        expected = stats.binomtest(only_a, only_a + only_b).pvalue
        assert compare(a, b, torch.zeros(len(a)), torch.zeros(len(a))).p_value == pytest.approx(expected, rel=1e-10)


def test_sounds_that_both_got_right_say_nothing():
    short = compare(bits("110"), bits("100"), torch.zeros(3), torch.zeros(3))
    long = compare(bits("110" + "1" * 500), bits("100" + "1" * 500), torch.zeros(503), torch.zeros(503))
    assert short.p_value == long.p_value == 1


def test_equal_observers_do_not_differ():
    error = torch.rand(50)
    result = compare(bits("10" * 25), bits("10" * 25), error, error)
    assert result.p_value == 1
    assert result.error_difference_deg_ci95 == (0, 0)


def test_pairing_finds_a_difference_that_separate_intervals_miss():
    rng = np.random.default_rng(0)
    common = rng.exponential(10, 500)
    a, b = torch.from_numpy(common + 0.2 + rng.normal(0, 0.5, 500)), torch.from_numpy(common)
    low, high = compare(torch.ones(500).bool(), torch.ones(500).bool(), a, b).error_difference_deg_ci95
    assert 0 < low < 0.2 < high
    assert 1.96 * float(b.std()) / np.sqrt(500) > 0.2


def test_bootstrap_interval_of_normal_numbers_is_the_normal_interval():
    values = np.random.default_rng(1).normal(3, 2, 4000)
    low, high = bootstrap_interval(values, seed=0)
    half = stats.norm.ppf(0.975) * values.std() / np.sqrt(4000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
