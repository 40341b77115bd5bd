"""The two fast draws against slow definitions of the same algorithms, and against the law itself."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spikeloc.randomness import sound_keys, word
from spikeloc.stimuli.rate_law import RateLaw
from spikeloc.stimuli.thinning import DENSE_FROM, draw_spikes
from spikeloc.stimuli.thinning_dense import fibre_number
from spikeloc.stimuli.thinning_sparse import exponential, segment_shape

MASK32 = 2**32 - 1


def phases(left, right, delays_left, delays_right, n_steps, law):
    """theta [B, T, N] at the start of every bin."""
    fibres = np.concatenate([left[:, None] + delays_left, right[:, None] + delays_right], axis=1)
    return law.step_angle * np.arange(n_steps)[None, :, None] + fibres[:, None, :]


def slow_dense(keys, p):
    spikes = np.zeros(p.shape, bool)
    for b, key in enumerate(keys):
        for t in range(p.shape[1]):
            row = int(word(key, np.uint64(t)))
            for i in range(p.shape[2]):
                x = i ^ (row >> 32)
                x = ((x ^ (x >> 17)) * 0xED5AD4BB) & MASK32
                x = ((x ^ (x >> 11)) + (row & MASK32)) & MASK32
                x = (x * 0xAC4C1B51) & MASK32
                x = ((x ^ (x >> 15)) * 0x31848BAB) & MASK32
                x ^= x >> 14
                spikes[b, t, i] = (x + 0.5) / 2**32 < p[b, t, i]
    return spikes


def slow_sparse(keys, p, theta, law, n_left, shape):
    """An exponential is used up bin by bin, at the hazard of the largest probability on each segment's arc."""
    spikes = np.zeros(p.shape, bool)
    for b, key in enumerate(keys):
        j, left = 0, waiting(key, 0)
        for t, fibres, q in segments(theta[b] + law.phase_shift, p[b], law, n_left, shape):
            if q < 2.0**-45:
                continue
            hazard = -math.log1p(-q)
            for place in range(shape[0] * len(fibres)):
                if left >= hazard:
                    left -= hazard
                    continue
                step, i = t + place % shape[0], fibres[place // shape[0]]
                if step < p.shape[1]:
                    spikes[b, step, i] = (int(word(key, np.uint64(j))) & MASK32) / 2**32 * q < p[b, step, i]
                j += 1
                left = waiting(key, j)
    return spikes


def waiting(key, j):
    return -math.log(((int(word(key, np.uint64(j))) >> 32) + 0.5) / 2**32)


def segments(theta, p, law, n_left, shape):
    """Each segment's first step, its fibres, and its bound: known at its corners, or the peak if the arc passes it."""
    n_steps, n_fibres = p.shape
    for begin, end in ((0, n_left), (n_left, n_fibres)):
        for t in range(0, n_steps, shape[0]):
            for fibre in range(begin, end, shape[1]):
                fibres = range(fibre, min(fibre + shape[1], end))
                part = slice(t, min(t + shape[0], n_steps)), slice(fibres[0], fibres[-1] + 1)
                low, high = theta[part].min(), theta[part].max()
                crest = (math.pi / 2 - low) % (2 * math.pi) <= high - low
                yield t, fibres, (law.peak_probability if crest else float(p[part].max())) * (1 + 1e-9)


options = st.fixed_dictionaries(
    {
        "n": st.integers(1, 3),
        "left": st.integers(1, 20),
        "steps": st.integers(1, 70),
        "power": st.sampled_from([0, 1, 2, 4, 5, 2.5, 40]),
        "peak": st.floats(0, 1.5),
        "step_angle": st.floats(0.001, 1.5),
        "kind": st.sampled_from(["bin_start", "bin_integral"]),
        "backwards": st.booleans(),
        "seed": st.integers(0, 10**6),
    }
)


@settings(max_examples=60, deadline=None)
@given(options)
def test_fast_draws_are_the_slow_ones_bit_for_bit(o):
    kind = "bin_start" if o["power"] == 2.5 else o["kind"]
    law = RateLaw(o["peak"], o["power"], kind, o["step_angle"])
    rng = np.random.default_rng(o["seed"])
    left, right = rng.uniform(0, 2 * math.pi, (2, o["n"]))
    delays = np.linspace(0, math.pi / 2, o["left"])
    other = delays[::-1].copy() if o["backwards"] else delays
    keys = sound_keys(o["seed"], "test", np.arange(o["n"]))
    drawn = draw_spikes(keys, left, right, delays, other, o["steps"], law).to_dense().numpy()
    theta = phases(left, right, delays, other, o["steps"], law)
    p = law.probability(theta)
    if law.peak_probability >= DENSE_FROM:
        expected = slow_dense(keys, p)
    else:
        expected = slow_sparse(keys, p, theta, law, o["left"], segment_shape(law.step_angle, delays))
    assert np.array_equal(drawn, expected)


CASES = {
    "dense": RateLaw(1.0, 4, "bin_start", 2 * math.pi / 50),
    "dense, clipped": RateLaw(1.6, 2, "bin_start", 2 * math.pi / 20),
    "dense, integral": RateLaw(0.6, 2, "bin_integral", 2 * math.pi / 20),
    "dense, sharp": RateLaw(0.9, 100, "bin_start", 2 * math.pi / 100),
    "sparse": RateLaw(0.1, 4, "bin_start", 2 * math.pi / 500),
    "sparse, coarse steps": RateLaw(0.2, 2, "bin_start", 2 * math.pi / 9),
    "sparse, integral": RateLaw(0.24, 3, "bin_integral", 2 * math.pi / 30),
    "sparse, flat": RateLaw(0.05, 0, "bin_start", 0.1),
}
every_case = pytest.mark.parametrize("law", CASES.values(), ids=CASES.keys())
FIBRES, STEPS, SOUNDS = 7, 60, 3000


def many(law, seed=0, stream="test"):
    """The same sound drawn with many keys: spikes [B, T, N] and their probability [T, N]."""
    delays = np.linspace(0, math.pi / 2, FIBRES)
    left, right = np.full(SOUNDS, 0.3), np.full(SOUNDS, 1.1)
    keys = sound_keys(seed, stream, np.arange(SOUNDS))
    spikes = draw_spikes(keys, left, right, delays, delays[::-1].copy(), STEPS, law).to_dense().numpy()
    theta = phases(left[:1], right[:1], delays, delays[::-1], STEPS, law)
    return spikes, law.probability(theta)[0]


def z_scores(spikes, p):
    sd = np.sqrt(len(spikes) * p * (1 - p))
    return (spikes.sum(axis=0) - len(spikes) * p)[sd > 3] / sd[sd > 3]


@every_case
def test_every_bin_has_its_exact_probability(law):
    spikes, p = many(law)
    z = z_scores(spikes, p)
    assert np.abs(z).max() < 5
    assert stats.kstest(z, "norm").pvalue > 1e-4
    assert not spikes[:, p == 0].any()
    assert spikes[:, p == 1].all()


def test_a_law_wrong_by_two_percent_fails_the_test_above():
    spikes, p = many(CASES["dense"])
    assert stats.kstest(z_scores(spikes, np.minimum(1, 1.02 * p)), "norm").pvalue < 1e-9


def correlation(a, p, b, q):
    """Standard normal if spikes a (probability p) and b (q) are independent."""
    x, y = (a - p) / np.sqrt(p * (1 - p) + 1e-300), (b - q) / np.sqrt(q * (1 - q) + 1e-300)
    informative = np.broadcast_to((p * (1 - p) > 1e-3) & (q * (1 - q) > 1e-3), x.shape)
    return (x * y)[informative].sum() / math.sqrt(max(1, informative.sum()))


@every_case
def test_bins_fibres_ears_sounds_seeds_and_streams_are_independent(law):
    spikes, p = many(law)
    pairs = {
        "next step": (spikes[:, 1:], p[1:], spikes[:, :-1], p[:-1]),
        "next fibre": (spikes[..., 1:], p[:, 1:], spikes[..., :-1], p[:, :-1]),
        "other ear": (spikes[..., :FIBRES], p[:, :FIBRES], spikes[..., FIBRES:], p[:, FIBRES:]),
        "next sound": (spikes[1:], p, spikes[:-1], p),
        "other seed": (spikes, p, many(law, seed=1)[0], p),
        "other stream": (spikes, p, many(law, stream="training")[0], p),
    }
    for name, pair in pairs.items():
        assert abs(correlation(*pair)) < 4.5, name


@every_case
def test_counts_of_whole_sounds_have_the_variance_of_independent_bins(law):
    spikes, p = many(law)
    counts = spikes.sum(axis=(1, 2))
    variance = (p * (1 - p)).sum()
    # The sample variance of n normal numbers has the relative standard error sqrt(2 / n).
    assert counts.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / SOUNDS))
    assert counts.mean() == pytest.approx(p.sum(), abs=5 * math.sqrt(variance / SOUNDS) + 1e-9)


