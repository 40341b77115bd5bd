"""Where does a recording come from? A trained network listens to it, window by window.

A recording is brought to the sample rate of the network's cochlea and cut into windows as long as the sounds that it
was trained on. Recordings have no absolute level, so each window is set to one level, in the middle of what the network
knows. What cannot be answered is refused in one sentence (:mod:`spikeloc.recordings`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikeloc import randomness
from spikeloc.audio import Recording, Resampler, blocks_of, inspect_audio, stereo
from spikeloc.errors import UserError
from spikeloc.observers.trained import TrainedObserver
from spikeloc.recordings import Overdriven, TwoEars, samples_of
from spikeloc.runs import Run
from spikeloc.stimuli import SceneStimulus
from spikeloc.stimuli.nerve import nerve_spikes
from spikeloc.stimuli.rendering import REFERENCE

__all__ = ["DEFAULT", "Localisation", "Localiser", "Window", "localise", "localise_file"]

QUIET = 3e-4  # of full scale, -70 dB: a window of less RMS is silent
QUIETER = 1e-2  # of the loudest window so far, -40 dB: the same
CLIPPED = 0.005  # share of a window's samples that are cut off, from which it is useless
SHORTEST = 0.05  # seconds of sound that say anything
BLOCK = 5.0  # seconds of a file in memory at a time
APART = 2.0  # times the usual uncertainty: windows further off, or that scatter more, are not of one place
STREAM = "recording"
DEFAULT = "head"


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

    The answer for all is where most windows agree: the mean of those within two typical uncertainties of the median,
    all weighted by certainty (1 / uncertainty^2). Its uncertainty is that of a typical window, or how far all windows
    scatter about it if that is more: errors within a recording are alike, so more windows do not average them away.
    """

    windows: tuple[Window, ...]
    remarks: tuple[str, ...] = ()

    @property
    def azimuth(self) -> float:
        """Radians, positive on the right."""
        angles, weights = self._heard()
        order = np.argsort(angles, kind="stable")
        share = np.cumsum(weights[order])
        median = float(angles[order][np.searchsorted(share, share[-1] / 2)])
        typical = self._typical()
        if typical is None:
            return median
        near = np.abs(angles - median) <= APART * typical
        return float(np.average(angles[near], weights=weights[near]))

    @property
    def uncertainty(self) -> float | None:
        """Radians; None for a network that knows none."""
        typical = self._typical()
        return None if typical is None else max(typical, self.scatter)

    @property
    def scatter(self) -> float:
        """Root mean square distance of all windows' azimuths from the answer, weighted like it, radians."""
        angles, weights = self._heard()
        return math.sqrt(float(np.average((angles - self.azimuth) ** 2, weights=weights)))

    @property
    def is_one_place(self) -> bool:
        """Whether the windows scatter no more than they expect; true for a network that expects nothing."""
        typical = self._typical()
        return typical is None or self.scatter <= APART * typical

    def words(self) -> dict[str, Any]:
        """The same in degrees, for JSON."""
        return {
            "azimuth_deg": math.degrees(self.azimuth),
            "uncertainty_deg": _degrees(self.uncertainty),
            "windows": [
                {
                    "time_s": window.time,
                    "azimuth_deg": _degrees(window.azimuth),
                    "uncertainty_deg": _degrees(window.uncertainty),
                    "silent": window.silent,
                    "clipped": window.clipped,
                }
                for window in self.windows
            ],
            "remarks": list(self.remarks),
        }

    def _heard(self) -> tuple[np.ndarray, np.ndarray]:
        """Azimuths of the windows that have one, radians, and their weights."""
        heard = [(each.azimuth, each.uncertainty) for each in self.windows if each.azimuth is not None]
        angles = np.array([angle for angle, _ in heard])
        return angles, np.array([deviation**-2 if deviation else 1.0 for _, deviation in heard])

    def _typical(self) -> float | None:
        deviations = [window.uncertainty for window in self.windows if window.uncertainty is not None]
        return math.sqrt(len(deviations) / sum(each**-2 for each in deviations)) if deviations else None


