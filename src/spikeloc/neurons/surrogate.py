"""Surrogate gradients: an exact step forwards, the derivative of a smooth primitive backwards.

| name         | derivative at x = v - threshold      | peak  | area | primitive                        |
|--------------|--------------------------------------|-------|------|----------------------------------|
| `superspike` | 1 / (1 + k |x|)^2                    | 1     | 2/k  | x / (1 + k |x|)                  |
| `sigmoid`    | k g (1 - g),  g = 1 / (1 + exp(-kx)) | k/4   | 1    | g                                |
| `arctan`     | (k/2) / (1 + (pi k x / 2)^2)         | k/2   | 1    | arctan(pi k x / 2) / pi + 1/2    |
| `triangle`   | k max(0, 1 - k |x|)                  | k     | 1    | its integral, from 0 to 1        |
| `gaussian`   | k exp(-(k x)^2) / sqrt(pi)           | k/1.8 | 1    | (1 + erf(k x)) / 2               |
| `boxcar`     | k where |x| < 1 / (2k), else 0       | k     | 1    | its integral, from 0 to 1        |

The slope k is the one explicit number. `superspike` with slope 100 is the seed's `SurrGradSpike` (Zenke & Ganguli
2018): its peak, not its area, is one. All others are derivatives of a step smoothed to width about 1/k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

__all__ = ["SURROGATES", "Surrogate", "spike"]

SurrogateName = Literal["superspike", "sigmoid", "arctan", "triangle", "gaussian", "boxcar"]
SURROGATES: tuple[SurrogateName, ...] = get_args(SurrogateName)


@dataclass(frozen=True)
class Surrogate:
    """The step H(x) with H(0) = 0, and the smooth function whose derivative stands in for its gradient.

    name    one of :data:`SURROGATES`
    slope   k in the table of this module's description; larger is steeper    [1]
    """

    name: SurrogateName = "superspike"
    slope: float = 100.0

    def __post_init__(self) -> None:
        if self.name not in SURROGATES:
            raise ValueError(f"surrogate is {self.name!r}; choose one of {', '.join(SURROGATES)}")
        if not (math.isfinite(self.slope) and self.slope > 0):
            raise ValueError(f"surrogate slope is {self.slope}; it must be a positive number")

    def __call__(self, x: Tensor) -> Tensor:
        """Spikes H(x) as numbers 0 and 1; the gradient is ``derivative(x)``."""
        return spike(x, self)

    def primitive(self, x: Tensor) -> Tensor:
        """The smooth function whose derivative is used; same shape as x."""
        k, half = self.slope, 0.5
        match self.name:
            case "superspike":
                return x / (1 + k * x.abs())
            case "sigmoid":
                return torch.sigmoid(k * x)
            case "arctan":
                return torch.arctan(math.pi / 2 * k * x) / math.pi + half
            case "triangle":
                y = (k * x).clamp(-1, 1)
                return half + y - half * y * y.abs()
            case "gaussian":
                return half * (1 + torch.erf(k * x))
            case "boxcar":
                return (k * x + half).clamp(0, 1)

    def derivative(self, x: Tensor) -> Tensor:
        """d primitive / dx; same shape as x, finite for every finite x."""
        k = self.slope
        match self.name:
            case "superspike":
                return 1 / (1 + k * x.abs()) ** 2
            case "sigmoid":
                return k * torch.sigmoid(k * x) * torch.sigmoid(-k * x)  # 1 - g would round to zero far away
            case "arctan":
                return k / 2 / (1 + (math.pi / 2 * k * x) ** 2)
            case "triangle":
                return k * (1 - k * x.abs()).clamp(min=0)
            case "gaussian":
                return k / math.sqrt(math.pi) * torch.exp(-((k * x) ** 2))
            case "boxcar":
                return k * (k * x.abs() < 0.5).to(x.dtype)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * ctx.surrogate.derivative(x), None


def spike(x: Tensor, surrogate: Surrogate) -> Tensor:
    """Heaviside step, H(0) = 0, with the surrogate's gradient. Was the seed's ``spike_fn``."""
    return _Spike.apply(x, surrogate)  # type: ignore[no-untyped-call]
