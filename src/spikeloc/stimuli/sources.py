"""Sounds before they meet a head: one channel, unit RMS, a function of a 64-bit key.

Every source is made at the sample rate that is asked for, lasts as long as asked, begins and ends in raised-cosine
ramps, and has an RMS of 1; its level is set when it is rendered (:mod:`spikeloc.stimuli.rendering`).
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from spikeloc.audio import read_audio, resample, shipped_sounds
from spikeloc.errors import UserError
from spikeloc.settings import Frequency, Level, Settings, Time
from spikeloc.stimuli import waveforms
from spikeloc.units import Hz, kHz, ms

__all__ = ["SourceKind", "SourceSettings", "excerpt", "generator", "ramped", "read_source"]

SourceKind = Literal[
    "white noise",
    "pink noise",
    "band noise",
    "modulated noise",
    "tone",
    "harmonic tones",
    "speech-like",
    "clicks",
    "files",
]

SILENCE = -20.0  # dB of an excerpt relative to its file: less is silence
ATTEMPTS = 8  # at finding an excerpt that is not
KIND, SIGNAL, TILT = 1, 2, 3  # what random numbers of a key are for: no two uses share any


class SourceSettings(Settings):
    """Which sounds a source makes. Each sound's kind is drawn evenly from the list; name one twice for more of it."""

    kinds: tuple[SourceKind, ...] = Field(
        ("speech-like", "speech-like", "white noise", "pink noise", "band noise", "modulated noise", "harmonic tones"),
        min_length=1,
    )
    """Kinds of sound to draw from."""
    lowest: Frequency = Field(200 * Hz, gt=0)
    """Lowest frequency of a tone, and lowest centre of a band of noise."""
    highest: Frequency = Field(4 * kHz, gt=0)
    """Highest frequency of a tone, and highest centre of a band of noise."""
    tilt: tuple[Level, Level] = (0.0, 0.0)
    """Range that each sound's spectral tilt above 400 Hz is drawn from, in dB per octave, low then high."""
    ramp: Time = Field(10 * ms, ge=0)
    """Length of the raised-cosine ramps at both ends."""
    files: tuple[str, ...] = ()
    """Sound files to take excerpts from, for the kind "files"; "speech-1" and "speech-2" are shipped."""

    @model_validator(mode="after")
    def _check(self) -> SourceSettings:
        if self.lowest > self.highest:
            raise UserError(f"lowest {self.lowest:g} Hz is above highest {self.highest:g} Hz; exchange them")
        if self.tilt[0] > self.tilt[1]:
            raise UserError(f"tilt goes from {self.tilt[0]:g} dB to {self.tilt[1]:g} dB; give the lower one first")
        if "files" in self.kinds and not self.files:
            raise UserError(
                "kinds names 'files', but files names none; list sound files in files, or leave 'files' out"
            )
        return self

    def kind_of(self, key: int) -> SourceKind:
        """The kind of sound that a key stands for."""
        return self.kinds[int(generator(key, KIND).integers(len(self.kinds)))]

    def draw(self, key: int, sample_rate: float, duration: float, kind: SourceKind | None = None) -> np.ndarray:
        """The sound of a 64-bit key, of RMS 1: [duration x sample_rate] float32.

        sample_rate, duration    in Hz and seconds
        kind                     instead of the one that the key stands for
        """
        count = round(duration * sample_rate)
        if count < 1:
            raise UserError(f"a sound of {duration:g} s at {sample_rate:g} Hz has no samples; choose a longer one")
        kind = self.kind_of(key) if kind is None else kind
        rng = generator(key, SIGNAL)
        band = (self.lowest, min(self.highest, 0.45 * sample_rate))
        match kind:
            case "white noise":
                signal = waveforms.white_noise(rng, count)
            case "pink noise":
                signal = waveforms.pink_noise(rng, count, sample_rate)
            case "band noise":
                signal = waveforms.band_noise(rng, count, sample_rate, *band)
            case "modulated noise":
                signal = waveforms.modulated_noise(rng, count, sample_rate)
            case "tone":
                signal = waveforms.tone(rng, count, sample_rate, *band)
            case "harmonic tones":
                signal = waveforms.harmonic_tones(rng, count, sample_rate)
            case "speech-like":
                signal = waveforms.speech_like(rng, count, sample_rate)
            case "clicks":
                signal = waveforms.clicks(rng, count, sample_rate)
            case "files":
                path = self.files[int(rng.integers(len(self.files)))]
                signal = excerpt(rng, read_source(path, sample_rate), count)
        if self.tilt != (0, 0):
            slope = generator(key, TILT).uniform(*self.tilt)
            signal = waveforms.tilted(signal, sample_rate, slope)
        return ramped(signal, round(self.ramp * sample_rate))


def generator(key: int, purpose: int) -> np.random.Generator:
    """Random numbers of a 64-bit key for one purpose: counter-based, independent of any other key and purpose.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
    """
    words = np.array([int(key) & 0xFFFFFFFFFFFFFFFF, purpose], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=words))


def ramped(signal: np.ndarray, ramp: int) -> np.ndarray:
    """A signal with raised-cosine ramps of ``ramp`` samples at both ends (at most half its length), scaled to RMS 1."""
    signal = np.asarray(signal, dtype=np.float32).copy()
    ramp = min(ramp, len(signal) // 2)
    if ramp > 0:
        rise = (0.5 - 0.5 * np.cos(math.pi * (np.arange(ramp) + 0.5) / ramp)).astype(np.float32)
        signal[:ramp] *= rise
        signal[-ramp:] *= rise[::-1]
    power = float(np.dot(signal, signal)) / len(signal)
    return signal / np.float32(math.sqrt(power)) if power > 0 else signal


@lru_cache(maxsize=64)
def read_source(path: str | Path, sample_rate: float) -> np.ndarray:
    """A sound file as one channel (the mean of its own) at a sample rate: [n] float32, not to be written to.

    path    of the file, or the name of a shipped sound
    """
    shipped = shipped_sounds().get(str(path))
    recording = read_audio(path if shipped is None else shipped.path)
    mono = resample(recording.samples.mean(axis=1), recording.sample_rate, sample_rate)
    if not np.any(mono):
        raise UserError(f"{path} is silent throughout; choose a sound file with sound in it")
    mono.setflags(write=False)
    return mono


def excerpt(rng: np.random.Generator, recording: np.ndarray, count: int) -> np.ndarray:
    """``count`` samples of a recording [n] from a random start where it is not silent; a shorter one stands in zeros.

    Not silent means within 20 dB of the recording's mean power. Of 8 starts the first that is not silent is taken, or
    else the loudest.
    """
    if len(recording) <= count:
        signal = np.zeros(count, dtype=np.float32)
        start = int(rng.integers(count - len(recording) + 1))
        signal[start : start + len(recording)] = recording
        return signal
    least = float(np.mean(np.square(recording, dtype=np.float64))) * 10 ** (SILENCE / 10)
    best, best_power = recording[:count], -1.0
    for start in rng.integers(len(recording) - count + 1, size=ATTEMPTS):
        part = recording[start : start + count]
        power = float(np.mean(np.square(part, dtype=np.float64)))
        if power >= least:
            return part.copy()
        if power > best_power:
            best, best_power = part, power
    return best.copy()
