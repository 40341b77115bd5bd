"""The fused engine: layers as compiled loops that follow the spikes, on the CPU, in float32.

It computes what :mod:`spikeloc.neurons.reference` computes, with the same functions, equal spikes, and gradients that
are equal within rounding:

- its input is a list of events (a tensor is compressed first), so that a step costs what its spikes cost;
- a layer is one autograd function: currents, membranes, resets, surrogate and sums over time stay in the nearest
  cache, forwards and backwards, and only what was asked for is written out;
- threads share the sounds. Gradients of weights are summed in chunks of sounds that do not depend on the number of
  threads, and neither does the result.

What it cannot compute it refuses: other devices, other number types, spikes that are not whole numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikeloc.compiled import over_sounds
from spikeloc.compiled.lanes import LANES
from spikeloc.neurons import kernels_events, kernels_lif, kernels_trace, kernels_weights
from spikeloc.neurons.kernels_memory import room
from spikeloc.neurons.kernels_surrogate import SURROGATE_CODES
from spikeloc.neurons.layer import LayerOutput
from spikeloc.neurons.models import LIF, decay
from spikeloc.spikes import MAX_NEURONS, SpikeEvents

__all__ = ["leaky_trace", "lif_layer", "weighted_counts"]

CHUNKS = 8
"""Sums over sounds are made of at most so many partial sums."""
KEPT_BYTES = 64 * 2**20
"""Membranes are kept for the way back up to this size, and computed again beyond it."""

_ABSENT = np.empty((0, 0, 0), dtype=np.float32)
_NOT_KEPT = torch.empty((0, 0, 0, 0, 0))


def lif_layer(
    spikes: Tensor | SpikeEvents,
    weights: Tensor,
    neuron: LIF,
    dt: float,
    *,
    time_weights: Tensor | None = None,
    want_spikes: bool = False,
    want_membrane: bool = False,
    bin_steps: int = 1,
) -> LayerOutput:
    """Run a layer of neurons over whole spike trains; see :func:`spikeloc.neurons.reference.lif_layer`.

    Raises ValueError for what this engine does not compute.
    """
    _check_weights(weights)
    events, source = _events(spikes, weights.shape[0])
    call = _Call(
        events,
        neuron,
        np.float32(decay(neuron.tau, dt)),
        _time_weights(time_weights, events.n_steps),
        want_spikes,
        want_membrane,
        bin_steps,
        torch.is_grad_enabled(),
    )
    train, membrane, *sums = _Layer.apply(source, weights, call)  # type: ignore[no-untyped-call]
    return LayerOutput(tuple(sums), train, membrane)


def weighted_counts(spikes: Tensor | SpikeEvents, time_weights: Tensor) -> Tensor:
    """Sum of each input's spikes under each weighting of time; see the reference engine."""
    events, source = _events(spikes, spikes.shape[-1])
    _time_weights(time_weights, events.n_steps)
    return _Counts.apply(source, time_weights.contiguous(), events)  # type: ignore[no-untyped-call]


def leaky_trace(spikes: Tensor | SpikeEvents, weights: Tensor, tau: float, dt: float) -> Tensor:
    """Potential of non-spiking leaky integrators over time; see the reference engine."""
    _check_weights(weights)
    events, source = _events(spikes, weights.shape[0])
    return _Trace.apply(source, weights, events, decay(tau, dt))  # type: ignore[no-untyped-call]


class _Call(NamedTuple):
    """What a layer is asked for; ``time_weights`` [K, T] has K = 0 if no sums are."""

    events: SpikeEvents
    neuron: LIF
    decay: np.float32
    time_weights: np.ndarray
    want_spikes: bool
    want_membrane: bool
    bin_steps: int
    recording: bool


