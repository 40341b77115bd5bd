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
that each time step stands for itself. Further hidden layers are as in `fan_in`, and output weights begin at zero, so
that the first answer is "anywhere", however much the hidden neurons fire.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spikeloc.errors import UserError
from spikeloc.stimuli import Fibres

__all__ = ["InitialWeights", "coincidence_weights", "uniform_weights"]

InitialWeights = Literal["fan_in", "fan_out", "coincidence"]
BEYOND = 2.0  # favourite differences lie within so many times the reach, at most half a turn
LEAST = 0.01  # of the largest sum of weights: a neuron that next to nothing excites stays silent
BELL = 1.0  # width of a neuron's bell over frequencies, in neighbours


def uniform_weights(n_in: int, n_out: int, n: int, gain: float, generator: torch.Generator) -> Tensor:
    """Weights [n_in, n_out] evenly in +-gain / sqrt(n)."""
    return (2 * torch.rand(n_in, n_out, generator=generator) - 1) * (gain / math.sqrt(n))


def coincidence_weights(
    fibres: Fibres | None,
    n_neurons: int,
    gain: float,
    generator: torch.Generator,
    spread: float = 1.0,
    shares: tuple[float, float] | None = None,
) -> Tensor:
    """Weights [fibre, neuron] of coincidence detectors. Raises UserError if nothing is known about the fibres."""
    if fibres is None:
        raise UserError("network.initial_weights is 'coincidence', which needs to know what the fibres are tuned to")

    def uniform(*shape: int) -> np.ndarray:
        return (2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1).numpy()

    frequencies, place = np.unique(fibres.frequency, return_inverse=True)
    centre = (np.arange(n_neurons) + 0.5) / n_neurons * len(frequencies) - 0.5
    bell = np.exp(-0.5 * ((place[:, None] - centre) / BELL) ** 2)
    reach = np.array([fibres.reach[place == each].max() for each in range(len(frequencies))])
    reach = np.minimum(math.pi, BEYOND * reach)
    phase = math.pi * uniform(n_neurons)
    difference = uniform(n_neurons) * np.interp(centre, np.arange(len(frequencies)), reach)
    locking = fibres.locking[:, None]
    timed = np.cos(fibres.phase[:, None] - phase - fibres.ear[:, None] * difference)
    compared = 0.5 * uniform(2, n_neurons)[fibres.ear] + 0.125 * uniform(len(place), n_neurons)
    weights = bell * (locking * timed + 2 * (1 - locking) * compared)
    if shares is not None:
        share = shares[0] + (shares[1] - shares[0]) * (1 + uniform(n_neurons)) / 2
        excitation = np.maximum(weights, 0).sum(axis=0)
        return torch.from_numpy(
            weights / (share * np.maximum(excitation, LEAST * np.abs(weights).sum(axis=0).max()))
        ).float()
    gains = gain * spread ** ((uniform(n_neurons) - 1) / 2) if spread > 1 else gain
    return torch.from_numpy(gains * weights / np.sqrt(np.square(weights).sum(axis=0))).float()
