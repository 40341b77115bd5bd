import numpy as np
import pytest
import torch
from scipy import stats

from spikeloc.randomness import mix, permutation, sound_keys, torch_generator, uniform, word

MASK = 2**64 - 1
INDICES = np.arange(50_000, dtype=np.int64)


def test_the_published_splitmix64_sequence():
    """First outputs of SplitMix64 from state 1234567 (Vigna's splitmix64.c, as quoted by several test suites)."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [int(word(np.uint64(1234567), np.uint64(i))) for i in range(5)] == expected


def test_mixing_is_one_to_one_on_a_sample_and_flips_half_of_the_bits():
    values = [int(mix(np.uint64(i))) for i in range(2000)]
    assert len(set(values)) == 2000
    flips = [bin(values[i] ^ values[i ^ 1]).count("1") for i in range(2000)]
    assert np.mean(flips) == pytest.approx(32, abs=0.5)


def test_keys_are_those_of_every_earlier_version():
    """A change here changes every sound that was ever drawn."""
    assert sound_keys(0, "training", np.arange(2)).tolist() == [6812966688828938679, 15141383613056905735]
    assert sound_keys(7, "test", np.array([2**40])).tolist() == [11511815311885485583]


def test_keys_do_not_depend_on_company():
    keys = sound_keys(3, "test", np.array([5, 0, 9]))
    assert keys.tolist() == [int(sound_keys(3, "test", np.array([i]))[0]) for i in (5, 0, 9)]


def test_streams_seeds_and_indices_have_different_keys():
    keys = [sound_keys(seed, stream, INDICES[:1000]) for seed in (0, 1) for stream in ("training", "test", "other")]
    assert len(set(np.concatenate(keys).tolist())) == 6000


@pytest.mark.parametrize("purpose", ["angle", "phase"])
def test_uniform_numbers_are_uniform(purpose):
    x = uniform(0, "training", INDICES, purpose)
    assert x.min() >= 0
    assert x.max() < 1
    assert stats.kstest(x, "uniform").pvalue > 1e-3


def test_uniform_numbers_are_independent_across_neighbours_streams_seeds_and_purposes():
    x = uniform(0, "training", INDICES, "angle")
    others = [
        np.roll(x, 1),
        uniform(1, "training", INDICES, "angle"),
        uniform(0, "test", INDICES, "angle"),
        uniform(0, "training", INDICES, "phase"),
    ]
    for other in others:
        table = np.histogram2d(x, other, bins=10, range=[[0, 1], [0, 1]])[0]
        assert stats.chi2_contingency(table).pvalue > 1e-4


def test_a_shifted_stream_would_fail_the_test_above():
    x = uniform(0, "training", INDICES, "angle")
    table = np.histogram2d(x, (x + 0.37) % 1, bins=10, range=[[0, 1], [0, 1]])[0]
    assert stats.chi2_contingency(table).pvalue < 1e-9


def test_an_order_holds_every_sound_once_and_changes_with_the_epoch():
    first, second = permutation(0, "training", 1000, 0), permutation(0, "training", 1000, 1)
    assert sorted(first.tolist()) == list(range(1000))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, permutation(0, "training", 1000, 0))


def test_torch_generators_differ_by_seed_and_purpose():
    draws = {torch.rand(1, generator=torch_generator(seed, name)).item() for seed in (0, 1) for name in ("a", "b")}
    assert len(draws) == 4
    same = [torch.rand(3, generator=torch_generator(2, "a")) for _ in range(2)]
    assert torch.equal(*same)
