"""A layer of the fused engine on arrays, forwards and backwards, without anybody to record it.

Autograd's functions (:mod:`spikeloc.neurons.fused`) and gradients whose chain rule is written out
(:mod:`spikeloc.direct_gradients`) are made of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spikeloc.compiled import over_sounds
from spikeloc.compiled.lanes import LANES
from spikeloc.neurons import kernels_lif, kernels_weights
from spikeloc.neurons.kernels_memory import room
from spikeloc.neurons.kernels_surrogate import SURROGATE_CODES
from spikeloc.neurons.models import LIF
from spikeloc.spikes import SpikeEvents

__all__ = ["ABSENT", "DenseSpikes", "Gradients", "Layer", "kept_room", "layer_back", "layer_forward", "slabs_of"]

CHUNKS = 8
"""Sums over sounds are made of at most so many partial sums."""
KEPT_BYTES = 64 * 2**20
"""Membranes are kept for the way back up to this size, and computed again beyond it."""

ABSENT = np.empty((0, 0, 0), dtype=np.float32)
"""Not given, or not wanted."""
_NO_INDEX, _NO_START = np.empty(0, dtype=np.uint16), np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class DenseSpikes:
    """Numbers of spikes [B, T, N], float32 and contiguous, of inputs that spike in most steps: not worth listing."""

    dense: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sounds, time steps, neurons."""
        n_sounds, n_steps, n_neurons = self.dense.shape
        return n_sounds, n_steps, n_neurons


class Layer(NamedTuple):
    """A layer and what is asked of it.

    decay          what a membrane keeps over a time step
    time_weights   of the sums over time [K, T]; K = 0 if none are wanted
    bin_steps      spikes are counted in bins of so many time steps
    """

    neuron: LIF
    decay: np.float32
    time_weights: np.ndarray
    want_spikes: bool = False
    want_membrane: bool = False
    bin_steps: int = 1


def slabs_of(weights: np.ndarray) -> np.ndarray:
    """Weights [N, H] as the kernels read them; see :mod:`spikeloc.neurons.kernels_weights`."""
    n_inputs, n_neurons = weights.shape
    slabs = room(-(-n_neurons // LANES), n_inputs + 1, LANES)
    kernels_weights.pack(np.ascontiguousarray(weights), slabs)
    return slabs


def kept_room(spikes: SpikeEvents | DenseSpikes, n_blocks: int) -> np.ndarray:
    """Room for the membranes that the way back needs; see :mod:`spikeloc.neurons.kernels_lif`."""
    n_sounds, n_steps, _ = spikes.shape
    every_step = (n_sounds, 1, n_blocks, 2 + n_steps, LANES)
    if 4 * math.prod(every_step) <= KEPT_BYTES:
        return room(*every_step)
    return room(n_sounds, -(-n_steps // kernels_lif.SEGMENT), n_blocks, 2, LANES)


def layer_forward(
    layer: Layer, spikes: SpikeEvents | DenseSpikes, slabs: np.ndarray, kept: np.ndarray, n_neurons: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over time [K, B, H], spikes in bins [B, bins, H] and membranes [B, T, H]; the last two empty unless wanted.

    kept   filled with what :func:`layer_back` needs; of size zero if there is no way back
    """
    n_sounds, n_steps, _ = spikes.shape
    sums = np.empty((len(layer.time_weights), n_sounds, n_neurons), dtype=np.float32)
    train = room(n_sounds, -(-n_steps // layer.bin_steps), n_neurons) if layer.want_spikes else ABSENT
    membrane = room(n_sounds, n_steps, n_neurons) if layer.want_membrane else ABSENT
    over_sounds(
        kernels_lif.run, n_sounds, *_arrays(spikes), slabs, layer.decay, kernels_lif.RESET_CODES[layer.neuron.reset],
        np.float32(layer.neuron.floor), layer.time_weights, kept, sums, train, layer.bin_steps, membrane, n_neurons,
    )  # fmt: skip
    return sums, train, membrane


def layer_back(
    layer: Layer,
    spikes: SpikeEvents | DenseSpikes,
    slabs: np.ndarray,
    kept: np.ndarray,
    g_sums: np.ndarray,
    g_train: np.ndarray,
    want_inputs: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of the weights [N, H] and of the inputs [B, T, N], empty unless wanted.

    layer     as forwards, but with the time weights of those sums only that a gradient arrives at
    g_sums    gradient of these sums          [K, B, H]
    g_train   gradient of the spikes in bins  [B, bins, H], or ABSENT
    """
    neuron, n_neurons = layer.neuron, g_sums.shape[2]
    gradients = Gradients(spikes.shape, slabs, n_neurons, want_inputs)
    over_sounds(
        kernels_lif.run_back, spikes.shape[0], *_arrays(spikes), slabs, gradients.transposed, layer.decay,
        kernels_lif.RESET_CODES[neuron.reset], np.float32(neuron.floor), neuron.reset_gradient,
        SURROGATE_CODES[neuron.surrogate.name], np.float32(neuron.surrogate.slope), layer.time_weights, kept, g_sums,
        g_train, layer.bin_steps, gradients.sounds_in_chunk, gradients.chunks, gradients.inputs, n_neurons,
        chunk=gradients.sounds_in_chunk,
    )  # fmt: skip
    return gradients.weights(), gradients.inputs


def _arrays(spikes: SpikeEvents | DenseSpikes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index and start of events, and dense numbers of spikes; those that are not there are empty."""
    if isinstance(spikes, DenseSpikes):
        return _NO_INDEX, _NO_START, spikes.dense
    return spikes.index, spikes.start, ABSENT


class Gradients:
    """Room for the gradients of weights and, if wanted, of inputs [B, T, N], on the way back through one layer."""

    def __init__(self, shape: tuple[int, int, int], slabs: np.ndarray, n_neurons: int, want_inputs: bool) -> None:
        n_sounds, _, n_inputs = shape
        self.shape = (n_inputs, n_neurons)
        self.sounds_in_chunk = max(1, -(-n_sounds // CHUNKS))
        n_chunks = -(-n_sounds // self.sounds_in_chunk)
        self.chunks = room(n_chunks, slabs.shape[0], n_inputs, LANES)
        self.transposed = self.inputs = ABSENT
        if want_inputs:
            self.transposed = room(-(-n_inputs // LANES), n_neurons, LANES)
            kernels_weights.pack_transposed(slabs, self.transposed)
            self.inputs = room(*shape)

    def weights(self) -> np.ndarray:
        """Gradient of the weights [N, H]: the sum of its chunks."""
        total = np.empty(self.shape, dtype=np.float32)
        # Small sums are not worth a thread.
        rows = max(1, 2**18 // max(1, self.chunks[:, :, 0].size))
        over_sounds(kernels_weights.add_chunks, self.shape[0], self.chunks, total, chunk=rows)
        return total