@dataclass
class Localiser:
    """Listens to a stream of stereo samples and says for every window where it comes from.

    model         a trained network: the name of a shipped one, a run, or its folder
    sample_rate   of the samples, Hz

    However a stream is cut into blocks, the answers are the same. Raises UserError unless the model was trained on
    scenes.
    """

    model: str | Path | Run = DEFAULT
    sample_rate: float = 44_100.0
    _observer: TrainedObserver = field(init=False, repr=False)
    _stimulus: SceneStimulus = field(init=False, repr=False)
    _pending: np.ndarray = field(init=False, repr=False)  # at the cochlea's rate, from a window's lead-in on
    _decided: int = field(init=False, repr=False, default=0)  # windows
    _loudest: float = field(init=False, repr=False, default=0.0)

    def __post_init__(self) -> None:
        run = self.model if isinstance(self.model, Run) else Run.find(self.model)
        stimulus = run.recipe.stimulus
        if not isinstance(stimulus, SceneStimulus):
            raise UserError(
                f"the model {run.path.name} was trained on tones and cannot hear a recording; use the model "
                f"'{DEFAULT}', or train a recipe whose stimulus is of kind 'scene'"
            )
        self._resampler = Resampler(self.sample_rate, stimulus.sample_rate, 2)
        self._overdriven = Overdriven(self.sample_rate)
        self._observer, self._stimulus = run.observer(), stimulus
        self._pending = np.zeros((self._lead, 2), np.float32)

    @property
    def _lead(self) -> int:
        return round(self._stimulus.lead_in * self._stimulus.sample_rate)

    @property
    def _size(self) -> int:
        return self._stimulus.n_steps * self._stimulus.cochlea.oversampling

    def push(self, block: np.ndarray) -> list[Window]:
        """Hear the next samples [n, 2], left ear first, full scale +-1; returns the windows that they complete.

        Whole numbers are taken as parts of their type's full scale. Raises UserError for another shape, and for samples
        that are not finite numbers.
        """
        samples = samples_of(block)
        self._overdriven.push(samples)
        self._pending = np.concatenate([self._pending, self._resampler.push(samples)])
        complete = (len(self._pending) - self._lead) // self._size
        return [self._next(self._size) for _ in range(complete)]

    def finish(self) -> list[Window]:
        """The windows at the stream's end; a last part is a window if it is at least half as long as one."""
        self._pending = np.concatenate([self._pending, self._resampler.finish()])
        whole, rest = divmod(len(self._pending) - self._lead, self._size)
        windows = [self._next(self._size) for _ in range(whole)]
        shortest = math.ceil(min(SHORTEST * self._stimulus.sample_rate, self._size / 2))
        least = self._size / 2 if self._decided else shortest
        return [*windows, self._next(rest)] if rest >= least else windows

    def _next(self, size: int) -> Window:
        """The next window, of ``size`` samples, which are then forgotten but for the lead-in of the one after."""
        heard, rate = self._pending[: self._lead + size], self._stimulus.sample_rate
        begin = self._decided * self._size / rate
        end = begin + size / rate
        clipped = self._overdriven.take(end) > CLIPPED * (end - begin) * self.sample_rate
        window = self._decide(heard, (begin + end) / 2, clipped=clipped)
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


def localise(samples: np.ndarray, sample_rate: float, model: str | Path | Run = DEFAULT) -> Localisation:
    """Where stereo samples [n, 2] come from, left ear first, full scale +-1; whole numbers as :meth:`Localiser.push`.

    Raises UserError if nothing can be said: samples of another shape, not finite, silent, overdriven, or alike in both
    channels.
    """
    name = "the recording"
    samples = samples_of(samples)
    ears = TwoEars()
    ears.push(samples)
    ears.check(name)
    localiser = Localiser(model, sample_rate)
    return _concluded([*localiser.push(samples), *localiser.finish()], name)


def localise_file(
    path: str | Path, model: str | Path | Run = DEFAULT, *, heard: Callable[[float, float], None] | None = None
) -> Localisation:
    """Where a stereo sound file comes from; of a long file a few seconds are in memory at a time.

    heard    is told how many seconds of how many are done

    Raises UserError for a file that cannot be read, has not two channels, or of which nothing can be said.
    """
    about, name = inspect_audio(path), Path(path).name
    stereo(Recording(np.empty((0, about.channels), np.float32), about.sample_rate, name))
    localiser = Localiser(model, about.sample_rate)
    windows: list[Window] = []
    ears, done = TwoEars(), 0
    for block in blocks_of(path, BLOCK):
        ears.push(block.samples)
        windows += localiser.push(block.samples)
        done += len(block.samples)
        if heard is not None:
            heard(done / about.sample_rate, about.seconds)
    ears.check(name)
    return _concluded([*windows, *localiser.finish()], name)


def _concluded(windows: list[Window], name: str) -> Localisation:
    if not windows:
        raise UserError(f"{name} is shorter than {1000 * SHORTEST:.0f} ms, too short to tell; give a longer recording")
    if all(window.azimuth is None for window in windows):
        if all(window.silent for window in windows):
            raise UserError(f"{name} is silent or nearly so throughout; give a recording with sound in it")
        raise UserError(f"{name} is overdriven wherever it is not silent; record it again at a lower level")
    clipped = sum(window.clipped for window in windows)
    remarks = [f"{clipped} of {len(windows)} windows are overdriven and were left out"] if clipped else []
    found = Localisation(tuple(windows))
    if not found.is_one_place:
        remarks.append("the windows differ more than they expect to: the source moves, or there are several")
    return Localisation(found.windows, tuple(remarks))


def _degrees(angle: float | None) -> float | None:
    return None if angle is None else math.degrees(angle)
