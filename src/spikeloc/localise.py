"""Where does a recording come from? A trained network listens to it, window by window.

A recording is brought to the sample rate of the network's cochlea and cut into windows as long as the sounds that it was
trained on. Recordings have no absolute level, so each window is set to one level, in the middle of what the network knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikeloc import randomness
from spikeloc.audio import Resampler, blocks_of, inspect_audio, stereo
from spikeloc.errors import UserError
from spikeloc.observers.trained import TrainedObserver
from spikeloc.runs import Run
from spikeloc.stimuli import SceneStimulus
from spikeloc.stimuli.nerve import nerve_spikes
from spikeloc.stimuli.rendering import REFERENCE

__all__ = ["Localisation", "Localiser", "Window", "localise", "localise_file"]

QUIET = 1e-3  # of full scale: a window of less RMS is silent
QUIETER = 1e-2  # of the loudest window so far: the same
LOUD = 0.25  # of full scale: that successive samples beyond are the very same happens only where a recording is cut off
CLIPPED = 0.005  # share of a window's samples that are cut off, from which it is useless
SHORTEST = 0.05  # seconds of sound that say anything
BLOCK = 5.0  # seconds of a file in memory at a time
STREAM = "recording"


@dataclass(frozen=True)
class Window:
    """What was heard in one stretch of a recording.

    time          its middle, seconds from the beginning
    azimuth       radians, positive on the right; None where nothing can be said
    uncertainty   standard deviation that the network expects, radians; None likewise
    level         RMS of both channels, dB relative to full scale
    silent        whether there was too little sound
    clipped       whether the recording was overdriven
    """

    time: float
    azimuth: float | None
    uncertainty: float | None
    level: float
    silent: bool = False
    clipped: bool = False


@dataclass(frozen=True)
class Localisation:
    """Where a recording comes from: an answer for each window, and one for all.

    The answer for all is the mean of the windows' azimuths, weighted by certainty. Its uncertainty is that of a typical
    window: errors within a recording are alike, so more windows do not average them away.
    """

    windows: tuple[Window, ...]
    remarks: tuple[str, ...] = ()

    @property
    def azimuth(self) -> float:
        """Radians, positive on the right."""
        heard = [window for window in self.windows if window.azimuth is not None]
        weights = [window.uncertainty**-2 if window.uncertainty else 1.0 for window in heard]
        return float(np.average([window.azimuth for window in heard if window.azimuth is not None], weights=weights))

    @property
    def uncertainty(self) -> float | None:
        """Radians; None for a network that knows none."""
        deviations = [window.uncertainty for window in self.windows if window.uncertainty is not None]
        return math.sqrt(len(deviations) / sum(each**-2 for each in deviations)) if deviations else None

    def words(self) -> dict[str, Any]:
        """The same in degrees, for JSON."""
        return {
            "azimuth_deg": math.degrees(self.azimuth),
            "uncertainty_deg": None if self.uncertainty is None else math.degrees(self.uncertainty),
            "windows": [
                {
                    "time_s": window.time,
                    "azimuth_deg": None if window.azimuth is None else math.degrees(window.azimuth),
                    "uncertainty_deg": None if window.uncertainty is None else math.degrees(window.uncertainty),
                    "silent": window.silent,
                    "clipped": window.clipped,
                }
                for window in self.windows
            ],
            "remarks": list(self.remarks),
        }


@dataclass
class Localiser:
    """Listens to a stream of stereo samples and says for every window where it comes from.

    model         a trained network: the name of a shipped one, a run, or its folder
    sample_rate   of the samples, Hz

    However a stream is cut into blocks, the answers are the same. Raises UserError unless the model was trained on
    scenes.
    """

    model: str | Path | Run = "head"
    sample_rate: float = 44_100.0
    _observer: TrainedObserver = field(init=False, repr=False)
    _stimulus: SceneStimulus = field(init=False, repr=False)
    _pending: np.ndarray = field(init=False, repr=False)  # at the cochlea's rate, from a window's lead-in on
    _overdriven: np.ndarray = field(init=False, repr=False)  # times of such samples, seconds
    _heard: int = field(init=False, repr=False, default=0)  # samples pushed
    _decided: int = field(init=False, repr=False, default=0)  # windows
    _loudest: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        run = self.model if isinstance(self.model, Run) else Run.find(self.model)
        stimulus = run.recipe.stimulus
        if not isinstance(stimulus, SceneStimulus):
            raise UserError(
                f"{run.recipe.name} was trained on tones and cannot hear a recording; use the model 'head', or train "
                f"a recipe whose stimulus is of the kind 'scene'"
            )
        self._observer, self._stimulus = run.observer(), stimulus
        self._resampler = Resampler(self.sample_rate, stimulus.sample_rate, 2)
        self._pending = np.zeros((self._lead, 2), np.float32)
        self._overdriven = np.zeros(0)

    @property
    def _lead(self) -> int:
        return round(self._stimulus.lead_in * self._stimulus.sample_rate)

    @property
    def _size(self) -> int:
        return self._stimulus.n_steps * self._stimulus.cochlea.oversampling

    def push(self, block: np.ndarray) -> list[Window]:
        """Hear the next samples [n, 2], left ear first, full scale +-1; returns the windows that they complete.

        Raises UserError for another shape, and for samples that are not finite numbers.
        """
        block = np.asarray(block, dtype=np.float32)
        if block.ndim != 2 or block.shape[1] != 2:
            raise UserError(
                f"the samples have shape {list(block.shape)}; expected [samples, 2], the left ear's channel first"
            )
        if not np.isfinite(block).all():
            raise UserError("the samples hold numbers that are not finite; remove them before localising")
        flat = (np.abs(block[1:]) > LOUD) & (block[1:] == block[:-1])
        when = (self._heard + 1 + np.flatnonzero(flat.any(axis=1))) / self.sample_rate
        self._overdriven = np.concatenate([self._overdriven, when])
        self._heard += len(block)
        self._pending = np.concatenate([self._pending, self._resampler.push(block)])
        complete = (len(self._pending) - self._lead) // self._size
        return [self._next(self._size) for _ in range(complete)]

    def finish(self) -> list[Window]:
        """The windows at the stream's end; a last part is a window if it is at least half as long as one."""
        self._pending = np.concatenate([self._pending, self._resampler.finish()])
        whole, rest = divmod(len(self._pending) - self._lead, self._size)
        windows = [self._next(self._size) for _ in range(whole)]
        least = self._size / 2 if self._decided else SHORTEST * self._stimulus.sample_rate
        return [*windows, self._next(rest)] if rest >= least else windows

    def _next(self, size: int) -> Window:
        """The next window, of ``size`` samples, which are then forgotten but for the lead-in of the one after."""
        heard, rate = self._pending[: self._lead + size], self._stimulus.sample_rate
        begin = self._decided * self._size / rate
        end = begin + size / rate
        overdriven = np.count_nonzero((self._overdriven >= begin) & (self._overdriven < end))
        clipped = overdriven > CLIPPED * (end - begin) * self.sample_rate
        window = self._decide(heard, (begin + end) / 2, clipped=bool(clipped))
        self._overdriven = self._overdriven[self._overdriven >= end]
        self._pending = self._pending[size:]
        self._decided += 1
        return window

    def _decide(self, heard: np.ndarray, time: float, *, clipped: bool) -> Window:
        rms = float(np.sqrt(np.mean(np.square(heard[self._lead :], dtype=np.float64))))
        self._loudest = max(self._loudest, rms)
        silent = rms < max(QUIET, QUIETER * self._loudest)
        level = 20 * math.log10(rms) if rms > 0 else -math.inf
        if silent or clipped:
            return Window(time, None, None, level, silent=silent, clipped=clipped and not silent)
        cochlea, (low, high) = self._stimulus.cochlea, self._stimulus.level
        pressure = heard.T * np.float32(REFERENCE * 10 ** ((low + high) / 40) / rms)
        key = randomness.sound_keys(0, STREAM, np.array([self._decided]))
        spikes = nerve_spikes(pressure[None], key, cochlea, (len(heard) - self._lead) // cochlea.oversampling)
        decision = self._observer.decide(spikes)
        uncertainty = None if decision.uncertainty is None else float(decision.uncertainty[0])
        return Window(time, float(decision.angle[0]), uncertainty, level)


def localise(samples: np.ndarray, sample_rate: float, model: str | Path | Run = "head") -> Localisation:
    """Where stereo samples [n, 2] come from, left ear first, full scale +-1.

    Raises UserError if nothing can be said: samples of another shape, silent, overdriven, or alike in both channels.
    """
    samples = np.asarray(samples)
    if samples.ndim == 2:
        _check_channels(np.abs(samples).max(axis=0, initial=0), _differ(samples), "the recording")
    localiser = Localiser(model, sample_rate)
    return _concluded([*localiser.push(samples), *localiser.finish()], "the recording")


def localise_file(
    path: str | Path, model: str | Path | Run = "head", *, heard: Callable[[float, float], None] | None = None
) -> Localisation:
    """Where a stereo sound file comes from; of a long file a few seconds are in memory at a time.

    heard    is told how many seconds of how many are done

    Raises UserError for a file that cannot be read, has not two channels, or of which nothing can be said.
    """
    about = inspect_audio(path)
    localiser = Localiser(model, about.sample_rate)
    windows: list[Window] = []
    peaks, differ, done = np.zeros(2), False, 0
    for block in blocks_of(path, BLOCK):
        samples = stereo(block).samples
        peaks = np.maximum(peaks, np.abs(samples).max(axis=0))
        differ, done = differ or _differ(samples), done + len(samples)
        windows += localiser.push(samples)
        if heard is not None:
            heard(done / about.sample_rate, about.seconds)
    name = Path(path).name
    _check_channels(peaks, differ, name)
    return _concluded([*windows, *localiser.finish()], name)


def _differ(samples: np.ndarray) -> bool:
    return samples.shape[1] != 2 or bool((samples[:, 0] != samples[:, 1]).any())


def _check_channels(peaks: np.ndarray, differ: bool, name: str) -> None:
    if len(peaks) != 2 or not np.isfinite(peaks).all():
        return  # said more precisely elsewhere
    if not peaks.any():
        raise UserError(f"{name} is silent throughout; there is nothing to localise")
    if not peaks.all():
        silent = "left" if peaks[0] == 0 else "right"
        raise UserError(f"the {silent} channel of {name} is silent; give a recording of both ears")
    if not differ:
        raise UserError(
            f"both channels of {name} are the same, so it is a recording of one channel; give a recording of two ears"
        )


def _concluded(windows: list[Window], name: str) -> Localisation:
    if not windows:
        raise UserError(f"{name} is shorter than {1000 * SHORTEST:.0f} ms; give a longer recording")
    if all(window.azimuth is None for window in windows):
        if all(window.silent for window in windows):
            raise UserError(f"{name} is silent or nearly so throughout; there is nothing to localise")
        raise UserError(f"{name} is overdriven wherever it is not silent; record it again at a lower level")
    clipped = sum(window.clipped for window in windows)
    remarks = (f"{clipped} of {len(windows)} windows are overdriven and were left out",) if clipped else ()
    return Localisation(tuple(windows), remarks)
