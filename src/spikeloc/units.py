"""Physical quantities: SI numbers inside, written with their unit outside.

tau = 20 * ms               in Python
tau = "20 ms"               in a recipe
"""

from __future__ import annotations

import math
import re

from spikeloc.errors import UserError

__all__ = ["UNITS", "Hz", "deg", "kHz", "ms", "read_quantity", "s", "us", "write_quantity"]

s = 1.0
ms = 1e-3
us = 1e-6
Hz = 1.0
kHz = 1e3
deg = math.pi / 180

# The first unit of each dimension is the one that examples use.
UNITS: dict[str, dict[str, float]] = {
    "time": {"ms": ms, "s": s, "us": us, "µs": us},
    "frequency": {"Hz": Hz, "kHz": kHz},
    "rate": {"/s": Hz, "Hz": Hz, "kHz": kHz},
    "angle": {"deg": deg, "°": deg, "rad": 1.0},
    "length": {"cm": 1e-2, "m": 1.0, "mm": 1e-3},
    "level": {"dB": 1.0, "dB SPL": 1.0},  # stays in decibels
}

READABLE = 9  # characters of a quantity written with its unit

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*(?: SPL)?)\s*")


def read_quantity(text: str, dimension: str) -> float:
    """The SI value of a number with its unit, such as ``"20 ms"`` for a time.

    Raises UserError if the text is not a number followed by a unit of this dimension.
    """
    units = UNITS[dimension]
    example = f"write a number and {_choice(list(units))}, for example '20{'' if dimension == 'rate' else ' '}"
    example += f"{next(iter(units))}'"
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise UserError(f"{text!r} is not a {dimension}; {example}")
    number, unit = match.groups()
    if unit == "":
        raise UserError(f"{text!r} has no unit, but a {dimension} needs one; {example}")
    if unit not in units:
        raise UserError(f"{text!r} is not a {dimension}: it is in {unit!r}; {example}")
    return float(number) * units[unit]


def write_quantity(value: float, dimension: str) -> str:
    """A text that :func:`read_quantity` reads back as exactly ``value``: the first unit in which it is short."""
    units = UNITS[dimension]
    candidates = []
    for unit, size in units.items():
        for digits in (6, 12, 17):
            text = f"{value / size:.{digits}g}{'' if unit in ('/s', '°') else ' '}{unit}"
            if read_quantity(text, dimension) == value:
                candidates.append(text)
                break
    # Every dimension has a unit of size 1, in which 17 digits are exact: there is always a candidate.
    return next((text for text in candidates if len(text) <= READABLE), min(candidates, key=len))


def _choice(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]])
