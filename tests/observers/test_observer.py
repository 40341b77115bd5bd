"""What every observer promises: it refuses what it cannot read, and handles batches of any size."""

import math

import pytest
import torch

from spikeloc.errors import UserError
from spikeloc.observers import IdealObserver, classical_observers
from spikeloc.observers.bounds import bounds
from spikeloc.observers.circular_mean import CircularMean
from spikeloc.observers.observer import CHUNK
from spikeloc.psychometrics import just_noticeable_difference
from spikeloc.stimuli import ToneStimulus

STIMULUS = ToneStimulus(fibres_per_ear=5, duration=0.05)


@pytest.fixture(scope="module")
def observers():
    return {"ideal": IdealObserver(STIMULUS, 12), **classical_observers(STIMULUS, 12, seed=1, n_sounds=256)}


@pytest.mark.parametrize("shape", [(2, 49, 10), (2, 50, 11), (50, 10), (2, 50, 10, 1)])
def test_spikes_of_another_shape_are_refused_in_one_sentence(observers, shape):
    for observer in observers.values():
        with pytest.raises(
            UserError, match=r"spikes have shape \[.*\]; this observer reads \[batch, 50, 10\]"
        ) as refusal:
            observer.decide(torch.zeros(shape))
        assert "\n" not in str(refusal.value)


def test_events_of_another_stimulus_are_refused(observers):
    other = ToneStimulus(fibres_per_ear=6, duration=0.05).draw(1, seed=1).events
    for observer in observers.values():
        with pytest.raises(UserError, match="this observer reads"):
            observer.decide(other)


def test_decisions_have_one_entry_a_sound(observers):
    for n in (0, 1, 3):
        events = STIMULUS.draw(n, seed=1).events
        for name, observer in observers.items():
            decision = observer.decide(events)
            assert decision.angle.shape == decision.label.shape == (n,), name
            assert decision.angle.dtype == torch.float64, name
            assert decision.label.dtype == torch.int64, name
            assert torch.equal(observer.localise(events), decision.angle), name


def test_a_batch_is_its_sounds(observers):
    sounds = STIMULUS.draw(CHUNK + 20, seed=1)
    for name, observer in observers.items():
        whole = observer.decide(sounds.events).angle
        part = observer.decide(sounds.events.sounds(CHUNK - 5, CHUNK + 20)).angle
        torch.testing.assert_close(whole[CHUNK - 5 :], part, rtol=0, atol=1e-9, msg=name)
        dense = observer.decide(sounds.spikes[:30]).angle
        torch.testing.assert_close(whole[:30], dense, rtol=0, atol=1e-9, msg=name)


def test_angles_stay_in_the_range(observers):
    spikes = torch.rand(100, 50, 10, generator=torch.Generator().manual_seed(0)) < 0.3
    for name, observer in observers.items():
        assert float(observer.decide(spikes).angle.abs().max()) <= math.pi / 2, name


def test_no_classes_are_refused():
    with pytest.raises(UserError, match="number of classes is 0"):
        CircularMean(STIMULUS, 0)


def test_a_stimulus_without_phases_is_refused_in_one_sentence():
    class Noise:
        kind = "scene"

    makers = {
        "ideal observer": lambda: IdealObserver(Noise(), 12),
        "this observer": lambda: CircularMean(Noise(), 12),
        "classical observer": lambda: classical_observers(Noise(), 12, seed=1),
        "Cramér-Rao bound": lambda: bounds(Noise(), 12),
        "just-noticeable": lambda: just_noticeable_difference(None, Noise()),
    }
    for who, make in makers.items():
        with pytest.raises(
            UserError, match=f"{who}.* reads the phases of a tone, but the stimulus is a scene"
        ) as refusal:
            make()
        assert "\n" not in str(refusal.value)
