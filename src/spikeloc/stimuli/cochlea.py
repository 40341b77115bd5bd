"""The cochlea: sound pressure at the two eardrums -> firing probabilities of auditory-nerve fibres.

    gammatone filter   z = x * g,  g(t) = t^3 exp(-2 pi b t) exp(2 pi i f t),  b = 1.019 ERB(f)
    hair cell          h = 4 max(0, cos arg z)^2, then twice  u' = 2 pi f_lock (h - u):  locking fades above f_lock
    synapse            s = sqrt|z|,  rate = spontaneous + (rate_max - spontaneous) u s / (s + s_half)

The filter is a cascade of four complex one-pole filters; its real part is the gammatone, its magnitude the envelope
(the shape is that of Patterson et al. 1992). Compression and saturation act on the envelope, as in the ear, where they
come before the hair cell and adapt to the level: so the rate saturates at high levels, while spikes stay locked to the
phase. u has the mean 1 for a tone.

A channel has several fibres, which differ in their internal delay, spread evenly from zero to the longest, and in their
kind: sensitive ones, and ones that saturate at higher levels. Both ears have the same fibres.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from spikeloc.compiled.lanes import LANES
from spikeloc.errors import UserError
from spikeloc.settings import Frequency, Level, Rate, Settings, Time
from spikeloc.units import Hz, kHz, ms, write_quantity

__all__ = ["CochleaDesign", "CochleaSettings", "centre_frequencies", "design", "erb"]

PEAK_PRESSURE = 20e-6 * math.sqrt(2)  # pascals: amplitude of a tone of 0 dB SPL
BANDWIDTH = 1.019  # of a gammatone filter of fourth order, in units of the equivalent rectangular bandwidth
PER_EAR_NEURONS = 32_768  # two ears' indices fit 16 bits


class CochleaSettings(Settings):
    """The cochlea of both ears."""

    channels: int = Field(32, ge=1, le=256)
    """Gammatone filters of each ear, evenly spaced on the ERB scale."""
    lowest: Frequency = Field(100 * Hz, gt=0)
    """Centre frequency of the lowest filter."""
    highest: Frequency = Field(8 * kHz, gt=0)
    """Centre frequency of the highest filter."""
    fibres_per_channel: int = Field(10, ge=1, le=1024)
    """Auditory-nerve fibres of each filter of each ear."""
    longest_delay: Time = Field(0.9 * ms, ge=0)
    """Internal delays are spread evenly from zero to this over the fibres of a channel."""
    rate_max: Rate = Field(250 * Hz, gt=0)
    """Rate that loud sounds saturate at."""
    spontaneous: tuple[Annotated[Rate, Field(ge=0)], ...] = (20 * Hz, 1 * Hz)
    """Rate in silence of each kind of fibre; the kinds take turns along a channel's fibres."""
    half_level: tuple[Level, ...] = (40.0, 65.0)
    """Level of a tone at a filter's centre that drives each kind of fibre half way to saturation."""
    phase_locking: Frequency = Field(2 * kHz, gt=0)
    """Corner of the two low-pass filters of the hair cell."""
    refractory: Time = Field(0 * ms, ge=0)
    """A fibre stays silent for this long after a spike."""
    dt: Time = Field(0.1 * ms, gt=0)
    """Time step of the spikes."""
    oversampling: int = Field(2, ge=1, le=64)
    """Samples of sound in a time step."""

    @model_validator(mode="after")
    def _check(self) -> CochleaSettings:
        if self.highest < self.lowest or (self.highest == self.lowest and self.channels > 1):
            raise UserError(
                f"highest {write_quantity(self.highest, 'frequency')} is not above "
                f"lowest {write_quantity(self.lowest, 'frequency')}; choose a higher one, or a single channel of both"
            )
        if self.highest > 0.45 * self.sample_rate:
            raise UserError(
                f"highest {write_quantity(self.highest, 'frequency')} does not fit a sample rate of "
                f"{write_quantity(self.sample_rate, 'frequency')}; choose a shorter dt or more oversampling"
            )
        if not self.spontaneous or len(self.spontaneous) != len(self.half_level):
            raise UserError(
                f"spontaneous lists {len(self.spontaneous)} kinds of fibre and half_level {len(self.half_level)}; "
                f"give each kind one of both"
            )
        if max(self.spontaneous) > self.rate_max or self.rate_max * self.dt > 0.25:
            raise UserError(
                f"rate_max {write_quantity(self.rate_max, 'rate')} must be at least every spontaneous rate, and at "
                f"most a quarter of a spike in a time step of {write_quantity(self.dt, 'time')}"
            )
        if self.channels * self.fibres_per_channel > PER_EAR_NEURONS:
            raise UserError(
                f"{self.channels} channels of {self.fibres_per_channel} fibres are more than {PER_EAR_NEURONS} "
                f"at each ear; choose fewer"
            )
        return self

    @property
    def sample_rate(self) -> float:
        """Samples of sound a second."""
        return self.oversampling / self.dt

    @property
    def n_fibres(self) -> int:
        """Fibres of both ears: left ear first, channel by channel from the lowest, by delay within a channel."""
        return 2 * self.channels * self.fibres_per_channel

    @property
    def delay_steps(self) -> np.ndarray:
        """Internal delay of each fibre of a channel, in time steps: int64 [fibres_per_channel]."""
        return np.rint(np.linspace(0, self.longest_delay / self.dt, self.fibres_per_channel)).astype(np.int64)

    @property
    def centre_frequencies(self) -> np.ndarray:
        """Centre frequencies of the filters, hertz [channels]."""
        return centre_frequencies(self.channels, self.lowest, self.highest)


