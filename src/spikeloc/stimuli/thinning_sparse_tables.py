"""Tables for sparse drawing; :mod:`spikeloc.stimuli.thinning_sparse` says what they are for."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from spikeloc.stimuli.marks import ROWS, byte_neurons
from spikeloc.stimuli.rate_law import RateLaw
from spikeloc.stimuli.thinning_cells import CELLS, in_turns, over_arc

__all__ = ["GUIDE_BITS", "PHASE_BITS", "SparseTables", "sparse_tables"]

TURN = 2 * math.pi
ARC = 0.25  # radians that the rows of a segment span, at most
LEVELS = 128
PER_OCTAVE = 8  # levels in which the number of candidates halves
PHASE_BITS = 10  # of the phase that tells a segment's level
GUIDE_BITS = 7
CERTAIN = 2.0**63
GUARD = 1e-9
MOST_BINS = 8192  # of a segment, unless a single row has more


class SparseTables(NamedTuple):
    """What candidates are drawn from and decided by."""

    n_fibres: int
    """Of an ear."""
    steps: int
    """Rows of a segment."""
    step_bits: int
    """log2(steps)."""
    slot_bits: int
    """b: there are 2^b slots."""
    margin: int
    """Largest s: rows before a sound's first step."""
    n_thresholds: int
    """More candidates than this a segment never has."""
    unsure: int
    """Largest difference of high and low."""
    levels: np.ndarray
    """Level for the phase at which a segment begins: uint8 [2^PHASE_BITS]."""
    lambdas: np.ndarray
    """lambda of each level: float64 [LEVELS]."""
    scales: np.ndarray
    """lambda of each level in the units of low and high, times 2^16: uint64 [LEVELS]."""
    thresholds: np.ndarray
    """2^63 P(at most k candidates): uint64 [LEVELS, n_thresholds], flat."""
    guide: np.ndarray
    """How many thresholds the least number with these highest bits reaches: uint16 [LEVELS, 2^GUIDE_BITS], flat."""
    low: np.ndarray
    """Least hazard in each cell: uint16 [CELLS]. A candidate below it is a spike."""
    high: np.ndarray
    """Largest hazard in each cell: uint16 [CELLS]. A candidate above it is none."""
    first_turns: np.ndarray
    """d_min of each ear, in 2^-64 turns: uint64 [2]."""
    slots: np.ndarray
    """r in 2^-64 turns, and the fibre's bit in row 0 of the marks: uint64 [ear, 2^b, 2], flat."""
    slot_fibres: np.ndarray
    """The fibre, or n_fibres for a void slot: uint64 [2^b]."""
    delays: np.ndarray
    """In radians [ear, F], flat."""
    law: np.ndarray
    """step_angle, phase_shift, peak, power."""
    coefficients: np.ndarray
    """Of the law, see :class:`RateLaw`."""
    neurons: np.ndarray
    """See :func:`byte_neurons`."""


