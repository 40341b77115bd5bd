"""From a source to the two ears: head, level, second sources, diffuse noise, reverberation, movement.

Sounds are pressures in pascal, axes ear (left first), sample. A level in dB SPL is that of the source's RMS over its
whole length where the centre of the head would be, without the head:

    level = 20 log10(RMS / 20 uPa)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np

from spikeloc.errors import UserError
from spikeloc.heads import Head
from spikeloc.stimuli.sources import generator
from spikeloc.stimuli.waveforms import LOWEST_PINK, fast_length, noise_spectrum

__all__ = [
    "REFERENCE",
    "at_level",
    "diffuse_noise",
    "level_of",
    "mixed",
    "render",
    "render_moving",
    "render_reverberant",
    "reverberation",
]

REFERENCE = 20e-6  # pascal
DIRECTIONS = 36  # that diffuse noise comes from, evenly around the head
EARLIEST = 3e-3  # seconds after the direct sound that reverberation begins
NOISE, ROOM = 11, 12  # what random numbers of a key are for; see sources.generator
BLOCK = 10e-3  # seconds of a moving source that are rendered from one direction, fading into the next

Colour = Literal["white", "pink"]


def level_of(samples: np.ndarray) -> float:
    """Level of samples in pascal, all axes together, in dB SPL; -inf for silence."""
    power = _power(samples)
    return 10 * math.log10(power / REFERENCE**2) if power > 0 else -math.inf


def _power(samples: np.ndarray) -> float:
    """Mean square over all axes, summed row by row in single precision and over rows in double."""
    rows = np.asarray(samples).reshape(-1, samples.shape[-1])
    return sum(float(np.dot(row, row)) for row in rows) / samples.size


def at_level(source: np.ndarray, level: float) -> np.ndarray:
    """A source scaled to a level in dB SPL, in pascal, float32; silence stays silence."""
    power = _power(source)
    gain = REFERENCE * 10 ** (level / 20) / math.sqrt(power) if power > 0 else 0.0
    return np.asarray(source, dtype=np.float32) * np.float32(gain)


def render(source: np.ndarray, head: Head, azimuth: float | np.ndarray, sample_rate: float) -> np.ndarray:
    """What reaches the ears from a source: [n] -> [2, n] float32, or sources [b, n] from azimuths [b] -> [b, 2, n].

    azimuth    radians, positive on the right

    The wave front of a source directly at an ear meets that ear with the source's first sample; what the head adds
    after the source's last sample is cut off.
    """
    source = np.asarray(source, dtype=np.float32)
    responses = head.impulse_responses(azimuth, sample_rate)
    return _convolved(source, responses.reshape(*source.shape[:-1], *responses.shape[1:]), head.latency(sample_rate))


def _convolved(source: np.ndarray, responses: np.ndarray, skip: int = 0) -> np.ndarray:
    """Sources [..., n] through responses [..., 2, taps], without the first ``skip`` samples: [..., 2, n] float32."""
    count = source.shape[-1]
    length = fast_length(count + responses.shape[-1] - 1)
    product = np.fft.rfft(source, length)[..., None, :] * np.fft.rfft(responses, length)
    return np.fft.irfft(product, length)[..., skip : skip + count]


def mixed(target: np.ndarray, other: np.ndarray, ratio: float) -> np.ndarray:
    """Target plus another sound at the ears, scaled so that the target is ``ratio`` dB stronger: both [2, n].

    The ratio is that of powers, each the mean over both ears and the whole length. It defines the signal-to-noise ratio
    for noise and the target-to-interferer ratio for a second source. If either is silent, nothing is scaled.
    """
    powers = [_power(target), _power(other)]
    gain = math.sqrt(powers[0] / powers[1]) * 10 ** (-ratio / 20) if min(powers) > 0 else 1.0
    return target + np.float32(gain) * other


def diffuse_noise(key: int, count: int, head: Head, sample_rate: float, *, colour: Colour = "white") -> np.ndarray:
    """Noise from all around: independent noise of equal power from 36 directions, as it reaches the ears, [2, count].

    The sum over directions d of H_d(f) N_d(f), with independent N_d, is a Gaussian pair with the covariance
    S(f) = sum_d H_d H_d*, and is drawn as such: L(f) times two independent noises, L L* = S. Its level is that of noise
    of RMS 1 at the centre of the head; scale it by :func:`mixed` or :func:`at_level`.
    """
    length = fast_length(count + head.longest(sample_rate))
    left, cross, right = _diffuse_factor(head, float(sample_rate), length, colour)
    noise = noise_spectrum(generator(key, NOISE), length, 2)
    noise[1] *= right
    noise[1] += cross * noise[0]
    noise[0] *= left
    return np.fft.irfft(noise, length)[:, :count]


@lru_cache(maxsize=256)
def _diffuse_factor(head: Head, sample_rate: float, length: int, colour: Colour) -> tuple[np.ndarray, ...]:
    """The Cholesky factor of the ears' covariance in a diffuse field: L11, L21 and L22, each [length / 2 + 1]."""
    azimuths = 2 * math.pi * np.arange(DIRECTIONS) / DIRECTIONS
    left, right = np.moveaxis(np.fft.rfft(head.impulse_responses(azimuths, sample_rate), length), 1, 0)
    first = np.sqrt(np.mean(np.abs(left) ** 2, axis=0))
    cross = np.mean(right * left.conj(), axis=0) / np.maximum(first, 1e-12)
    second = np.sqrt(np.maximum(np.mean(np.abs(right) ** 2, axis=0) - np.abs(cross) ** 2, 0))
    magnitude = np.ones(length // 2 + 1)
    if colour == "pink":
        magnitude = 1 / np.sqrt(np.maximum(np.fft.rfftfreq(length, 1 / sample_rate), LOWEST_PINK))
        magnitude /= math.sqrt(np.mean(magnitude**2))
    return tuple((part * magnitude).astype(np.complex64) for part in (first, cross, second))


def reverberation(
    key: int, head: Head, sample_rate: float, *, decay: float, direct: float, azimuth: float = 0.0
) -> np.ndarray:
    """A room's response to an impulse, at the ears: a decaying diffuse tail, [2, taps] float32.

        r(t) = g n(t) 10^(-3 (t - 3 ms) / decay)      from 3 ms after the direct sound on, n diffuse noise

    decay      the time in which it falls by 60 dB                                              [s]
    direct     ratio of the direct sound's energy to the tail's, each the mean over both ears   [dB]
    azimuth    of the direct sound                                                              [rad]

    Source: Polack 1988, statistical reverberation. Differs: no early reflections, one decay for all frequencies.
    """
    if not 0.01 <= decay <= 10:
        raise UserError(f"a reverberation time of {decay:g} s was asked for; choose one between 10 ms and 10 s")
    count = math.ceil(decay * sample_rate)
    begin = math.ceil(EARLIEST * sample_rate) + head.latency(sample_rate)
    fall = 10 ** (-3 * np.arange(count) / count)
    tail = diffuse_noise(int(generator(key, ROOM).integers(2**63)), count, head, sample_rate) * fall
    energies = [np.square(part).sum() for part in (head.impulse_responses(azimuth, sample_rate), tail)]
    tail *= math.sqrt(energies[0] / energies[1]) * 10 ** (-direct / 20)
    return np.pad(tail, ((0, 0), (begin, 0))).astype(np.float32)


def render_reverberant(
    source: np.ndarray, head: Head, azimuth: float, sample_rate: float, *, key: int, decay: float, direct: float
) -> np.ndarray:
    """A source in a room: :func:`render` plus the source through :func:`reverberation`, [n] -> [2, n] float32."""
    tail = reverberation(key, head, sample_rate, decay=decay, direct=direct, azimuth=azimuth)
    response = head.impulse_responses(azimuth, sample_rate)[0]
    taps = max(tail.shape[1], response.shape[1])
    room = np.pad(tail, ((0, 0), (0, taps - tail.shape[1]))) + np.pad(response, ((0, 0), (0, taps - response.shape[1])))
    return _convolved(np.asarray(source, dtype=np.float32), room, head.latency(sample_rate))


def render_moving(
    source: np.ndarray, head: Head, azimuth: Callable[[np.ndarray], np.ndarray], sample_rate: float
) -> np.ndarray:
    """What reaches the ears from a moving source: [n] -> [2, n] float32.

    azimuth    radians as a function of the time in seconds, of arrays: [k] s -> [k] rad

    The source is cut into overlapping blocks of 20 ms under raised-cosine windows that add up to one; each is rendered
    from where the source is at the block's middle, and all are added.
    """
    source = np.asarray(source, dtype=np.float32)
    hop = max(1, round(BLOCK * sample_rate))
    blocks = math.ceil(len(source) / hop) + 1
    padded = np.zeros((blocks + 1) * hop, dtype=np.float32)
    padded[hop : hop + len(source)] = source
    window = (0.5 - 0.5 * np.cos(math.pi * (np.arange(2 * hop) + 0.5) / hop)).astype(np.float32)
    cut = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop] * window
    where = np.asarray(azimuth(np.arange(blocks) * hop / sample_rate), dtype=np.float64)
    responses = head.impulse_responses(where, sample_rate)
    room = 2 * hop + responses.shape[-1] - 1
    length = fast_length(room)
    sound = np.fft.irfft(np.fft.rfft(cut, length)[:, None] * np.fft.rfft(responses, length), length)[..., :room]
    ears = np.zeros((2, len(padded) + responses.shape[-1]), dtype=np.float32)
    for block in range(blocks):
        ears[:, block * hop : block * hop + room] += sound[block]
    skip = hop + head.latency(sample_rate)
    return ears[:, skip : skip + len(source)]
