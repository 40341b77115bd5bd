"""A recording's directions as lines of text: a mark for every window between left and right. Prints nothing itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spikeloc.localisation import Localisation, Window

__all__ = ["direction", "localisation_lines", "sentence"]

MOST_LINES = 20
COLUMNS = 41  # from -90 to 90 deg, 4.5 deg each
LIMIT = 90.0
AHEAD, PLACE, RANGE = ":", "O", "="


def localisation_lines(found: Localisation) -> list[str]:
    """The picture: a line for each window, or for each of at most 20 stretches of a long recording.

    O is where a sound comes from, = how sure that is (standard deviation); lines end in the same numbers, in degrees.
    """
    stretch = math.ceil(len(found.windows) / MOST_LINES)
    groups = [found.windows[first : first + stretch] for first in range(0, len(found.windows), stretch)]
    digits = 2 if groups[-1][-1].time < 100 else 0
    width = len(f"{groups[-1][-1].time:.{digits}f}")
    scale = f"{'-90':<{COLUMNS // 2 - 2}}ahead{'+90 deg':>{COLUMNS // 2 + 2}}"
    lines = [f"{'s':>{width + 2}}  {scale}"]
    for group in groups:
        middle = (group[0].time + group[-1].time) / 2
        lines.append(f"  {middle:>{width}.{digits}f} |{_row(group)}".rstrip())
    return [*lines, *found.remarks]


def sentence(name: str, found: Localisation, true: float | None = None) -> str:
    """The answer for all of a recording of a name, and its true azimuth in radians where that is known."""
    text = f"{name}: {direction(found.azimuth)}"
    if found.uncertainty is not None:
        text += f", +- {_whole(found.uncertainty)} deg"
    return text if true is None else f"{text} (true azimuth: {direction(true)})"


def direction(azimuth: float) -> str:
    """An azimuth in radians in words, rounded to degrees."""
    size = abs(_whole(azimuth))
    return f"{size} deg to the {'right' if azimuth > 0 else 'left'}" if size else "straight ahead"


def _row(group: Sequence[Window]) -> str:
    """The marks and numbers of one or several windows."""
    if all(window.azimuth is None for window in group):
        why = "silent" if all(window.silent for window in group) else "overdriven"
        return f"{' ' * (COLUMNS // 2)}{AHEAD}{' ' * (COLUMNS // 2)}|  {why}"
    answer = Localisation(tuple(group))
    cells = [" "] * COLUMNS
    cells[COLUMNS // 2] = AHEAD
    spread = answer.uncertainty
    if spread is not None:
        for column in range(_column(answer.azimuth - spread), _column(answer.azimuth + spread) + 1):
            cells[column] = RANGE
    cells[_column(answer.azimuth)] = PLACE
    numbers = f"{_whole(answer.azimuth):>+4d}" + ("" if spread is None else f" +- {_whole(spread)}")
    return f"{''.join(cells)}| {numbers}"


def _column(angle: float) -> int:
    place = (math.degrees(angle) + LIMIT) / (2 * LIMIT) * (COLUMNS - 1)
    return min(COLUMNS - 1, max(0, round(place)))


def _whole(angle: float) -> int:
    return round(math.degrees(angle))
