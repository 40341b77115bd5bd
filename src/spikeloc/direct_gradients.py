"""Gradients of a training step whose chain rule is written out, for small networks of the plainest kind.

    fibres -> [hidden LIF layer] * n -> mean potentials of the output neurons -> cross-entropy of classes

Autograd computes the same, and takes a quarter of such a step for it: what it needs lies outside the nearest caches
after every loop over spikes. Layers are those of the fused engine, called with the same numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikeloc.cross_entropy import cross_entropy
from spikeloc.network import Network, sums_over_time
from spikeloc.neurons import fused
from spikeloc.neurons.compress import compress
from spikeloc.neurons.fused_layer import ABSENT, Layer, kept_room, layer_back, layer_forward, slabs_of
from spikeloc.neurons.models import decay
from spikeloc.readout import Readout
from spikeloc.spikes import SpikeEvents

__all__ = ["direct_gradients", "has_direct_gradients"]

_CPU = torch.device("cpu")
MOST_OUTPUT_WEIGHTS = 2**14  # beyond, matrix products of PyTorch are faster than the loop over classes


def has_direct_gradients(network: Network, readout: Readout) -> bool:
    """Whether :func:`direct_gradients` computes this network's gradients."""
    settings = network.settings
    return (
        settings.engine == "fused"
        and readout.kind == "class"
        and readout.output == "mean"
        and not (settings.by_channel or settings.tonic or settings.output_tonic)
        and all(steps == 1 for steps in network.steps)
        and network.weights[-1].numel() <= MOST_OUTPUT_WEIGHTS
        and all(w.is_cpu and w.dtype == torch.float32 and w.requires_grad for w in network.parameters())
    )


@torch.no_grad()
def direct_gradients(network: Network, readout: Readout, spikes: Tensor | SpikeEvents, label: np.ndarray) -> float:
    """Set the gradients of all weights, and return the loss, :meth:`Readout.loss` of the same batch.

    spikes   batch, time, fibre
    label    class of each sound    [batch] int64

    Raises UserError and ValueError for spikes and labels that do not fit the network.
    """
    parameters = tuple(network.parameters())
    weights = [parameter.numpy() for parameter in parameters]
    means, passed = _forwards(network, weights, spikes)
    loss, g_output, g_means = cross_entropy(means, weights[-1], readout.scale, label)
    gradients = [*_backwards(passed, g_means), g_output]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.from_numpy(gradient)
    return loss


class _Passed(NamedTuple):
    """A layer that sounds went through, and what its way back needs."""

    layer: Layer
    events: SpikeEvents
    slabs: np.ndarray
    kept: np.ndarray


def _forwards(
    network: Network, weights: list[np.ndarray], spikes: Tensor | SpikeEvents
) -> tuple[np.ndarray, list[_Passed]]:
    """What each input of the output neurons adds to their mean potential per unit of weight [B, H]; the layers."""
    n_steps = network.checked_steps(spikes)
    of_mean = sums_over_time(n_steps, network.settings.output_tau, network.dt, torch.float32, _CPU)[1:]
    if not network.neurons:
        return np.ascontiguousarray(fused.weighted_counts(spikes, of_mean).numpy()[:, 0]), []
    events = spikes if isinstance(spikes, SpikeEvents) else compress(spikes)
    passed: list[_Passed] = []
    for depth, neuron in enumerate(network.neurons):
        last = depth + 1 == len(network.neurons)
        time_weights = of_mean.numpy()[: 1 if last else 0]
        layer = Layer(neuron, np.float32(decay(neuron.tau, network.dt)), time_weights, want_spikes=not last)
        slabs = slabs_of(weights[depth])
        passed.append(_Passed(layer, events, slabs, kept_room(events, len(slabs))))
        sums, train, _ = layer_forward(*passed[-1], weights[depth].shape[1])
        if not last:
            events = compress(torch.from_numpy(train))
    return sums[0], passed


def _backwards(passed: list[_Passed], g_means: np.ndarray) -> list[np.ndarray]:
    """Gradients of the layers' weights, first layer first."""
    gradients: list[np.ndarray] = []
    g_sums, g_train = g_means[np.newaxis], ABSENT
    for depth in range(len(passed) - 1, -1, -1):
        g_weights, g_train = layer_back(*passed[depth], g_sums, g_train, want_inputs=depth > 0)
        gradients.insert(0, g_weights)
        g_sums = np.empty((0, *g_train.shape[::2]), dtype=np.float32)
    return gradients
