"""The network: spikes of the fibres -> activity of the output neurons.

    fibres -> [hidden LIF layer] * n -> output neurons (leaky, or spiking where the readout counts spikes)

``hidden = []`` is the seed's membrane-only network. All weights are plain matrices, no biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from spikeloc.errors import UserError
from spikeloc.initial_weights import coincidence_weights, uniform_weights
from spikeloc.network_settings import EngineName, NetworkSettings, Output
from spikeloc.neurons import LIF, fused, reference
from spikeloc.neurons.layer import LayerOutput
from spikeloc.neurons.models import decay
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import Fibres

__all__ = ["Activity", "EngineName", "Network", "NetworkSettings", "Output", "sums_over_time"]


class Engine(Protocol):
    """What an engine computes; :mod:`spikeloc.neurons.reference` documents and defines each function."""

    def lif_layer(
        self,
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
    ) -> LayerOutput: ...

    def weighted_counts(self, spikes: Tensor | SpikeEvents, time_weights: Tensor) -> Tensor: ...

    def leaky_trace(self, spikes: Tensor | SpikeEvents, weights: Tensor, tau: float, dt: float) -> Tensor: ...


ENGINES: dict[EngineName, Engine] = {"fused": fused, "reference": reference}


@dataclass(frozen=True)
class Activity:
    """What a network did with a batch: B sounds, T time steps, K output neurons.

    output     mean or maximum of the output potential, or spikes counted   [B, K]
    counts     spikes of every neuron of each spiking layer                 one [B, H] for each layer
    duration   of a sound, seconds
    means      what each input of the output neurons adds to their mean potential per unit of weight, if that is read
                                                                            [B, inputs]
    trace      output potential over time, if recorded                      [B, T, K]
    hidden     spikes and membranes of each hidden layer, if recorded, in its own steps       one LayerOutput for each
    """

    output: Tensor
    counts: tuple[Tensor, ...] = ()
    duration: float = 1.0
    means: Tensor | None = None
    trace: Tensor | None = None
    hidden: tuple[LayerOutput, ...] = ()

    @property
    def rates(self) -> tuple[Tensor, ...]:
        """Mean firing rate of every neuron of each spiking layer, Hz: one [H] for each layer."""
        return tuple(counts.mean(dim=0) / self.duration for counts in self.counts)


class Network(nn.Module):
    """Spikes -> activity, under the settings of a recipe. Was the seed's ``snn``.

    n_inputs, n_outputs   number of fibres and of output neurons
    dt                    time step in seconds
    generator             draws the initial weights
    fibres                what the fibres are tuned to, for initial weights that make use of it
    """

    def __init__(
        self,
        settings: NetworkSettings,
        n_inputs: int,
        n_outputs: int,
        dt: float,
        *,
        generator: torch.Generator,
        fibres: Fibres | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.dt = dt
        self.n_inputs = n_inputs
        self.neurons, self.steps = settings.neurons(), settings.steps()
        self.channels = _channels(settings, fibres) if settings.by_channel else None
        sizes = [n_inputs, *settings.hidden, n_outputs]
        self.weights = nn.ParameterList(
            nn.Parameter(self._initial(depth, n_in, n_out, generator, fibres))
            for depth, (n_in, n_out) in enumerate(pairwise(sizes))
        )

    def _initial(
        self, depth: int, n_in: int, n_out: int, generator: torch.Generator, fibres: Fibres | None
    ) -> torch.Tensor:
        if depth == 0 and self.channels is not None:
            size = n_out // len(self.channels)
            parts = [None if fibres is None else fibres.some(channel) for channel in self.channels]
            return torch.stack([self._matrix(0, self.channels.shape[1], size, generator, part) for part in parts])
        weights = self._matrix(depth, n_in, n_out, generator, fibres)
        return torch.cat([weights, torch.zeros(1, n_out)]) if self._has_tonic(depth) else weights

    def _matrix(
        self, depth: int, n_in: int, n_out: int, generator: torch.Generator, fibres: Fibres | None
    ) -> torch.Tensor:
        kind, gain = self.settings.initial_weights, self.settings.weight_gain
        if kind == "coincidence":
            if depth == len(self.settings.hidden):
                return torch.zeros(n_in, n_out)
            if depth == 0:
                return coincidence_weights(fibres, n_out, self.settings.detectors(), generator)
        return uniform_weights(n_in, n_out, n_out if kind == "fan_out" else n_in, gain, generator)

    def matrix(self, depth: int) -> Tensor:
        """The weights of a layer's inputs, [inputs, neurons], zeros where none is connected; without gradient."""
        weights = self.weights[depth].detach()
        if self._has_tonic(depth):
            return weights[:-1]
        if depth > 0 or self.channels is None:
            return weights
        n_channels, n_in, n_out = weights.shape
        whole = weights.new_zeros(n_channels * n_in, n_channels, n_out)
        for place, channel in enumerate(self.channels):
            whole[channel, place] = weights[place]
        return whole.flatten(1)

    def forward(self, spikes: Tensor | SpikeEvents, output: Output = "mean", *, record: bool = False) -> Activity:
        """Run the network; ``record`` keeps output traces, hidden spikes and membranes."""
        # Asked one by one, the list would look each up by its name.
        weights = tuple(self.weights.parameters())
        n_steps = self.checked_steps(spikes)
        engine = ENGINES[self.settings.engine]
        x: Tensor | SpikeEvents = spikes
        counts, layers = [], []
        for depth, neuron in enumerate(self.neurons):
            last = depth + 1 == len(self.neurons)
            bin_steps = 1 if last else self.steps[depth + 1] // self.steps[depth]
            layer = self._layer(
                engine,
                x,
                weights[depth],
                depth,
                neuron,
                time_weights=self._sums(x.shape[1], self.steps[depth], weights[depth]),
                want_spikes=record or not last or output != "mean",
                want_membrane=record,
                bin_steps=1 if record else bin_steps,
                # In bins of several steps, most neurons spike in most bins.
                dense=depth > 0 and self.steps[depth] > self.steps[depth - 1],
            )
            counts.append(layer.sums[0])
            layers.append(layer)
            if layer.spikes is not None:
                x = reference.binned(layer.spikes, bin_steps) if record else layer.spikes
        return self._output(engine, x, weights[-1], layers, counts, n_steps, output, record)

    def checked_steps(self, spikes: Tensor | SpikeEvents) -> int:
        """Time steps of the spikes. Raises UserError unless there are some, of as many fibres as the network has."""
        n_steps, n_fibres = spikes.shape[1:]
        if n_steps < 1 or n_fibres != self.n_inputs:
            raise UserError(
                f"the spikes have {n_steps} time steps of {n_fibres} fibres; "
                f"this network expects at least one step of {self.n_inputs} fibres"
            )
        return int(n_steps)

    def _layer(
        self, engine: Engine, x: Tensor | SpikeEvents, weights: Tensor, depth: int, neuron: LIF, **wanted: Any
    ) -> LayerOutput:
        dt = self.dt * self.steps[depth]
        if self._has_tonic(depth):
            x = _with_tonic(x)
        if depth > 0 or self.channels is None:
            return engine.lif_layer(x, weights, neuron, dt, **wanted)
        each: Sequence[Tensor | SpikeEvents]
        each = x.split(self.channels) if isinstance(x, SpikeEvents) else [x[..., channel] for channel in self.channels]
        return joined(
            [engine.lif_layer(part, own, neuron, dt, **wanted) for part, own in zip(each, weights, strict=True)]
        )

    def _has_tonic(self, depth: int) -> bool:
        """Whether a layer's last weights are of its constant current, per step, and not of an input."""
        if depth == len(self.settings.hidden):
            return self.settings.output_tonic and depth > 0
        return self.settings.tonic and depth > 0

    def _sums(self, n_steps: int, layer_steps: int, like: Tensor) -> Tensor:
        """The two sums over time of a layer's spikes, in steps of its own."""
        return sums_over_time(n_steps, self.settings.output_tau, self.dt * layer_steps, like.dtype, like.device)

    def _output(
        self,
        engine: Engine,
        x: Tensor | SpikeEvents,
        weights: Tensor,
        layers: list[LayerOutput],
        counts: list[Tensor],
        n_steps: int,
        output: Output,
        record: bool,
    ) -> Activity:
        slow = self.steps[-1] if layers else 1
        dt, time_weights = self.dt * slow, self._sums(x.shape[1], slow, weights)
        trace = means = None
        tonic = self._has_tonic(len(self.neurons))
        if tonic and (record or output != "mean"):
            x = _with_tonic(x)
        if record or output == "max":
            trace = engine.leaky_trace(x, weights, self.settings.output_tau, dt)
        if output == "count":
            neuron = self.settings.output_neuron()
            layer = engine.lif_layer(x, weights, neuron, dt, time_weights=time_weights)
            scores = layer.sums[0]
            counts = [*counts, scores]
        elif output == "max":
            assert trace is not None
            scores = trace.max(dim=1).values
        else:
            means = layers[-1].sums[1] if layers else engine.weighted_counts(x, time_weights)[:, 1]
            if tonic:
                means = torch.cat([means, time_weights[1].sum().expand(len(means), 1)], dim=1)
            scores = means @ weights
        if trace is not None and slow > 1:
            trace = trace.repeat_interleave(slow, dim=1)[:, :n_steps]
        recorded = (trace, tuple(layers)) if record else (None, ())
        return Activity(scores, tuple(counts), n_steps * self.dt, means, *recorded)


