"""A second hidden layer that begins as rectifiers: trained on the first one's spike counts, then made of spikes.

Over a whole sound, a neuron that integrates without leak and resets by subtraction spikes about as often as its summed
input exceeds its threshold: its spike count is a rectifier of the counts of the neurons before it (Diehl et al. 2015;
Rueckauer et al. 2017). Rectifiers are trained without time, on counts that are computed once,

    minimise  mean |V' max(0, U' (n - m) / s + b) - (cos angle, sin angle)|^2        n the first layer's spike counts

with m and s the mean and standard deviation of each count (s at least one spike), which are what makes gradients reach
every weight. Then

    weights = g U / s      current in each of T steps = g (b - m' (U / s)) / T

with g [neurons] such that each spikes as often as there is room for. U, V and b are found by Adam with decoupled weight
decay (Loshchilov & Hutter 2019), counts varied by normal noise of a fifth of s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from spikeloc.errors import UserError
from spikeloc.network import Network
from spikeloc.optimiser import Adam
from spikeloc.stimuli import Sounds

__all__ = ["fit_second_layer"]

BATCH = 64
RATE, DECAY = 2e-3, 0.05  # of the step and of the weights
NOISE = 0.2  # of a count's standard deviation
BUSY, ROOM = 0.99, 0.6  # in this part of the sounds, a neuron spikes in less than that part of all steps
LEAST = 1.0  # spike: a neuron that hardly ever does must not be given weights that make up for it
SILENT = 1e-3  # a rectifier that says less than this has nothing to be scaled by


def fit_second_layer(
    network: Network,
    sounds: Iterable[Sounds],
    epochs: int,
    generator: torch.Generator,
    passed: Callable[[int], None],
) -> None:
    """Set the weights of the second hidden layer, the last one, of a network with two and tonic currents.

    epochs    passes over the sounds' spike counts
    passed    is told after each pass how many are done

    Raises UserError for other networks.
    """
    settings = network.settings
    if len(settings.hidden) != 2 or not settings.tonic or settings.reset != "subtract":
        raise UserError(
            "training.begin is 'rates', which needs two hidden layers, network.tonic = true and network.reset = "
            "'subtract'"
        )
    counts, targets, n_steps = _counts(network, sounds)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        hidden, mean, deviation = _trained(counts, targets, settings.hidden[1], epochs, passed)
    weights = hidden.weight.detach().T / deviation[:, None]  # [first layer, second layer]
    offset = hidden.bias.detach() - mean @ weights
    most = torch.quantile(counts[: 2**14] @ weights + offset, BUSY, dim=0)
    gain = ROOM * n_steps / torch.where(most > SILENT, most, 1.0)
    with torch.no_grad():
        network.weights[1].copy_(torch.cat([weights * gain, (offset * gain / n_steps)[None]]))


@torch.no_grad()
def _counts(network: Network, sounds: Iterable[Sounds]) -> tuple[Tensor, Tensor, int]:
    """Spike counts of the first layer [sounds, neurons], (cos, sin) of the angles, and steps of the second layer."""
    counts, angles, n_steps = [], [], 1
    for batch in sounds:
        counts.append(network(batch.events, "mean").counts[0].cpu())
        angles.append(batch.angle)
        n_steps = math.ceil(batch.events.n_steps / network.steps[1])
    angle = torch.cat(angles).float()
    return torch.cat(counts), torch.stack([angle.cos(), angle.sin()], dim=1), n_steps


def _trained(
    counts: Tensor, targets: Tensor, n_hidden: int, epochs: int, passed: Callable[[int], None]
) -> tuple[nn.Linear, Tensor, Tensor]:
    """The layer of rectifiers, and the mean and standard deviation of its inputs."""
    mean, deviation = counts.mean(dim=0), counts.std(dim=0).clamp(min=LEAST)
    hidden, output = nn.Linear(counts.shape[1], n_hidden), nn.Linear(n_hidden, 2)
    optimiser = Adam([*hidden.parameters(), *output.parameters()])
    step, steps = 0, epochs * math.ceil(len(counts) / BATCH)
    for epoch in range(epochs):
        for chosen in torch.split(torch.randperm(len(counts)), BATCH):
            x = (counts[chosen] - mean) / deviation
            x += NOISE * torch.randn_like(x)
            loss = (output(hidden(x).relu()) - targets[chosen]).square().mean()
            rate = RATE * (1 + math.cos(math.pi * step / steps)) / 2
            step += 1
            optimiser.clear()
            loss.backward()
            with torch.no_grad():
                for parameter in optimiser.parameters:
                    parameter.mul_(1 - rate * DECAY)
            optimiser.step(rate)
        passed(epoch + 1)
    return hidden, mean, deviation