@every_case
def test_batches_and_threads_change_nothing(law):
    delays = np.linspace(0, math.pi / 2, FIBRES)
    keys = sound_keys(0, "test", np.arange(9))
    left = np.linspace(0, 6, 9)

    def draw(part):
        return draw_spikes(keys[part], left[part], left[part] + 1, delays, delays, STEPS, law).to_dense()

    whole = draw(slice(None))
    assert torch.equal(torch.cat([draw(slice(0, 4)), draw(slice(4, 9))]), whole)
    threads = torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            assert torch.equal(draw(slice(None)), whole)
    finally:
        torch.set_num_threads(threads)


def test_no_rate_no_spikes_and_full_rate_all_spikes():
    keys = sound_keys(0, "test", np.arange(2))
    for peak, expected in ((0.0, 0), (1.0, 2 * 5 * 4)):
        law = RateLaw(peak, 0, "bin_start", 0.1)
        assert draw_spikes(keys, np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2), 5, law).n_spikes == expected


def test_a_sound_with_far_more_spikes_than_expected_is_complete():
    """Half a cycle at the peak holds many more spikes than the circle's average promises."""
    law = RateLaw(1.0, 30, "bin_start", 1e-4)
    delays = np.zeros(50)
    keys = sound_keys(0, "test", np.arange(2))
    events = draw_spikes(keys, np.full(2, math.pi / 2), np.full(2, math.pi / 2), delays, delays, 100, law)
    assert events.n_spikes > 0.99 * 2 * 100 * 100


@pytest.mark.parametrize("number", [0, 1, 2, 255, 2**20, 2**31, 2**32 - 2, 2**32 - 1])
def test_exponential_variates_are_logarithms(number):
    assert exponential(np.uint64(number)) == pytest.approx(-math.log((number + 0.5) / 2**32), rel=1e-10, abs=1e-12)


def test_fibre_numbers_are_uniform_and_differ_between_keys():
    numbers = np.array(
        [int(fibre_number(np.uint32(k), np.uint32(7 * k), np.uint32(i))) for k in range(60) for i in range(200)]
    )
    assert stats.kstest(numbers / 2**32, "uniform").pvalue > 1e-3
    assert len(np.unique(numbers)) > len(numbers) - 10