def erb(frequency: np.ndarray) -> np.ndarray:
    """Equivalent rectangular bandwidth at a frequency, hertz: 24.7 (1 + 4.37 f / kHz) (Glasberg & Moore 1990)."""
    return 24.7 * (1 + 4.37e-3 * np.asarray(frequency))


def centre_frequencies(n: int, lowest: float, highest: float) -> np.ndarray:
    """n frequencies evenly spaced on the ERB scale, whose number is proportional to ln(1 + 4.37 f / kHz): hertz [n]."""
    low, high = np.log1p(4.37e-3 * np.array([lowest, highest]))
    return np.expm1(np.linspace(low, high, n)) / 4.37e-3


class CochleaDesign(NamedTuple):
    """The numbers that the compiled loops need, float32; channels of both ears side by side, padded to ``width``.

    n_both             channels of both ears, 2C
    pole_re, pole_im   pole of the complex one-pole filters                                     [width]
    gain               makes the gain 1 at the centre frequency                                 [width]
    smoothing          of the hair cell's low-pass filters
    half               s_half of each kind of fibre, pascal^(1/2)                               [kinds]
    spontaneous        expected spontaneous spikes in a time step                               [kinds, width]
    span               what a sound can add to them                                             [kinds, width]
    """

    n_both: int
    pole_re: np.ndarray
    pole_im: np.ndarray
    gain: np.ndarray
    smoothing: np.float32
    half: np.ndarray
    spontaneous: np.ndarray
    span: np.ndarray


@lru_cache(maxsize=8)
def design(settings: CochleaSettings) -> CochleaDesign:
    """The numbers of a cochlea."""
    fs, f = settings.sample_rate, np.tile(settings.centre_frequencies, 2)
    padding = (0, -len(f) % LANES)
    radius = np.exp(-2 * np.pi * BANDWIDTH * erb(f) / fs)
    pole = radius * np.exp(2j * np.pi * f / fs)
    # A tone is half a positive and half a negative frequency, of which only the first passes.
    gain = 2 * (1 - radius) ** 4
    smoothing = 1 - math.exp(-2 * math.pi * settings.phase_locking / fs)
    amplitude = PEAK_PRESSURE * 10 ** (np.array(settings.half_level) / 20)
    silent = np.array(settings.spontaneous)[:, None] * np.ones(len(f))
    pole_re, pole_im, gain = (np.pad(values, padding).astype(np.float32) for values in (pole.real, pole.imag, gain))
    spontaneous, span = (
        np.pad(rate * settings.dt, ((0, 0), padding)).astype(np.float32)
        for rate in (silent, settings.rate_max - silent)
    )
    half = np.sqrt(amplitude).astype(np.float32)
    return CochleaDesign(len(f), pole_re, pole_im, gain, np.float32(smoothing), half, spontaneous, span)
