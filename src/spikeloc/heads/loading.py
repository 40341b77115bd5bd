"""Heads by name: the one that is shipped, a sphere of any size, or a SOFA file."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from spikeloc.errors import UserError
from spikeloc.heads.head import Head
from spikeloc.heads.sofa import read_sofa
from spikeloc.heads.spherical import spherical_head
from spikeloc.settings import nearest
from spikeloc.units import read_quantity

__all__ = ["load_head"]

NAMES = ["kemar", "spherical"]


def load_head(name_or_path: str | Path, *, equalised: bool = True) -> Head:
    """The head of a name or file.

    "kemar"                 the measured KEMAR manikin that is shipped (Gardner & Martin 1994)
    "spherical"             a rigid sphere of radius 8.75 cm; "spherical:9 cm" one of another radius
    "path/to/head.sofa"     the horizontal plane of a measured head in a SOFA file

    Measured heads are equalised for a diffuse field, so that they differ by shape and not by loudspeaker and
    microphone, unless ``equalised`` is false. Raises UserError for anything else.
    """
    text = str(name_or_path)
    kind, _, size = text.partition(":")
    if text == "kemar":
        return _kemar(equalised)
    if kind == "spherical":
        return spherical_head(read_quantity(size, "length")) if size else spherical_head()
    if Path(text).suffix.lower() == ".sofa" or Path(text).exists():
        head = read_sofa(text)
        return head.equalised() if equalised else head
    raise UserError(
        f"{text!r} is not a head{nearest(text, NAMES)}; choose 'kemar', 'spherical', 'spherical:8.75 cm' or the path "
        f"of a .sofa file"
    )


@cache
def _kemar(equalised: bool) -> Head:
    if equalised:
        return _kemar(False).equalised()
    content = (resources.files("spikeloc.heads") / "kemar.safetensors").read_bytes()
    about = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    tensors = load(content)
    return Head(
        about["name"],
        float(about["sample_rate"]),
        np.radians(tensors["azimuths_deg"].astype(np.float64)),
        tensors["responses"].astype(np.float32) * np.float32(about["scale"]),
        tensors["delays"].astype(np.float64),
        about["citation"],
    )
