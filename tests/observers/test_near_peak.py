"""Posteriors near their peaks: the bound holds everywhere, and decisions are those of the whole circle."""

import math

import numpy as np
import pytest
import torch

from spikeloc.observers.ideal import IdealObserver
from spikeloc.observers.kernels_near_peak import DROP
from spikeloc.observers.near_peak import NearPeak
from spikeloc.stimuli import ToneStimulus

STIMULI = {
    "seed": {"phase": "fixed"},
    "tone": {},
    "published": {"frequency": 50, "rate_max": 600, "envelope_power": 2, "rate": "bin_integral"},
    "equal delays": {"right_delays": "equal"},
    "inexact grid": {"frequency": 63.0, "envelope_power": 2, "rate_max": 600},
    "narrow range": {"max_ipd": math.radians(10)},
    "wide range": {"max_ipd": math.radians(137)},
    "whole circle": {"max_ipd": math.pi},
    "whole circle, known phase": {"max_ipd": math.pi, "phase": "fixed"},
    "low rates": {"rate_max": 150, "fibres_per_ear": 300},
    "few spikes on a fine grid": {"rate_max": 30},
    "many fibres": {"fibres_per_ear": 800, "duration": 0.15},
}
every_stimulus = pytest.mark.parametrize("changes", STIMULI.values(), ids=STIMULI)


def near(changes):
    stimulus = ToneStimulus(**changes)
    observer = IdealObserver(stimulus, 12)
    return stimulus, observer, NearPeak.of(stimulus, observer.likelihood)


def assert_decisions_of_the_whole_circle(observer, events, tolerance=2e-3):
    decision, posterior = observer.decide(events), observer.posterior(events)
    sd = torch.from_numpy(posterior.sd)
    off = torch.remainder(decision.angle - torch.from_numpy(posterior.median) + math.pi, 2 * math.pi) - math.pi
    assert (off.abs() <= tolerance * sd + 1e-12).all()
    torch.testing.assert_close(decision.uncertainty, sd, rtol=tolerance, atol=0)
    mass = posterior.class_mass(12)
    chosen = np.take_along_axis(mass, decision.label.numpy()[:, None], 1)[:, 0]
    assert (mass.max(axis=1) - chosen).max() < 1e-3  # the same class, or one as likely


@every_stimulus
def test_decisions_are_those_of_the_whole_circle(changes):
    stimulus, observer, near_peak = near(changes)
    assert near_peak is not None
    assert_decisions_of_the_whole_circle(observer, stimulus.draw(100, seed=7).events)


@pytest.mark.parametrize("phase", ["fixed", "per_sound"])
def test_decisions_about_sounds_from_outside_the_range(phase):
    _, observer, _ = near({"max_ipd": math.radians(10), "phase": phase})
    sounds = ToneStimulus(phase=phase).draw(60, seed=1)
    # Densities at an end of the range, whose slopes the coarser grid follows less well.
    assert_decisions_of_the_whole_circle(observer, sounds.events, tolerance=0.03)
    # The end that is nearer to where a sound comes from.
    decision, outside = observer.decide(sounds.events), sounds.angle.abs().rad2deg() > 20
    np.testing.assert_allclose(decision.angle[outside].rad2deg(), 10 * sounds.angle[outside].sign(), atol=0.2)
    assert torch.equal(decision.label[outside], torch.where(sounds.angle[outside] > 0, 11, 0))


@pytest.mark.parametrize("phase", ["fixed", "per_sound"])
def test_decisions_of_whole_circles_fill_in(phase, monkeypatch):
    stimulus, observer, near_peak = near({"phase": phase})
    events = stimulus.draw(80, seed=1).events
    posterior = observer.posterior(events)
    ways = near_peak.posterior

    def every_third(self, some, ears):
        held, found = ways(some, ears)
        return held[::3], type(found)(found.angle[::3], found.density[::3], found.limit)

    monkeypatch.setattr(NearPeak, "posterior", every_third)
    decision = observer.decide(events)
    np.testing.assert_allclose(decision.angle, posterior.median, atol=2e-3 * posterior.sd.min())
    # Blocks of 64 sounds: the second and third of each are looked at as a whole.
    np.testing.assert_allclose(decision.angle[1:3], posterior.median[1:3], rtol=1e-9)
    np.testing.assert_allclose(decision.uncertainty[65:67], posterior.sd[65:67], rtol=1e-9)


@pytest.mark.parametrize("name", ["seed", "tone", "published", "equal delays", "inexact grid", "many fibres"])
def test_nearly_all_sounds_have_a_posterior_near_their_peak(name):
    stimulus, _, near_peak = near(STIMULI[name])
    events = stimulus.draw(200, seed=3).events
    held, posterior = near_peak.posterior(events, near_peak.hear(events))
    assert len(held) >= 198
    assert posterior.angle.shape == posterior.density.shape
    assert posterior.angle.shape[1] < 0.1 * near_peak.points


@every_stimulus
def test_no_log_likelihood_exceeds_the_bound(changes):
    stimulus, observer, near_peak = near(changes)
    events = stimulus.draw(5, seed=2).events
    upper = near_peak.upper(near_peak.hear(events))
    grid = observer.likelihood.grid
    log_likelihood = observer.likelihood(grid.fold(events))[:, -upper.shape[1] :]
    coarse = np.rint(np.arange(grid.points) * (near_peak.coarse.points / grid.points)).astype(int)
    assert (log_likelihood <= upper[:, :, coarse % near_peak.coarse.points] + 1e-6).all()
    # It is near enough to leave a small part of the circle.
    left = upper >= log_likelihood.max(axis=2, keepdims=True) - DROP
    assert left.mean() < 0.3


@pytest.mark.parametrize(
    "changes",
    [
        {"rate_max": 1500},  # p is 1 over a range of phases
        {"fibres_per_ear": 5},  # wide likelihoods on a small grid
        {"rate_max": 0},
        {"rate_max": 500, "envelope_power": 0},  # spikes that say nothing
    ],
)
def test_windows_are_not_for_every_stimulus(changes):
    assert near(changes)[2] is None


def test_decisions_do_not_depend_on_how_sounds_are_put_together():
    stimulus, observer, _ = near({})
    events = stimulus.draw(300, seed=4).events
    together = observer.decide(events)
    for first, last in ((0, 10), (250, 300), (64, 65)):
        alone = observer.decide(events.sounds(first, last))
        torch.testing.assert_close(alone.angle, together.angle[first:last], rtol=0, atol=1e-12)
        assert torch.equal(alone.label, together.label[first:last])
