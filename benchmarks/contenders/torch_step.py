"""What the contenders on PyTorch have in common: tensors, linear layers with given weights, and the update."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from cases import Inputs
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["dense", "linear", "step_with", "time_first", "train_step"]


def dense(inputs: Inputs) -> Tensor:
    """Spikes as float32 numbers: batch, time, fibre."""
    return torch.from_numpy(inputs.spikes).float()


def time_first(inputs: Inputs) -> Tensor:
    """Spikes as float32 numbers: time, batch, fibre."""
    return torch.from_numpy(inputs.spikes).transpose(0, 1).float().contiguous()


def linear(weights: np.ndarray, gain: float = 1.0) -> nn.Linear:
    """A layer without biases with weights [n_in, n_out], times a gain."""
    layer = nn.Linear(*weights.shape, bias=False)
    layer.weight = nn.Parameter(gain * torch.from_numpy(weights).T.contiguous())
    return layer


def train_step(
    score: Callable[[], Tensor], parameters: Iterable[Tensor], inputs: Inputs, learning_rate: float
) -> Callable[[], float]:
    """One training step, with PyTorch's fastest Adam, of a network whose scores [batch, classes] are ``score()``."""
    optimiser = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
    return step_with(score, inputs, optimiser.zero_grad, optimiser.step)


def step_with(
    score: Callable[[], Tensor], inputs: Inputs, clear: Callable[[], object], update: Callable[[], object]
) -> Callable[[], float]:
    """One training step: loss, gradients (after those of the last step are cleared), update."""
    labels = torch.from_numpy(inputs.labels)

    def step() -> float:
        loss = functional.cross_entropy(score(), labels)
        clear()
        loss.backward()
        update()
        return loss.item()

    return step
