import math

import numpy as np
import pytest
import torch

from spikeloc.errors import UserError
from spikeloc.stimuli import ToneStimulus

SMALL = ToneStimulus(fibres_per_ear=6)


def test_equations_of_the_seed_by_hand():
    """Left theta = 2 pi f t + delay, right theta = 2 pi f t + ipd + reversed delay; p = rate dt ((1 + sin) / 2)^4."""
    stimulus = ToneStimulus(fibres_per_ear=3, phase="fixed", rate_max=800)
    p = stimulus.spike_probability(torch.tensor([0.4]), torch.tensor([0.0])).numpy()[0]
    for t in (0, 7, 99):
        for j, delay in enumerate((0, math.pi / 4, math.pi / 2)):
            theta = 2 * math.pi * 20 * t * 1e-3
            left = 0.8 * (0.5 * (1 + math.sin(theta + delay))) ** 4
            right = 0.8 * (0.5 * (1 + math.sin(theta + 0.4 + delay))) ** 4
            assert p[t, j] == pytest.approx(left)
            assert p[t, 3 + (2 - j)] == pytest.approx(right)


def test_equal_delays():
    stimulus = ToneStimulus(fibres_per_ear=4, right_delays="equal")
    p = stimulus.spike_probability(torch.zeros(1), torch.ones(1))
    torch.testing.assert_close(p[..., :4], p[..., 4:])


def test_a_positive_ipd_means_that_the_right_ear_leads():
    stimulus = ToneStimulus(fibres_per_ear=1)
    p = stimulus.spike_probability(torch.tensor([math.pi / 2]), torch.zeros(1))[0]
    first_peak = p[:50].argmax(dim=0)
    assert first_peak[1] < first_peak[0]


def test_swapping_ears_turns_the_angle_around():
    stimulus = ToneStimulus(fibres_per_ear=5, right_delays="equal")
    angle, phase = torch.tensor([0.7]), torch.tensor([0.3])
    p = stimulus.spike_probability(angle, phase)
    q = stimulus.spike_probability(-angle, phase + angle)
    torch.testing.assert_close(torch.cat([p[..., 5:], p[..., :5]], dim=-1), q)


def test_shape_and_kind():
    sounds = SMALL.draw(3, seed=1)
    assert sounds.spikes.shape == (3, 100, 12)
    assert sounds.spikes.dtype == torch.bool
    assert sounds.angle.shape == (3,)
    assert len(sounds) == 3
    assert len(SMALL.draw(0, seed=1)) == 0


def test_sound_i_is_the_same_sound_however_it_is_asked_for():
    whole = SMALL.draw(20, seed=5, stream="training")
    part = SMALL.draw(5, seed=5, stream="training", first=10)
    picked = SMALL.draw(seed=5, stream="training", indices=np.array([14, 3]))
    assert torch.equal(whole.spikes[10:15], part.spikes)
    assert torch.equal(whole.angle[10:15], part.angle)
    assert torch.equal(whole.spikes[[14, 3]], picked.spikes)


def test_streams_and_seeds_differ():
    base = SMALL.draw(10, seed=5, stream="test").spikes
    assert not torch.equal(base, SMALL.draw(10, seed=6, stream="test").spikes)
    assert not torch.equal(base, SMALL.draw(10, seed=5, stream="training").spikes)


def test_spikes_follow_their_probability():
    """Counts of 2,000 sounds with the same angle distribution, against the sum of their own probabilities."""
    sounds = SMALL.draw(2000, seed=0)
    angle, phase = SMALL.draw_angles(np.arange(2000), seed=0, stream="test")
    p = SMALL.spike_probability(torch.from_numpy(angle), torch.from_numpy(phase))
    z = (sounds.spikes.double() - p).sum(dim=0) / (p * (1 - p)).sum(dim=0).sqrt()
    assert float(z.abs().max()) < 5
    assert float(z.std()) == pytest.approx(1, abs=0.1)


def test_angles_fill_the_range_evenly():
    angle = SMALL.draw(4000, seed=0).angle / SMALL.max_ipd
    assert angle.abs().max() < 1
    counts = torch.histc(angle, 8, -1, 1)
    assert float((counts - 500).abs().max()) < 5 * math.sqrt(500)


@pytest.mark.parametrize(("phase", "different"), [("per_sound", True), ("per_dataset", False), ("fixed", False)])
def test_phase_modes(phase, different):
    stimulus = ToneStimulus(phase=phase)
    _, phases = stimulus.draw_angles(np.arange(50), seed=3, stream="test")
    assert (len(set(phases)) == 50) is different
    if phase == "fixed":
        assert set(phases) == {0.0}


def test_the_phase_of_a_data_set_differs_between_streams():
    stimulus = ToneStimulus(phase="per_dataset")
    first = {stream: stimulus.draw_angles(np.arange(3), seed=3, stream=stream)[1][0] for stream in ("test", "training")}
    assert first["test"] != first["training"]


def test_caveats():
    assert ToneStimulus().caveats() == []
    (clipped,) = ToneStimulus(rate_max=1500).caveats()
    assert "reaches 1.5 and is clipped" in clipped
    (leaky,) = ToneStimulus(duration=0.11).caveats()
    assert "lasts 2.2 cycles" in leaky
    (coarse,) = ToneStimulus(frequency=250, envelope_power=2).caveats()
    assert "undersamples" in coarse


def test_bad_stimuli_are_refused_in_one_sentence():
    for values in (
        {"frequency": 0},
        {"duration": -1.0},
        {"dt": math.nan},
        {"dt": 1.0},
        {"fibres_per_ear": 0},
        {"rate_max": -1},
        {"phase": "sometimes"},
        {"envelope_power": 2.5, "rate": "bin_integral"},
        {"duration": 1e6, "dt": 1e-6},
    ):
        with pytest.raises(UserError) as caught:
            ToneStimulus(**values)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="whole number from 0"):
        SMALL.draw(-1, seed=0)
