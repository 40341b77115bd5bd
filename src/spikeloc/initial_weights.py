"""Weights to begin with.

`fan_in`, `fan_out`   uniform in +-gain / sqrt(n), n a layer's number of inputs, or (the seed's slip) of its outputs
`coincidence`         the first layer detects coincidences between the ears, as neurons of the medial superior olive do:

    w_fh = gain e_fh [ l_f cos(phase_f - a_h - ear_f b_h) + (1 - l_f) (c_h,ear + r_fh / 4) ] / norm_h

with fibre f's ear (0 or 1), phase and locking l_f (see :class:`~spikeloc.stimuli.Fibres`). Each neuron h listens to
fibres around a frequency of its own (e_fh, a bell over neighbouring frequencies), at a phase a_h, for a favourite phase
difference b_h of up to twice what the stimulus can make: a neuron tells most on its flanks, and so do those of mammals
(McAlpine, Jiang & Palmer 2001, Nature Neuroscience 4:396). Where spikes do not keep to the phase, it compares the ears'
rates with random weights c and r. norm_h makes the sum of squares gain^2. With a spread, each neuron's gain is drawn
from gain / spread to gain, evenly on a logarithmic scale: neurons of small gain answer only to the strongest
coincidences. With shares (p, q) instead, weights are scaled so that a neuron's threshold, 1, is a share of what its
excitatory inputs give when all of them spike at once, drawn for each neuron evenly from p to q: for neurons so fast
that each time step stands for itself. With levels, neurons come in groups of so many with the same weights but for
that factor, shares p + (q - p) theta_l (see :mod:`spikeloc.staircases`). With N > 1 harmonics, the timed part is

    l_f [0.4 + cos x + sum over n = 2 .. N of cos(n x + r_nh)]        x = phase_f - a_h - ear_f b_h

with random phases r_nh: neurons that differ in more than their favourites tell more together. Further hidden layers are
as in `fan_in`, and output weights begin at zero, so that the first answer is "anywhere", however much the hidden
neurons fire.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spikeloc.errors import UserError
from spikeloc.staircases import thresholds
from spikeloc.stimuli import Fibres

__all__ = ["Detectors", "InitialWeights", "coincidence_weights", "uniform_weights"]

InitialWeights = Literal["fan_in", "fan_out", "coincidence"]
BEYOND = 2.0  # favourite differences lie within so many times the reach, at most half a turn
LEAST = 0.01  # of the largest sum of weights: a neuron that next to nothing excites stays silent
OFFSET = 0.4  # beside harmonics, the same for all fibres
BELL = 1.0  # width of a neuron's bell over frequencies, in neighbours


def uniform_weights(n_in: int, n_out: int, n: int, gain: float, generator: torch.Generator) -> Tensor:
    """Weights [n_in, n_out] evenly in +-gain / sqrt(n)."""
    return (2 * torch.rand(n_in, n_out, generator=generator) - 1) * (gain / math.sqrt(n))


@dataclass(frozen=True)
class Detectors:
    """What coincidence detectors are like; the network's settings say more."""

    gain: float = 1.0
    spread: float = 1.0
    shares: tuple[float, float] | None = None
    levels: int = 1
    harmonics: int = 1


def coincidence_weights(fibres: Fibres | None, n_neurons: int, kind: Detectors, generator: torch.Generator) -> Tensor:
    """Weights [fibre, neuron] of coincidence detectors. Raises UserError if nothing is known about the fibres."""
    if fibres is None:
        raise UserError("network.initial_weights is 'coincidence', which needs to know what the fibres are tuned to")

    def uniform(*shape: int) -> np.ndarray:
        return (2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1).numpy()

    n_groups = n_neurons // kind.levels
    frequencies, place = np.unique(fibres.frequency, return_inverse=True)
    centre = (np.arange(n_groups) + 0.5) / n_groups * len(frequencies) - 0.5
    bell = np.exp(-0.5 * ((place[:, None] - centre) / BELL) ** 2)
    reach = np.array([fibres.reach[place == each].max() for each in range(len(frequencies))])
    reach = np.minimum(math.pi, BEYOND * reach)
    phase = math.pi * uniform(n_groups)
    difference = uniform(n_groups) * np.interp(centre, np.arange(len(frequencies)), reach)
    locking = fibres.locking[:, None]
    x = fibres.phase[:, None] - phase - fibres.ear[:, None] * difference
    timed = np.cos(x)
    compared = 0.5 * uniform(2, n_groups)[fibres.ear] + 0.125 * uniform(len(place), n_groups)
    if kind.harmonics > 1:
        more = [np.cos(n * x + math.pi * uniform(n_groups)) for n in range(2, kind.harmonics + 1)]
        timed = timed + OFFSET + np.sum(more, axis=0)
    weights = bell * (locking * timed + 2 * (1 - locking) * compared)
    if kind.shares is not None:
        return torch.from_numpy(_by_shares(weights, kind.shares, kind.levels, uniform(n_groups))).float()
    gains = kind.gain * kind.spread ** ((uniform(n_groups) - 1) / 2) if kind.spread > 1 else kind.gain
    return torch.from_numpy(gains * weights / np.sqrt(np.square(weights).sum(axis=0))).float()


def _by_shares(weights: np.ndarray, shares: tuple[float, float], levels: int, drawn: np.ndarray) -> np.ndarray:
    """Weights [fibre, group * level] whose thresholds are shares of the excitation: evenly spaced in a group of several
    levels, else drawn, -1 to 1."""
    excitation = np.maximum(weights, 0).sum(axis=0)
    excitation = np.maximum(excitation, LEAST * np.abs(weights).sum(axis=0).max())
    even = thresholds(levels).numpy() if levels > 1 else (1 + drawn[:, None]) / 2
    share = shares[0] + (shares[1] - shares[0]) * even
    return (weights[:, :, None] / (share * excitation[:, None])).reshape(len(weights), -1)
