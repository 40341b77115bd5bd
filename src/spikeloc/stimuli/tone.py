"""A tone that reaches both ears with an interaural phase difference, as the spikes of auditory-nerve fibres."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from spikeloc import randomness
from spikeloc.angles import HALF_CIRCLE
from spikeloc.errors import UserError
from spikeloc.settings import Angle, Frequency, Rate, Settings, Time
from spikeloc.stimuli.fibres import Fibres
from spikeloc.stimuli.rate_law import RateLaw
from spikeloc.stimuli.sounds import Sounds
from spikeloc.stimuli.thinning import draw_spikes
from spikeloc.units import Hz, ms, write_quantity

__all__ = ["ToneStimulus"]

MAX_FIBRES_PER_EAR = 32_768  # two ears' indices fit 16 bits
MAX_STEPS = 10_000_000


@lru_cache(maxsize=64)
def _delays(n: int, is_reversed: bool) -> tuple[np.ndarray, np.ndarray]:
    left = np.linspace(0, math.pi / 2, n)
    right = left[::-1].copy() if is_reversed else left
    for delays in (left, right):
        delays.flags.writeable = False  # everyone gets the same
    return left, right


class ToneStimulus(Settings):
    """Two ears hear one tone; the angle is its interaural phase difference (IPD).

        theta_t = 2 pi f t dt + phase + delay_j          left ear
        theta_t = 2 pi f t dt + phase + delay_j + IPD    right ear: a positive IPD means that the right ear leads
        rate    = rate_max ((1 + sin theta) / 2)^envelope_power
        P(spike in the bin) = min(1, rate dt)            independent in every bin of every fibre

    The delays delay_j are spread evenly from 0 to 90 deg over the fibres of an ear. Were the seed's ``input_signal``
    and ``random_ipd_input_signal``.
    """

    kind: Literal["tone"] = "tone"
    frequency: Frequency = Field(20 * Hz, gt=0)
    """Frequency of the tone."""
    duration: Time = Field(100 * ms, gt=0)
    """Length of each sound."""
    dt: Time = Field(1 * ms, gt=0)
    """Time step."""
    fibres_per_ear: int = Field(100, ge=1, le=MAX_FIBRES_PER_EAR)
    """Auditory-nerve fibres of each ear."""
    rate_max: Rate = Field(1000 * Hz, ge=0)
    """Firing rate at the peak of the tone."""
    envelope_power: float = Field(4, ge=0, le=1000)
    """Sharpness of the rate's peak."""
    right_delays: Literal["reversed", "equal"] = "reversed"
    """Delays of the right ear's fibres: the left ear's backwards, or the same."""
    phase: Literal["per_sound", "per_dataset", "fixed"] = "per_sound"
    """Phase of the tone at its start: drawn for each sound, once for each stream of sounds, or zero."""
    rate: Literal["bin_start", "bin_integral"] = "bin_start"
    """Expected spikes in a bin: dt times the rate at the bin's start, or the rate's integral over the bin."""
    max_ipd: Angle = Field(HALF_CIRCLE, gt=0, le=math.pi)
    """IPDs are drawn evenly between minus this and this."""

    @model_validator(mode="after")
    def _check(self) -> ToneStimulus:
        steps = self.duration / self.dt
        if not 0.5 < steps <= MAX_STEPS:
            raise UserError(
                f"duration {write_quantity(self.duration, 'time')} is {steps:.3g} time steps of "
                f"{write_quantity(self.dt, 'time')}; choose between 1 and {MAX_STEPS} steps"
            )
        self.rate_law  # noqa: B018  (refuses a rate whose integral is not known)
        return self

    @property
    def limit(self) -> float:
        """Angles lie between minus this and this, radians."""
        return self.max_ipd

    @property
    def n_steps(self) -> int:
        """Time steps of a sound."""
        return round(self.duration / self.dt)

    @property
    def n_fibres(self) -> int:
        """Fibres of both ears."""
        return 2 * self.fibres_per_ear

    @property
    def step_angle(self) -> float:
        """Phase of the tone that passes in one time step, in radians."""
        return 2 * math.pi * self.frequency * self.dt

    @property
    def rate_law(self) -> RateLaw:
        """Spike probability as a function of the phase."""
        return RateLaw(self.rate_max * self.dt, self.envelope_power, self.rate, self.step_angle)

    @property
    def fibre_delays(self) -> tuple[np.ndarray, np.ndarray]:
        """Phase delays of the left and of the right ear's fibres, radians, each [fibres_per_ear]."""
        return _delays(self.fibres_per_ear, self.right_delays == "reversed")

    @property
    def fibres(self) -> Fibres:
        """What the fibres are tuned to: all to the tone, with delays of their own."""
        ones = np.ones(self.n_fibres)
        ear = np.repeat([0, 1], self.fibres_per_ear)
        # A fibre's delay is added to the phase: it answers early.
        phase = -np.concatenate(self.fibre_delays)
        return Fibres(ear, self.frequency * ones, phase, self.max_ipd * ones, ones)

    def draw(
        self,
        n: int | None = None,
        *,
        seed: int,
        stream: str = "test",
        first: int = 0,
        indices: np.ndarray | None = None,
        angle: np.ndarray | None = None,
    ) -> Sounds:
        """Draw the sounds ``first`` to ``first + n`` of a stream, or those with the given indices.

        Sound i of a stream of a seed is the same sound however it is asked for. With ``angle`` [n], radians, the sounds
        come from there instead of from angles of their own. Raises UserError unless n >= 0.
        """
        indices = randomness.indices_of(n, first, indices)
        own_angle, phase = self.draw_angles(indices, seed=seed, stream=stream)
        angle = (
            own_angle if angle is None else np.broadcast_to(np.asarray(angle, dtype=np.float64), own_angle.shape).copy()
        )
        keys = randomness.sound_keys(seed, stream, indices)
        left, right = self.fibre_delays
        events = draw_spikes(keys, phase, phase + angle, left, right, self.n_steps, self.rate_law)
        return Sounds(torch.from_numpy(angle), events)

    def draw_angles(self, indices: np.ndarray, *, seed: int, stream: str) -> tuple[np.ndarray, np.ndarray]:
        """The IPDs and the starting phases of sounds of a stream, radians, float64."""
        angle = self.max_ipd * (2 * randomness.uniform(seed, stream, indices, "angle") - 1)
        match self.phase:
            case "per_sound":
                phase = 2 * math.pi * randomness.uniform(seed, stream, indices, "phase")
            case "per_dataset":
                common = randomness.uniform(seed, stream, np.zeros(1, np.int64), "phase of the data set")
                phase = np.full(len(indices), 2 * math.pi * common[0])
            case "fixed":
                phase = np.zeros(len(indices))
        return angle, phase

    def spike_probability(self, angle: Tensor, phase: Tensor) -> Tensor:
        """Probability of a spike in every bin, float64: angle [batch], phase [batch] -> batch, time, fibre."""
        left, right = (torch.tensor(delay) for delay in self.fibre_delays)
        offset = torch.cat([left.expand(len(angle), -1), right + angle[:, None].double()], dim=1)
        time = self.step_angle * torch.arange(self.n_steps, dtype=torch.float64)
        theta = time[None, :, None] + (phase[:, None].double() + offset)[:, None, :]
        return torch.from_numpy(self.rate_law.probability(theta.numpy()))

    def caveats(self) -> list[str]:
        """What a user may not expect of this stimulus, a sentence each."""
        found = []
        peak = self.rate_law.peak_probability
        if peak > 1 + 1e-9:
            found.append(
                f"the spike probability reaches {peak:.3g} and is clipped to 1: the fibres fire less than rate_max "
                f"says; use a shorter dt or a lower rate_max"
            )
        cycles = self.frequency * self.n_steps * self.dt
        if abs(cycles - round(cycles)) > 1e-6:
            found.append(
                f"a sound lasts {cycles:.4g} cycles, not a whole number: mean firing rates then depend on the phases, "
                f"so a network can tell the angle from rates alone"
            )
        # ((1 + cos x) / 2)^k is close to exp(-k x^2 / 4): a peak of standard deviation sqrt(2 / k).
        width = math.sqrt(2 / self.envelope_power) if self.envelope_power > 0 else math.inf
        if self.step_angle > width:
            found.append(
                f"one time step spans {math.degrees(self.step_angle):.3g} deg of the tone, more than the width of the "
                f"rate's peak ({math.degrees(width):.3g} deg): dt undersamples the phase; use a shorter dt"
            )
        return found
