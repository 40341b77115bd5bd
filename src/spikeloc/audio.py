"""Sound files: reading them whole or in blocks, writing them, and changing their sample rate.

Samples are float32, axes sample, channel, full scale +-1 whatever the file's own numbers are. Whatever is wrong with a
file is a UserError of one sentence. Files are read by libsndfile (wav, flac, ogg, mp3 and others) and resampled by the
SoX resampler, both imported when first needed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from spikeloc.errors import UserError
from spikeloc.settings import nearest
from spikeloc.units import read_quantity

__all__ = [
    "AudioFile",
    "Recording",
    "Resampler",
    "ShippedSound",
    "blocks_of",
    "find_sound",
    "inspect_audio",
    "read_audio",
    "resample",
    "shipped_sounds",
    "stereo",
    "write_audio",
]

LOWEST_RATE, HIGHEST_RATE = 8000.0, 1e6  # Hz
READABLE = "wav, flac, ogg or mp3"
QUALITY = "HQ"  # of the SoX resampler: 20 bits, linear phase
BLOCK = 2**16  # samples that are read at once
RIFF_HEADER = 12  # bytes: "RIFF", size of the rest, "WAVE"


@dataclass(frozen=True, eq=False)
class Recording:
    """Samples of a sound file.

    samples        full scale +-1    [n, channels] float32
    sample_rate    in Hz
    name           of the file, for messages
    """

    samples: np.ndarray
    sample_rate: float
    name: str = "the recording"

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class AudioFile:
    """What the header of a sound file says: number of samples (of each channel), channels, sample rate in Hz."""

    samples: int
    channels: int
    sample_rate: float

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.sample_rate


@dataclass(frozen=True)
class ShippedSound:
    """A sound that comes with the package: its file, what is said, and for stereo where it comes from in radians."""

    path: Path
    text: str
    azimuth: float | None = None


@cache
def shipped_sounds() -> dict[str, ShippedSound]:
    """Sounds that come with the package, by name: speech of one channel, and ``demo``, speech from a known azimuth."""
    folder = Path(__file__).parent / "sounds"
    entries = tomllib.loads((folder / "sounds.toml").read_text(encoding="utf-8"))
    return {
        name: ShippedSound(
            folder / entry["file"],
            entry["text"],
            read_quantity(entry["azimuth"], "angle") if "azimuth" in entry else None,
        )
        for name, entry in entries.items()
    }


def find_sound(name: str | Path) -> ShippedSound:
    """The sound file at a path, or where there is none, the shipped sound of that name. Raises UserError."""
    known = shipped_sounds()
    if str(name) in known and not Path(name).exists():
        return known[str(name)]
    if re.fullmatch(r"[\w-]+", str(name)) and not Path(name).exists():
        near = nearest(str(name), list(known))
        raise UserError(f"{name} does not exist{near}; name a sound file ({READABLE}) or one of {', '.join(known)}")
    return ShippedSound(Path(name), "")


def inspect_audio(path: str | Path) -> AudioFile:
    """The header of a sound file. Raises UserError as :func:`read_audio` does, except for what samples are wrong."""
    with _opened(Path(path)) as file:
        return AudioFile(file.frames, file.channels, float(file.samplerate))


def read_audio(path: str | Path) -> Recording:
    """A whole sound file.

    Raises UserError if it is missing, a folder, no sound file, damaged, cut short, empty, sampled below 8 kHz, or has
    samples that are not finite numbers.
    """
    path = Path(path)
    rate = inspect_audio(path).sample_rate
    return Recording(np.concatenate(list(_blocks(path, BLOCK))), rate, path.name)


def blocks_of(path: str | Path, seconds: float) -> Iterator[Recording]:
    """A sound file in successive blocks of a length in seconds, the last one shorter; one block is in memory at a time.

    What is wrong with the file as a whole is raised at once, what is wrong with its samples when they are reached.
    """
    path = Path(path)
    rate = inspect_audio(path).sample_rate
    if not 0 < seconds * rate < 2**31 or round(seconds * rate) < 1:
        raise UserError(f"blocks of {seconds:g} s at {rate:g} Hz were asked for; choose from one sample to hours")
    return (Recording(block, rate, path.name) for block in _blocks(path, round(seconds * rate)))


def write_audio(path: str | Path, samples: np.ndarray, sample_rate: float, *, bits: int | None = None) -> None:
    """Write samples [n] or [n, channels] to a file whose name ends in .wav, .flac, .ogg or .mp3.

    bits    16 or 24 whole-number bits for wav and flac; without it 32-bit floating point for wav, 24 bits for flac

    Raises UserError if the name ends otherwise, the folder does not exist, or samples beyond +-1 would be clipped.
    """
    import soundfile  # noqa: PLC0415

    path = Path(path)
    kinds: dict[str, str | None] = {".wav": "FLOAT", ".flac": "PCM_24", ".ogg": None, ".mp3": None}
    kind = path.suffix.lower()
    if kind not in kinds:
        raise UserError(f"{path} ends in {path.suffix!r}; name a file that ends in {', '.join(kinds)}")
    if bits not in (None, 16, 24):
        raise UserError(f"{bits} bits were asked for; choose 16 or 24")
    form = f"PCM_{bits}" if bits is not None and kinds[kind] is not None else kinds[kind]
    samples = np.asarray(samples, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise UserError(f"samples for {path} are not finite numbers; correct them before writing")
    peak = float(np.abs(samples).max(initial=0))
    if form != "FLOAT" and peak > 1:
        raise UserError(
            f"samples for {path} reach {peak:.3g} and would be clipped at 1; scale them down, or write .wav"
        )
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} is not a folder; make it before writing {path.name}")
    try:
        soundfile.write(str(path), samples, round(sample_rate), subtype=form)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path} cannot be written ({_reason(error)}); choose another place or format") from None


def stereo(recording: Recording) -> Recording:
    """The recording itself if it has two channels, left ear first. Raises UserError otherwise."""
    channels = recording.samples.shape[1]
    if channels == 1:
        raise UserError(
            f"{recording.name} has one channel, but to tell where a sound comes from takes two ears; give a stereo "
            f"recording, left ear first"
        )
    if channels != 2:
        raise UserError(f"{recording.name} has {channels} channels; keep the two of the ears, left ear first")
    return recording


def resample(samples: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Samples [n] or [n, channels] at another rate, float32; their number is n to_rate / from_rate, rounded.

    Linear phase and alike for all channels, so that times between them are kept.
    """
    import soxr  # noqa: PLC0415

    _check_rates(from_rate, to_rate)
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if from_rate == to_rate:
        return samples.copy()
    return np.asarray(soxr.resample(samples, from_rate, to_rate, quality=QUALITY), dtype=np.float32)


