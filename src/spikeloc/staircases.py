"""Staircases: neurons that share their inputs' weights and differ in threshold.

A neuron so fast that each time step stands for itself answers yes or no. L of them with thresholds evenly spaced,
theta_l = (l - 1/2) / L of the same drive x, say together how large x is: as many as round(L x) spike, at least none and
at most all. So what a reading of them can make of x is a staircase, and as steps of nearly the same height say nearly
the same, their heights need not be found one by one: here they lie on a polygon through a few knots,

    f(x) = sum over k of c_k hat_k(x)        hat_k(x) = max(0, 1 - |K x - k|) for k < K, and min(1, max(0, K x - K + 1))

which is zero at x = 0 and constant from x = 1 on.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["KNOTS", "increments", "thresholds"]

KNOTS = 8  # K


def thresholds(levels: int) -> Tensor:
    """Thresholds of a group's neurons, as parts of the largest drive they tell apart: float64 [levels]."""
    return (torch.arange(levels, dtype=torch.float64) + 0.5) / levels


def increments(levels: int) -> Tensor:
    """How much each hat grows at each neuron's threshold: float64 [levels, knots], or nothing tied if those are few."""
    if levels <= KNOTS:
        return torch.eye(levels, dtype=torch.float64)
    x = torch.arange(levels + 1, dtype=torch.float64)[:, None] / levels
    hats = (1 - (KNOTS * x - torch.arange(1, KNOTS + 1)).abs()).clamp(min=0)
    return hats.diff(dim=0)
