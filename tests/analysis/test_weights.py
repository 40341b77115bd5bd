from itertools import pairwise

import numpy as np
import pytest

from spikeloc.analysis.weights import centre_of_mass, matrices, product, sort_hidden, sorted_orders
from spikeloc.runs import build_network


def random_weights(*sizes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=shape) for shape in pairwise(sizes)]


def bumps(centres, n_inputs=50):
    """Neurons that are excited around their centre and inhibited elsewhere."""
    distance = np.arange(n_inputs)[:, None] - np.asarray(centres)
    return np.exp(-(distance**2) / 8) - 0.2


def test_matrices_are_copies_from_fibres_to_outputs(tiny_recipe):
    network = build_network(tiny_recipe)
    found = matrices(network)
    assert [matrix.shape for matrix in found] == [(10, 5), (5, 4)]
    found[0][:] = 0
    assert network.weights[0].abs().sum() > 0


def test_product_is_that_of_all_matrices_in_order():
    first, second, third = random_weights(6, 5, 4, 3)
    np.testing.assert_allclose(product([first, second, third]), first @ second @ third)
    np.testing.assert_array_equal(product([first]), first)


def test_centre_of_mass_is_where_excitation_comes_from():
    weights = np.zeros((10, 3))
    weights[2, 0] = 1
    weights[[4, 8], 1] = 1, 3
    weights[[1, 6], 2] = -5, 2  # inhibition does not count
    np.testing.assert_allclose(centre_of_mass(weights), [2, 7, 6])


def test_neurons_that_play_no_part_have_no_centre():
    weights = np.array([[1.0, 0.05, -1.0], [0.0, 0.05, -1.0]])
    np.testing.assert_array_equal(centre_of_mass(weights), [0, np.nan, np.nan])
    assert np.isnan(centre_of_mass(np.zeros((3, 2)))).all()


def test_sorted_order_undoes_a_shuffle():
    centres = np.array([5, 12, 20, 27, 33, 44])
    shuffled = np.random.default_rng(1).permutation(6)
    (order,) = sorted_orders([bumps(centres[shuffled]), np.ones((6, 2))])
    np.testing.assert_array_equal(centres[shuffled][order], centres)


def test_a_deep_layer_is_sorted_along_the_sorted_layer_before():
    first = bumps([40, 10])  # in order: neuron 1, neuron 0
    second = np.array([[1.0, 0.0], [0.0, 1.0]])  # neuron 0 listens to the later one
    orders = sorted_orders([first, second, np.ones((2, 1))])
    np.testing.assert_array_equal(orders, [[1, 0], [1, 0]])


@pytest.mark.parametrize("sizes", [(6, 3), (6, 5, 3), (6, 5, 4, 3)])
def test_sorting_moves_neurons_and_keeps_the_product(sizes):
    weights = random_weights(*sizes)
    arranged = sort_hidden(weights, sorted_orders(weights))
    np.testing.assert_allclose(product(arranged), product(weights))
    for before, after in zip(weights, arranged, strict=True):
        assert before.shape == after.shape
        np.testing.assert_array_equal(np.sort(before, axis=None), np.sort(after, axis=None))
