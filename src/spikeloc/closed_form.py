"""Output weights in closed form: the best linear reading of what the hidden neurons do, without a gradient.

The counts of hidden neurons are alike in many ways at once, so gradient descent finds a reading that tells fine
differences only slowly. Least squares finds it in one step: with m the mean potential that each input of the output
neurons (the hidden neurons and, if there is one, the constant current) would cause in an output neuron of weight one,
a point z = m W whose direction is the answer, or, for an `angle` readout, the angle itself in units of the range's
limit (see :mod:`spikeloc.normal_equations`). Where hidden neurons come in groups of many levels, the weights of a group
are tied (see :mod:`spikeloc.staircases`). Then z is turned into scores of the readout's output neurons, as large as the
errors e on sounds like these allow: kappa = 1 / mean(e^2).
"""

from __future__ import annotations

import math
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
LOGISTIC = 1.702  # steepness of the logistic function that is most like the normal distribution's
LEAST_LEFT = 0.1  # of an error, where as many numbers are fitted as there are sounds
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
    tie = increments(network.settings.levels)
    parts = _together(_means(network, batches, tie))
    solution, kappa = _on_a_line(parts, ridge, limit) if readout.kind == "angle" else _on_a_circle(parts, ridge)
    weights = network.weights[-1]
    weights.copy_(_untied(_as_scores(readout, solution, kappa, limit), tie) / readout.scale)


def _on_a_line(parts: Iterable[tuple[Tensor, Tensor]], ridge: float, limit: float) -> tuple[Tensor, float]:
    equations = Line(limit)
    for means, angle in parts:
        equations.add(means, angle)
    return equations.solution(ridge), 1.0


def _on_a_circle(parts: Iterable[tuple[Tensor, Tensor]], ridge: float) -> tuple[Tensor, float]:
    """The solution, and 1 / mean squared error of the angle on other sounds, within reason.

    On the n sounds that W was fitted to, errors are too small. Generalised cross-validation (Craven & Wahba 1978) says
    by how much: p numbers decided by n sounds leave e^2 (1 - p / n)^2 of the mean squared error e^2 on others.
    """
    equations, n = Circle(), 0
    seen: list[tuple[Tensor, Tensor]] = []
    for means, angle in parts:
        equations.add(means, angle)
        n += len(angle)
        if sum(len(each) for _, each in seen) < SEEN:
            seen.append((means, angle))
    solution, decided = equations.solution(ridge)
    means, angle = _joined(seen)
    x, y = (means.double() @ solution).T
    squares = wrap(torch.atan2(y, x) - angle).square()
    left = max(1 - decided / n, LEAST_LEFT)
    return solution, left**2 / max(float(squares.mean()), 1e-12)


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


def _as_scores(readout: Readout, solution: Tensor, kappa: float, limit: float) -> Tensor:
    """Weights [hidden, outputs] whose scores say what z = (x, y) says."""
    match readout.kind:
        case "angle":
            return solution
        case "class":
            # Softmax of these is a von Mises distribution at the classes' centres, and beyond a boundary by an angle d
            # between two of them it says 1 / (1 + exp(-2 kappa sin(width / 2) sin(d))). What an estimate with normal
            # errors e should say is Phi(d / e), which is nearly 1 / (1 + exp(-1.702 d / e)).
            centres = class_centres(readout.classes, limit)
            sharpness = LOGISTIC * math.sqrt(kappa) / (2 * math.sin(limit / readout.classes))
            return sharpness * solution @ torch.stack([centres.cos(), centres.sin()]).double()
        case "direction":
            phi = directions(readout.classes)
            return 2 * kappa / readout.classes * solution @ torch.stack([phi.cos(), phi.sin()]).double()
