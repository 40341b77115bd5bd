"""The weights of a trained network: hidden neurons in an order that shows their structure, and whole pathways."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from spikeloc.network import Network

__all__ = ["centre_of_mass", "matrices", "product", "sort_hidden", "sorted_orders"]

UNUSED = 0.1  # of the strongest weight of a layer: a neuron whose weights are all smaller plays no part


def matrices(network: Network) -> list[np.ndarray]:
    """The weight matrices from the fibres to the outputs, each [inputs, outputs], as copies."""
    return [network.matrix(depth).cpu().numpy().copy() for depth in range(len(network.weights))]


def product(weights: Sequence[np.ndarray]) -> np.ndarray:
    """W1 W2 ... Wn: what the fibres would do to the outputs if hidden neurons were linear. [fibres, outputs]."""
    return np.asarray(reduce(np.matmul, weights))


def centre_of_mass(weights: np.ndarray) -> np.ndarray:
    """Where along its inputs a neuron is excited, sum_i i w_i / sum_i w_i over positive weights: [inputs, n] -> [n].

    NaN, which sorts last, for a neuron that hardly has inputs: its strongest weight is below a tenth of the layer's.
    """
    positive = np.maximum(weights, 0).astype(np.float64)
    mass = positive.sum(axis=0)
    strongest = np.abs(weights).max(axis=0)
    used = (mass > 0) & (strongest >= UNUSED * strongest.max())
    centre = np.full(len(mass), np.nan)
    centre[used] = np.arange(len(weights)) @ positive[:, used] / mass[used]
    return centre


def sorted_orders(weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each hidden layer, its neurons ordered by the centre of mass of their input weights.

    The layer before is put in order first. Neurons of equal centre keep their order.
    """
    orders: list[np.ndarray] = []
    for matrix in weights[:-1]:
        rows = matrix[orders[-1]] if orders else matrix
        orders.append(np.argsort(centre_of_mass(rows), kind="stable"))
    return orders


def sort_hidden(weights: Sequence[np.ndarray], orders: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The same network with the neurons of every hidden layer in the given order: the product of the matrices stays."""
    every = [np.arange(weights[0].shape[0]), *orders, np.arange(weights[-1].shape[1])]
    return [matrix[np.ix_(rows, columns)] for matrix, rows, columns in zip(weights, every[:-1], every[1:], strict=True)]
