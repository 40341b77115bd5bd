"""Spike trains as lists of events: what most bins of a spike train hold is nothing.

``SpikeEvents`` keeps, for every (sound, time step), the indices of the neurons that spike, one row after another.
Its size follows the number of spikes; a boolean tensor's follows time steps x neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikeloc.compiled import kernel, over_sounds

__all__ = ["SpikeEvents"]

MAX_NEURONS = 65_536  # indices are 16-bit


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

    def sounds(self, first: int, last: int) -> SpikeEvents:
        """The sounds ``first`` to ``last`` (excluded); shares the indices' memory."""
        rows = self.start[first * self.n_steps : last * self.n_steps + 1]
        index = self.index[rows[0] : rows[-1]]
        return SpikeEvents(index, rows - rows[0], last - first, self.n_steps, self.n_neurons)


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
