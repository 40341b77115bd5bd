"""Both ways of drawing against slow definitions of the same draws, bit by bit, and against the law by statistics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spikeloc.randomness import sound_keys
from spikeloc.stimuli import thinning
from spikeloc.stimuli.rate_law import RateLaw
from spikeloc.stimuli.thinning import draw_spikes
from spikeloc.stimuli.thinning_cells import CELLS, cell_bounds, expected_spikes, in_turns, to_cells
from spikeloc.stimuli.thinning_dense import DenseTables
from spikeloc.stimuli.thinning_sparse_tables import PHASE_BITS, SparseTables, sparse_tables

TURN, WORD = 2 * math.pi, 2**64

# ---- slow definitions ------------------------------------------------------------------------------------------------


def slow_word(key, counter):
    z = (key + (counter + 1) * 0x9E3779B97F4A7C15) % WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def probabilities(offsets, delays, n_steps, law):
    """p [2, T, F] of the ears of one sound."""
    return law.probability(law.step_angle * np.arange(n_steps)[:, None] + (offsets[:, None] + delays)[:, None, :])


def slow_dense(key, p):
    _, n_steps, n_fibres = p.shape
    width = -(-n_fibres // 16) * 16
    spikes = np.zeros(p.shape, bool)
    for ear, t, f in np.ndindex(p.shape):
        b = width * (ear * n_steps + t) + f
        byte = slow_word(key, b // 8) >> 8 * (b % 8) & 255
        spikes[ear, t, f] = (byte + slow_word(key, 2**63 + b) / WORD) / 256 < p[ear, t, f]
    return spikes


def slow_sparse(key, p, tables, offsets, delays, law):
    _, n_steps, n_fibres = p.shape
    R, S = tables.steps, -(-(n_steps + tables.margin) // tables.steps)
    b, a, z = tables.slot_bits, 32 - tables.slot_bits - tables.step_bits, 2**tables.slot_bits // n_fibres
    shifts, _ = whole_steps(delays, law, n_steps)
    spikes = np.zeros(p.shape, bool)
    for ear, segment in np.ndindex(2, S):
        c = 2**16 * (ear * S + segment)
        level, thresholds = segment_level(tables, offsets, delays, law, ear, segment)
        for j in range(sum(threshold <= slow_word(key, c) >> 1 for threshold in thresholds)):
            x = slow_word(key, c + 1 + j // 2) >> 32 * (j % 2) & (2**32 - 1)
            f, row, u = x % 2**b // z, segment * R + (x >> b) % R, x >> (32 - a)
            if f >= n_fibres or not 0 <= (t := row - shifts[ear, f]) < n_steps:
                continue
            chance = (u + slow_word(key, 2**63 + c + j) / WORD) / 2**a
            spikes[ear, t, f] |= bool(tables.lambdas[level] * chance < -math.log1p(-p[ear, t, f]))
    return spikes


def whole_steps(delays, law, n_steps):
    """s and r of each fibre, unless the shifts would outweigh the sound."""
    lags = delays - delays.min(axis=1, keepdims=True)
    steps = np.floor(lags / law.step_angle) if lags.max() / law.step_angle <= n_steps / 2 else 0 * lags
    return steps.astype(int), lags - steps * law.step_angle


def segment_level(tables, offsets, delays, law, ear, segment):
    begin = (in_turns(offsets) + in_turns(delays.min(axis=1)))[ear]
    begin = (int(begin) + int(segment) * tables.steps * int(in_turns(np.array(law.step_angle)))) % WORD
    level = int(tables.levels[begin >> (64 - PHASE_BITS)])
    return level, tables.thresholds.reshape(-1, tables.n_thresholds)[level].tolist()


def slow(key, offsets, delays, n_steps, law):
    p = probabilities(offsets, delays, n_steps, law)
    tables = plan(law, delays, n_steps).tables
    if isinstance(tables, DenseTables):
        return slow_dense(int(key), p)
    return slow_sparse(int(key), p, tables, offsets, delays, law)


def plan(law, delays, n_steps):
    return thinning._plan(law, delays[0].tobytes(), delays[1].tobytes(), n_steps)


def draw(keys, offsets, delays, n_steps, law):
    """Spikes [B, 2, T, F]."""
    offsets = np.broadcast_to(offsets, (len(keys), 2))
    events = draw_spikes(keys, offsets[:, 0].copy(), offsets[:, 1].copy(), delays[0], delays[1], n_steps, law)
    return events.to_dense().numpy().reshape(len(keys), n_steps, 2, delays.shape[1]).transpose(0, 2, 1, 3)


# ---- stimuli ---------------------------------------------------------------------------------------------------------


@st.composite
def stimuli(draw_from):
    """Keys, offsets, delays, steps and a law: mostly small ones, with every kind of trouble."""
    seed = draw_from(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n_fibres = draw_from(st.one_of(st.integers(1, 40), st.sampled_from([64, 100, 120, 121, 128])))
    n_steps = draw_from(st.integers(1, 90 if n_fibres <= 40 else 25))
    peak = draw_from(st.sampled_from([0.0, 1e-7, 0.02, 0.1, 0.3, 0.45, 0.8, 1.0, 1.7]))
    kind = draw_from(st.sampled_from(["bin_start", "bin_integral"]))
    power = draw_from(st.sampled_from([0, 1, 2, 4, 100] + ([0.5, 7.3] if kind == "bin_start" else [])))
    step_angle = draw_from(st.sampled_from([1e-5, 0.004, 0.0126, 0.1257, 0.5, 3.0, TURN, 9.0]))
    shape = draw_from(st.sampled_from(["spread", "reversed", "random", "equal", "wide"]))
    left = np.linspace(0, math.pi / 2, n_fibres)
    delays = {
        "spread": np.stack([left, left]),
        "reversed": np.stack([left, left[::-1]]),
        "random": rng.uniform(-1, 1, (2, n_fibres)),
        "equal": np.full((2, n_fibres), 0.3),
        "wide": rng.uniform(-50, 50, (2, n_fibres)),
    }[shape]
    keys = rng.integers(0, 2**64, 2, dtype=np.uint64)
    return keys, rng.uniform(-7, 7, (2, 2)), delays, n_steps, RateLaw(peak, power, kind, step_angle)


@settings(max_examples=120, deadline=None)
@given(stimuli())
def test_same_bits_as_the_slow_definition(stimulus):
    keys, offsets, delays, n_steps, law = stimulus
    fast = draw(*stimulus)
    for key, offset, spikes in zip(keys, offsets, fast, strict=True):
        np.testing.assert_array_equal(spikes, slow(key, offset, delays, n_steps, law))


@settings(max_examples=40, deadline=None)
@given(stimuli())
def test_bounds_hold(stimulus):
    _, offsets, delays, n_steps, law = stimulus
    low, high = cell_bounds(law)
    theta = np.random.default_rng(0).uniform(0, TURN, 10_000)
    p, cells = law.probability(theta), to_cells(in_turns(theta))
    assert (low[cells] <= p).all()
    assert (p <= high[cells]).all()
    expected = np.stack([expected_spikes(high, ear, n_steps, in_turns(law.step_angle)) for ear in in_turns(delays)])
    for offset in offsets:
        bound = expected[[0, 1], to_cells(in_turns(offset))]
        true = probabilities(offset, delays, n_steps, law).sum(axis=(1, 2))
        assert (true <= bound + 1e-6).all()
        assert (bound <= true + 0.02 * delays.shape[1] * n_steps * max(law.peak, 1) * max(law.power, 1) + 1e-6).all()


@settings(max_examples=40, deadline=None)
@given(stimuli())
def test_no_bin_has_a_larger_hazard_than_its_segment(stimulus):
    _, offsets, delays, n_steps, law = stimulus
    tables = plan(law, delays, n_steps).tables
    if isinstance(tables, DenseTables):
        return
    shifts, rests = whole_steps(delays, law, n_steps)
    assert (rests <= law.step_angle * (1 + 1e-9)).all() or not shifts.any()
    for offset in offsets:
        hazard = -np.log1p(-probabilities(offset, delays, n_steps, law))
        for ear, t, f in np.ndindex(hazard.shape):
            level, _ = segment_level(tables, offset, delays, law, ear, (t + shifts[ear, f]) // tables.steps)
            assert hazard[ear, t, f] <= tables.lambdas[level]


@pytest.mark.parametrize("n_fibres", [1, 3, 16, 100, 121, 1000])
def test_slots(n_fibres):
    """Every fibre has as many slots as any other, at its own place in the row of its own step; few are void."""
    law, delays = RateLaw(0.1, 4, "bin_start", 0.02), np.linspace([0, 1], [1, 0], n_fibres, axis=1)
    tables = sparse_tables(law, cell_bounds(law), delays, 500)
    counts = np.bincount(tables.slot_fibres.astype(int), minlength=n_fibres + 1)
    assert len(set(counts[:n_fibres])) == 1
    assert counts[n_fibres] <= 0.1 * 2**tables.slot_bits
    shifts, _ = whole_steps(delays, law, 500)
    row_bits = 8 * len(tables.neurons)
    real = tables.slot_fibres < n_fibres
    for ear, slots in enumerate(tables.slots.reshape(2, -1, 2)):
        row, bit = np.divmod(slots[:, 1].astype(int), row_bits)
        f = tables.slot_fibres[real].astype(int)
        assert (row[real] == tables.margin - shifts[ear, f]).all()
        assert (bit[real] == ear * row_bits // 2 + f).all()
        assert (bit[~real] == (ear + 1) * row_bits // 2 - 1).all()


def test_numbers_of_candidates_are_poisson():
    law = RateLaw(0.3, 4, "bin_start", 0.01)
    tables = sparse_tables(law, cell_bounds(law), np.zeros((2, 40)), 500)
    means = tables.lambdas * tables.steps * 2**tables.slot_bits / (2**tables.slot_bits // 40)
    at_most = tables.thresholds.reshape(-1, tables.n_thresholds).astype(float) / 2**63
    expected = stats.poisson.cdf(np.arange(tables.n_thresholds), means[:, None])
    np.testing.assert_allclose(at_most, expected, rtol=1e-11, atol=1e-13)


# ---- statistics ------------------------------------------------------------------------------------------------------

DELAYS = np.stack([np.linspace(0, math.pi / 2, 5), np.linspace(math.pi / 2, 0, 5)])
OFFSETS = np.array([0.7, -0.4])
LAWS = {
    "dense": RateLaw(0.9, 4, "bin_start", 0.4),
    "dense, integral": RateLaw(0.9, 4, "bin_integral", 0.4),
    "dense, clipped": RateLaw(1.6, 2, "bin_start", 0.4),
    "dense, fractional power": RateLaw(0.8, 2.5, "bin_start", 0.4),
    "sparse": RateLaw(0.2, 4, "bin_start", 0.1),
    "sparse, integral": RateLaw(0.2, 4, "bin_integral", 0.4),
    "sparse, sharp": RateLaw(0.45, 100, "bin_start", 0.1),
    "sparse, flat": RateLaw(0.05, 0, "bin_start", 0.1),
    "sparse, fractional power": RateLaw(0.1, 0.5, "bin_start", 0.05),
}
N_SOUNDS, N_STEPS = 20_000, 24


def residuals(spikes, p):
    """(spike - p) / standard deviation of the bins that can go either way: [B, bins]."""
    open_ = (p > 1e-3) & (p < 1 - 1e-3)
    return ((spikes - p) / np.sqrt(np.where(open_, p * (1 - p), 1)))[:, open_]


def frequency_pvalue(spikes, p):
    """Of the sum over bins of squared deviations of frequencies from p; certain bins must be certain."""
    assert not spikes[:, p == 0].any()
    assert spikes[:, p == 1].all()
    z = residuals(spikes, p).sum(axis=0) / math.sqrt(len(spikes))
    return stats.chi2.sf((z**2).sum(), len(z))


def dependence_pvalue(x):
    """Of the sum of squared correlations of all pairs of bins; x [B, bins] are residuals."""
    r = x.T @ x / len(x)
    pairs = r[np.triu_indices(len(r), 1)] * math.sqrt(len(x))
    return stats.chi2.sf((pairs**2).sum(), len(pairs))


@pytest.fixture(scope="module")
def drawn():
    keys = sound_keys(1, "test", np.arange(N_SOUNDS))
    return {name: draw(keys, OFFSETS, DELAYS, N_STEPS, law) for name, law in LAWS.items()}


def law_probabilities(law):
    return probabilities(OFFSETS, DELAYS, N_STEPS, law)


def test_both_methods_are_looked_at():
    for name, law in LAWS.items():
        assert isinstance(plan(law, DELAYS, N_STEPS).tables, DenseTables) is name.startswith("dense")


@pytest.mark.parametrize("name", LAWS)
def test_every_bin_has_its_probability(drawn, name):
    assert frequency_pvalue(drawn[name], law_probabilities(LAWS[name])) > 1e-3


@pytest.mark.parametrize("name", ["dense", "sparse", "sparse, integral"])
@pytest.mark.parametrize("change", [{"peak": 1.03}, {"power": 1.03}, {"step_angle": 1.01}])
def test_a_slightly_wrong_law_would_fail(drawn, name, change):
    law = LAWS[name]
    kind = "bin_start" if "power" in change else law.kind
    wrong = {key: change.get(key, 1) * getattr(law, key) for key in ("peak", "power", "step_angle")}
    assert frequency_pvalue(drawn[name], law_probabilities(RateLaw(kind=kind, **wrong))) < 1e-4


def test_a_law_at_the_start_is_not_its_integral(drawn):
    law = LAWS["sparse, integral"]
    other = RateLaw(law.peak, law.power, "bin_start", law.step_angle)
    assert frequency_pvalue(drawn["sparse, integral"], law_probabilities(other)) < 1e-9


@pytest.fixture
def too_low(monkeypatch):
    """Segments whose lambda is 16 % too low."""

    def tables(*arguments):
        right = sparse_tables(*arguments)
        return right._replace(levels=np.minimum(right.levels + 2, 127).astype(np.uint8))

    monkeypatch.setattr(thinning, "sparse_tables", tables)
    thinning._plan.cache_clear()
    yield
    thinning._plan.cache_clear()


@pytest.mark.usefixtures("too_low")
@pytest.mark.parametrize("name", ["sparse", "sparse, flat"])
def test_a_bound_that_does_not_bound_would_fail(name):
    spikes = draw(sound_keys(1, "test", np.arange(N_SOUNDS)), OFFSETS, DELAYS, N_STEPS, LAWS[name])
    assert frequency_pvalue(spikes, law_probabilities(LAWS[name])) < 1e-9


@pytest.mark.parametrize("name", LAWS)
def test_bins_are_independent(drawn, name):
    """All pairs: neighbours in time, fibres of an ear, and the ears."""
    x = residuals(drawn[name], law_probabilities(LAWS[name]))
    assert dependence_pvalue(x) > 1e-3
    # Were a single bin a copy of its neighbour in every third sound, it would show.
    x[::3, 0] = x[::3, 1]
    assert dependence_pvalue(x) < 1e-6


@pytest.mark.parametrize("name", LAWS)
def test_numbers_of_spikes_vary_as_they_should(drawn, name):
    """The variance of a sound's number of spikes is the sum of its bins' variances, were they independent."""
    p = law_probabilities(LAWS[name])
    counts = drawn[name].sum(axis=(1, 2, 3))
    statistic = counts.var() * N_SOUNDS / (p * (1 - p)).sum()
    assert 1e-3 < stats.chi2.cdf(statistic, N_SOUNDS - 1) < 1 - 1e-3


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_sounds_seeds_and_streams_are_independent(drawn, name):
    law = LAWS[name]
    indices = np.arange(N_SOUNDS)
    x = residuals(drawn[name], law_probabilities(law))
    others = [np.roll(x, 1, axis=0)]
    for seed, stream in ((2, "test"), (1, "training"), (1, "validation")):
        spikes = draw(sound_keys(seed, stream, indices), OFFSETS, DELAYS, N_STEPS, law)
        others.append(residuals(spikes, law_probabilities(law)))
    for other in others:
        z = (x * other).sum(axis=0) / math.sqrt(N_SOUNDS)
        assert stats.chi2.sf((z**2).sum(), len(z)) > 1e-3


def test_segments_of_many_rows():
    """The seed's stimulus at a tenth of its time step: full-size segments, and bins counted in groups of like phase."""
    law, n_steps = RateLaw(0.1, 4, "bin_start", TURN * 20 * 1e-4), 1000
    delays = np.stack([np.linspace(0, math.pi / 2, 100), np.linspace(math.pi / 2, 0, 100)])
    tables = plan(law, delays, n_steps).tables
    assert isinstance(tables, SparseTables)
    assert tables.steps == 16
    spikes = draw(sound_keys(3, "test", np.arange(200)), OFFSETS, delays, n_steps, law)
    p = probabilities(OFFSETS, delays, n_steps, law)
    order = np.argsort(p, axis=None)
    for part in np.array_split(order, 50):
        n, expected = spikes.reshape(200, -1)[:, part].sum(), 200 * p.reshape(-1)[part].sum()
        assert abs(n - expected) < 4.5 * math.sqrt(expected) + 1
    for axis in ((0, 1, 2), (0, 1, 3), (0, 2, 3)):
        z = (spikes.sum(axis=axis) - 200 * p.sum(axis=tuple(a - 1 for a in axis[1:]))) / np.sqrt(
            200 * (p * (1 - p)).sum(axis=tuple(a - 1 for a in axis[1:]))
        )
        assert stats.chi2.sf((z**2).sum(), z.size) > 1e-3


