"""Collecting drawn spikes: where ranges of sounds are written, and what becomes of them."""

import numpy as np
import pytest
import torch

from spikeloc.stimuli.marks import FULL, MORE, collect_spikes

STEPS = 3
SIZES = [[2, 0, 1], [0, 0, 0], [5, 20, 9], [1, 1, 1], [0, 4, 0], [7, 0, 0], [0, 0, 2]]  # spikes by sound and step
FULL_AT: list[tuple[int, int]] = []  # ranges that ended early: their first sound, and the one that had no room


def draw(first, last, counts, staged, rooms, begins, sizes, start):
    """A kernel in plain Python: neuron s is the only one of sound s."""
    begins[first], n, begin = True, 0, int(rooms[first])
    for sound in range(first, last):
        size = int(counts[sound].sum())
        if begin + n + size + MORE > rooms[sound + 1]:
            sizes[sound] = FULL
            FULL_AT.append((first, sound))
            return
        start[sound * STEPS + 1 : (sound + 1) * STEPS + 1] = n + np.cumsum(counts[sound])
        staged[begin + n : begin + n + size] = sound
        staged[begin + n + size : begin + n + size + MORE] = 999  # as listing does
        sizes[sound], n = size, n + size


def collected(n_sounds, room, threads):
    """Spikes of the first sounds, each with this much room, on this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return collect_spikes(draw, n_sounds, STEPS, 20, np.full(n_sounds, float(room)), np.array(SIZES)[:n_sounds])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("n_sounds", [0, 1, 7])
@pytest.mark.parametrize("room", [1, 6, 9, 40])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_spikes_of_all_sounds_one_after_another(n_sounds, room, threads):
    counts, events = np.array(SIZES)[:n_sounds], collected(n_sounds, room, threads)
    np.testing.assert_array_equal(events.index, np.repeat(np.arange(n_sounds), counts.sum(axis=1)))
    np.testing.assert_array_equal(events.start, np.concatenate([[0], np.cumsum(counts.reshape(-1))]))
    assert events.shape == (n_sounds, STEPS, 20)


def test_a_sound_in_the_middle_of_a_range_had_no_room():
    """What the test above is for: some of its ranges end before a sound that is not their first."""
    FULL_AT.clear()
    collected(7, 6, 1)
    assert any(sound > first for first, sound in FULL_AT)
