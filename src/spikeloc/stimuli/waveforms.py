"""Waveforms of sources: each a function of a random generator, a number of samples and a sample rate in Hz.

They are not scaled: :mod:`spikeloc.stimuli.sources` gives them ramps and unit RMS. Frequencies are drawn evenly on a
logarithmic scale. Signals of many harmonics are read from a table of one period, so that their cost does not grow with
the number of harmonics.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "band_noise",
    "clicks",
    "harmonic_tones",
    "modulated_noise",
    "pink_noise",
    "shaped_noise",
    "speech_like",
    "tilted",
    "tone",
    "white_noise",
]

SMOOTH = (1, 3, 5, 9, 15, 25, 27, 45, 75, 81, 125, 135, 225, 243)
TABLE = 4096  # points of one period
VOICES = (80.0, 320.0)  # Hz: fundamentals of speakers, low to high
SYLLABLES = (2.0, 8.0)  # per second
VOICED = 0.7  # of syllables; the others are fricatives
FORMANTS = ((300.0, 850.0), (850.0, 2400.0), (2300.0, 3200.0))  # Hz: ranges of the first three resonances of vowels
FRICATIVES = (2000.0, 7000.0)  # Hz: range of the centre of a fricative's noise
TILTED_FROM = 400.0  # Hz
LOWEST_PINK = 50.0  # Hz: below it pink noise is white


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low * (high / low) ** rng.random()


def fast_length(count: int) -> int:
    """A length from ``count`` on, at most 7 % longer, without prime factors above 5: its Fourier transform is fast."""
    return min(factor * 2 ** max(0, math.ceil(math.log2(count / factor))) for factor in SMOOTH)


def noise_spectrum(rng: np.random.Generator, length: int, channels: int = 1) -> np.ndarray:
    """Spectra of ``length`` independent normal samples without their mean: [channels, length / 2 + 1] complex64."""
    normal = rng.standard_normal((channels, length // 2 + 1, 2), dtype=np.float32)
    normal *= np.float32(math.sqrt(length / 2))
    spectrum = normal.view(np.complex64)[..., 0]
    spectrum[:, 0] = 0
    if length % 2 == 0:
        spectrum[:, -1] = math.sqrt(2) * spectrum[:, -1].real
    return spectrum


def white_noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Independent normal samples, [count] float32."""
    return rng.standard_normal(count, dtype=np.float32)


def shaped_noise(rng: np.random.Generator, count: int, magnitude: np.ndarray, length: int) -> np.ndarray:
    """Noise of a spectral magnitude at the length / 2 + 1 frequencies of ``length`` >= count samples, [count].

    It is periodic in ``length``: where that is hardly longer than ``count``, its two ends fit together.
    """
    spectrum = noise_spectrum(rng, length)[0]
    spectrum *= magnitude.astype(np.float32)
    return np.fft.irfft(spectrum, length)[:count]


def pink_noise(rng: np.random.Generator, count: int, sample_rate: float) -> np.ndarray:
    """Noise of equal power in every octave from 50 Hz on."""
    length = fast_length(count)
    frequency = np.fft.rfftfreq(length, 1 / sample_rate)
    return shaped_noise(rng, count, 1 / np.sqrt(np.maximum(frequency, LOWEST_PINK)), length)


def tilted(signal: np.ndarray, sample_rate: float, slope: float) -> np.ndarray:
    """A signal [n] whose spectrum rises by ``slope`` dB per octave above 400 Hz; its end fades into its beginning."""
    length = fast_length(len(signal))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(length, 1 / sample_rate), TILTED_FROM) / TILTED_FROM)
    gain = 10 ** (slope / 20 * octaves)
    return np.fft.irfft(np.fft.rfft(signal, length) * gain.astype(np.float32), length)[: len(signal)]


def band_noise(rng: np.random.Generator, count: int, sample_rate: float, lowest: float, highest: float) -> np.ndarray:
    """Noise in a band of a third of an octave to two octaves around a random centre, its edges a tenth of it wide."""
    centre = _log_uniform(rng, lowest, highest)
    half = 2 ** (_log_uniform(rng, 1 / 3, 2) / 2)
    low, high = centre / half, min(centre * half, 0.48 * sample_rate)
    length = fast_length(count)
    frequency = np.fft.rfftfreq(length, 1 / sample_rate)
    rise = np.clip((frequency - 0.95 * low) / (0.1 * low), 0, 1)
    fall = np.clip((1.05 * high - frequency) / (0.1 * high), 0, 1)
    return shaped_noise(rng, count, np.sqrt(rise * fall), length)


def modulated_noise(rng: np.random.Generator, count: int, sample_rate: float) -> np.ndarray:
    """Noise x (1 + m cos(2 pi f t + phase)): f from 4 to 128 Hz, depth m from 0.5 to 1."""
    rate, depth = _log_uniform(rng, 4, 128), 0.5 + 0.5 * rng.random()
    turns = rate / sample_rate * np.arange(count, dtype=np.float32) + np.float32(rng.random())
    return white_noise(rng, count) * (1 + np.float32(depth) * np.cos(np.float32(2 * math.pi) * turns))


