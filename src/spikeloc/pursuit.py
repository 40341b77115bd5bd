"""Hidden neurons that begin as staircases of trained sums: their weights are found without spikes, one time step apart.

Neurons so fast that each time step stands for itself add up, over a sound, what they make of each step's input k_t.
Groups of many levels (see :mod:`spikeloc.staircases`) can make any function f_g of their common sum, so the network,
if its output neurons weigh all time steps alike and receive a constant current, is

    z = sum over time steps and groups of f_g(w_g . k_t) + c

a projection pursuit regression (Friedman & Stuetzle 1981, J. Am. Stat. Assoc. 76:817). Here it is trained as such: f_g
are polygons through a few knots, the weights of each ear are smooth, a sum of cosines over its fibres in the order of
their phases, and

    minimise  mean over sounds of (x sin a - y cos a)^2 + q (x cos a + y sin a - 1)^2       z = (x, y), a the true angle

as in :mod:`spikeloc.normal_equations`, which also finds the first f_g; then Adam trains both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeloc.compiled import inlined, kernel, over_sounds
from spikeloc.compiled.lanes import LANES, at, fill, load_at, store_at
from spikeloc.errors import UserError
from spikeloc.network import Network
from spikeloc.network_settings import NetworkSettings
from spikeloc.normal_equations import ALONG, Circle
from spikeloc.optimiser import Adam
from spikeloc.spikes import SpikeEvents
from spikeloc.staircases import KNOTS, thresholds
from spikeloc.stimuli import Fibres, Sounds

__all__ = ["fit_staircases", "refuse_others"]

COSINES = LANES // 2  # for the weights of an ear's fibres
RATE = 3e-3  # of Adam's steps, for numbers whose spread is one
SLOWER = 0.1  # than those of the weights are steps of the polygons: least squares has found them already
RIDGE = 1e-6
RARE = 1e-3  # part of all steps in which the sum is larger than the polygon is wide
WEAK = 0.1  # of the largest sum: groups that hardly anything excites are not made to answer to it all the same
SEEN = 128  # sounds at least, if there are so many, whose sums say how wide the polygons are
CHUNK = 16  # sounds whose gradients are summed together, in this order on any number of threads


def fit_staircases(
    network: Network,
    fibres: Fibres,
    sounds: Callable[[int], Iterable[Sounds]],
    passes: int,
    batches: int,
    passed: Callable[[int], None],
) -> None:
    """Set the weights of the hidden layer, which comes in groups of many levels.

    fibres    what the inputs are tuned to, all to one frequency
    sounds    sounds of a pass, from 0 on: those of pass 0 for the first polygons, ``passes`` more to train with
    batches   of a pass
    passed    is told after each pass how many are done

    Raises UserError for what :func:`refuse_others` refuses, and for sounds with hardly a spike.
    """
    refuse_others(network.settings, network.dt, fibres)
    basis = smooth_basis(fibres)
    levels = network.settings.levels
    with torch.enable_grad():
        given = network.weights[0].detach()[:, ::levels].cpu()
        directions = _trained(basis, given, sounds, passes, batches, passed)
    weights = (basis @ directions)[:, :, None] / thresholds(levels).float()
    with torch.no_grad():
        network.weights[0].copy_(weights.flatten(1))


def refuse_others(settings: NetworkSettings, dt: float, fibres: Fibres) -> None:
    """Raise UserError for networks without such groups, for neurons that remember or reset late, and for fibres of many
    frequencies.
    """
    begin = "training.begin is 'pursuit', which needs"
    if settings.levels < KNOTS:
        raise UserError(f"{begin} network.levels of {KNOTS} or more, not {settings.levels}")
    if settings.reset not in ("zero", "subtract"):
        raise UserError(f"{begin} network.reset = 'subtract' or 'zero', not {settings.reset!r}")
    # The largest sums are 2 levels times the lowest threshold.
    longest = dt / math.log(2 * settings.levels)
    tau = settings.neurons()[0].tau
    if tau > longest:
        raise UserError(
            f"{begin} neurons that forget the largest sums within a time step: for {settings.levels} levels a "
            f"network.tau of at most {1000 * longest:.3g} ms, not {1000 * tau:.3g} ms"
        )
    if len(np.unique(fibres.frequency)) > 1:
        raise UserError(f"{begin} fibres that are all tuned to one frequency")


def smooth_basis(fibres: Fibres) -> Tensor:
    """Cosines over each ear's fibres in the order of their phases, [fibre, 2 COSINES]."""
    basis = np.zeros((len(fibres.ear), 2, COSINES))
    for ear in (0, 1):
        own = np.flatnonzero(fibres.ear == ear)
        place = np.argsort(np.argsort(fibres.phase[own], kind="stable")) / max(1, len(own) - 1)
        basis[own, ear] = np.cos(np.pi * place[:, None] * np.arange(COSINES))
    return torch.from_numpy(basis.reshape(len(basis), -1)).float()


