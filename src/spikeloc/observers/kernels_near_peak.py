"""Loops of :mod:`spikeloc.observers.near_peak`, sound by sound."""

from __future__ import annotations

import numpy as np

from spikeloc.compiled import kernel

__all__ = ["correlate", "windows"]

DROP = 40.0  # exp(-40) = 4e-18: what is so much less likely is lost in rounding
FEWEST = 32  # points that resolve a likelihood; one whose peak is outside the range has less
LIKELY = 1e-4  # the range must be this likely beside the whole circle, to be resolved


@kernel
def windows(
    step: np.ndarray, delay: np.ndarray, index: np.ndarray, start: np.ndarray, place: np.ndarray, log_odds: np.ndarray,
    silence: np.ndarray, impossible: float, upper: np.ndarray, reach: int, likelihood: np.ndarray, first: np.ndarray,
    size: np.ndarray,
) -> None:  # fmt: skip
    """The likelihood of each sound and ear, the greatest 1, at the points first, first + 1, ... of the circle.

    ``size`` of them, within +-reach; 0 where no window holds them. Ears are the last of both.
    """
    n_sounds, n_ears, room = likelihood.shape
    n_steps, points, most = len(step), silence.shape[1] // 2, 0
    for sound in range(n_sounds):
        most = max(most, start[(sound + 1) * n_steps] - start[sound * n_steps])
    places, total = np.empty((2, most), dtype=np.int64), np.empty(room)
    for sound in range(n_sounds):
        counts = find_places(step, delay, index, start[sound * n_steps : (sound + 1) * n_steps + 1], place, places)
        for last in range(n_ears):
            ear = 2 - n_ears + last
            mine = places[ear, : counts[ear]]
            begin, end = left_by(upper[sound, last], reach, mine, log_odds, silence[ear], impossible)
            if 0 < end - begin <= min(room, points):
                window = total[: end - begin]
                add_up(mine, begin % points, log_odds, silence[ear], window)
                skipped, size[sound, last] = likelihoods(window, impossible, likelihood[sound, last])
                first[sound, last] = begin + skipped


@kernel
def find_places(
    step: np.ndarray, delay: np.ndarray, index: np.ndarray, start: np.ndarray, place: np.ndarray, places: np.ndarray
) -> tuple[int, int]:
    """The places of each ear's spikes, [2, spikes]; returns their numbers."""
    half, left, right = len(delay) // 2, 0, 0
    for time in range(len(step)):
        event, end = start[time], start[time + 1]
        while event < end and index[event] < half:  # those of a time step are in the order of the fibres
            places[0, left] = place[step[time] + delay[index[event]]]
            left, event = left + 1, event + 1
        while event < end:
            places[1, right] = place[step[time] + delay[index[event]]]
            right, event = right + 1, event + 1
    return left, right


@kernel
def greatest(values: np.ndarray) -> float:
    """The greatest value, -inf of none."""
    found = -np.inf  # values.max() would take Numba longer to compile than all else here
    for value in values:
        found = max(found, value)
    return found


@kernel
def left_by(
    upper: np.ndarray, reach: int, places: np.ndarray, log_odds: np.ndarray, silence: np.ndarray, impossible: float
) -> tuple[int, int]:
    """The points [begin, end) that the bound leaves; none if its best phase is impossible."""
    cells, points = len(upper), len(silence) // 2
    ratio, whole = points / cells, 2 * reach + 1 >= points
    far = min(cells // 2, int(reach / ratio + 0.5))
    best = 0
    for cell in range(-far, far + 1):
        if upper[cell & (cells - 1)] > upper[best & (cells - 1)]:  # the remainder: cells are a power of two
            best = cell
    point = max(-reach, min(reach, int(np.rint(best * ratio)))) % points
    there = silence[point]
    for spike in places:
        there += log_odds[spike + point]
    if there < impossible:
        return 0, 0
    centre = best if whole else 0
    low = high = best
    for cell in range(centre - far, centre + far + 1):
        if upper[cell & (cells - 1)] >= there - DROP:
            low, high = min(low, cell), max(high, cell)
    begin, end = int(np.ceil((low - 0.5) * ratio)), int(np.floor((high + 0.5) * ratio)) + 1
    return (begin, end) if whole else (max(begin, -reach), min(end, reach + 1))


@kernel
def add_up(places: np.ndarray, begin: int, log_odds: np.ndarray, silence: np.ndarray, total: np.ndarray) -> None:
    """The log-likelihood at the points from ``begin`` on, as many as ``total`` holds."""
    size, fours = len(total), len(places) // 4 * 4
    for k in range(size):
        total[k] = silence[begin + k]
    # Four spikes at a time: the sums are read and written less often.
    for i in range(0, fours, 4):
        a, b = log_odds[places[i] + begin :], log_odds[places[i + 1] + begin :]
        c, d = log_odds[places[i + 2] + begin :], log_odds[places[i + 3] + begin :]
        for k in range(size):
            total[k] += (a[k] + b[k]) + (c[k] + d[k])
    for i in range(fours, len(places)):
        a = log_odds[places[i] + begin :]
        for k in range(size):
            total[k] += a[k]


@kernel
def likelihoods(total: np.ndarray, impossible: float, likelihood: np.ndarray) -> tuple[int, int]:
    """exp(L - peak) from the first to the last that matters: how many are skipped before them, and their number."""
    peak = greatest(total)
    if peak < impossible:
        return 0, 0
    low, high = 0, len(total)
    while total[low] < peak - DROP:
        low += 1
    while total[high - 1] < peak - DROP:
        high -= 1
    if high - low < FEWEST:
        return 0, 0
    for k in range(low, high):
        likelihood[k - low] = np.exp(total[k] - peak)
    return low, high - low


@kernel
def correlate(
    likelihood: np.ndarray, first: np.ndarray, size: np.ndarray, points: int, limit: float, density: np.ndarray
) -> None:
    """sum_u likelihood_left(u) likelihood_right(u + a), and where it lies: in place of the left ear's window.

    The first point is put within half a circle of 0; a size of 0 stays, or tells that no a within +-limit is likely.
    """
    for sound in range(len(density)):
        n_left, n_right = size[sound]
        if n_left == 0 or n_right == 0:
            size[sound, 0] = 0
            continue
        n = n_left + n_right - 1
        right, out = likelihood[sound, 1, :n_right], density[sound]
        for i in range(n_left):
            shifted, factor = out[n_left - 1 - i :], likelihood[sound, 0, i]
            for j in range(n_right):
                shifted[j] += factor * right[j]
        begin = first[sound, 1] - first[sound, 0] - (n_left - 1)
        middle = begin + n // 2
        begin += (middle + points // 2) % points - points // 2 - middle
        inside = out[max(0, int(np.ceil(-limit)) - begin) : max(0, int(np.floor(limit)) + 1 - begin)]
        likely = greatest(inside) > LIKELY * greatest(out)
        first[sound, 0], size[sound, 0] = begin, n if likely else 0
