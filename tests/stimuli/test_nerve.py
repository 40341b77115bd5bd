"""Spikes of the auditory nerve: independent bins with the probability that the rate says, unless refractory."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from spikeloc.errors import UserError
from spikeloc.randomness import sound_keys
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli.cochlea import CochleaSettings
from spikeloc.stimuli.nerve import firing_rates, nerve_spikes

SMALL = CochleaSettings(channels=3, lowest=300, highest=2000, fibres_per_channel=4, longest_delay=0.7e-3)


def keys(n, seed=0):
    return sound_keys(seed, "test", np.arange(n))


def noise(steps, cochlea=SMALL, level=70.0, sounds=1, seed=1):
    rng = np.random.default_rng(seed)
    samples = steps * cochlea.oversampling
    return (20e-6 * 10 ** (level / 20) * rng.standard_normal((sounds, 2, samples))).astype(np.float32)


def spikes_of(sound, n_sounds, cochlea, n_steps, seed=0):
    """Spikes of one sound drawn with many keys, [keys, steps, fibres]."""
    same = np.broadcast_to(sound, (n_sounds, *sound.shape[1:]))
    return nerve_spikes(same, keys(n_sounds, seed), cochlea, n_steps).to_dense().numpy()


def probabilities(sound, cochlea, n_steps, shift=0):
    """1 - exp(-rate(t - delay) dt) by its definition: [steps, fibres]; ``shift`` makes it wrong."""
    rates, _ = firing_rates(sound, cochlea)
    steps = np.arange(rates.shape[1] - n_steps, rates.shape[1])
    columns = [
        rates[0, steps - delay - shift, rank % len(cochlea.half_level), channel]
        for channel in range(2 * cochlea.channels)
        for rank, delay in enumerate(cochlea.delay_steps)
    ]
    return -np.expm1(-np.stack(columns, axis=1).astype(float) * cochlea.dt)


@pytest.fixture(scope="module")
def drawn():
    """A sound's probabilities, those a step late, and its spikes under 10,000 keys."""
    sound = noise(100)
    late = probabilities(sound, SMALL, 90, shift=1)
    return probabilities(sound, SMALL, 90), late, spikes_of(sound, 10_000, SMALL, 90)


def misfit(spikes, probability):
    """Sum of squared standard deviations between counts over keys and their means, and the number of them."""
    n = len(spikes)
    surely = probability > 5 / n  # so that counts are nearly normal
    squares = (spikes.sum(axis=0) - n * probability) ** 2 / (n * probability * (1 - probability))
    return squares[surely].sum(), surely.sum()


def test_every_bin_spikes_with_its_probability(drawn):
    probability, late, spikes = drawn
    deviations, bins = misfit(spikes, probability)
    assert bins > 1800
    assert 1e-4 < chi2.cdf(deviations, bins) < 1 - 1e-4
    deviations, bins = misfit(spikes, late)  # internal delays are exact: one step more does not fit
    assert chi2.sf(deviations, bins) < 1e-9


def test_fibres_answer_late_by_their_delay():
    """Before a click nothing fires that does not fire in silence; each fibre's first spike waits for its delay."""
    cochlea = CochleaSettings(
        channels=2, lowest=2000, highest=4000, fibres_per_channel=10, spontaneous=(0,), half_level=(20,), rate_max=2500
    )
    click = np.zeros((1, 2, 120), dtype=np.float32)
    click[0, :, 60] = 1
    spikes = spikes_of(click, 400, cochlea, 50)
    first = spikes.any(axis=0).argmax(axis=0)
    expected = 20 + np.tile(cochlea.delay_steps, 4)
    assert (first >= expected).all()
    assert first.reshape(4, 10).T.tolist() == (first.reshape(4, 10)[:, 0] + cochlea.delay_steps[:, None]).tolist()


def test_bins_fibres_and_sounds_are_independent(drawn):
    probability, _, spikes = drawn
    z = (spikes - probability) / np.sqrt(probability * (1 - probability))
    pairs = {
        "next bin": (z[:, 1:], z[:, :-1]),
        "bin after that": (z[:, 2:], z[:, :-2]),
        "next fibre": (z[:, :, 1:], z[:, :, :-1]),
        "other ear": (z[:, :, :12], z[:, :, 12:]),
        "next sound": (z[1:], z[:-1]),
        "next bin of the next sound": (z[1:, 1:], z[:-1, :-1]),
    }
    for name, (one, other) in pairs.items():
        product = one * other
        assert abs(product.mean()) * math.sqrt(product.size) < 5, name
    counts = spikes.sum(axis=1)
    variance = (probability * (1 - probability)).sum(axis=0)
    np.testing.assert_allclose(counts.var(axis=0), variance, rtol=0.08)


def test_silence_leaves_spontaneous_spikes():
    cochlea = CochleaSettings(channels=8, spontaneous=(100, 10))
    sound = np.zeros((1, 2, 1000), dtype=np.float32)
    spikes = spikes_of(sound, 100, cochlea, 400)
    rates = spikes.mean(axis=(0, 1)).reshape(16, 5, 2).mean(axis=(0, 1)) / cochlea.dt
    expected = -np.expm1(-np.array([100, 10]) * cochlea.dt) / cochlea.dt
    # 3.2 million bins of each kind
    assert np.abs(rates - expected).max() < 5 * math.sqrt(100 / cochlea.dt / 3.2e6)