def _trained(
    basis: Tensor,
    weights: Tensor,
    sounds: Callable[[int], Iterable[Sounds]],
    passes: int,
    batches: int,
    passed: Callable[[int], None],
) -> Tensor:
    """The groups' weights in terms of the basis [2 COSINES, group], beginning with those that are given [fibre, group].

    They are scaled so that polygons from 0 to 1 are as wide as the sums are large, but for rare ones.
    """
    directions = torch.linalg.lstsq(basis.double(), weights.double()).solution.float()
    directions = directions / _widths(basis, directions, sounds(0))
    heights, constant = _first_polygons(basis, directions, sounds(0))
    units = _size(directions), SLOWER * _size(heights)
    parameters = [(directions / units[0]).requires_grad_(), (heights / units[1]).requires_grad_()]
    optimiser = Adam(parameters)
    done = 0
    for each in range(passes):
        for batch in sounds(1 + each):
            sums = _on_basis(batch.events, basis) @ (parameters[0] * units[0])
            z = polygon_sums(sums, parameters[1] * units[1], batch.events.n_steps) + constant
            loss = _loss(z, batch.angle)
            if not math.isfinite(loss.item()):
                raise UserError("training.begin is 'pursuit', but its loss stopped being a number; give it more sounds")
            optimiser.clear()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step(RATE * (1 + math.cos(math.pi * done / (passes * batches))) / 2)
            done += 1
        passed(each + 1)
    return parameters[0].detach() * units[0]


def _size(numbers: Tensor) -> float:
    return float(numbers.square().mean().sqrt()) or 1.0


def _widths(basis: Tensor, directions: Tensor, sounds: Iterable[Sounds]) -> Tensor:
    """How large the sums of each group are, but for rare ones, in the first sounds: [group]."""
    parts, seen = [], 0
    for batch in sounds:
        parts.append(_on_basis(batch.events, basis) @ directions)
        seen += len(batch)
        if seen >= SEEN:
            break
    largest = torch.from_numpy(np.quantile(torch.cat(parts).numpy(), 1 - RARE, axis=0)).float()
    if not largest.max() > 0:
        raise UserError(f"training.begin is 'pursuit', but in {seen} sounds there is hardly a spike to begin with")
    return largest.clamp(min=WEAK * float(largest.max()))


def _first_polygons(basis: Tensor, directions: Tensor, sounds: Iterable[Sounds]) -> tuple[Tensor, Tensor]:
    """Heights of the knots [group, KNOTS, 2] and the constant [2], by least squares."""
    equations = Circle()
    for batch in sounds:
        hats = hat_sums(_on_basis(batch.events, basis) @ directions, batch.events.n_steps)
        equations.add(torch.cat([hats.flatten(1), hats.new_ones(len(hats), 1)], dim=1), batch.angle)
    solution = equations.solution(RIDGE)[0].float()
    return solution[:-1].reshape(-1, KNOTS, 2), solution[-1]