def tone(rng: np.random.Generator, count: int, sample_rate: float, lowest: float, highest: float) -> np.ndarray:
    """A sine of a frequency between ``lowest`` and ``highest`` and a random phase."""
    frequency, phase = _log_uniform(rng, lowest, highest), rng.random()
    return np.sin(2 * math.pi * (frequency / sample_rate * np.arange(count) + phase)).astype(np.float32)


def clicks(rng: np.random.Generator, count: int, sample_rate: float) -> np.ndarray:
    """Single samples of 1 at a rate of 10 to 200 per second, the first within one period."""
    period = sample_rate / _log_uniform(rng, 10, 200)
    first = rng.random() * min(period, count)
    signal = np.zeros(count, dtype=np.float32)
    signal[np.arange(first, count, period).astype(np.int64)] = 1
    return signal


def harmonic_tones(rng: np.random.Generator, count: int, sample_rate: float) -> np.ndarray:
    """Harmonics of 60 to 600 Hz up to a random cut-off, falling 0 to 12 dB per octave, phases random or all alike."""
    fundamental = _log_uniform(rng, 60, 600)
    top = min(_log_uniform(rng, 1500, 10000), 0.45 * sample_rate)
    number = np.arange(1, max(2, math.floor(top / fundamental) + 1))
    amplitude = number ** -(rng.random() * 2)
    phase = rng.random(len(number)) * 2 * math.pi * (rng.random() < 0.5)
    turns = fundamental / sample_rate * np.arange(count) + rng.random()
    return _read(_period(amplitude, phase), turns)


def speech_like(rng: np.random.Generator, count: int, sample_rate: float) -> np.ndarray:
    """A stand-in for speech: syllables at 2 to 8 per second, voiced or fricative, with gaps between some.

    Voiced: harmonics of one speaker's fundamental (80 to 320 Hz, gliding by up to a fifth), falling 6 dB per octave and
    shaped by three resonances at random places; fricative: a band of noise above 2 kHz, weaker. Each syllable rises and
    falls as a squared sine.
    """
    speaker = _log_uniform(rng, *VOICES)
    signal = np.zeros(count, dtype=np.float32)
    start = -int(rng.random() * sample_rate / SYLLABLES[1])
    while start < count:
        size = max(2, int(sample_rate / _log_uniform(rng, *SYLLABLES)))
        make = _vowel if rng.random() < VOICED else _fricative
        syllable = make(rng, size, sample_rate, speaker)
        syllable *= np.sin(np.float32(math.pi / size) * np.arange(size, dtype=np.float32)) ** 2
        first, last = max(start, 0), min(start + size, count)
        signal[first:last] += syllable[first - start : last - start]
        start += int(size * (0.7 + 0.5 * rng.random()))
    return signal


def _vowel(rng: np.random.Generator, size: int, sample_rate: float, speaker: float) -> np.ndarray:
    begin, end = speaker * 1.2 ** (2 * rng.random(2) - 1)
    number = np.arange(1, max(2, int(0.45 * sample_rate / max(begin, end))))
    frequency = number * (begin + end) / 2
    gain = np.full(len(number), 0.02)
    for low, high in FORMANTS:
        centre = low + (high - low) * rng.random()
        width = 60 + 0.06 * centre
        gain += 1 / (1 + ((frequency - centre) / width) ** 2)
    table = _period(gain / number, 2 * math.pi * rng.random(len(number)))
    glide = begin + (end - begin) / (2 * size) * np.arange(size)  # its integral is the phase
    return _read(table, glide * np.arange(size) / sample_rate)


def _fricative(rng: np.random.Generator, size: int, sample_rate: float, _: float) -> np.ndarray:
    centre = min(_log_uniform(rng, *FRICATIVES), 0.4 * sample_rate)
    length = fast_length(size)
    frequency = np.fft.rfftfreq(length, 1 / sample_rate)
    noise = shaped_noise(rng, size, 1 / (1 + ((frequency - centre) / (0.3 * centre)) ** 2), length)
    return noise * np.float32(0.3 / max(float(np.std(noise)), 1e-12))


def _period(amplitude: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """One period of harmonics 1, 2, ... of these amplitudes, RMS 1: [TABLE + 1] float32, the last value the first."""
    spectrum = np.zeros(TABLE // 2 + 1, dtype=np.complex64)
    count = min(len(amplitude), TABLE // 8)
    spectrum[1 : count + 1] = amplitude[:count] * np.exp(1j * phase[:count])
    table = np.fft.irfft(spectrum, TABLE)
    table /= np.sqrt(np.mean(table**2))
    return np.append(table, table[:1])


def _read(table: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """A period's values at phases in turns [n], between its points on straight lines: [n] float32."""
    position = (turns - np.floor(turns)) * TABLE
    index = np.minimum(position.astype(np.int32), TABLE - 1)
    part = (position - index).astype(np.float32)
    low = table[index]
    return (low + part * (table[index + 1] - low)).astype(np.float32)
