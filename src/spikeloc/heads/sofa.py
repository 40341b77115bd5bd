"""Measured heads in SOFA files (AES69): the horizontal plane of a ``SimpleFreeFieldHRIR``.

A SOFA file is HDF5. Its azimuths turn counter-clockwise (90 deg is on the left); ours are positive on the right.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from spikeloc.errors import UserError
from spikeloc.heads.head import Head

__all__ = ["read_sofa"]

CONVENTION = "SimpleFreeFieldHRIR"
LEVEL = math.radians(1)  # of elevation either way that counts as horizontal
SAME = math.radians(0.01)  # of azimuth within which two directions are one
SMALLEST, LARGEST = 1e-9, 1e6  # peaks of responses that can be meant
ADVICE = "choose a SOFA file with a free-field head (SimpleFreeFieldHRIR)"


def read_sofa(path: str | Path) -> Head:
    """The head in a SOFA file, its horizontal plane only. Raises UserError with one sentence for whatever is wrong."""
    import h5py  # noqa: PLC0415  (slow to import, and needed for such a file only)

    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a SOFA file")
    if not path.exists():
        raise UserError(f"{path} does not exist; name a SOFA file, or one of the heads 'kemar' and 'spherical'")
    try:
        with h5py.File(path, "r") as file:
            _check_convention(path, file)
            values = {name: _array(path, file, name) for name in ("Data.IR", "Data.SamplingRate", "SourcePosition")}
            for name in ("Data.Delay", "ReceiverPosition", "ListenerView"):
                if name in file:
                    values[name] = _array(path, file, name)
            position = file["SourcePosition"].attrs
            kind, units = _text(position.get("Type", "spherical")), _text(position.get("Units", "degree"))
            title = _text(file.attrs.get("ListenerShortName", "")) or _text(file.attrs.get("Title", ""))
            citation = _text(file.attrs.get("References", ""))
    except UserError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a SOFA (HDF5) file: it is damaged, cut short or something else; "
                        f"copy it again ({(str(error).splitlines() or ['no reason known'])[0]})") from None  # fmt: skip
    _check_shapes(path, values)
    azimuth, elevation, distance = _spherical(values["SourcePosition"], kind, units)
    responses, rate = _responses(values), float(values["Data.SamplingRate"].ravel()[0])
    if not (np.isfinite(rate) and 8000 <= rate <= 1e6):
        raise UserError(
            f"{path} has a sampling rate of {rate:g} Hz; a head needs one between 8 kHz and 1 MHz; {ADVICE}"
        )
    chosen = _horizontal(azimuth, elevation, distance)
    if len(chosen) == 0:
        raise UserError(f"{path} has no horizontal directions (elevation 0 deg) among its {len(azimuth)}; {ADVICE}")
    peaks = np.abs(responses[chosen]).max(axis=-1)
    if not ((peaks > SMALLEST) & (peaks < LARGEST)).all():  # false for NaN too
        raise UserError(f"{path} has impulse responses that are silent, absurdly large or not finite numbers; {ADVICE}")
    return Head.of_responses(title or path.stem, rate, -azimuth[chosen], responses[chosen], citation)


def _check_convention(path: Path, file: Any) -> None:
    convention = _text(file.attrs.get("SOFAConventions", ""))
    if not convention:
        raise UserError(f"{path} is an HDF5 file but not a SOFA file: it names no SOFAConventions; {ADVICE}")
    if convention != CONVENTION:
        raise UserError(f"{path} holds SOFA convention {convention!r}, but only {CONVENTION} can be read; {ADVICE}")
    kind = _text(file.attrs.get("DataType", "FIR"))
    if kind != "FIR":
        raise UserError(f"{path} holds data of type {kind!r}, but only FIR impulse responses can be read; {ADVICE}")


def _array(path: Path, file: Any, name: str) -> np.ndarray:
    if name not in file:
        raise UserError(f"{path} is a SOFA file without {name}; {ADVICE}")
    return np.asarray(file[name][()], dtype=np.float64)


def _text(value: Any) -> str:
    """An attribute as text, whatever wrote it: bytes, text, an array of one, or empty."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        value = np.asarray(value).ravel()[0] if value.shape not in (None, (0,)) else ""
    return (
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) if isinstance(value, str) else ""
    )


def _check_shapes(path: Path, values: dict[str, np.ndarray]) -> None:
    responses, position = values["Data.IR"], values["SourcePosition"]
    if responses.ndim != 3 or responses.shape[1] != 2 or responses.shape[2] < 16:
        raise UserError(
            f"{path} has responses of shape {responses.shape}; expected [directions, 2 ears, taps]; {ADVICE}"
        )
    if position.shape != (len(responses), 3):
        raise UserError(
            f"{path} has {len(responses)} responses but source positions of shape {position.shape}; {ADVICE}"
        )
    view = values.get("ListenerView")
    if view is not None and len(np.unique(view.reshape(-1, view.shape[-1]), axis=0)) > 1:
        raise UserError(f"{path} turns the listener between measurements, which is not supported; {ADVICE}")


def _spherical(position: np.ndarray, kind: str, units: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Azimuth (counter-clockwise), elevation, both in radians, and distance, each [M]."""
    if kind.lower() == "cartesian":
        x, y, z = position.T
        return np.arctan2(y, x), np.arctan2(z, np.hypot(x, y)), np.sqrt((position**2).sum(axis=1))
    turn = 1.0 if units.lower().startswith("radian") else math.pi / 180
    return position[:, 0] * turn, position[:, 1] * turn, position[:, 2]


def _responses(values: dict[str, np.ndarray]) -> np.ndarray:
    """Responses, left ear first, with the file's extra delays (in samples) put in: [M, 2, taps]."""
    responses = values["Data.IR"]
    delay = values.get("Data.Delay", np.zeros((1, 2)))
    if delay.size in (2, 2 * len(responses)) and np.ptp(delay) > 0:
        delay = np.broadcast_to(delay.reshape(-1, 2), responses.shape[:2])
        delay = delay - delay.min()
        length = 2 * (responses.shape[2] + math.ceil(delay.max()))
        turns = np.exp(-2j * math.pi * np.fft.rfftfreq(length) * delay[..., None])
        responses = np.fft.irfft(np.fft.rfft(responses, length) * turns, length)[..., : length // 2]
    receiver = values.get("ReceiverPosition")
    if receiver is not None and receiver.shape[:2] == (2, 3):
        sideways = receiver.reshape(2, 3, -1)[:, 1, 0]  # y is to the left
        if sideways[0] < 0 < sideways[1]:
            responses = responses[:, ::-1]
    return responses


def _horizontal(azimuth: np.ndarray, elevation: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Indices of the horizontal directions; of two measurements in one direction the more distant."""
    level = np.flatnonzero(np.abs(elevation) <= LEVEL)
    step = np.round(np.mod(azimuth[level], 2 * math.pi) / SAME) % round(2 * math.pi / SAME)
    order = np.lexsort([-distance[level], step])
    return level[order][np.diff(step[order], prepend=-1) > 0]