def _loss(z: Tensor, angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    across, along = z[:, 0] * sin - z[:, 1] * cos, z[:, 0] * cos + z[:, 1] * sin - 1
    return (across.square() + ALONG * along.square()).mean()


def _on_basis(events: SpikeEvents, basis: Tensor) -> Tensor:
    """Sums of the basis over the fibres that spike, [sound * step, basis]."""
    sums = np.zeros((events.n_sounds * events.n_steps, basis.shape[1]), dtype=np.float32)
    over_sounds(_add_rows, events.n_sounds, events.n_steps, events.index, events.start, basis.numpy(), sums)
    return torch.from_numpy(sums)


def hat_sums(x: Tensor, n_steps: int) -> Tensor:
    """Each hat of sums x [sound * step, group], summed over time: [sound, group, KNOTS]."""
    hats = np.zeros((len(x) // n_steps, x.shape[1], KNOTS + 2), dtype=np.float32)
    over_sounds(_add_hats, len(hats), n_steps, x.numpy(), hats)
    return torch.from_numpy(hats)[:, :, 2:]


def polygon_sums(x: Tensor, heights: Tensor, n_steps: int) -> Tensor:
    """Polygons through 0 and the heights [group, KNOTS, 2], of sums x [sound * step, group], added up: [sound, 2].

    With gradients for x and for the heights.
    """
    return _PolygonSums.apply(x, _pieces(heights), n_steps)  # type: ignore[no-untyped-call]


def _pieces(heights: Tensor) -> Tensor:
    """Where each piece of the polygons begins, and how much it rises: [group, KNOTS + 2, 4].

    The first piece is for what is below zero and the last for what is beyond the last knot, and both are flat, so that
    loops need not ask.
    """
    flat = torch.zeros_like(heights[:, :1])
    begins = torch.cat([flat, flat, heights], dim=1)
    rises = torch.cat([flat, begins[:, 2:] - begins[:, 1:-1], flat], dim=1)
    return torch.cat([begins, rises], dim=2)


class _PolygonSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pieces: Tensor, n_steps: int) -> Tensor:
        ctx.save_for_backward(x, pieces)
        ctx.n_steps = n_steps
        z = np.zeros((len(x) // n_steps, 2), dtype=np.float32)
        over_sounds(_add_polygons, len(z), n_steps, x.detach().numpy(), pieces.detach().numpy(), z)
        return torch.from_numpy(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (g,) = gradients
        x, pieces = (each.detach() for each in ctx.saved_tensors)
        of_x = np.empty(x.shape, dtype=np.float32)
        of_pieces = np.zeros((-(-len(g) // CHUNK), *pieces.shape), dtype=np.float32)
        arrays = x.numpy(), pieces.numpy(), g.contiguous().numpy(), of_x, of_pieces
        over_sounds(_spread_gradients, len(g), ctx.n_steps, *arrays, chunk=CHUNK)
        return torch.from_numpy(of_x), torch.from_numpy(of_pieces).sum(dim=0), None


@inlined
def _piece(x: np.float32, n_pieces: int) -> tuple[int, np.float32]:
    """Which piece a sum lies on, and how far along."""
    place = x * np.float32(n_pieces - 2) + np.float32(1)
    place = place if place > 0 else np.float32(0)  # also what is not a number: loops write where this points to
    place = min(place, np.float32(n_pieces - 1))
    piece = int(place)
    return piece, place - np.float32(piece)


@kernel
def _add_rows(
    first: int, last: int, n_steps: int, index: np.ndarray, start: np.ndarray, rows: np.ndarray, sums: np.ndarray
) -> None:
    for row in range(first * n_steps, last * n_steps):
        total = fill(np.float32(0))
        for event in range(at(start, row), at(start, row + 1)):
            total = total + load_at(rows, at(index, event) * LANES)
        store_at(sums, row * LANES, total)


@kernel
def _add_hats(first: int, last: int, n_steps: int, x: np.ndarray, hats: np.ndarray) -> None:
    """Add hats of sums to [sound, group, KNOTS + 2], the two ends included."""
    for sound in range(first, last):
        for row in range(sound * n_steps, (sound + 1) * n_steps):
            for group in range(x.shape[1]):
                piece, along = _piece(x[row, group], hats.shape[2])
                hats[sound, group, piece] += np.float32(1) - along
                hats[sound, group, min(piece + 1, hats.shape[2] - 1)] += along


@kernel
def _add_polygons(first: int, last: int, n_steps: int, x: np.ndarray, pieces: np.ndarray, z: np.ndarray) -> None:
    for sound in range(first, last):
        z0 = z1 = np.float32(0)
        for row in range(sound * n_steps, (sound + 1) * n_steps):
            for group in range(x.shape[1]):
                piece, along = _piece(x[row, group], pieces.shape[1])
                z0 += pieces[group, piece, 0] + along * pieces[group, piece, 2]
                z1 += pieces[group, piece, 1] + along * pieces[group, piece, 3]
        z[sound, 0], z[sound, 1] = z0, z1


@kernel
def _spread_gradients(
    first: int,
    last: int,
    n_steps: int,
    x: np.ndarray,
    pieces: np.ndarray,
    g: np.ndarray,
    of_x: np.ndarray,
    of_pieces: np.ndarray,
) -> None:
    """Gradients for x, and for the pieces one sum for each chunk of sounds."""
    steepness = np.float32(pieces.shape[1] - 2)
    for sound in range(first, last):
        g0, g1, sums = g[sound, 0], g[sound, 1], of_pieces[sound // CHUNK]
        for row in range(sound * n_steps, (sound + 1) * n_steps):
            for group in range(x.shape[1]):
                piece, along = _piece(x[row, group], pieces.shape[1])
                of_x[row, group] = steepness * (pieces[group, piece, 2] * g0 + pieces[group, piece, 3] * g1)
                sums[group, piece, 0] += g0
                sums[group, piece, 1] += g1
                sums[group, piece, 2] += along * g0
                sums[group, piece, 3] += along * g1
