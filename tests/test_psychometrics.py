import math

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from spikeloc.psychometrics import _area, just_noticeable_difference
from spikeloc.readout import Decision
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import Sounds, ToneStimulus


class Told(ToneStimulus):
    """A stimulus whose number of spikes is its angle in microradians, for an observer that only adds noise."""

    def draw(self, *_, angle, **__):
        counts = np.rint(np.asarray(angle) * 1e6).astype(np.int64)
        start = np.concatenate([[0], np.cumsum(counts)])
        return Sounds(
            torch.from_numpy(np.asarray(angle)), SpikeEvents(np.zeros(0, np.uint16), start, len(counts), 1, 1)
        )


class Noisy:
    """Errs by normal noise of a known size."""

    def __init__(self, sd):
        self.sd = sd
        self.rng = np.random.default_rng(0)

    def decide(self, events):
        angle = np.diff(events.start) * 1e-6 + self.rng.normal(0, self.sd, events.n_sounds)
        return Decision(torch.from_numpy(angle), torch.zeros(events.n_sounds, dtype=torch.long))


@pytest.mark.parametrize("sd", [0.002, 0.02, 0.2])
def test_normal_noise_has_the_threshold_of_theory(sd):
    """P = Phi(d / (sqrt(2) sd)) = 3/4 at d = sqrt(2) sd Phi^-1(3/4)."""
    found = just_noticeable_difference(Noisy(sd), Told(frequency=500), n=4000)
    expected = math.sqrt(2) * sd * ndtri(0.75)
    assert found.ipd == pytest.approx(expected, rel=0.1)
    assert found.ipd_ci95[0] < expected < found.ipd_ci95[1]
    assert found.itd_us == pytest.approx(found.ipd / (2 * math.pi * 500) * 1e6)


def test_area_under_the_curve_is_the_fraction_of_pairs_in_order():
    rng = np.random.default_rng(0)
    probe, reference = rng.integers(0, 9, 50).astype(float), rng.integers(0, 7, 40).astype(float)
    pairs = probe[:, None] - reference
    assert _area(probe, reference)[0] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_an_observer_that_knows_nothing_has_no_threshold_within_the_range():
    class Deaf(Noisy):
        def decide(self, events):
            return Decision(torch.from_numpy(self.rng.normal(0, 1, events.n_sounds)), torch.zeros(1).long())

    assert just_noticeable_difference(Deaf(1), Told(), n=500).ipd > Told().max_ipd / 2