class Resampler:
    """A resampler for a stream of blocks: all that it returns, joined, is :func:`resample` of all that it was given.

    The filter looks ahead, so a block's samples come out up to some tens of milliseconds of blocks later.
    """

    def __init__(self, from_rate: float, to_rate: float, channels: int) -> None:
        import soxr  # noqa: PLC0415

        _check_rates(from_rate, to_rate)
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality=QUALITY)
        self._channels = channels

    def push(self, block: np.ndarray) -> np.ndarray:
        """Give a block [n, channels] and take what is ready [m, channels] float32."""
        return self._step(block, last=False)

    def finish(self) -> np.ndarray:
        """What remains at the end, [m, channels] float32; nothing may be given afterwards."""
        return self._step(np.zeros((0, self._channels), dtype=np.float32), last=True)

    def _step(self, block: np.ndarray, *, last: bool) -> np.ndarray:
        block = np.ascontiguousarray(block, dtype=np.float32)
        if self._stream is None:
            return block
        done = np.asarray(self._stream.resample_chunk(block, last=last), dtype=np.float32)
        return done.reshape(-1, self._channels)


def _check_rates(*rates: float) -> None:
    for rate in rates:
        if not 1000 <= rate <= HIGHEST_RATE:
            raise UserError(f"a sample rate of {rate:g} Hz was asked for; choose one between 1 kHz and 1 MHz")


def _blocks(path: Path, size: int) -> Iterator[np.ndarray]:
    """All samples in blocks of ``size``, checked: [size, channels] float32 each, the last one shorter."""
    with _opened(path) as file:
        count = 0
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except (OSError, RuntimeError) as error:
                raise UserError(f"{path} is damaged after {count / file.samplerate:.3g} s ({_reason(error)}); "
                                f"copy or export it again") from None  # fmt: skip
            if len(block) == 0:
                break
            if not np.isfinite(block).all():
                raise UserError(f"{path} has samples that are not finite numbers (NaN or infinity); export it again")
            count += len(block)
            yield block
        if count < file.frames:
            raise UserError(
                f"{path} is cut short: its header promises {file.frames / file.samplerate:.3g} s, but it ends after "
                f"{count / file.samplerate:.3g} s; copy it again"
            )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A sound file whose header has been checked."""
    import soundfile  # noqa: PLC0415

    if path.is_dir():
        raise UserError(f"{path} is a folder; name a sound file ({READABLE})")
    if not path.exists():
        raise UserError(f"{path} does not exist; name a sound file ({READABLE})")
    try:
        file = soundfile.SoundFile(str(path))
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a sound file ({_reason(error)}); give a {READABLE} file that is whole"
        ) from None
    with file:
        rate = file.samplerate
        if rate < LOWEST_RATE:
            raise UserError(
                f"{path} is sampled at {rate} Hz, which holds too little of a sound's spectrum to tell where it comes "
                f"from; give a recording sampled at {LOWEST_RATE / 1000:g} kHz or more"
            )
        if rate > HIGHEST_RATE:
            raise UserError(f"{path} claims to be sampled at {rate} Hz; give one sampled at 8 kHz to 1 MHz")
        missing = _missing_bytes(path)
        if missing > 0:
            raise UserError(f"{path} is cut short: {missing} bytes that its header promises are missing; copy it again")
        if file.frames <= 0:
            raise UserError(f"{path} has no samples; give a recording that is not empty")
        yield file


def _missing_bytes(path: Path) -> int:
    """Bytes by which a wav file is shorter than it says: libsndfile takes such files as if they were whole.

    Sizes of 0 and of all ones stand for "not known" in files written by a stream.
    """
    with path.open("rb") as file:
        header = file.read(RIFF_HEADER)
    if header[:4] != b"RIFF" or header[8:] != b"WAVE":
        return 0
    size = int.from_bytes(header[4:8], "little")
    return 0 if size in (0, 2**32 - 1) else 8 + size - path.stat().st_size


def _reason(error: BaseException) -> str:
    """A library's reason without its full stop and the path, which our sentence names already."""
    text = str(getattr(error, "error_string", error)).splitlines() or [type(error).__name__]
    return text[0].rstrip(". ")