def sparse_tables(
    law: RateLaw, bounds: tuple[np.ndarray, np.ndarray], delays: np.ndarray, n_steps: int
) -> SparseTables:
    """Tables for a law with these bounds (less than 1) in each cell, and delays [2, F] in radians."""
    n_fibres, neurons = delays.shape[1], byte_neurons(delays.shape[1])
    slot_bits, slot_fibres = _slots(n_fibres)
    steps = _segment_steps(law.step_angle, min(n_steps, ROWS, MOST_BINS // n_fibres))
    shifts, rests = _shear(delays, law.step_angle, n_steps)
    margin = int(shifts.max())
    span = (steps - 1) * law.step_angle + float(rests.max())
    levels, lambdas = _levels(bounds[1], span)
    bins = steps * 2**slot_bits / (2**slot_bits // n_fibres)
    thresholds, guide = _poisson_tables(lambdas * bins)
    unit = 65536 / lambdas[0]
    # A candidate's place takes bits from its number: so much the comparison can be wrong.
    slack = 0.1 + 2.0 ** (slot_bits + steps.bit_length() - 1 - 16)
    low, high = (
        np.clip(-np.log1p(-bound) * unit + shift, 0, 65535).astype(np.uint16)
        for bound, shift in zip(bounds, (-slack, slack), strict=True)
    )
    return SparseTables(
        n_fibres,
        steps,
        steps.bit_length() - 1,
        slot_bits,
        margin,
        thresholds.shape[1],
        int((high.astype(np.int64) - low).max()),
        levels,
        lambdas,
        np.ceil(lambdas * unit * 65536).astype(np.uint64),
        thresholds.reshape(-1),
        guide.reshape(-1),
        low,
        high,
        in_turns(delays.min(axis=1)),
        _slot_table(slot_fibres, shifts, rests, margin, len(neurons)).reshape(-1),
        slot_fibres.astype(np.uint64),
        delays.reshape(-1),
        np.array([law.step_angle, law.phase_shift, law.peak, law.power]),
        law.coefficients,
        neurons,
    )


def _slots(n_fibres: int) -> tuple[int, np.ndarray]:
    """b, and the fibre of each of 2^b slots; void slots, as few as can be with up to four times as many, come last."""
    fewest = (n_fibres - 1).bit_length()
    bits = max(range(fewest, fewest + 3), key=lambda b: 2**b // n_fibres / 2**b)
    return bits, np.minimum(np.arange(2**bits) // (2**bits // n_fibres), n_fibres)


def _segment_steps(step_angle: float, most: int) -> int:
    """The largest power of two that is at most ``most`` and spans at most ARC; at least 1."""
    steps = 1
    while 2 * steps <= most and 2 * steps * step_angle <= ARC:
        steps *= 2
    return steps


def _shear(delays: np.ndarray, step_angle: float, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """s and r of each fibre: whole steps and the rest of its delay after its ear's least, int64 and radians [2, F]."""
    lags = delays - delays.min(axis=1, keepdims=True)
    # Rows before a sound's start and after its end have bins of some fibres only; they must not outweigh the sound.
    shifts = np.floor(lags / step_angle) if lags.max() <= step_angle * n_steps / 2 else np.zeros_like(lags)
    return shifts.astype(np.int64), np.maximum(lags - shifts * step_angle, 0)


def _levels(high: np.ndarray, span: float) -> tuple[np.ndarray, np.ndarray]:
    """Level of segments that begin in each of 2^PHASE_BITS phases and span this angle, and lambda of each level."""
    per_phase = CELLS >> PHASE_BITS
    # One cell more, because the phase within the arc is rounded down as well.
    n_cells = per_phase + 1 + math.ceil((span / TURN + 2.0**-20) * CELLS)
    hazard = -np.log1p(-over_arc(high, n_cells, np.maximum)[::per_phase])
    lambdas = hazard.max() * 2.0 ** (-np.arange(LEVELS) / PER_OCTAVE)
    levels = np.floor(PER_OCTAVE * np.log2(hazard.max() / hazard) + GUARD)
    return np.clip(levels, 0, LEVELS - 1).astype(np.uint8), lambdas * (1 + GUARD)


def _poisson_tables(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds and guide for Poisson numbers with these means; the first mean is the largest."""
    k = np.arange(int(means[0] + 12 * math.sqrt(means[0]) + 40))
    log_factorials = np.array([math.lgamma(i + 1) for i in k])
    at_most = np.cumsum(np.exp(k * np.log(means[:, None]) - means[:, None] - log_factorials), axis=1)
    thresholds = np.where(at_most < 1 - 2.0**-52, at_most * CERTAIN, CERTAIN).astype(np.uint64)
    thresholds[:, -1] = np.uint64(CERTAIN)
    numbers = np.arange(2**GUIDE_BITS, dtype=np.uint64) << np.uint64(63 - GUIDE_BITS)
    return thresholds, np.array([np.searchsorted(row, numbers, side="right") for row in thresholds]).astype(np.uint16)


def _slot_table(fibres: np.ndarray, shifts: np.ndarray, rests: np.ndarray, margin: int, row_bytes: int) -> np.ndarray:
    """Phase and place of each ear's slots: uint64 [2, 2^b, 2]. Void slots point to the byte that is never listed."""
    n_fibres, ear_bits = shifts.shape[1], 4 * row_bytes
    void = fibres == n_fibres
    real = np.where(void, 0, fibres)
    places = np.where(void, ear_bits - 1, (margin - shifts[:, real]) * 2 * ear_bits + real)
    return np.stack([in_turns(rests[:, real]), (places + np.array([[0], [ear_bits]])).astype(np.uint64)], axis=2)