def _with_tonic(x: Tensor | SpikeEvents) -> Tensor:
    """The spikes of a layer and, as its last input, one that spikes in every step."""
    assert isinstance(x, Tensor)
    return torch.cat([x, x.new_ones(*x.shape[:2], 1)], dim=-1)


def joined(parts: Sequence[LayerOutput]) -> LayerOutput:
    """Layers side by side, as one."""

    def beside(tensors: Sequence[Tensor | None]) -> Tensor | None:
        given = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(given, dim=-1) if given else None

    sums = tuple(torch.cat(each, dim=-1) for each in zip(*(part.sums for part in parts), strict=True))
    return LayerOutput(sums, beside([part.spikes for part in parts]), beside([part.membrane for part in parts]))


def _channels(settings: NetworkSettings, fibres: Fibres | None) -> np.ndarray:
    """The fibres of each channel, [channels, fibres]."""
    if fibres is None:
        raise UserError("network.by_channel needs to know what the fibres are tuned to")
    channels = fibres.channels()
    if settings.hidden[0] % len(channels) or len({len(channel) for channel in channels}) > 1:
        raise UserError(
            f"network.by_channel divides the first hidden layer's {settings.hidden[0]} neurons among "
            f"{len(channels)} channels; choose a multiple of that"
        )
    return np.stack(channels)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def sums_over_time(n_steps: int, tau: float, dt: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Weights of the two sums over time that stand for whole traces, [2, time]; not to be changed in place.

    The spike count, and the mean potential of a leaky integrator.
    """
    both = torch.stack([torch.ones(n_steps), mean_potential_weights(n_steps, tau, dt)])
    return both.to(dtype=dtype, device=device)


def mean_potential_weights(n_steps: int, tau: float, dt: float) -> Tensor:
    """How much an input at each step adds to a leaky integrator's mean potential, float64, [time].

    u_t = a u_{t-1} + (1 - a) i_t has the time-mean  sum_t c_t i_t,  c_t = (1 - a^(T - t)) / T  (geometric series).
    """
    a = decay(tau, dt)
    remaining = torch.arange(n_steps, 0, -1, dtype=torch.float64)
    return (1 - a**remaining) / n_steps
