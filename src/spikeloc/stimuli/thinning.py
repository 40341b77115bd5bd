"""Drawing the spikes of tones: every bin of every fibre spikes independently with its own probability.

A sound is drawn from its key alone (see :mod:`spikeloc.randomness`), by one of two methods that the stimulus decides:

- **dense** (the peak probability is at least a quarter): every bin gets a 32-bit random number and is compared;
- **sparse** (below): bins are grouped into small segments of similar phase. With q the largest probability in a
  segment, the next candidate lies a geometric number of bins ahead, floor(E / -ln(1 - q)) for an exponential E, and
  becomes a spike with probability p/q (thinning; Lewis & Shedler 1979). The cost follows the spikes, not the bins.

Both give each bin its exact probability, to 2^-31.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spikeloc.compiled import kernel, over_sounds
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli.rate_law import RateLaw
from spikeloc.stimuli.thinning_dense import draw_dense
from spikeloc.stimuli.thinning_sparse import draw_sparse, segment_shape

__all__ = ["draw_spikes"]

DENSE_FROM = 0.25  # peak probability from which looking at every bin costs less than skipping


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
    n_sounds, n_fibres = len(keys), len(left_delays) + len(right_delays)
    fibres = np.concatenate([left_offset[:, None] + left_delays, right_offset[:, None] + right_delays], axis=1)
    time = law.step_angle * np.arange(n_steps) + law.phase_shift
    tables = (np.sin(time), np.cos(time), np.sin(fibres), np.cos(fibres))
    kernel, extra = _method(law, left_delays, right_delays)
    counts = np.zeros((n_sounds, n_steps), dtype=np.int64)
    room = _expected_spikes(law, n_steps * n_fibres)
    while True:
        # A sound's spikes are written into a row of their own first; one more place than spikes is touched.
        staged = np.empty((n_sounds, room + n_fibres + 1), dtype=np.uint16)
        over_sounds(
            kernel, n_sounds, keys, *tables, *extra, law.peak, float(law.power), law.coefficients, staged, counts
        )
        if n_sounds == 0 or int(counts.max()) <= room:
            break
        room = n_steps * n_fibres
    return _collect(staged, counts, n_fibres)


def _method(
    law: RateLaw, left_delays: np.ndarray, right_delays: np.ndarray
) -> tuple[Callable[..., None], tuple[int, ...]]:
    if law.peak_probability >= DENSE_FROM:
        return draw_dense, ()
    steps, fibres = segment_shape(law.step_angle, left_delays)
    reversed_delays = len(right_delays) > 1 and right_delays[0] > right_delays[-1]
    return draw_sparse, (len(left_delays), steps, fibres, int(reversed_delays))


def _expected_spikes(law: RateLaw, n_bins: int) -> int:
    """Room for the spikes of a sound: half more than its mean and some. Sounds that need more are drawn again."""
    circle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    return min(n_bins, int(1.5 * n_bins * law.probability(circle).mean()) + 256)


def _collect(staged: np.ndarray, counts: np.ndarray, n_fibres: int) -> SpikeEvents:
    """Put the sounds' spikes one after another; ``counts`` [B, T] are spikes up to and including each step."""
    n_sounds, n_steps = counts.shape
    start = np.zeros(n_sounds * n_steps + 1, dtype=np.int64)
    offsets = np.cumsum(counts[:, -1]) - counts[:, -1]
    start[1:] = (counts + offsets[:, None]).reshape(-1)
    index = np.empty(int(start[-1]), dtype=np.uint16)
    over_sounds(_copy, n_sounds, staged, offsets, np.ascontiguousarray(counts[:, -1]), index)
    return SpikeEvents(index, start, n_sounds, n_steps, n_fibres)


@kernel
def _copy(first: int, last: int, staged: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, index: np.ndarray) -> None:
    for sound in range(first, last):
        index[offsets[sound] : offsets[sound] + sizes[sound]] = staged[sound, : sizes[sound]]
