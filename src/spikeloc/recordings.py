"""What is wrong with a recording of two ears, found while it passes by in blocks of any size."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spikeloc.errors import UserError

__all__ = ["Overdriven", "TwoEars", "samples_of"]

LOUD = 0.25  # of full scale: recordings are cut off at no lower level
AT_PEAK = 0.999  # of the highest sample so far: as good as at it
SAME = 1e-6  # of their power, -60 dB: channels that differ by less are one
FAINT = 1e-6  # of the other channel's power: no head makes so much of a shadow


def samples_of(samples: np.ndarray) -> np.ndarray:
    """Stereo samples as float32 [n, 2] of full scale +-1; whole numbers become parts of their type's full scale.

    Raises UserError for another shape, and for samples that are not finite numbers.
    """
    found = np.asarray(samples)
    if found.ndim != 2 or found.shape[1] != 2:
        turned = "; turn them with samples.T" if found.ndim == 2 and found.shape[0] == 2 else ""
        raise UserError(
            f"the samples have shape {list(found.shape)}, but two ears need [samples, 2], the left one first{turned}"
        )
    if found.dtype.kind in "iu":
        about = np.iinfo(found.dtype)
        middle = 0.0 if about.min < 0 else (about.max + 1) / 2
        return ((found - middle) / ((about.max + 1.0) - middle)).astype(np.float32)
    if found.dtype.kind != "f":
        raise UserError(f"the samples are of type {found.dtype}; give whole or floating-point numbers")
    found = found.astype(np.float32)
    if not np.isfinite(found).all():
        raise UserError("the samples hold numbers that are not finite (NaN or infinity); remove them before localising")
    return found


@dataclass
class TwoEars:
    """Whether two channels are two ears: both sound, and not the same."""

    power: np.ndarray = field(default_factory=lambda: np.zeros(2))
    """Sum of the squares of each channel."""
    difference: float = 0.0
    """Sum of the squares of their difference."""
    count: int = 0
    """Samples heard."""

    def push(self, samples: np.ndarray) -> None:
        """Hear the next samples [n, 2]."""
        self.count += len(samples)
        wide = samples.astype(np.float64)
        self.power = self.power + np.square(wide).sum(axis=0)
        self.difference += float(np.square(wide[:, 0] - wide[:, 1]).sum())

    def check(self, name: str) -> None:
        """Raises UserError for what cannot be two ears; a recording without samples is too short, not silent."""
        left, right = self.power.tolist()
        if self.count == 0:
            return
        if not max(left, right) > 0:
            raise UserError(f"{name} is silent throughout; give a recording with sound in it")
        if min(left, right) < FAINT * max(left, right):
            silent = "left" if left < right else "right"
            raise UserError(f"the {silent} channel of {name} is silent; give a recording of both ears")
        if self.difference < SAME * (left + right):
            raise UserError(
                f"both channels of {name} are the same, as in a recording of one microphone; give a recording of two "
                f"ears"
            )


@dataclass
class Overdriven:
    """Finds samples that were cut off: loud, at the highest or lowest value that there was, the third in a row.

    sample_rate   Hz
    """

    sample_rate: float
    _heard: int = 0
    _last: np.ndarray = field(default_factory=lambda: np.full((2, 2), np.nan, np.float32))
    _highest: np.ndarray = field(default_factory=lambda: np.zeros((2, 2), np.float32))  # of each polarity, each channel
    _times: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def push(self, samples: np.ndarray) -> None:
        """Hear the next samples [n, 2]."""
        if len(samples) == 0:
            return
        both = np.concatenate([self._last, samples])
        stays = (both[2:] == both[1:-1]) & (both[1:-1] == both[:-2])
        found = np.zeros(len(samples), dtype=bool)
        for polarity, sign in enumerate((np.float32(1), np.float32(-1))):
            value = sign * samples
            peak = np.maximum(np.maximum.accumulate(value, axis=0), self._highest[polarity])
            at_peak = (value > LOUD) & (value >= np.float32(AT_PEAK) * peak) & stays
            found |= at_peak.any(axis=1)
            self._highest[polarity] = peak[-1]
        self._times = np.concatenate([self._times, (self._heard + np.flatnonzero(found)) / self.sample_rate])
        self._last, self._heard = both[-2:].copy(), self._heard + len(samples)

    def take(self, end: float) -> int:
        """How many such samples came before a time in seconds, since this was last asked."""
        count = int(np.searchsorted(self._times, end))
        self._times = self._times[count:]
        return count
