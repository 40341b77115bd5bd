"""Angles and the classes that stand for them.

Angles lie in [-limit, limit]; classes 0 .. n-1 cut that range into equal parts, and a class stands for the middle of
its part. Positive angles are on the right. All angles are in radians.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from spikeloc.errors import UserError

__all__ = ["HALF_CIRCLE", "angle_of_class", "class_centres", "class_of_angle", "class_width", "wrap"]

HALF_CIRCLE = math.pi / 2  # the seed's range: -90 deg to 90 deg


def class_width(n_classes: int, limit: float = HALF_CIRCLE) -> float:
    """Width of a class in radians."""
    _check(n_classes)
    return 2 * limit / n_classes


def class_of_angle(angle: Tensor, n_classes: int, limit: float = HALF_CIRCLE) -> Tensor:
    """Class ``floor((angle + limit) / width)``, whole numbers of the same shape. Was the notebooks' ``discretise``.

    Both ends belong to the range: ``-limit`` is in the first class and ``limit`` in the last; an angle outside is put
    into the class at its end. Raises UserError if an angle is not a number.
    """
    _check(n_classes)
    numbers = angle.detach().cpu().double().numpy()  # in every training step: NumPy takes less time than PyTorch
    if np.isnan(numbers).any():
        raise UserError("an angle is not a number (NaN), so it has no class")
    found = np.clip(np.floor((numbers + limit) / (2 * limit) * n_classes), 0, n_classes - 1).astype(np.int64)
    return torch.from_numpy(np.asarray(found)).to(angle.device)


def angle_of_class(label: Tensor, n_classes: int, limit: float = HALF_CIRCLE) -> Tensor:
    """Middle of each class in radians, float64, same shape. Was the notebooks' ``continuise``."""
    return (label.double() + 0.5) * class_width(n_classes, limit) - limit


def class_centres(n_classes: int, limit: float = HALF_CIRCLE) -> Tensor:
    """Middles of all classes in radians, float64, shape [classes]."""
    return angle_of_class(torch.arange(n_classes), n_classes, limit)


def wrap(angle: Tensor) -> Tensor:
    """The same direction in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def _check(n_classes: int) -> None:
    if n_classes < 1:
        raise UserError(f"the number of classes is {n_classes}; it must be at least 1")
