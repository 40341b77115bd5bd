"""A head: what reaches the two ears from a distant source in the horizontal plane, for every azimuth.

    h(t; azimuth) = a(t - tau(azimuth); azimuth)      for each ear

a is the response from its onset on, tau is when it begins. Between measured directions each is interpolated linearly
and by itself, periodically in azimuth; so the interaural time difference moves evenly from one measured value to the
next, and a response keeps its one beginning. Everything is done on spectra, where a delay of any size is exact and
another sample rate is only another set of frequencies.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np

from spikeloc.errors import UserError
from spikeloc.heads.alignment import LEAD, align
from spikeloc.heads.equalisation import equalise

__all__ = ["Head"]

LONGEST = 8e-3  # seconds of a response after its onset that are kept; a free-field response of a head is shorter
EQUALISED = 6e-3  # seconds of a response that has been equalised
MAX_GAP = math.radians(31)  # between directions: interpolation over more would be invention
ROOM = 24  # samples, at the rate asked for, before the earliest response: what band limits spread ahead of it
TAPER = 0.85  # of the highest frequency that two sample rates share: from there on a response fades out
ITD_CUTOFF = 2000.0  # Hz: above it the ear does not follow the fine structure
ITD_ORDER = 4  # of the Butterworth low-pass
ITD_RANGE = 1.5e-3  # seconds either side that are searched
ITD_OVERSAMPLING = 8


@dataclass(frozen=True, eq=False)
class Head:
    """Impulse responses of two ears for sources in the horizontal plane.

    name          what it is called
    sample_rate   of the responses                                            [Hz]
    azimuths      directions, positive on the right, in (-pi, pi], ascending  [D] rad float64
    responses     with their delays taken out: onset at sample ``LEAD``       [D, 2, taps] float32, left ear first
    delays        of the onsets; the earliest is zero                         [D, 2] s float64
    citation      what to cite when the head is used
    """

    name: str
    sample_rate: float
    azimuths: np.ndarray
    responses: np.ndarray
    delays: np.ndarray
    citation: str = ""
    _spectra: dict[float, tuple[int, int, np.ndarray, np.ndarray]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        gaps = np.diff(self.azimuths, append=self.azimuths[:1] + 2 * math.pi)
        if len(gaps) < 3 or gaps.min() <= 0 or gaps.max() > MAX_GAP:
            raise UserError(
                f"head {self.name!r} has {len(self.azimuths)} horizontal directions with gaps up to "
                f"{math.degrees(gaps.max()) if len(gaps) else 360:.3g} deg; it needs a full circle of different "
                f"directions, at most {math.degrees(MAX_GAP):.0f} deg apart; use a head measured all around"
            )
        for name in ("azimuths", "responses", "delays"):
            array = getattr(self, name).copy()
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def of_responses(
        cls, name: str, sample_rate: float, azimuths: np.ndarray, responses: np.ndarray, citation: str = ""
    ) -> Head:
        """A head of measured responses [D, 2, any], left ear first, whose common start time has no meaning.

        azimuths    radians, positive on the right, in any order and any turn    [D]
        """
        wrapped = np.angle(np.exp(1j * np.asarray(azimuths, dtype=np.float64)))
        wrapped = np.where(wrapped < -math.pi + 1e-9, math.pi, wrapped)
        order = np.argsort(wrapped)
        taps = LEAD + min(responses.shape[-1], math.ceil(LONGEST * sample_rate))
        aligned, start = align(np.asarray(responses, dtype=np.float64)[order], taps)
        return cls(name, sample_rate, wrapped[order], aligned, (start - start.min()) / sample_rate, citation)

    def impulse_responses(self, azimuth: np.ndarray | float, sample_rate: float) -> np.ndarray:
        """Responses at a sample rate, left ear first: azimuth [n] rad -> [n, 2, taps] float32.

        All start late by one constant, :meth:`latency`, that leaves room for what band limits spread ahead.
        """
        taps, length, spectra, frequencies = self._at(float(sample_rate))
        left, right, part = self._neighbours(np.atleast_1d(np.asarray(azimuth, dtype=np.float64)))
        weight = part.astype(np.float32)[:, None, None]
        spectrum = spectra[left] * (1 - weight) + spectra[right] * weight
        delay = self.delays[left] * (1 - part)[:, None] + self.delays[right] * part[:, None]
        turns = delay.astype(np.float32)[..., None] * frequencies
        spectrum *= np.exp(np.complex64(-2j * math.pi) * turns)
        return np.fft.irfft(spectrum, length)[..., :taps]

    def latency(self, sample_rate: float) -> int:
        """Samples by which the earliest response's onset is late in :meth:`impulse_responses`, for any azimuth."""
        return ROOM + round(LEAD * sample_rate / self.sample_rate)

    def longest(self, sample_rate: float) -> int:
        """Taps of :meth:`impulse_responses` at a sample rate."""
        return self._at(float(sample_rate))[0]

    def onset_delays(self, azimuth: np.ndarray | float) -> np.ndarray:
        """When the responses begin: azimuth [n] rad -> [n, 2] s, left ear first, from the earliest of all."""
        left, right, part = self._neighbours(np.atleast_1d(np.asarray(azimuth, dtype=np.float64)))
        return self.delays[left] * (1 - part)[:, None] + self.delays[right] * part[:, None]

    def itd(self, azimuth: np.ndarray | float) -> np.ndarray:
        """Interaural time difference, positive when the right ear leads: azimuth [n] rad -> [n] s float64.

        The lag of the greatest cross-correlation of the two responses, each low-passed (zero phase, amplitude
        1 / (1 + (f / 2 kHz)^8)), refined by a parabola through the three highest points.
        """
        pairs = self.impulse_responses(azimuth, self.sample_rate).astype(np.float64)
        length = 2 * pairs.shape[-1]
        spectrum = np.fft.rfft(pairs, length)
        low = 1 / (1 + (np.fft.rfftfreq(length, 1 / self.sample_rate) / ITD_CUTOFF) ** (2 * ITD_ORDER))
        cross = spectrum[:, 0] * spectrum[:, 1].conj() * low**2
        fine = np.fft.irfft(cross, length * ITD_OVERSAMPLING)
        reach = min(math.ceil(ITD_RANGE * self.sample_rate * ITD_OVERSAMPLING), fine.shape[-1] // 2 - 1)
        lags = np.arange(-reach, reach + 1)
        near = fine[:, lags]
        top = np.clip(near.argmax(axis=-1), 1, len(lags) - 2)
        below, at, above = (np.take_along_axis(near, (top + step)[:, None], 1)[:, 0] for step in (-1, 0, 1))
        curve = below - 2 * at + above
        vertex = np.where(curve < 0, (below - above) / (2 * np.where(curve < 0, curve, -1)), 0.0)
        return (lags[top] + vertex) / (self.sample_rate * ITD_OVERSAMPLING)

    def itd_table(self) -> np.ndarray:
        """Interaural time difference of every measured direction, [D] s."""
        return self.itd(self.azimuths)

    def equalised(self) -> Head:
        """The head without what all its directions share: loudspeaker, microphone and the ear canal's resonance.

            H'(f; azimuth) = H(f; azimuth) / C(f)    |C(f)|^2 = mean of |H|^2 over directions and ears, C minimum phase

        So a diffuse sound field reaches the ears with the level it has without the head, and heads measured in
        different rooms with different gear become alike. Differences between the ears stay as they were. The gain of
        1 / C is kept within 30 dB of its median, and constant below 80 Hz and above 0.85 of half the sample rate.
        """
        responses = equalise(self.responses, self.sample_rate, EQUALISED)
        return dataclasses.replace(self, name=f"{self.name}, equalised", responses=responses)

    def scaled(self, factor: float) -> Head:
        """A head ``factor`` times as big: its responses stretched in time, their gain kept, for factors 0.5 to 2.

        h'(t) = h(t / factor) / factor, since the sound field around a rigid body scales with its size.
        """
        if not 0.5 <= factor <= 2:
            raise UserError(f"the scale of a head is {factor}; choose a factor between 0.5 and 2")
        return dataclasses.replace(
            self,
            name=f"{self.name} x {factor:.4g}",
            sample_rate=self.sample_rate / factor,
            delays=self.delays * factor,
        )

    def mirrored(self) -> Head:
        """The same head with left and right exchanged."""
        azimuths = np.where(self.azimuths > math.pi - 1e-9, math.pi, -self.azimuths)
        order = np.argsort(azimuths)
        return dataclasses.replace(
            self,
            name=f"{self.name}, mirrored",
            azimuths=azimuths[order],
            responses=self.responses[order, ::-1].copy(),
            delays=self.delays[order, ::-1].copy(),
        )

    def _neighbours(self, azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directions to either side of azimuths [n], and how far each is on its way from the first to the second."""
        count = len(self.azimuths)
        first = self.azimuths[0]
        turned = first + np.mod(azimuth - first, 2 * math.pi)
        left = np.clip(np.searchsorted(self.azimuths, turned, side="right") - 1, 0, count - 1)
        right = (left + 1) % count
        start = self.azimuths[left]
        gap = np.mod(self.azimuths[right] - start, 2 * math.pi)
        return left, right, np.clip((turned - start) / gap, 0, 1)

    def _at(self, sample_rate: float) -> tuple[int, int, np.ndarray, np.ndarray]:
        """Taps, length of the Fourier series, spectra [D, 2, F] complex64 and frequencies [F] Hz at a sample rate."""
        if sample_rate not in self._spectra:
            if not 1000 <= sample_rate <= 1e6:
                raise UserError(f"the sample rate is {sample_rate} Hz; choose one between 1 kHz and 1 MHz")
            seconds = self.responses.shape[-1] / self.sample_rate + self.delays.max()
            taps = math.ceil(seconds * sample_rate) + 2 * ROOM
            length = 2 ** math.ceil(math.log2(taps + ROOM))
            frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
            samples = np.arange(self.responses.shape[-1]) / self.sample_rate + ROOM / sample_rate
            turns = 2 * math.pi * samples[:, None] * frequencies
            # Two real products are several times as fast as a complex one.
            spectra = self.responses @ np.cos(turns).astype(np.float32) + 0j
            spectra.imag = self.responses @ -np.sin(turns).astype(np.float32)
            if sample_rate != self.sample_rate:
                spectra *= _fade(frequencies, min(sample_rate, self.sample_rate) / 2)
            entry = (taps, length, spectra.astype(np.complex64), frequencies.astype(np.float32))
            self._spectra[sample_rate] = entry
        return self._spectra[sample_rate]


def _fade(frequencies: np.ndarray, end: float) -> np.ndarray:
    """1 up to 0.85 of a frequency, then a squared quarter of a cosine, 0 from it on."""
    part = np.clip((frequencies / end - TAPER) / (1 - TAPER), 0, 1)
    return np.cos(np.pi / 2 * part) ** 2