class _Layer(torch.autograd.Function):
    """Spikes (or None, if they need no gradient), weights -> spikes, membrane, sums one by one."""

    @staticmethod
    def forward(ctx: Any, _source: Tensor | None, weights: Tensor, call: _Call) -> tuple[Tensor | None, ...]:
        events, n_neurons = call.events, weights.shape[1]
        shape = (events.n_sounds, events.n_steps, n_neurons)
        slabs = _slabs(weights)
        kept = _NOT_KEPT
        if call.recording and any(ctx.needs_input_grad):
            kept = room(*_kept_shape(events, slabs.shape[0]))
        sums = np.empty((call.time_weights.shape[0], events.n_sounds, n_neurons), dtype=np.float32)
        n_bins = -(-events.n_steps // call.bin_steps)
        train = room(events.n_sounds, n_bins, n_neurons) if call.want_spikes else None
        membrane = room(*shape) if call.want_membrane else None
        over_sounds(
            kernels_lif.run, events.n_sounds, events.index, events.start, slabs.numpy(), call.decay,
            kernels_lif.RESET_CODES[call.neuron.reset], np.float32(call.neuron.floor), call.time_weights,
            kept.numpy(), sums, _array(train), call.bin_steps, _array(membrane), n_neurons,
        )  # fmt: skip
        ctx.call, ctx.n_neurons = call, n_neurons
        ctx.save_for_backward(slabs, kept)
        ctx.set_materialize_grads(False)
        if membrane is not None:
            ctx.mark_non_differentiable(membrane)
        return train, membrane, *map(torch.from_numpy, sums)

    @staticmethod
    def backward(ctx: Any, g_train: Tensor | None, _: None, *g_sums: Tensor | None) -> tuple[Tensor | None, ...]:
        _check_order()
        call, n_neurons = ctx.call, ctx.n_neurons
        events, neuron = call.events, call.neuron
        slabs, kept = ctx.saved_tensors
        time_weights, g_totals = _arriving(g_sums, call.time_weights, (events.n_sounds, n_neurons))
        gradients = _Gradients(events, slabs, n_neurons, ctx.needs_input_grad[0])
        over_sounds(
            kernels_lif.run_back, events.n_sounds, events.index, events.start, slabs.numpy(), gradients.transposed,
            call.decay, kernels_lif.RESET_CODES[neuron.reset], np.float32(neuron.floor), neuron.reset_gradient,
            SURROGATE_CODES[neuron.surrogate.name], np.float32(neuron.surrogate.slope), time_weights, kept.numpy(),
            g_totals, _array(g_train), call.bin_steps, gradients.sounds_in_chunk, gradients.chunks,
            _array(gradients.inputs), n_neurons, chunk=gradients.sounds_in_chunk,
        )  # fmt: skip
        return gradients.inputs, gradients.weights(), None


def _arriving(
    g_sums: tuple[Tensor | None, ...], time_weights: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Of the sums that have a gradient, the time weights [K, T] and the gradients [K, B, H]."""
    arrived = [k for k, g in enumerate(g_sums) if g is not None]
    if len(arrived) == 1:  # as in training
        (k,) = arrived
        return time_weights[k : k + 1], _array(g_sums[k])[np.newaxis]
    gradients = np.empty((len(arrived), *shape), dtype=np.float32)
    for place, k in enumerate(arrived):
        gradients[place] = _array(g_sums[k])
    return time_weights[arrived], gradients


class _Trace(torch.autograd.Function):
    """Spikes (or None, if they need no gradient), weights -> potentials."""

    @staticmethod
    def forward(ctx: Any, _source: Tensor | None, weights: Tensor, events: SpikeEvents, a: float) -> Tensor:
        slabs = _slabs(weights)
        ctx.events, ctx.n_neurons = events, weights.shape[1]
        ctx.filter = np.float32(a), np.float32(1 - a)
        ctx.save_for_backward(slabs)
        out = room(events.n_sounds, events.n_steps, ctx.n_neurons)
        over_sounds(
            kernels_trace.trace, events.n_sounds, events.index, events.start, slabs.numpy(), *ctx.filter, out.numpy()
        )
        return out

    @staticmethod
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        _check_order()
        events = ctx.events
        gradients = _Gradients(events, ctx.saved_tensors[0], ctx.n_neurons, ctx.needs_input_grad[0])
        over_sounds(
            kernels_trace.trace_back, events.n_sounds, events.index, events.start, gradients.transposed, *ctx.filter,
            _array(g_out), gradients.sounds_in_chunk, gradients.chunks, _array(gradients.inputs),
            chunk=gradients.sounds_in_chunk,
        )  # fmt: skip
        return gradients.inputs, gradients.weights(), None, None


class _Counts(torch.autograd.Function):
    """Spikes (or None, if they need no gradient) -> weighted counts."""

    @staticmethod
    def forward(ctx: Any, _source: Tensor | None, time_weights: Tensor, events: SpikeEvents) -> Tensor:
        ctx.save_for_backward(time_weights)
        counts = torch.empty(events.n_sounds, len(time_weights), events.n_neurons)
        over_sounds(
            kernels_events.add_weighted_counts, events.n_sounds, events.index, events.start, time_weights.numpy(),
            counts.numpy(),
        )  # fmt: skip
        return counts

    @staticmethod
    def backward(ctx: Any, g_counts: Tensor) -> tuple[Tensor, None, None]:
        _check_order()
        return ctx.saved_tensors[0].t() @ g_counts, None, None


class _Gradients:
    """Room for the gradients of weights and, if wanted, of inputs, on the way back through one layer."""

    def __init__(self, events: SpikeEvents, slabs: Tensor, n_neurons: int, want_inputs: bool) -> None:
        self.shape = (events.n_neurons, n_neurons)
        self.sounds_in_chunk = _sounds_in_chunk(events)
        n_chunks = -(-events.n_sounds // self.sounds_in_chunk)
        self.chunks = room(n_chunks, slabs.shape[0], events.n_neurons, LANES).numpy()
        self.transposed = _ABSENT
        self.inputs: Tensor | None = None
        if want_inputs:
            self.transposed = torch.empty(-(-events.n_neurons // LANES), n_neurons, LANES).numpy()
            kernels_weights.pack_transposed(slabs.numpy(), self.transposed)
            self.inputs = room(*events.shape)

    def weights(self) -> Tensor:
        """Gradient of the weights [N, H]: the sum of its chunks."""
        total = torch.empty(self.shape)
        # Small sums are not worth a thread.
        rows = max(1, 2**18 // max(1, self.chunks[:, :, 0].size))
        over_sounds(kernels_weights.add_chunks, self.shape[0], self.chunks, total.numpy(), chunk=rows)
        return total


def _slabs(weights: Tensor) -> Tensor:
    n_inputs, n_neurons = weights.shape
    slabs = torch.empty(-(-n_neurons // LANES), n_inputs + 1, LANES)
    kernels_weights.pack(weights.detach().contiguous().numpy(), slabs.numpy())
    return slabs


def _kept_shape(events: SpikeEvents, n_blocks: int) -> tuple[int, ...]:
    """How membranes are kept for the way back; see :mod:`spikeloc.neurons.kernels_lif`."""
    every_step = (events.n_sounds, 1, n_blocks, 2 + events.n_steps, LANES)
    if 4 * math.prod(every_step) <= KEPT_BYTES:
        return every_step
    return events.n_sounds, -(-events.n_steps // kernels_lif.SEGMENT), n_blocks, 2, LANES


def _sounds_in_chunk(events: SpikeEvents) -> int:
    return max(1, -(-events.n_sounds // CHUNKS))


def _array(tensor: Tensor | None) -> np.ndarray:
    return _ABSENT if tensor is None else tensor.contiguous().numpy()


def _check_order() -> None:
    # On the way back, gradients are recorded only where a second derivative is to follow.
    if torch.is_grad_enabled():
        raise RuntimeError("the fused engine computes no second derivatives (create_graph); the reference engine does")


def _check_weights(weights: Tensor) -> None:
    if not weights.is_cpu or weights.dtype != torch.float32 or weights.ndim != 2:
        raise ValueError(
            f"weights are {weights.dtype} of {weights.ndim} dimensions on {weights.device}; the fused engine computes "
            "with matrices of float32 on the CPU (the reference engine with any)"
        )


def _time_weights(time_weights: Tensor | None, n_steps: int) -> np.ndarray:
    if time_weights is None:
        return np.empty((0, n_steps), dtype=np.float32)
    if time_weights.requires_grad or not time_weights.is_cpu or time_weights.dtype != torch.float32:
        raise ValueError("time weights must be float32 on the CPU, without gradient, for the fused engine")
    if time_weights.ndim != 2 or time_weights.shape[1] != n_steps:
        raise ValueError(f"time weights have the shape {tuple(time_weights.shape)}; expected [sums, {n_steps}]")
    # A copy: what happens to the tensor before the way back must not matter.
    return time_weights.numpy().copy()


def _events(spikes: Tensor | SpikeEvents, n_inputs: int) -> tuple[SpikeEvents, Tensor | None]:
    """The events of spikes, and, if it needs a gradient, the tensor that they came from."""
    if len(spikes.shape) != 3 or spikes.shape[1] < 1 or spikes.shape[2] != n_inputs:
        raise ValueError(f"spikes have the shape {tuple(spikes.shape)}; expected [sounds, steps >= 1, {n_inputs}]")
    if isinstance(spikes, SpikeEvents):
        return spikes, None
    source = spikes.to(torch.float32) if spikes.requires_grad and torch.is_grad_enabled() else None
    return _compress(spikes.detach()), source


def _compress(spikes: Tensor) -> SpikeEvents:
    """List the spikes of a tensor, axes batch, time, neuron; two spikes of a neuron in one step are listed twice."""
    n_sounds, n_steps, n_neurons = spikes.shape
    if not spikes.is_cpu:
        raise ValueError(
            f"spikes are on {spikes.device}; the fused engine computes on the CPU (the reference anywhere)"
        )
    if n_neurons > MAX_NEURONS:
        raise ValueError(f"spikes have {n_neurons} neurons; at most {MAX_NEURONS} can be indexed")
    dense = spikes.contiguous()
    if spikes.dtype == torch.bool:
        dense = dense.view(torch.uint8)
    elif spikes.dtype != torch.float32:
        # Compared before it is rounded to float32: 1 + 1e-9 is not a spike.
        exact = spikes.to(torch.float64)
        dense = torch.where(exact == exact.round(), exact, torch.nan).to(torch.float32).contiguous()
    n_rows = n_sounds * n_steps
    bits = np.empty((n_rows, -(-n_neurons // LANES)), dtype=np.uint32)
    start = np.zeros(n_rows + 1, dtype=np.int64)
    binary = np.ones(n_sounds, dtype=np.bool_)
    rows = dense.numpy().reshape(n_rows, n_neurons)
    over_sounds(kernels_events.mark_events, n_sounds, n_steps, rows, bits, start[1:], binary)
    if not binary.all():
        return _compress_counts(rows, n_sounds, n_steps)
    np.cumsum(start, out=start)
    index = np.empty(int(start[-1]), dtype=np.uint16)
    over_sounds(kernels_events.list_events, n_sounds, n_steps, bits, start, index)
    return SpikeEvents(index, start, n_sounds, n_steps, n_neurons)


def _compress_counts(rows: np.ndarray, n_sounds: int, n_steps: int) -> SpikeEvents:
    """The same for numbers of spikes, rows [sounds * T, N]."""
    start = np.zeros(len(rows) + 1, dtype=np.int64)
    whole = np.ones(n_sounds, dtype=np.bool_)
    over_sounds(kernels_events.count_events, n_sounds, n_steps, rows, start[1:], whole)
    if not whole.all():
        raise ValueError(
            f"spikes hold numbers other than 0 to {kernels_events.MOST} in whole steps, which only the reference "
            f"engine computes"
        )
    np.cumsum(start, out=start)
    index = np.empty(int(start[-1]), dtype=np.uint16)
    over_sounds(kernels_events.repeat_events, n_sounds, n_steps, rows, start, index)
    return SpikeEvents(index, start, n_sounds, n_steps, rows.shape[1])
