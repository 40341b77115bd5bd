"""Output weights in closed form: the best linear reading of what the hidden neurons do, without a gradient.

The counts of hidden neurons are alike in many ways at once, so gradient descent finds a reading that tells fine
differences only slowly. Least squares finds it in one step: with m the mean potential that each input of the output
neurons (the hidden neurons and, if there is one, the constant current) would cause in an output neuron of weight one,
a point z = m W whose direction is the answer, or, for an `angle` readout, the angle itself in units of the range's
limit (see :mod:`spikeloc.normal_equations`). Where hidden neurons come in groups of many levels, the weights of a group
are tied (see :mod:`spikeloc.staircases`). Then z is turned into scores of the readout's output neurons, as large as the
errors e on some of these sounds allow: kappa = 1 / mean(e^2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from spikeloc.angles import class_centres, wrap
from spikeloc.errors import UserError
from spikeloc.network import Network
from spikeloc.normal_equations import Circle, Line
from spikeloc.readout import Readout, directions
from spikeloc.staircases import increments
from spikeloc.stimuli import Sounds

__all__ = ["fit_output"]

SEEN = 8192  # sounds at least, if there are so many, whose errors say how sharp the answers may be
TOGETHER = 1024  # sounds whose products are taken at once


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
    equations = Line(limit) if readout.kind == "angle" else Circle()
    seen: list[tuple[Tensor, Tensor]] = []
    tie = increments(network.settings.levels)
    for means, angle in _together(_means(network, batches, tie)):
        equations.add(means, angle)
        if sum(len(each) for _, each in seen) < SEEN:
            seen.append((means, angle))
    solution = equations.solution(ridge)
    weights = network.weights[-1]
    scores = _as_scores(readout, solution, _sharpness(solution, seen), limit)
    weights.copy_(_untied(scores, tie) / readout.scale)


def _means(network: Network, batches: Iterable[Sounds], tie: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean potentials by input of the output neurons, tied, [batch, inputs], and angles, float64 [batch]."""
    for sounds in batches:
        means = network(sounds.events, "mean").means
        assert means is not None
        yield _tied(means.cpu(), tie), sounds.angle


def _tied(means: Tensor, tie: Tensor) -> Tensor:
    """What the inputs [batch, group * level and perhaps a constant] are with weights that are tied so."""
    levels, knots = tie.shape
    if levels == knots:
        return means
    n_groups = means.shape[1] // levels
    groups = means[:, : n_groups * levels].reshape(-1, n_groups, levels) @ tie.to(means.dtype)
    return torch.cat([groups.flatten(1), means[:, n_groups * levels :]], dim=1)


def _untied(weights: Tensor, tie: Tensor) -> Tensor:
    """The weights of all inputs, of those that are tied so."""
    levels, knots = tie.shape
    if levels == knots:
        return weights
    n_groups = len(weights) // knots
    groups = tie @ weights[: n_groups * knots].reshape(n_groups, knots, -1)
    return torch.cat([groups.flatten(0, 1), weights[n_groups * knots :]])


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