def silent(spontaneous, refractory, **values):
    return CochleaSettings(
        channels=8,
        spontaneous=(spontaneous,),
        half_level=(40,),
        rate_max=spontaneous,
        refractory=refractory,
        **values,
    )


@pytest.mark.parametrize("refractory", [0, 1e-3, 5e-3])
def test_refractory_period_is_kept_and_lowers_the_rate(refractory):
    """Of renewals, a refractory step count n and then a geometric wait: rate = 1 / (dt (1/p + n)), or r / (1 + r tau).

    In the first 100 ms the first spikes are forgotten.
    """
    cochlea = silent(500, refractory)
    spikes = spikes_of(np.zeros((1, 2, 8100), dtype=np.float32), 8, cochlea, 4000)
    sounds, fibres, steps = np.nonzero(spikes.transpose(0, 2, 1))
    same = (np.diff(sounds) == 0) & (np.diff(fibres) == 0)
    gaps = np.diff(steps)[same]
    quiet = round(refractory / cochlea.dt)
    assert gaps.min() == quiet + 1
    rate = spikes[:, 1000:].mean() / cochlea.dt
    expected = 1 / (cochlea.dt * (1 / -math.expm1(-500 * cochlea.dt) + quiet))
    assert rate == pytest.approx(expected, rel=0.02)
    assert rate == pytest.approx(500 / (1 + 500 * refractory), rel=0.05)
    # Beyond it, waits are geometric: the part that ends in the first step is p.
    assert (gaps == quiet + 1).mean() == pytest.approx(-math.expm1(-500 * cochlea.dt), rel=0.1)


def test_without_a_refractory_period_it_is_the_same_as_with_one_of_no_step():
    sound = noise(80)
    other = SMALL.model_copy(update={"refractory": 0.4 * SMALL.dt})
    np.testing.assert_array_equal(spikes_of(sound, 5, SMALL, 70), spikes_of(sound, 5, other, 70))


@given(
    channels=st.integers(1, 40),
    fibres=st.integers(1, 7),
    sounds=st.integers(1, 5),
    cut=st.integers(0, 5),
    refractory=st.sampled_from([0, 1e-3]),
)
@settings(max_examples=15, deadline=None)
def test_spikes_do_not_depend_on_batches_or_threads(channels, fibres, sounds, cut, refractory):
    cochlea = CochleaSettings(channels=channels, fibres_per_channel=fibres, refractory=refractory)
    sound, key = noise(60, cochlea, sounds=sounds), keys(sounds)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = nerve_spikes(sound, key, cochlea, 40)
        torch.set_num_threads(2)
        two = nerve_spikes(sound, key, cochlea, 40)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(one.index, two.index)
    np.testing.assert_array_equal(one.start, two.start)
    parts = [nerve_spikes(sound[part], key[part], cochlea, 40) for part in (slice(0, cut), slice(cut, None))]
    np.testing.assert_array_equal(np.concatenate([part.to_dense() for part in parts]), one.to_dense())
    again = SpikeEvents.from_dense(one.to_dense())  # rows are in order, and ascend
    np.testing.assert_array_equal(again.index, one.index)
    np.testing.assert_array_equal(again.start, one.start)


def test_what_is_shown_does_not_depend_on_how_long_the_lead_in_is_kept():
    """Only the end is shown: what a silent lead-in adds leaves no trace but the spikes' own numbers."""
    sound = noise(80)
    padded = np.concatenate([np.zeros((1, 2, 50), dtype=np.float32), sound], axis=2)
    np.testing.assert_array_equal(spikes_of(sound, 4, SMALL, 60), spikes_of(padded, 4, SMALL, 60))


def test_more_spikes_than_there_was_room_for():
    """Every fibre at its greatest rate all the time: twice as many spikes as half saturation would make."""
    cochlea = silent(2500, 0, fibres_per_channel=20)
    sound = np.zeros((3, 2, 600), dtype=np.float32)
    events = nerve_spikes(sound, keys(3), cochlea, 250)
    expected = 3 * 250 * cochlea.n_fibres * -math.expm1(-2500 * cochlea.dt)
    assert events.n_spikes == pytest.approx(expected, rel=0.03)
    for i in range(3):
        alone = nerve_spikes(sound[i : i + 1], keys(3)[i : i + 1], cochlea, 250)
        np.testing.assert_array_equal(events.sounds(i, i + 1).index, alone.index)


def test_no_sounds_have_no_spikes():
    assert nerve_spikes(np.zeros((0, 2, 100)), keys(0), SMALL, 40).shape == (0, 40, SMALL.n_fibres)


def test_sounds_too_short_for_the_internal_delays_are_refused():
    sound = noise(46)
    assert nerve_spikes(sound, keys(1), SMALL, 39).n_steps == 39
    with pytest.raises(UserError, match="last 46 time steps; 40 steps of spikes need 47"):
        nerve_spikes(sound, keys(1), SMALL, 40)


def test_one_ear_of_many_channels_fills_its_own_half():
    """Sound at the right ear only: the left ear's fibres stay silent, whatever the padding between."""
    cochlea = CochleaSettings(channels=19, fibres_per_channel=3, spontaneous=(0,), half_level=(40,))
    sound = noise(400, cochlea, level=90)
    sound[:, 0] = 0
    counts = spikes_of(sound, 20, cochlea, 300).sum(axis=(0, 1))
    assert not counts[:57].any()
    assert counts[57:].all()
