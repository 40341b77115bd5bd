"""Kernels: events times weights, and the two gradients of that product.

A weight matrix W [N, H] is kept as slabs of 32 neurons, so that the rows that events pick lie in the nearest cache
however wide the layer is:

    slabs       [blocks, N + 1, 32]       slabs[j, n] is W[n, 32 j : 32 j + 32]; row N is zero, and so is what pads H
    chunks      [chunks, blocks, N, 32]   gradient of W, the same without the rows of zeros, for each chunk of sounds
    transposed  [input blocks, H, 32]     transposed[j, h] is W[32 j : 32 j + 32, h], padded with zeros
"""

from __future__ import annotations

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.compiled.lanes import (
    LANES,
    at,
    fill,
    first_lanes,
    inlined,
    load,
    load_first,
    muladd,
    store,
    store_first,
)
from spikeloc.neurons.kernels_rows import write_row

__all__ = [
    "add_chunks",
    "add_dense",
    "add_to_rows",
    "clear_chunk",
    "currents",
    "dense_currents",
    "input_gradient",
    "pack",
    "pack_transposed",
]

_ZERO = np.float32(0)


@kernel
def pack(weights: np.ndarray, slabs: np.ndarray) -> None:
    """Copy W into slabs."""
    n_inputs, n_neurons = weights.shape
    for block in range(slabs.shape[0]):
        mask = first_lanes(n_neurons - block * LANES)
        for n in range(n_inputs):
            store(slabs, block * (n_inputs + 1) + n, load_first(weights, n * n_neurons + block * LANES, mask))
        store(slabs, block * (n_inputs + 1) + n_inputs, fill(_ZERO))


