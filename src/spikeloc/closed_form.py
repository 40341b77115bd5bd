"""Output weights in closed form: the best linear reading of what the hidden neurons do, without a gradient.

The counts of hidden neurons are alike in many ways at once, so gradient descent finds a reading that tells fine
differences only slowly. Least squares finds it in one step:

    minimise  sum over sounds of |W' m - (cos angle, sin angle)|^2 + ridge

with m the mean potential that each input of the output neurons (the hidden neurons and, if there is one, the constant
current) would cause in an output neuron of weight one. For an `angle` readout the target is the angle in units of the
range's limit. Then z = W' m is turned into scores of the readout's output neurons, as large as the errors e on some of
these sounds allow: kappa = 1 / mean(e^2).
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
    gram, moments = torch.zeros(()), torch.zeros(())
    seen: list[tuple[Tensor, Tensor]] = []
    for means, angle in _means(network, batches):
        gram = gram + means.T @ means
        moments = moments + means.T @ _targets(readout, angle, limit)
        if len(seen) * len(angle) < SEEN:
            seen.append((means, angle))
    penalty = ridge * gram.diagonal().mean() + NEVER
    solution = torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=torch.float64), moments)
    weights = network.weights[-1]
    weights.copy_(_as_scores(readout, solution, _sharpness(solution, seen), limit) / readout.scale)


def _means(network: Network, batches: Iterable[Sounds]) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean potentials by input of the output neurons, float64 [batch, inputs], and angles [batch]."""
    for sounds in batches:
        means = network(sounds.events, "mean").means
        assert means is not None
        yield means.double().cpu(), sounds.angle


def _targets(readout: Readout, angle: Tensor, limit: float) -> Tensor:
    if readout.kind == "angle":
        return (angle / limit)[:, None]
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _sharpness(solution: Tensor, seen: list[tuple[Tensor, Tensor]]) -> float:
    """1 / mean squared error of the angle, within reason."""
    if solution.shape[1] == 1:
        return 1.0
    squares, n = 0.0, 0
    for means, angle in seen:
        z = means @ solution
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
