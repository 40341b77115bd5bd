"""The settings of a recipe's network: its layers, its neurons, and what it begins with."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from spikeloc.errors import UserError
from spikeloc.initial_weights import Detectors, InitialWeights
from spikeloc.neurons import LIF, Surrogate
from spikeloc.neurons.models import Reset
from spikeloc.neurons.surrogate import SurrogateName
from spikeloc.settings import Settings, Time
from spikeloc.units import ms

__all__ = ["EngineName", "NetworkSettings", "Output"]

Output = Literal["mean", "max", "count"]
EngineName = Literal["fused", "reference"]
PositiveTime = Annotated[Time, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]
LayerSize = Annotated[int, Field(ge=1, le=65_536)]


def _as_tuple(sizes: object) -> object:
    return (sizes,) if isinstance(sizes, int) else sizes


class NetworkSettings(Settings):
    """The network of a recipe."""

    hidden: Annotated[tuple[LayerSize, ...], BeforeValidator(_as_tuple)] = (30,)
    """Spiking neurons in each hidden layer; empty for a membrane-only network."""
    tau: PositiveTime | tuple[PositiveTime, ...] = 20 * ms
    """Membrane time constant of the hidden neurons: one for all layers, or a list with one for each."""
    output_tau: PositiveTime = 20 * ms
    """Membrane time constant of the output neurons."""
    reset: Reset = "zero"
    """What a spike does to the membrane: to zero, or less the threshold; the late ones replicate old notebooks."""
    reset_gradient: bool = True
    """Whether the gradient also flows through the reset."""
    floor: float | None = Field(None, le=0)
    """Lowest membrane potential of spiking neurons (threshold = 1); left out, there is none."""
    surrogate: SurrogateName = "superspike"
    """Shape of the surrogate gradient."""
    slope: float = Field(100.0, gt=0)
    """Steepness of the surrogate gradient."""
    initial_weights: InitialWeights = "fan_in"
    """`fan_in`: uniform in +-gain/sqrt(inputs); `fan_out` (the seed's slip): /sqrt(outputs); `coincidence`: the first
    layer compares the ears, each neuron around a frequency and a phase difference of its own."""
    weight_gain: float = Field(1.0, gt=0)
    """Factor on the initial weights; not used with `threshold_shares`."""
    gain_spread: float = Field(1.0, ge=1)
    """With `coincidence`, neurons differ in gain by up to this factor below `weight_gain`; not used with
    `threshold_shares`."""
    threshold_shares: tuple[Share, Share] | None = None
    """With `coincidence`, in place of the gain: a neuron's threshold is a share, drawn between these two, of what its
    excitatory inputs give when all of them spike at once. Training that begins with `pursuit` finds thresholds anew."""
    levels: int = Field(1, ge=1, le=1024)
    """With `threshold_shares` and one hidden layer, its neurons begin in groups of so many that share their weights but
    for a factor: thresholds evenly spaced, so that how many of a group spike says how large their input is. Least
    squares reads a group of more than 8 as a polygon of that."""
    harmonics: int = Field(1, ge=1, le=16)
    """With `coincidence`, initial weights are sums of so many harmonics over the fibres' phase, in random phases."""
    by_channel: bool = False
    """Each neuron of the first hidden layer listens to the fibres of one frequency only, of both ears, and as many
    neurons to each frequency: fewer weights, and a cost that does not grow with the number of frequencies."""
    layer_steps: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = ()
    """How many time steps of the stimulus a step of each hidden layer takes, beginning with 1, each a multiple of the
    one before; left out, 1. Slow layers, which need not look as often, cost less."""
    tonic: bool = False
    """Neurons of the second and of further hidden layers also receive a constant current, each its own."""
    output_tonic: bool = False
    """Behind a hidden layer, the output neurons also receive a constant current, each its own."""
    engine: EngineName = "fused"
    """`fused`: compiled loops for the CPU that follow the spikes; `reference`: plain PyTorch, any device."""

    @model_validator(mode="after")
    def _check(self) -> NetworkSettings:
        if isinstance(self.tau, tuple) and len(self.tau) != len(self.hidden):
            raise UserError(f"tau lists {len(self.tau)} time constants for {len(self.hidden)} hidden layers")
        steps = self.layer_steps
        if steps and (len(steps) != len(self.hidden) or steps[0] != 1 or any(b % a for a, b in pairwise(steps))):
            raise UserError(
                f"layer_steps is {list(steps)} for {len(self.hidden)} hidden layers; give a number for each, beginning "
                f"with 1, each a multiple of the one before"
            )
        if self.levels > 1:
            self._check_levels()
        if self.by_channel and not self.hidden:
            raise UserError("by_channel is about the first hidden layer, but there is none; give hidden a size")
        return self

    def _check_levels(self) -> None:
        fits = len(self.hidden) == 1 and self.initial_weights == "coincidence" and not self.by_channel
        if not fits or self.threshold_shares is None:
            raise UserError(
                f"levels is {self.levels}, which needs one hidden layer, initial_weights = 'coincidence', "
                f"threshold_shares and by_channel = false"
            )
        if self.hidden[0] % self.levels:
            raise UserError(
                f"levels is {self.levels}, but {self.hidden[0]} hidden neurons cannot be divided into groups of that "
                f"size; choose a multiple"
            )

    def detectors(self) -> Detectors:
        """What the coincidence detectors of the first hidden layer are like."""
        return Detectors(self.weight_gain, self.gain_spread, self.threshold_shares, self.levels, self.harmonics)

    def neurons(self) -> list[LIF]:
        """The neuron of each hidden layer."""
        taus = self.tau if isinstance(self.tau, tuple) else (self.tau,) * len(self.hidden)
        return [self._neuron(tau) for tau in taus]

    def steps(self) -> tuple[int, ...]:
        """How many time steps of the stimulus a step of each hidden layer takes."""
        return self.layer_steps or (1,) * len(self.hidden)

    def output_neuron(self) -> LIF:
        """The spiking output neuron, for the readout that counts output spikes."""
        return self._neuron(self.output_tau)

    def _neuron(self, tau: float) -> LIF:
        floor = -math.inf if self.floor is None else self.floor
        return LIF(tau, self.reset, Surrogate(self.surrogate, self.slope), self.reset_gradient, floor)
