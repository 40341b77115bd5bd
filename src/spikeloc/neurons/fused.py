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

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeloc.compiled import over_sounds
from spikeloc.neurons import kernels_events, kernels_trace
from spikeloc.neurons.compress import compress
from spikeloc.neurons.fused_layer import (
    ABSENT,
    DenseSpikes,
    Gradients,
    Layer,
    kept_room,
    layer_back,
    layer_forward,
    slabs_of,
)
from spikeloc.neurons.kernels_memory import room
from spikeloc.neurons.layer import LayerOutput
from spikeloc.neurons.models import LIF, decay
from spikeloc.spikes import SpikeEvents

__all__ = ["leaky_trace", "lif_layer", "weighted_counts"]

_NOT_KEPT = np.empty((0, 0, 0, 0, 0), dtype=np.float32)


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
    dense: bool = False,
) -> LayerOutput:
    """Run a layer of neurons over whole spike trains; see :func:`spikeloc.neurons.reference.lif_layer`.

    Raises ValueError for what this engine does not compute.
    """
    _check_weights(weights)
    given: SpikeEvents | DenseSpikes
    given, source = (_dense if dense else _events)(spikes, weights.shape[0])
    layer = Layer(
        neuron,
        np.float32(decay(neuron.tau, dt)),
        _time_weights(time_weights, given.shape[1]),
        want_spikes,
        want_membrane,
        bin_steps,
    )
    recording = torch.is_grad_enabled()
    train, membrane, *sums = _Layer.apply(source, weights, given, layer, recording)  # type: ignore[no-untyped-call]
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


class _Layer(torch.autograd.Function):
    """Spikes (or None, if they need no gradient), weights -> spikes, membrane, sums one by one."""

    @staticmethod
    def forward(
        ctx: Any,
        source: Tensor | None,
        weights: Tensor,
        spikes: SpikeEvents | DenseSpikes,
        layer: Layer,
        recording: bool,
    ) -> tuple[Tensor | None, ...]:
        slabs, kept = slabs_of(weights.detach().numpy()), _NOT_KEPT
        if recording and any(ctx.needs_input_grad):
            kept = kept_room(spikes, slabs.shape[0])
        sums, train, membrane = layer_forward(layer, spikes, slabs, kept, weights.shape[1])
        ctx.spikes, ctx.layer, ctx.n_neurons = spikes, layer, weights.shape[1]
        # What was not copied into a list is read again on the way back, if nobody changes it meanwhile.
        read_again = source if isinstance(spikes, DenseSpikes) else None
        ctx.save_for_backward(torch.from_numpy(slabs), torch.from_numpy(kept), read_again)
        ctx.set_materialize_grads(False)
        shown = torch.from_numpy(membrane) if layer.want_membrane else None
        if shown is not None:
            ctx.mark_non_differentiable(shown)
        return torch.from_numpy(train) if layer.want_spikes else None, shown, *map(torch.from_numpy, sums)

    @staticmethod
    def backward(ctx: Any, g_train: Tensor | None, _: None, *g_sums: Tensor | None) -> tuple[Tensor | None, ...]:
        _check_order()
        spikes, layer, want_inputs = ctx.spikes, ctx.layer, ctx.needs_input_grad[0]
        slabs, kept = (saved.numpy() for saved in ctx.saved_tensors[:2])
        time_weights, g_totals = _arriving(g_sums, layer.time_weights, (spikes.shape[0], ctx.n_neurons))
        arrived = layer._replace(time_weights=time_weights)
        g_weights, g_inputs = layer_back(arrived, spikes, slabs, kept, g_totals, _array(g_train), want_inputs)
        return torch.from_numpy(g_inputs) if want_inputs else None, torch.from_numpy(g_weights), None, None, None


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
        slabs = slabs_of(weights.detach().numpy())
        ctx.events, ctx.n_neurons = events, weights.shape[1]
        ctx.filter = np.float32(a), np.float32(1 - a)
        ctx.save_for_backward(torch.from_numpy(slabs))
        out = room(events.n_sounds, events.n_steps, ctx.n_neurons)
        over_sounds(kernels_trace.trace, events.n_sounds, events.index, events.start, slabs, *ctx.filter, out)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        _check_order()
        events, want_inputs = ctx.events, ctx.needs_input_grad[0]
        gradients = Gradients(events.shape, ctx.saved_tensors[0].numpy(), ctx.n_neurons, want_inputs)
        over_sounds(
            kernels_trace.trace_back, events.n_sounds, events.index, events.start, gradients.transposed, *ctx.filter,
            _array(g_out), gradients.sounds_in_chunk, gradients.chunks, gradients.inputs,
            chunk=gradients.sounds_in_chunk,
        )  # fmt: skip
        inputs = torch.from_numpy(gradients.inputs) if want_inputs else None
        return inputs, torch.from_numpy(gradients.weights()), None, None


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


def _array(tensor: Tensor | None) -> np.ndarray:
    return ABSENT if tensor is None else tensor.contiguous().numpy()


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
    _check_shape(spikes, n_inputs)
    if isinstance(spikes, SpikeEvents):
        return spikes, None
    source = spikes.to(torch.float32) if spikes.requires_grad and torch.is_grad_enabled() else None
    return compress(spikes.detach()), source


def _dense(spikes: Tensor | SpikeEvents, n_inputs: int) -> tuple[DenseSpikes, Tensor]:
    """Spikes that are not to be listed, and the tensor that they are read from."""
    _check_shape(spikes, n_inputs)
    tensor = spikes.to_dense() if isinstance(spikes, SpikeEvents) else spikes
    if not tensor.is_cpu:
        raise ValueError(f"spikes are on {tensor.device}; the fused engine computes on the CPU")
    source = tensor.to(torch.float32).contiguous()
    return DenseSpikes(source.detach().numpy()), source


def _check_shape(spikes: Tensor | SpikeEvents, n_inputs: int) -> None:
    if len(spikes.shape) != 3 or spikes.shape[1] < 1 or spikes.shape[2] != n_inputs:
        raise ValueError(f"spikes have the shape {tuple(spikes.shape)}; expected [sounds, steps >= 1, {n_inputs}]")
