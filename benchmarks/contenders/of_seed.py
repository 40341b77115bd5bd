"""The seed's loop: all currents in one einsum, then plain PyTorch step by step. Its program is ``seed_program.py``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from cases import Case, Inputs
from seed_program import run_network
from torch import nn

from contenders.torch_step import dense, train_step

__all__ = ["build"]


def build(case: Case, inputs: Inputs, option: str) -> Callable[[], float]:  # noqa: ARG001
    """The seed's network with hidden layers."""
    spikes = dense(inputs)
    weights = [nn.Parameter(torch.from_numpy(w)) for w in case.weights()]
    return train_step(
        lambda: run_network(spikes, weights, case.decay).sum(1) / case.steps, weights, inputs, case.learning_rate
    )