# ---- form ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peak", [0.08, 0.8])
def test_batches_and_threads_do_not_matter(peak):
    law, keys = RateLaw(peak, 4, "bin_start", 0.1), sound_keys(0, "test", np.arange(9))
    offsets = np.random.default_rng(0).uniform(0, TURN, (9, 2))
    whole = draw(keys, offsets, DELAYS, 40, law)
    for part in (slice(0, 1), slice(1, 6), slice(6, 9)):
        np.testing.assert_array_equal(draw(keys[part], offsets[part], DELAYS, 40, law), whole[part])
    threads = torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            np.testing.assert_array_equal(draw(keys, offsets, DELAYS, 40, law), whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("peak", [0.08, 0.8])
@pytest.mark.parametrize("deviations", [-9, -1])
def test_more_spikes_than_there_was_room_for(peak, deviations, monkeypatch):
    """By far, or by chance now and then."""
    law, keys = RateLaw(peak, 4, "bin_start", 0.1), sound_keys(0, "test", np.arange(5))
    enough = draw(keys, OFFSETS, DELAYS, 200, law)
    monkeypatch.setattr(thinning, "DEVIATIONS", deviations)
    np.testing.assert_array_equal(draw(keys, OFFSETS, DELAYS, 200, law), enough)


@pytest.mark.parametrize("peak", [0.08, 0.8])
def test_rows_are_in_order(peak):
    law, keys = RateLaw(peak, 1, "bin_start", 0.1), sound_keys(0, "test", np.arange(3))
    events = draw_spikes(keys, np.zeros(3), np.ones(3), *np.zeros((2, 130)), 50, law)
    assert events.shape == (3, 50, 260)
    assert events.start[0] == 0
    assert events.start.dtype == np.int64
    assert events.start[-1] == len(events.index)
    for row in range(150):
        assert (np.diff(events.index[events.start[row] : events.start[row + 1]].astype(int)) > 0).all()


def test_nothing_to_draw():
    law = RateLaw(0.5, 4, "bin_start", 0.1)
    assert draw(np.zeros(0, np.uint64), np.zeros((0, 2)), DELAYS, 7, law).shape == (0, 2, 7, 5)
    assert not draw(sound_keys(0, "test", np.arange(50)), OFFSETS, DELAYS, 70, RateLaw(0, 4, "bin_start", 0.1)).any()


def test_certain_spikes():
    assert draw(sound_keys(0, "test", np.arange(50)), OFFSETS, DELAYS, 7, RateLaw(1, 0, "bin_start", 0.1)).all()


def test_phases_wrap_around():
    angles = np.array([0.0, math.pi, -math.pi / 2, TURN, 1e6 * TURN + 1, -1e-30])
    turns = in_turns(angles).astype(float) / WORD
    np.testing.assert_allclose(np.exp(1j * TURN * turns), np.exp(1j * angles), atol=1e-8)
    assert to_cells(in_turns(angles)).max() < CELLS
