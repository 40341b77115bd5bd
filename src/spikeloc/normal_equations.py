"""Least squares from sums over sounds: normal equations that are added up batch by batch, then solved once.

For inputs m of a sound and its true angle a, `Circle` finds a point z = m W = (x, y) that lies in the direction of a:

    minimise  sum over sounds of (x sin a - y cos a)^2 + q (x cos a + y sin a - 1)^2 + ridge

The first square is how far z is beside the direction of a, the second how far from it along that direction, which does
not matter to the direction: q is small, and only keeps z from being zero. With q = 1 the two would be the distance of z
from (cos a, sin a). `Line` finds a number instead, z = a / limit.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ALONG", "Circle", "Line"]

ALONG = 0.02  # q
NEVER = 1e-12  # what is added to the mean square even if no input is ever anything but zero


class Line:
    """Normal equations of a number that shall be angle / limit.

    means   inputs of the sounds of a batch                          [batch, inputs]
    angle   true angles, float64                                     [batch]
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.gram = self.moments = torch.zeros((), dtype=torch.float64)

    def add(self, means: Tensor, angle: Tensor) -> None:
        """Add the sums of a batch."""
        self.gram = self.gram + _product(means, means)
        self.moments = self.moments + means.double().T @ (angle / self.limit)[:, None]

    def solution(self, ridge: float) -> Tensor:
        """Weights [inputs, 1], float64; ridge in units of an input's mean square."""
        gram, _ = _with_ridge(self.gram, ridge)
        return torch.linalg.solve(gram, self.moments)


class Circle:
    """Normal equations of a point that shall lie in the direction of the angle; arguments as of :class:`Line`."""

    def __init__(self) -> None:
        zero = torch.zeros((), dtype=torch.float64)
        self.gram = self.gram_cos = self.gram_sin = self.moments = zero  # plain, and weighted by cos 2a and sin 2a

    def add(self, means: Tensor, angle: Tensor) -> None:
        """Add the sums of a batch."""
        double = (2 * angle).to(means.dtype)[:, None]
        self.gram = self.gram + _product(means, means)
        self.gram_cos = self.gram_cos + _product(means, means * double.cos())
        self.gram_sin = self.gram_sin + _product(means, means * double.sin())
        self.moments = self.moments + means.double().T @ torch.stack([angle.cos(), angle.sin()], dim=1)

    def solution(self, ridge: float) -> tuple[Tensor, float]:
        """Weights [inputs, 2], float64, and how many numbers the sounds decide; ridge in units of a mean square.

        Of the 2 n weights, the ridge decides as many as its share in the system's inverse: ridge tr(system^-1).
        """
        gram, penalty = _with_ridge(self.gram, ridge)
        # cos^2 a = (1 + cos 2a) / 2, sin^2 a = (1 - cos 2a) / 2, sin a cos a = sin 2a / 2.
        same, apart, mixed = (1 + ALONG) * gram, (1 - ALONG) * self.gram_cos, (1 - ALONG) * self.gram_sin
        system = torch.cat([torch.cat([same - apart, -mixed], 1), torch.cat([-mixed, same + apart], 1)]) / 2
        inverse = torch.linalg.inv(system)
        weights = (inverse @ (ALONG * self.moments.T.reshape(-1))).reshape(2, -1).T
        return weights, len(system) - (1 + ALONG) / 2 * penalty * float(inverse.trace())


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Sum over sounds of one' other; rounded as these are, to be summed in float64."""
    return (one.T @ other).double()


def _with_ridge(gram: Tensor, ridge: float) -> tuple[Tensor, float]:
    penalty = ridge * float(gram.diagonal().mean()) + NEVER
    return gram + penalty * torch.eye(len(gram), dtype=torch.float64), penalty