@kernel
def pack_transposed(slabs: np.ndarray, transposed: np.ndarray) -> None:
    """Copy slabs of neurons into slabs of inputs."""
    n_inputs, n_neurons = slabs.shape[1] - 1, transposed.shape[1]
    for row in range(transposed.shape[0] * n_neurons):
        store(transposed, row, fill(_ZERO))
    for n in range(n_inputs):
        for h in range(n_neurons):
            transposed[n // LANES, h, n % LANES] = slabs[h // LANES, n, h % LANES]


@inlined
def currents(
    slabs: np.ndarray,
    block: int,
    index: np.ndarray,
    start: np.ndarray,
    step: int,
    n_steps: int,
    rows: np.ndarray,
    to: int,
) -> None:
    """Currents of a block of neurons in ``n_steps`` time steps from ``step`` on, written to rows ``to`` and on.

    A current is the sum of the slab's rows over the step's events. Two events in each pass go into two sums that do
    not wait for each other. An odd last event is paired with the row of zeros: how many events a step has is hard to
    foresee, and a wrong guess costs more than adding zeros.
    """
    base = block * slabs.shape[1]
    zeros = base + slabs.shape[1] - 1
    for t in range(n_steps):
        event, end = at(start, step + t), at(start, step + t + 1)
        even, odd = fill(_ZERO), fill(_ZERO)
        while event < end:
            paired = event + 1 < end
            second = base + np.int64(at(index, event + 1 if paired else event))
            even = even + load(slabs, base + np.int64(at(index, event)))
            odd = odd + load(slabs, second if paired else zeros)
            event += 2
        store(rows, to + t, even + odd)


@inlined
def dense_currents(
    slabs: np.ndarray, block: int, dense: np.ndarray, step: int, n_steps: int, rows: np.ndarray, to: int
) -> None:
    """The same from numbers of spikes, dense [steps, N]: every input counts, whether it spikes or not.

    Two time steps in each pass use every weight twice. Products are rounded, then sums, on every processor.
    """
    n_inputs = slabs.shape[1] - 1
    base = block * slabs.shape[1]
    for t in range(0, n_steps, 2):
        # An odd last step is done twice.
        t_too = min(t + 1, n_steps - 1)
        one, two = fill(_ZERO), fill(_ZERO)
        for n in range(n_inputs):
            weight = load(slabs, base + n)
            one = one + fill(at(dense, (step + t) * n_inputs + n)) * weight
            two = two + fill(at(dense, (step + t_too) * n_inputs + n)) * weight
        store(rows, to + t, one)
        store(rows, to + t_too, two)


@inlined
def add_dense(
    chunks: np.ndarray, base: int, dense: np.ndarray, step: int, n_steps: int, g: np.ndarray, n_inputs: int
) -> None:
    """Add ``x' g`` to the gradient of a block's weights, row ``base`` input 0's; x is dense [steps, N].

    Steps of x from ``step`` on;  g   gradient of the block's currents in ``n_steps`` time steps    [n_steps, 32]

    Four inputs in each pass use every gradient four times; steps are added from the last to the first.
    """
    for n in range(0, n_inputs, 4):
        # Beyond the last input, the last one is done again.
        n1, n2, n3 = min(n + 1, n_inputs - 1), min(n + 2, n_inputs - 1), min(n + 3, n_inputs - 1)
        g0, g1 = load(chunks, base + n), load(chunks, base + n1)
        g2, g3 = load(chunks, base + n2), load(chunks, base + n3)
        for t in range(n_steps - 1, -1, -1):
            row, g_row = (step + t) * n_inputs, load(g, t)
            g0 = muladd(fill(at(dense, row + n)), g_row, g0)
            g1 = muladd(fill(at(dense, row + n1)), g_row, g1)
            g2 = muladd(fill(at(dense, row + n2)), g_row, g2)
            g3 = muladd(fill(at(dense, row + n3)), g_row, g3)
        store(chunks, base + n, g0)
        store(chunks, base + n1, g1)
        store(chunks, base + n2, g2)
        store(chunks, base + n3, g3)


@inlined
def clear_chunk(chunks: np.ndarray, chunk: int) -> None:
    """Set one chunk's gradient to zero."""
    n_rows = chunks.shape[1] * chunks.shape[2]
    for row in range(chunk * n_rows, (chunk + 1) * n_rows):
        store(chunks, row, fill(_ZERO))


@inlined
def add_to_rows(chunks: np.ndarray, base: int, index: np.ndarray, event: int, end: int, g: np.ndarray) -> None:
    """Add g to the gradient of every weight row that events ``event`` to ``end`` picked; row ``base`` is input 0's."""
    while event < end:
        row = base + np.int64(at(index, event))
        store(chunks, row, load(chunks, row) + g)
        event += 1


@kernel
def add_chunks(first: int, last: int, chunks: np.ndarray, total: np.ndarray) -> None:
    """Sum the chunks' gradients, in order, into inputs first to last of the gradient of W [N, H]."""
    n_chunks, n_blocks, n_inputs = chunks.shape[:3]
    n_neurons = total.shape[1]
    for n in range(first, last):
        for block in range(n_blocks):
            g = fill(_ZERO)
            for chunk in range(n_chunks):
                g = g + load(chunks, (chunk * n_blocks + block) * n_inputs + n)
            store_first(total, n * n_neurons + block * LANES, first_lanes(n_neurons - block * LANES), g)


@inlined
def input_gradient(
    g: np.ndarray, n_steps: int, transposed: np.ndarray, out: np.ndarray, step: int, n_inputs: int
) -> None:
    """``out = g W'`` for ``n_steps`` time steps from ``step`` on of out [steps, N]; g is [steps, blocks * 32].

    Two time steps in each pass use every weight twice. Blocks of inputs go downwards: see :func:`write_row`.
    """
    n_blocks, n_neurons = transposed.shape[:2]
    width = g.shape[1]
    limit = (step + n_steps) * n_inputs
    for block in range(n_blocks - 1, -1, -1):
        mask = first_lanes(n_inputs - block * LANES)
        for t in range(0, n_steps, 2):
            # An odd last step is done twice.
            t_too = min(t + 1, n_steps - 1)
            one, two = fill(_ZERO), fill(_ZERO)
            for h in range(n_neurons):
                weight = load(transposed, block * n_neurons + h)
                one = muladd(fill(at(g, t * width + h)), weight, one)
                two = muladd(fill(at(g, t_too * width + h)), weight, two)
            write_row(out, (step + t) * n_inputs + block * LANES, limit, mask, one)
            write_row(out, (step + t_too) * n_inputs + block * LANES, limit, mask, two)
