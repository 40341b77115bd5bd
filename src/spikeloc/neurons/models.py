"""Neuron models: what a neuron is, apart from how an engine computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from spikeloc.neurons.surrogate import Surrogate

__all__ = ["LIF", "RESETS", "Reset", "decay"]

Reset = Literal["zero", "subtract", "late_zero", "late_subtract"]
RESETS: tuple[Reset, ...] = get_args(Reset)


def decay(tau: float, dt: float) -> float:
    """What a leaky membrane keeps over one time step: a = exp(-dt / tau), both in seconds."""
    return math.exp(-dt / tau)


@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire neurons with delta synapses and threshold 1.

        v_t = a v_{t-1} (1 - s_{t-1}) + i_t      s_t = H(v_t - 1)      H(0) = 0      a = exp(-dt / tau)

    `tau` is the membrane time constant in seconds. `reset` is one of

    zero            as above
    subtract        v_t = a (v_{t-1} - s_{t-1}) + i_t
    late_zero       v_t = (a v_{t-1} + i_t) (1 - s_{t-2})
    late_subtract   v_t = a v_{t-1} + i_t - s_{t-2}

    The late resets act two steps after the crossing, so spikes come in pairs. They are there to replicate published
    notebooks (github.com/comob-project/snn-sound-localization), which were trained with them by accident.

    With `reset_gradient` the gradient also flows through s in the reset; without it, s there counts as a constant.

    `floor` is the lowest potential: v_t = max(floor, the above), as if inhibition could not pull a membrane below its
    reversal potential. No gradient flows through a membrane on the floor. With subtraction, a long time constant and
    the floor at rest, a neuron's spike count is the rectified integral of its input, to within one spike.
    """

    tau: float
    reset: Reset = "zero"
    surrogate: Surrogate = field(default_factory=Surrogate)
    reset_gradient: bool = True
    floor: float = -math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tau) and self.tau > 0):
            raise ValueError(f"tau is {self.tau} s; a membrane time constant must be positive")
        if self.reset not in RESETS:
            raise ValueError(f"reset is {self.reset!r}; choose one of {', '.join(RESETS)}")
        if math.isnan(self.floor) or self.floor > 0:
            raise ValueError(f"floor is {self.floor}; the lowest potential must be at rest, 0, or below")
