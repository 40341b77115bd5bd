"""The seed's program, written anew from its description: draw 16,384 sounds, keep them, train for 10 epochs, test.

Its hidden layer of 30 spiking neurons is the one of the recipe `seed-spiking`. Its pictures are left out.

    python seed_program.py --epochs 10
    python seed_program.py --draw-only        draws the set, says how long that took, and stops
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["draw_sounds", "input_spikes", "run_network"]

BATCH, CLASSES, HIDDEN = 128, 12, 30
DURATION, TAU = 0.1, 0.02
FREQUENCY, RATE_MAX, POWER, PER_EAR = 20, 1000, 4, 100


class SpikeFunction(torch.autograd.Function):
    """The step, with the gradient 1 / (1 + 100 |x|)^2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """One where x > 0, else zero."""
        ctx.save_for_backward(x)
        spikes = torch.zeros_like(x)
        spikes[x > 0] = 1.0
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The surrogate's gradient."""
        (x,) = ctx.saved_tensors
        return gradients[0] / (100.0 * torch.abs(x) + 1.0) ** 2


def input_spikes(ipds: np.ndarray, dt: float) -> np.ndarray:
    """Spikes [sound, time, fibre] of tones with these IPDs: one sine and one random number for every bin."""
    n_steps = round(DURATION / dt)
    phase = 2 * np.pi * FREQUENCY * dt * np.arange(n_steps)
    delays = np.linspace(0, np.pi / 2, PER_EAR)
    theta = np.zeros((len(ipds), n_steps, 2 * PER_EAR))
    theta[:, :, :PER_EAR] = phase[None, :, None] + delays[None, None, :]
    theta[:, :, PER_EAR:] = phase[None, :, None] + ipds[:, None, None] + delays[None, None, ::-1]
    envelope = (0.5 * (1 + np.sin(theta))) ** POWER
    return np.random.rand(*theta.shape) < RATE_MAX * dt * envelope  # noqa: NPY002  (as the seed draws)


def draw_sounds(n: int, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """IPDs between -90 and 90 deg, and their spikes."""
    ipds = np.random.rand(n) * np.pi - np.pi / 2  # noqa: NPY002
    return ipds, input_spikes(ipds, dt)


def run_network(spikes: Tensor, weights: Sequence[Tensor], decay: float) -> Tensor:
    """Potential of the readout over time: batch, time, fibre -> batch, time, class."""
    n_sounds, n_steps, _ = spikes.shape
    for matrix in weights[:-1]:
        current = torch.einsum("abc,cd->abd", spikes, matrix)
        v = s = torch.zeros((n_sounds, matrix.shape[1]))
        trains = []
        for t in range(n_steps):
            v = decay * v * (1 - s) + current[:, t, :]
            s = SpikeFunction.apply(v - 1)
            trains.append(s)
        spikes = torch.stack(trains, dim=1)
    current = torch.einsum("abc,cd->abd", spikes, weights[-1])
    u = torch.zeros((n_sounds, weights[-1].shape[1]))
    potentials = []
    for t in range(n_steps):
        u = decay * u + (1 - decay) * current[:, t, :]
        potentials.append(u)
    return torch.stack(potentials, dim=1)


def shuffled_batches(labels: Tensor, spikes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """All sounds in a new order, a batch at a time."""
    order = torch.randperm(len(labels))
    spikes, labels = spikes[order], labels[order]
    for first in range(0, len(labels) // BATCH * BATCH, BATCH):
        yield spikes[first : first + BATCH], labels[first : first + BATCH]


def sounds_with_labels(n: int, dt: float) -> tuple[Tensor, Tensor]:
    """Classes and spikes as tensors, all in memory."""
    ipds, spikes = draw_sounds(n, dt)
    labels = torch.tensor((ipds + np.pi / 2) * CLASSES / np.pi, dtype=torch.long)
    return labels, torch.tensor(spikes, dtype=torch.float)


def initial_weights(n_in: int, n_out: int) -> nn.Parameter:
    """Uniform in +-1/sqrt(n_out)."""
    return nn.Parameter((2 * torch.rand(n_in, n_out) - 1) / math.sqrt(n_out))


def accuracy(labels: Tensor, spikes: Tensor, weights: Sequence[Tensor], decay: float) -> float:
    """Fraction of sounds whose class has the highest score."""
    right = [
        (run_network(x, weights, decay).sum(1).argmax(1) == y).float().mean().item()
        for x, y in shuffled_batches(labels, spikes)
    ]
    return float(np.mean(right))


def train(labels: Tensor, spikes: Tensor, weights: Sequence[Tensor], decay: float, epochs: int) -> None:
    """Adam on the cross-entropy of the readouts' mean potentials."""
    optimiser = torch.optim.Adam(weights, lr=0.01)
    log_softmax, negative_log_likelihood = nn.LogSoftmax(dim=1), nn.NLLLoss()
    for epoch in range(epochs):
        losses = []
        for x, y in shuffled_batches(labels, spikes):
            score = run_network(x, weights, decay).sum(1) * 0.01
            loss = negative_log_likelihood(log_softmax(score), y)
            losses.append(loss.item())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.5f}")


def main() -> None:
    """The whole program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--sounds", type=int, default=16_384)
    parser.add_argument("--test-sounds", type=int, default=4096)
    parser.add_argument("--draw-only", action="store_true")
    options = parser.parse_args()
    dt = 1e-3
    if options.draw_only:
        began = time.perf_counter()
        draw_sounds(options.sounds, dt)
        print(f"drawing {time.perf_counter() - began:.6f} s")
        return
    decay = math.exp(-dt / TAU)
    labels, spikes = sounds_with_labels(options.sounds, dt)
    weights = [initial_weights(2 * PER_EAR, HIDDEN), initial_weights(HIDDEN, CLASSES)]
    train(labels, spikes, weights, decay, options.epochs)
    print(f"training accuracy {100 * accuracy(labels, spikes, weights, decay):.1f} %")
    labels, spikes = sounds_with_labels(options.test_sounds, dt)
    print(f"test accuracy {100 * accuracy(labels, spikes, weights, decay):.1f} %")


if __name__ == "__main__":
    main()
