"""Kernels: leaky integrators that do not spike, forwards and backwards.

Forwards u_t = a u_{t-1} + (1 - a) i_t. Backwards G_t = g_t + a G_{t+1}, where g_t is what arrives at u_t, and the
gradient of the current i_t is (1 - a) G_t.
"""

from __future__ import annotations

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.compiled.lanes import LANES, at, fill, first_lanes, inlined, load, store
from spikeloc.neurons.kernels_lif import SEGMENT
from spikeloc.neurons.kernels_rows import read_row, write_row
from spikeloc.neurons.kernels_weights import add_to_rows, clear_chunk, currents, input_gradient

__all__ = ["trace", "trace_back"]


@kernel
def trace(
    first: int, last: int, index: np.ndarray, start: np.ndarray, slabs: np.ndarray, decay: np.float32,
    gain: np.float32, out: np.ndarray,
) -> None:  # fmt: skip
    """Potentials u of sounds first to last, to out [sounds, T, H]; decay is a and gain 1 - a."""
    n_steps, n_neurons = out.shape[1:]
    rows = np.empty((SEGMENT, LANES), dtype=np.float32)
    for sound in range(first, last):
        limit = (sound + 1) * n_steps * n_neurons
        for block in range(slabs.shape[0] - 1, -1, -1):
            mask = first_lanes(n_neurons - block * LANES)
            u = fill(np.float32(0))
            for begin in range(0, n_steps, SEGMENT):
                step, n = sound * n_steps + begin, min(SEGMENT, n_steps - begin)
                currents(slabs, block, index, start, step, n, rows, 0)
                for t in range(n):
                    u = fill(decay) * u + fill(gain) * load(rows, t)
                    write_row(out, (step + t) * n_neurons + block * LANES, limit, mask, u)


@kernel
def trace_back(
    first: int, last: int, index: np.ndarray, start: np.ndarray, transposed: np.ndarray, decay: np.float32,
    gain: np.float32, g_out: np.ndarray, sounds_in_chunk: int, chunks: np.ndarray, g_inputs: np.ndarray,
) -> None:  # fmt: skip
    """Gradients of sounds first to last, as in :func:`spikeloc.neurons.kernels_lif.run_back`, from that of out."""
    n_steps = g_out.shape[1]
    n_blocks, n_inputs = chunks.shape[1:3]
    g_i = np.empty((SEGMENT, n_blocks * LANES), dtype=np.float32)
    carried = np.empty((n_blocks, LANES), dtype=np.float32)
    for sound in range(first, last):
        if sound % sounds_in_chunk == 0:
            clear_chunk(chunks, sound // sounds_in_chunk)
        for block in range(n_blocks):
            store(carried, block, fill(np.float32(0)))
        for begin in range((n_steps - 1) // SEGMENT * SEGMENT, -1, -SEGMENT):
            step, n = sound * n_steps + begin, min(SEGMENT, n_steps - begin)
            for block in range(n_blocks):
                base = (sound // sounds_in_chunk * n_blocks + block) * n_inputs
                _segment_back(block, step, n, index, start, decay, gain, g_out, carried, chunks, base, g_i)
            if g_inputs.size > 0:
                input_gradient(g_i, n, transposed, g_inputs, step, n_inputs)


@inlined
def _segment_back(
    block: int, step: int, n: int, index: np.ndarray, start: np.ndarray, decay: np.float32, gain: np.float32,
    g_out: np.ndarray, carried: np.ndarray, chunks: np.ndarray, base: int, g_i: np.ndarray,
) -> None:  # fmt: skip
    """Time steps step + n to step for one block of neurons; carried is a G_{t+1}."""
    n_neurons = g_out.shape[2]
    mask = first_lanes(n_neurons - block * LANES)
    g = load(carried, block)
    for t in range(n - 1, -1, -1):
        row = step + t
        g = read_row(g_out, row * n_neurons + block * LANES, mask) + g
        g_row = fill(gain) * g
        g = fill(decay) * g
        store(g_i, t * carried.shape[0] + block, g_row)
        add_to_rows(chunks, base, index, at(start, row), at(start, row + 1), g_row)
    store(carried, block, g)
