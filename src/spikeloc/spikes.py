"""Spike trains as lists of events: what most bins of a spike train hold is nothing.

``SpikeEvents`` keeps, for every (sound, time step), the indices of the neurons that spike, one row after another.
Its size follows the number of spikes; a boolean tensor's follows time steps x neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikeloc.compiled import kernel, over_sounds, trailing_zeros
from spikeloc.compiled.bits import PLACES, count_ones, write_sums

__all__ = ["SpikeEvents", "words_of"]

MAX_NEURONS = 65_536  # indices are 16-bit
U = np.uint64


@dataclass(frozen=True)
class SpikeEvents:
    """Binary spike trains of a batch of sounds, compressed row by row.

    index      which neuron spikes, rows in order, ascending within a row    [spikes] uint16
    start      row r = sound * n_steps + step owns index[start[r]:start[r+1]]  [n_sounds * n_steps + 1] int64
    n_sounds, n_steps, n_neurons   the shape of the boolean tensor it stands for: batch, time, neuron
    """

    index: np.ndarray
    start: np.ndarray
    n_sounds: int
    n_steps: int
    n_neurons: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """batch, time, neuron."""
        return self.n_sounds, self.n_steps, self.n_neurons

    @property
    def n_spikes(self) -> int:
        """Number of spikes in all sounds."""
        return int(self.start[-1])

    def to_dense(self) -> Tensor:
        """The same spikes as a boolean tensor, axes batch, time, neuron."""
        dense = np.zeros((self.n_sounds * self.n_steps, self.n_neurons), dtype=np.bool_)
        over_sounds(_scatter, self.n_sounds, self.n_steps, self.index, self.start, dense)
        return torch.from_numpy(dense.reshape(self.shape))

    @staticmethod
    def from_dense(spikes: Tensor) -> SpikeEvents:
        """Compress a tensor whose non-zero elements are spikes, axes batch, time, neuron."""
        n_sounds, n_steps, n_neurons = spikes.shape
        if n_neurons > MAX_NEURONS:
            raise ValueError(f"spikes have {n_neurons} neurons; at most {MAX_NEURONS} can be indexed")
        dense = (spikes.detach() != 0).cpu().contiguous().numpy().reshape(n_sounds * n_steps, n_neurons)
        start = np.zeros(n_sounds * n_steps + 1, dtype=np.int64)
        np.cumsum(dense.sum(axis=1), out=start[1:])
        index = np.empty(int(start[-1]), dtype=np.uint16)
        over_sounds(_gather, n_sounds, n_steps, index, start, dense)
        return SpikeEvents(index, start, n_sounds, n_steps, n_neurons)

    def to_bits(self) -> np.ndarray:
        """The same spikes as one bit for each bin: uint64 [batch, time, words], neuron n bit n % 64 of word n // 64."""
        bits = np.zeros((self.n_sounds * self.n_steps, words_of(self.n_neurons)), dtype=np.uint64)
        over_sounds(_set_bits, self.n_sounds, self.n_steps, self.index, self.start, bits)
        return bits.reshape(self.n_sounds, self.n_steps, bits.shape[1])

    @staticmethod
    def from_bits(bits: np.ndarray, n_neurons: int, which: np.ndarray | None = None) -> SpikeEvents:
        """Spikes from one bit for each bin, as :meth:`to_bits` gives them; bits of no neuron must not be set.

        which   these sounds in this order, all if left out    [sounds] int64
        """
        which = np.arange(len(bits)) if which is None else which
        n_sounds, n_steps = len(which), bits.shape[1]
        bits = np.ascontiguousarray(bits)
        start = np.zeros(n_sounds * n_steps + 1, dtype=np.int64)
        over_sounds(_count_bits, n_sounds, bits, which, start[1:])
        np.cumsum(start, out=start)
        index = np.empty(int(start[-1]), dtype=np.uint16)
        over_sounds(_list_bits, n_sounds, bits, which, start, index)
        return SpikeEvents(index, start, n_sounds, n_steps, n_neurons)

    def sounds(self, first: int, last: int) -> SpikeEvents:
        """The sounds ``first`` to ``last`` (excluded); shares the indices' memory."""
        rows = self.start[first * self.n_steps : last * self.n_steps + 1]
        index = self.index[rows[0] : rows[-1]]
        return SpikeEvents(index, rows - rows[0], last - first, self.n_steps, self.n_neurons)

    def split(self, groups: np.ndarray) -> list[SpikeEvents]:
        """The neurons of each group on their own, in the order in which a group lists them.

        groups   every neuron once, as many in each group    [groups, neurons of a group]
        """
        n_groups, size = groups.shape
        n_rows = self.n_sounds * self.n_steps
        group, place = np.empty(self.n_neurons, np.uint16), np.empty(self.n_neurons, np.uint16)
        group[groups] = np.arange(n_groups)[:, None]
        place[groups] = np.arange(size)
        start = np.zeros(n_groups * n_rows + 1, dtype=np.int64)
        over_sounds(_count_groups, self.n_sounds, self.n_steps, self.index, self.start, group, start[1:])
        np.cumsum(start, out=start)
        index = np.empty(self.n_spikes, dtype=np.uint16)
        over_sounds(_list_groups, self.n_sounds, self.n_steps, self.index, self.start, group, place, start, index)
        parts = []
        for g in range(n_groups):
            rows = start[g * n_rows : (g + 1) * n_rows + 1]
            part = index[rows[0] : rows[-1]]
            parts.append(SpikeEvents(part, rows - rows[0], self.n_sounds, self.n_steps, size))
        return parts


