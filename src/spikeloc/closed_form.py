"""Output weights in closed form: the best linear reading of what the hidden neurons do, without a gradient.

The counts of hidden neurons are alike in many ways at once, so gradient descent finds a reading that tells fine
differences only slowly. Least squares finds it in one step. With m the mean potential that each input of the output
neurons (the hidden neurons and, if there is one, the constant current) would cause in an output neuron of weight one,
and z = m W a point (x, y) whose direction is the answer:

    minimise  sum over sounds of (x sin a - y cos a)^2 + q (x cos a + y sin a - 1)^2 + ridge        a the true angle

The first square is how far z is beside the direction of a, the second how far from it along that direction, which does
not matter to the answer: q is small, and only keeps z from being zero. For an `angle` readout, z is a number and its
target the angle in units of the range's limit. Then z is turned into scores of the readout's output neurons, as large
as the errors e on some of these sounds allow: kappa = 1 / mean(e^2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from spikeloc.angles import class_centres, wrap
from spikeloc.errors import UserError
from spikeloc.network import Network
from spikeloc.readout import Readout, directions
from spikeloc.stimuli import Sounds

__all__ = ["fit_output"]

SEEN = 8192  # sounds at least, if there are so many, whose errors say how sharp the answers may be
TOGETHER = 1024  # sounds whose products are taken at once
ALONG = 0.02  # q: what an error along the direction weighs beside one across it
NEVER = 1e-12  # what is added to the mean square even if no hidden neuron ever spikes


@torch.no_grad()
def fit_output(
    network: Network, readout: Readout, batches: Iterable[Sounds], limit: float, ridge: float = 1e-4
) -> None:
    """Set the network's output weights to the least-squares solution for these sounds, angles within +-limit.

    ridge   of the mean square of an input of the output neurons

    Raises UserError unless the readout reads mean potentials.
    """
    if readout.output != "mean":
        raise UserError(
            f"least squares (training.begin, training.refit_sounds) needs readout.output = 'mean', but that is "
            f"{readout.output!r}"
        )
    equations = _Line(limit) if readout.kind == "angle" else _Circle()
    seen: list[tuple[Tensor, Tensor]] = []
    for means, angle in _together(_means(network, batches)):
        equations.add(means, angle)
        if sum(len(each) for _, each in seen) < SEEN:
            seen.append((means, angle))
    solution = equations.solution(ridge)
    weights = network.weights[-1]
    weights.copy_(_as_scores(readout, solution, _sharpness(solution, seen), limit) / readout.scale)


def _means(network: Network, batches: Iterable[Sounds]) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean potentials by input of the output neurons, [batch, inputs], and angles, float64 [batch]."""
    for sounds in batches:
        means = network(sounds.events, "mean").means
        assert means is not None
        yield means.cpu(), sounds.angle


def _together(parts: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Small batches joined to larger ones: products of large matrices are what processors are quick at."""
    waiting: list[tuple[Tensor, Tensor]] = []
    for part in parts:
        waiting.append(part)
        if sum(len(angle) for _, angle in waiting) >= TOGETHER:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    means, angles = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(angles)


class _Line:
    """Normal equations of a number that shall be angle / limit."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.gram = self.moments = torch.zeros((), dtype=torch.float64)

    def add(self, means: Tensor, angle: Tensor) -> None:
        self.gram = self.gram + _product(means, means)
        self.moments = self.moments + means.double().T @ (angle / self.limit)[:, None]

    def solution(self, ridge: float) -> Tensor:
        """Weights [inputs, 1], float64."""
        return torch.linalg.solve(_with_ridge(self.gram, ridge), self.moments)


class _Circle:
    """Normal equations of a point that shall lie in the direction of the angle."""

    def __init__(self) -> None:
        zero = torch.zeros((), dtype=torch.float64)
        self.gram = self.gram_cos = self.gram_sin = self.moments = zero  # plain, and weighted by cos 2a and sin 2a

    def add(self, means: Tensor, angle: Tensor) -> None:
        double = (2 * angle).to(means.dtype)[:, None]
        self.gram = self.gram + _product(means, means)
        self.gram_cos = self.gram_cos + _product(means, means * double.cos())
        self.gram_sin = self.gram_sin + _product(means, means * double.sin())
        self.moments = self.moments + means.double().T @ torch.stack([angle.cos(), angle.sin()], dim=1)

    def solution(self, ridge: float) -> Tensor:
        """Weights [inputs, 2], float64."""
        gram = _with_ridge(self.gram, ridge)
        # cos^2 a = (1 + cos 2a) / 2, sin^2 a = (1 - cos 2a) / 2, sin a cos a = sin 2a / 2.
        same, apart, mixed = (1 + ALONG) * gram, (1 - ALONG) * self.gram_cos, (1 - ALONG) * self.gram_sin
        system = torch.cat([torch.cat([same - apart, -mixed], 1), torch.cat([-mixed, same + apart], 1)]) / 2
        return torch.linalg.solve(system, ALONG * self.moments.T.reshape(-1)).reshape(2, -1).T


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Sum over sounds of one' other; rounded as the potentials are, summed in float64."""
    return (one.T @ other).double()


def _with_ridge(gram: Tensor, ridge: float) -> Tensor:
    penalty = ridge * gram.diagonal().mean() + NEVER
    return gram + penalty * torch.eye(len(gram), dtype=torch.float64)


def _sharpness(solution: Tensor, seen: list[tuple[Tensor, Tensor]]) -> float:
    """1 / mean squared error of the angle, within reason."""
    if solution.shape[1] == 1:
        return 1.0
    squares, n = 0.0, 0
    for means, angle in seen:
        z = means.double() @ solution
        squares += float(wrap(torch.atan2(z[:, 1], z[:, 0]) - angle).square().sum())
        n += len(angle)
    return n / max(squares, 1e-12)


def _as_scores(readout: Readout, solution: Tensor, kappa: float, limit: float) -> Tensor:
    """Weights [hidden, outputs] whose scores say what z = (x, y) says."""
    match readout.kind:
        case "angle":
            return solution
        case "class":
            # Softmax of these is a von Mises distribution at the classes' centres.
            centres = class_centres(readout.classes, limit)
            return kappa * solution @ torch.stack([centres.cos(), centres.sin()]).double()
        case "direction":
            phi = directions(readout.classes)
            return 2 * kappa / readout.classes * solution @ torch.stack([phi.cos(), phi.sin()]).double()
