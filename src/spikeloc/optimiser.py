"""The optimiser: gradients -> new weights.

PyTorch's own would do, but making one imports its compiler, which takes longer than many a training run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from spikeloc.compiled import kernel, multiply_add

__all__ = ["Adam"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # as the paper proposes


class Adam:
    """Adam, for parameters on any device.

        m_t = b1 m_{t-1} + (1 - b1) g_t                          b1 = 0.9
        v_t = b2 v_{t-1} + (1 - b2) g_t^2                        b2 = 0.999
        w_t = w_{t-1} - rate / (1 - b1^t)  m_t / (sqrt(v_t / (1 - b2^t)) + e)        e = 1e-8

    w, g, t   a parameter, its gradient, and how many gradients it has had
    m, v      running means of the gradient and of its square, zero at first

    Source: Kingma & Ba 2015, algorithm 1.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = list(parameters)
        self.steps = [0] * len(self.parameters)
        self.means = [torch.zeros_like(w, requires_grad=False) for w in self.parameters]
        self.squares = [torch.zeros_like(w, requires_grad=False) for w in self.parameters]
        self._arrays = [
            (m.numpy().ravel(), v.numpy().ravel()) if _is_plain(m) and _is_plain(v) else None
            for m, v in zip(self.means, self.squares, strict=True)
        ]

    def clear(self) -> None:
        """Forget all gradients."""
        for w in self.parameters:
            w.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update every parameter that has a gradient."""
        for i, w in enumerate(self.parameters):
            g = w.grad
            if g is not None:
                self.steps[i] += 1
                size = -rate / (1 - BETA1 ** self.steps[i])
                root = math.sqrt(1 - BETA2 ** self.steps[i])
                arrays = self._arrays[i]
                if arrays is not None and _is_plain(w) and _is_plain(g):
                    numbers = w.detach().numpy().ravel(), g.detach().numpy().ravel()
                    _update_compiled(*numbers, *arrays, size, root)
                else:
                    _update(w, g, self.means[i], self.squares[i], size, root)

    def state(self) -> dict[str, Tensor]:
        """Where the optimiser stands, by names."""
        found: dict[str, Tensor] = {}
        for i, (step, m, v) in enumerate(zip(self.steps, self.means, self.squares, strict=True)):
            if step:
                found |= {f"{i}/exp_avg": m, f"{i}/exp_avg_sq": v, f"{i}/step": torch.tensor(step)}
        return found

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from where another optimiser of equal parameters stood."""
        for i in range(len(self.parameters)):
            if f"{i}/step" in state:
                self.steps[i] = int(state[f"{i}/step"])
                self.means[i].copy_(state[f"{i}/exp_avg"])
                self.squares[i].copy_(state[f"{i}/exp_avg_sq"])


def _is_plain(tensor: Tensor) -> bool:
    """Whether the compiled loop can go through all its numbers where they are."""
    return tensor.is_cpu and tensor.dtype == torch.float32 and tensor.is_contiguous()


def _update(w: Tensor, g: Tensor, m: Tensor, v: Tensor, size: float, root: float) -> None:
    """One parameter's update by  size m / (sqrt(v) / root + e), in place."""
    m.lerp_(g, 1 - BETA1)
    v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
    w.addcdiv_(m, v.sqrt().div_(root).add_(EPSILON), value=size)


@kernel
def _update_compiled(w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, size: float, root: float) -> None:
    """The same in one pass over float32 numbers [n]."""
    size32, root32, epsilon = np.float32(size), np.float32(root), np.float32(EPSILON)
    rest1, beta2, rest2 = np.float32(1 - BETA1), np.float32(BETA2), np.float32(1 - BETA2)
    for i in range(w.size):
        m[i] = multiply_add(rest1, g[i] - m[i], m[i])
        v[i] = multiply_add(rest2 * g[i], g[i], v[i] * beta2)
        w[i] += size32 * m[i] / (np.sqrt(v[i]) / root32 + epsilon)