def words_of(n_neurons: int) -> int:
    """How many 64-bit words hold a bit for each neuron."""
    return -(-n_neurons // 64)


@kernel
def _set_bits(first: int, last: int, n_steps: int, index: np.ndarray, start: np.ndarray, bits: np.ndarray) -> None:
    for row in range(first * n_steps, last * n_steps):
        for event in range(start[row], start[row + 1]):
            neuron = U(index[event])
            bits[row, neuron >> U(6)] |= U(1) << (neuron & U(63))


@kernel
def _count_bits(first: int, last: int, bits: np.ndarray, which: np.ndarray, count: np.ndarray) -> None:
    n_steps = bits.shape[1]
    for sound in range(first, last):
        for step in range(n_steps):
            total = U(0)
            for place in range(bits.shape[2]):
                total += count_ones(bits[which[sound], step, place])
            count[sound * n_steps + step] = total


@kernel
def _list_bits(
    first: int, last: int, bits: np.ndarray, which: np.ndarray, start: np.ndarray, index: np.ndarray
) -> None:
    """A byte's eight places are written at once, set or not, but never beyond these sounds, where others write."""
    n_steps = bits.shape[1]
    event, end = U(start[first * n_steps]), U(start[last * n_steps])
    for sound in range(first, last):
        for step in range(n_steps):
            for place in range(bits.shape[2]):
                rest, origin = bits[which[sound], step, place], U(place) << U(6)
                while rest != U(0) and event + U(8) <= end:
                    byte = rest & U(0xFF)
                    write_sums(index, event, PLACES, byte, origin)
                    event += count_ones(byte)
                    rest, origin = rest >> U(8), origin + U(8)
                while rest != U(0):
                    index[event] = origin + trailing_zeros(rest)
                    rest &= rest - U(1)
                    event += U(1)


@kernel
def _count_groups(
    first: int, last: int, n_steps: int, index: np.ndarray, start: np.ndarray, group: np.ndarray, count: np.ndarray
) -> None:
    """Spikes of each group in each row of sounds first to last: added to count [groups * rows]."""
    n_rows = len(start) - 1
    for row in range(first * n_steps, last * n_steps):
        for event in range(start[row], start[row + 1]):
            count[np.int64(group[index[event]]) * n_rows + row] += 1


@kernel
def _list_groups(
    first: int,
    last: int,
    n_steps: int,
    index: np.ndarray,
    start: np.ndarray,
    group: np.ndarray,
    place: np.ndarray,
    to: np.ndarray,
    listed: np.ndarray,
) -> None:
    """Write each group's indices of sounds first to last from where ``to`` [groups * rows + 1] says."""
    n_rows = len(start) - 1
    done = np.empty((len(to) - 1) // n_rows, dtype=np.int64)
    for row in range(first * n_steps, last * n_steps):
        done[:] = 0
        for event in range(start[row], start[row + 1]):
            neuron = index[event]
            g = np.int64(group[neuron])
            listed[to[g * n_rows + row] + done[g]] = place[neuron]
            done[g] += 1


@kernel
def _scatter(first: int, last: int, n_steps: int, index: np.ndarray, start: np.ndarray, dense: np.ndarray) -> None:
    for row in range(first * n_steps, last * n_steps):
        for event in range(start[row], start[row + 1]):
            dense[row, index[event]] = True


@kernel
def _gather(first: int, last: int, n_steps: int, index: np.ndarray, start: np.ndarray, dense: np.ndarray) -> None:
    for row in range(first * n_steps, last * n_steps):
        event = start[row]
        for neuron in range(dense.shape[1]):
            if dense[row, neuron]:
                index[event] = neuron
                event += 1
