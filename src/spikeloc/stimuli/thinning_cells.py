"""The tone's phase in whole numbers, and bounds of the spike probability in cells of phase.

Phases are counted in 2^-64 turns, so they wrap around by themselves. The circle is cut into 8192 cells, and the least
and the largest spike probability in each are known. These bounds decide nearly every bin; the law itself, in float64,
decides the rest. They are wide enough that neither rounded phases nor a rounded sine can cross them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.stimuli.rate_law import RateLaw, probability_at

__all__ = [
    "CELLS",
    "CELL_BITS",
    "bin_probability",
    "cell_bounds",
    "expected_spikes",
    "in_turns",
    "over_arc",
    "to_cells",
]

CELL_BITS = 13
CELLS = 1 << CELL_BITS
TURN = 2 * math.pi
PHASE_GUARD = 2.0**-22  # turns
GUARD = 1e-12


def in_turns(angle: np.ndarray) -> np.ndarray:
    """Angles in radians as units of 2^-64 turns from 0 to 1 turn: uint64, same shape."""
    high = np.mod(np.asarray(angle, dtype=np.float64) / TURN, 1.0) * 2.0**32
    low = (high - np.floor(high)) * 2.0**32
    return (high.astype(np.uint64) << np.uint64(32)) + low.astype(np.uint64)


def to_cells(turns: np.ndarray) -> np.ndarray:
    """The cell of each phase given in 2^-64 turns: int64, same shape."""
    return (turns >> np.uint64(64 - CELL_BITS)).astype(np.int64)


def cell_bounds(law: RateLaw) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest spike probability of bins that start in each cell of phase: two of [CELLS].

    The law rises and falls once in a turn, so its bounds lie at a cell's ends, or at the crest or the trough.
    """
    edges = np.arange(CELLS) / CELLS
    at_ends = law.probability(TURN * np.stack([edges - PHASE_GUARD, edges + 1 / CELLS + PHASE_GUARD]))
    low, high = at_ends.min(axis=0), at_ends.max(axis=0)
    for turn, bound, further in ((0.25, high, np.maximum), (0.75, low, np.minimum)):
        extreme = turn - law.phase_shift / TURN
        cells = np.floor((extreme + PHASE_GUARD * np.array([-1, 0, 1])) * CELLS).astype(np.int64) % CELLS
        bound[cells] = further(bound[cells], law.probability(np.array(TURN * extreme)))
    return np.maximum(low * (1 - GUARD) - GUARD, 0), np.minimum(high * (1 + GUARD) + GUARD, 1)


def over_arc(bound: np.ndarray, n_cells: int, further: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """The bound over each cell and the n - 1 cells after it, around the circle: [CELLS] -> [CELLS]."""
    out, have = bound, 1
    while have < min(n_cells, CELLS):
        more = min(have, n_cells - have)
        out, have = further(out, np.roll(out, -more)), have + more
    return out


def expected_spikes(high: np.ndarray, delays: np.ndarray, n_steps: int, step: np.uint64) -> np.ndarray:
    """Expected spikes of an ear whose tone starts in each cell of phase, or slightly more: [CELLS].

    high     largest probability in each cell               [CELLS]
    delays   of the ear's fibres, in 2^-64 turns            [F]
    step     phase that passes in a step, in 2^-64 turns
    """
    steps = np.arange(n_steps, dtype=np.uint64) * step
    # A bin's cell is the sum of three, each rounded down. The sum over steps and fibres is a circular correlation.
    spectrum = np.fft.rfft(over_arc(high, 3, np.maximum))
    for phases in (steps, delays):
        spectrum = spectrum * np.conj(np.fft.rfft(np.bincount(to_cells(phases), minlength=CELLS)))
    return np.maximum(np.fft.irfft(spectrum, CELLS), 0)


@kernel
def bin_probability(t: np.uint64, offset: float, delay: float, law: np.ndarray, coefficients: np.ndarray) -> float:
    """Spike probability of a bin by the law itself; ``law`` is (step_angle, phase_shift, peak, power)."""
    sine = math.sin(float(t) * law[0] + law[1] + offset + delay)
    return max(0.0, min(1.0, probability_at(sine, law[2], law[3], coefficients)))
