"""Drawing the spikes of tones: every bin of every fibre spikes independently with its own probability.

A sound is drawn from its key alone (see :mod:`spikeloc.randomness`), so it depends neither on its batch nor on the
number of threads. There are two methods, and the stimulus decides between them:

dense     looks at every bin, with a byte of randomness (:mod:`spikeloc.stimuli.thinning_dense`)
sparse    looks at candidates, a little more than there are spikes (:mod:`spikeloc.stimuli.thinning_sparse`)

In both, a bin spikes if a uniform number is less than a known function of its probability p. The number's first bits
are compared with tables of bounds of p (:mod:`spikeloc.stimuli.thinning_cells`); its other bits, and p itself, are
worked out only where that cannot decide. So the cost does not depend on the law, and yet every probability is exact to
2^-31 and better. Spikes are first marked as bits, then listed (:mod:`spikeloc.stimuli.marks`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli.marks import collect_spikes
from spikeloc.stimuli.rate_law import RateLaw
from spikeloc.stimuli.thinning_cells import cell_bounds, expected_spikes, in_turns, to_cells
from spikeloc.stimuli.thinning_dense import DenseTables, dense_tables, draw_dense
from spikeloc.stimuli.thinning_sparse import draw_sparse
from spikeloc.stimuli.thinning_sparse_tables import SparseTables, sparse_tables

__all__ = ["draw_spikes"]

DENSE_FROM = 0.09  # mean hazard from which a look at every bin costs less than candidates
MOST_SPARSE = 0.5  # largest probability that is drawn from candidates
DEVIATIONS = 8  # a sound has room for so many standard deviations more spikes than expected


class _Plan(NamedTuple):
    """What all batches of a stimulus share: tables, the phase of a step, and each ear's expected spikes by phase."""

    tables: DenseTables | SparseTables
    step: np.uint64
    expected: np.ndarray


def draw_spikes(
    keys: np.ndarray,
    left_offset: np.ndarray,
    right_offset: np.ndarray,
    left_delays: np.ndarray,
    right_delays: np.ndarray,
    n_steps: int,
    law: RateLaw,
) -> SpikeEvents:
    """Spikes of a batch of tones; fibre j of an ear is at phase  t step_angle + offset + delay_j  in step t.

    keys            of the sounds                          [B] uint64
    left_offset     phase of each sound at the left ear    [B] rad      (right_offset likewise)
    left_delays     phase delay of each left fibre         [F] rad      (right_delays likewise)
    """
    plan = _plan(law, left_delays.tobytes(), right_delays.tobytes(), n_steps)
    draw = draw_dense if isinstance(plan.tables, DenseTables) else draw_sparse
    n_sounds, n_fibres = len(keys), len(left_delays)
    offsets = np.empty((n_sounds, 2))
    offsets[:, 0], offsets[:, 1] = left_offset, right_offset
    turns = in_turns(offsets)
    left_cell, right_cell = to_cells(turns).T
    expected = plan.expected[left_cell, 0] + plan.expected[right_cell, 1]
    room = np.minimum(expected + DEVIATIONS * np.sqrt(expected) + 32, 2 * n_fibres * n_steps)
    return collect_spikes(
        draw, n_sounds, n_steps, 2 * n_fibres, room, keys, offsets, turns, n_steps, plan.step, plan.tables
    )


@lru_cache(maxsize=4)
def _plan(law: RateLaw, left_delays: bytes, right_delays: bytes, n_steps: int) -> _Plan:
    delays = np.stack([np.frombuffer(left_delays), np.frombuffer(right_delays)])
    step = np.uint64(in_turns(np.array(law.step_angle)))
    bounds = cell_bounds(law)
    expected = np.stack([expected_spikes(bounds[1], ear, n_steps, step) for ear in in_turns(delays)], axis=1)
    dense = bounds[1].max() > MOST_SPARSE or float(-np.log1p(-bounds[1]).mean()) > DENSE_FROM
    tables = dense_tables(law, bounds, delays) if dense else sparse_tables(law, bounds, delays, n_steps)
    return _Plan(tables, step, expected)
