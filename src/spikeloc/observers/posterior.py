"""A posterior distribution over the angle of each sound of a batch, given on a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spikeloc.angles import class_width

__all__ = ["MARGIN", "Posterior", "grid_of_range"]

MARGIN = 3  # grid points beyond each end of the range, for interpolation at the ends


def grid_of_range(limit: float, spacing: float) -> np.ndarray:
    """Whole multiples of the spacing that cover +-limit with a margin: [grid] int64."""
    end = math.ceil(limit / spacing - 1e-9) + MARGIN
    return np.arange(-end, end + 1, dtype=np.int64)


@dataclass(frozen=True)
class Posterior:
    """Densities over angles within +-limit radians.

    angle     grid of angles, evenly spaced about 0, MARGIN points wider than the range    [grid] radians
              or, for each sound, a grid about the angles that are not out of the question [batch, grid]
    density   density of each sound's angle, up to a factor; 0 beyond the grid             [batch, grid]

    Between grid points the density is a cubic, so that its integrals are exact to the fourth order of the spacing.
    """

    angle: np.ndarray
    density: np.ndarray
    limit: float

    @property
    def spacing(self) -> float:
        """Distance of grid points in radians."""
        row = self.angle.reshape(-1, self.angle.shape[-1])[0]
        return float(row[-1] - row[0]) / (len(row) - 1)

    @cached_property
    def _below(self) -> np.ndarray:
        """Integral of the density from the second grid point to each point, in units of the spacing: [batch, grid].

        Over a cell, a cubic through the four nearest points integrates to (-f0 + 13 f1 + 13 f2 - f3) / 24.
        """
        f = self.density
        below = np.zeros_like(f)
        cell = 13 * (f[:, 1:-2] + f[:, 2:-1]) - f[:, :-3] - f[:, 3:]
        # A density with an edge, or that falls to a fraction over a cell, may make the cubic dip below zero.
        np.maximum(cell, 12 * np.minimum(f[:, 1:-2], f[:, 2:-1]), out=cell)
        np.cumsum(cell, axis=1, out=below[:, 2:-1])
        below /= 24
        return below

    def _below_angle(self, angle: np.ndarray) -> np.ndarray:
        """The integral up to angles [k] or [batch, k] within the range: [batch, k]; Hermite's cubic between points."""
        cell, s = self._cell(angle)
        sound, after = np.arange(len(self.density))[:, None], cell + 1
        low, high = self._below[sound, cell], self._below[sound, after]
        f0, f1 = self.density[sound, cell], self.density[sound, after]
        slopes = s * (1 - s) ** 2 * f0 - s**2 * (1 - s) * f1
        below: np.ndarray = np.clip(low + (high - low) * s**2 * (3 - 2 * s) + slopes, low, high)
        return below

    def _cell(self, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The grid point below each of some angles [k] or [batch, k], and the place between it and the next: each [1 or
        batch, k].
        """
        last = self.angle.shape[-1] - 2
        place = np.clip((angle - np.atleast_2d(self.angle)[:, :1]) / self.spacing, 1, last)
        cell = np.minimum(place.astype(np.int64), last - 1)
        return cell, place - cell

    def class_mass(self, n_classes: int) -> np.ndarray:
        """Probability of each class: [batch, classes]; rows sum to 1. Raises UserError unless n_classes >= 1."""
        class_width(n_classes)
        mass: np.ndarray = np.diff(self._below_angle(np.linspace(-self.limit, self.limit, n_classes + 1)), axis=1)
        mass /= mass.sum(axis=1, keepdims=True)
        return mass

    def quantile(self, probability: float) -> np.ndarray:
        """The angle below which this much of the probability lies: [batch] radians."""
        least, most = self._below_ends
        target = least + probability * (most - least)
        last = self.angle.shape[-1] - 3
        cell = np.clip((self._below[:, 1:-1] <= target[:, None]).sum(axis=1), 1, last)
        row = np.arange(len(target))
        low, high = self._below[row, cell], self._below[row, cell + 1]
        share = np.clip((target - low) / np.maximum(high - low, np.finfo(float).tiny), 0, 1)
        # The density is nearly linear over a cell: solve f0 s + (f1 - f0) s^2 / 2 = share (f0 + f1) / 2.
        f0, f1 = self.density[row, cell], self.density[row, cell + 1]
        root = f0 + np.sqrt(f0**2 + (f1**2 - f0**2) * share)
        s = np.where(root > 0, share * (f0 + f1) / np.where(root > 0, root, 1), share)
        angle: np.ndarray = np.clip(self.angle[..., 0] + (cell + s) * self.spacing, -self.limit, self.limit)
        return angle

    def below(self, angle: np.ndarray) -> np.ndarray:
        """Probability below an angle of each sound, radians [batch]: [batch]."""
        low, high = self._below_ends
        share: np.ndarray = np.clip((self._below_angle(angle[:, None])[:, 0] - low) / (high - low), 0, 1)
        return share

    def density_at(self, angle: np.ndarray) -> np.ndarray:
        """Probability density at an angle of each sound, radians [batch]: [batch] per radian.

        By Lagrange's cubic through the four nearest grid points.
        """
        cell, s = self._cell(angle[:, None])
        cell, s = np.broadcast_to(np.clip(cell, 1, self.angle.shape[-1] - 3), (len(angle), 1)), s[:, 0]
        f = [self.density[np.arange(len(angle)), cell[:, 0] + shift] for shift in (-1, 0, 1, 2)]
        outer = s * (s - 1) * ((2 - s) * f[0] + (s + 1) * f[3]) / 6
        inner = (s + 1) * (s - 2) * ((s - 1) * f[1] - s * f[2]) / 2
        density = np.maximum(outer + inner, 0)
        low, high = self._below_ends
        at: np.ndarray = density / ((high - low) * self.spacing)
        return at

    @cached_property
    def _below_ends(self) -> np.ndarray:
        """The integral up to either end of the range: [2, batch]."""
        return self._below_angle(np.array([-self.limit, self.limit])).T

    @cached_property
    def median(self) -> np.ndarray:
        """The angle with the least expected absolute error: [batch] radians. A whole circle is cut at +-180 deg."""
        return self.quantile(0.5)

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Central credible interval, lower and upper end: [batch, 2] radians."""
        return np.stack([self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)], axis=1)

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the (wrapped) deviation from the median, each [batch]."""
        deviation = self.angle - self.median[:, None]
        if self.limit > math.pi / 2:
            deviation = (deviation + math.pi) % (2 * math.pi) - math.pi
        weighted = self.density * self._quadrature
        mass = weighted.sum(axis=1)
        weighted *= deviation
        mean = weighted.sum(axis=1) / mass
        weighted *= deviation
        return mean, np.maximum(weighted.sum(axis=1) / mass - mean**2, 0)

    @property
    def mean(self) -> np.ndarray:
        """The posterior mean: [batch] radians. Near the ends of a range beyond +-90 deg, that of wrapped deviations."""
        mean: np.ndarray = self.median + self._moments[0]
        return mean

    @property
    def sd(self) -> np.ndarray:
        """The posterior standard deviation: [batch] radians."""
        sd: np.ndarray = np.sqrt(self._moments[1])
        return sd

    @property
    def _quadrature(self) -> np.ndarray:
        """Weights of the grid points in the integral over the range: [1 or batch, grid], in units of the spacing."""
        grids = np.atleast_2d(self.angle)
        weights = np.ones_like(grids)
        # The density is nothing at the ends of a grid that does not reach those of the range.
        cut = (grids[:, 0] < -self.limit) | (grids[:, -1] > self.limit)
        if not cut.any():
            return weights
        (low, after_low), (high, after_high) = (
            (cell[cut], s[cut]) for cell, s in (self._cell(np.array([end])) for end in (-self.limit, self.limit))
        )
        cells, row = np.arange(grids.shape[1] - 1), np.arange(cut.sum())[:, None]
        share = ((cells >= low) & (cells <= high)).astype(np.float64)  # of each cell that lies within the range
        share[row, high] = after_high**2 * (3 - 2 * after_high)
        share[row, low] -= after_low**2 * (3 - 2 * after_low)
        padded = np.pad(share, ((0, 0), (2, 2)))
        within = (13 * (padded[:, 1:-2] + padded[:, 2:-1]) - padded[:, :-3] - padded[:, 3:]) / 24
        for cell, s, sign in ((low, after_low, -1), (high, after_high, 1)):
            within[row, cell] += sign * s * (1 - s) ** 2
            within[row, cell + 1] -= sign * s**2 * (1 - s)
        weights[cut] = within
        return weights
