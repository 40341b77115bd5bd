"""Groups of neurons that differ in threshold: how many spike, and what a tied reading can make of it."""

import numpy as np
import pytest
import torch

from spikeloc.staircases import KNOTS, increments, thresholds


@pytest.mark.parametrize("levels", [1, 3, 8, 32])
def test_as_many_spike_as_the_drive_has_levels(levels):
    x = np.linspace(-0.501, 1.503, 997)  # never at a threshold
    spiking = (x[:, None] >= thresholds(levels).numpy()).sum(axis=1)
    np.testing.assert_array_equal(spiking, np.clip(np.floor(levels * x + 0.5), 0, levels))


@pytest.mark.parametrize("levels", [9, 32, 48, 50])
def test_a_tied_reading_is_a_polygon_through_the_knots(levels):
    heights = torch.randn(KNOTS, generator=torch.Generator().manual_seed(levels), dtype=torch.float64)
    said = torch.cat([torch.zeros(1, dtype=torch.float64), (increments(levels) @ heights).cumsum(dim=0)])
    polygon = np.interp(np.arange(levels + 1) / levels, np.arange(KNOTS + 1) / KNOTS, [0, *heights.numpy()])
    np.testing.assert_allclose(said.numpy(), polygon, atol=1e-12)


def test_few_levels_are_read_one_by_one():
    assert torch.equal(increments(5), torch.eye(5, dtype=torch.float64))
