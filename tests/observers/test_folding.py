"""Folding: which spike falls where in the tone's period."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from scipy.fft import next_fast_len

from spikeloc.observers.folding import FoldingGrid, _easily_transformed, fibre_phasors, phase_grid, remembered
from spikeloc.stimuli import ToneStimulus


def phases(stimulus):
    """psi of every bin in radians, by its definition: [time, fibre]."""
    return stimulus.step_angle * np.arange(stimulus.n_steps)[:, None] + np.concatenate(stimulus.fibre_delays)


@pytest.mark.parametrize("right_delays", ["reversed", "equal"])
@pytest.mark.parametrize("at_least", [1, 4096])
@pytest.mark.parametrize(
    "changes",
    [{}, {"frequency": 50}, {"frequency": 500, "dt": 1e-4}, {"frequency": 440, "dt": 1e-4}, {"fibres_per_ear": 1}],
)
def test_a_grid_is_exact_where_it_can_be(changes, at_least, right_delays):
    stimulus = ToneStimulus(right_delays=right_delays, **changes)
    grid = phase_grid(stimulus, at_least)
    assert grid.points >= at_least
    found = (grid.step[:, None] + grid.delay) * (2 * math.pi / grid.points)
    assert np.abs(np.exp(1j * found) - np.exp(1j * phases(stimulus))).max() < 1e-10


def test_a_grid_that_cannot_be_exact_is_near():
    stimulus = ToneStimulus(frequency=math.pi * 100)
    grid = phase_grid(stimulus, 100)
    found = (grid.step[:, None] + grid.delay) * (2 * math.pi / grid.points)
    assert np.abs(np.exp(1j * found) - np.exp(1j * phases(stimulus))).max() <= 2 * math.pi / 16_384 * 1.001


def test_folding_counts_the_spikes_of_each_ear():
    stimulus = ToneStimulus(fibres_per_ear=4, duration=0.07)
    sounds = stimulus.draw(3, seed=1)
    grid = phase_grid(stimulus, 1)
    place = np.rint(phases(stimulus) * grid.points / (2 * math.pi)).astype(int) % grid.points
    counts = np.zeros((3, 2, grid.points))
    for sound, time, fibre in sounds.spikes.nonzero().tolist():
        counts[sound, fibre // 4, place[time, fibre]] += 1
    np.testing.assert_array_equal(grid.fold(sounds.events), counts)


def test_bins_are_what_a_spike_everywhere_folds_to():
    stimulus = ToneStimulus(fibres_per_ear=3, duration=0.07)
    grid = phase_grid(stimulus, 1)
    everywhere = torch.ones(1, stimulus.n_steps, stimulus.n_fibres)
    from spikeloc.spikes import SpikeEvents

    np.testing.assert_array_equal(grid.bins(), grid.fold(SpikeEvents.from_dense(everywhere))[0])


def test_phasors_of_fibres():
    stimulus = ToneStimulus(fibres_per_ear=3)
    sounds = stimulus.draw(4, seed=1)
    turning = np.exp(-1j * stimulus.step_angle * np.arange(stimulus.n_steps))
    expected = np.einsum("btn,t->bn", sounds.spikes.numpy(), turning)
    np.testing.assert_allclose(fibre_phasors(stimulus, sounds.events), expected, atol=1e-12)


def test_no_sounds_fold_to_none():
    stimulus = ToneStimulus(fibres_per_ear=3)
    grid = FoldingGrid.of(stimulus, 64)
    assert grid.fold(stimulus.draw(0, seed=1).events).shape == (0, 2, 64)


def test_what_is_remembered_is_of_the_same_events_only():
    stimulus = ToneStimulus(fibres_per_ear=3)
    one, other = stimulus.draw(4, seed=1).events, stimulus.draw(4, seed=2).events
    first = fibre_phasors(stimulus, one)
    assert fibre_phasors(stimulus, one) is first
    assert not np.array_equal(fibre_phasors(stimulus, other), first)
    again = fibre_phasors(ToneStimulus(fibres_per_ear=3, frequency=40), one)
    assert not np.array_equal(again, first)
    np.testing.assert_array_equal(fibre_phasors(stimulus, one), first)


def test_nothing_is_remembered_of_events_that_are_gone():
    stimulus = ToneStimulus(fibres_per_ear=3)
    answers = []

    @remembered
    def answer(stimulus, events):
        answers.append(weakref.ref(result := np.zeros(3)))
        return result

    events = stimulus.draw(1, seed=1).events
    answer(stimulus, events)
    assert answers[0]() is not None
    del events
    gc.collect()
    assert answers[0]() is None


def test_lengths_that_are_easily_transformed():
    # The smallest 2^a 3^b 5^c that is no less: scipy looks for the same.
    assert [_easily_transformed(n) for n in range(1, 3000)] == [next_fast_len(n, real=True) for n in range(1, 3000)]
