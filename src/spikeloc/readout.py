"""The readout: activity of the output neurons -> an estimate of the angle, and the loss that trains it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from spikeloc.angles import angle_of_class, class_of_angle
from spikeloc.network import Activity, Output
from spikeloc.settings import Settings

__all__ = ["Decision", "Readout"]


@dataclass(frozen=True)
class Decision:
    """What an observer says about a batch of sounds.

    angle         estimated angle, radians                                       [batch] float64
    label         estimated class                                                [batch] int64
    uncertainty   standard deviation the observer expects of its angle, radians  [batch] float64, or None
    """

    angle: Tensor
    label: Tensor
    uncertainty: Tensor | None = None


class Readout(Settings):
    """How output neurons stand for an angle.

    `class`       one output neuron for each class; the highest score wins, and the angle is the middle of its class.
                  Loss: cross-entropy of softmax(scores).
    `angle`       one output neuron; its score is the angle in units of the range's limit. Loss: mean squared error.
    `direction`   a population vector. Neuron k prefers direction phi_k, and z = sum_k score_k exp(i phi_k) gives the
                  angle arg(z) and the concentration |z| of a von Mises distribution on the circle. Loss: its negative
                  log-likelihood, so the uncertainty 1 / sqrt(|z|) is trained too.

    Angles outside the stimulus's range are put at its nearest end.
    """

    kind: Literal["class", "angle", "direction"] = "class"
    """What the scores stand for: a class each, the angle itself, or directions of a population vector."""
    output: Output = "mean"
    """What is read of an output neuron: mean or maximum of its potential, or its spike count."""
    classes: int = Field(12, ge=1, le=4096)
    """Number of classes over the range of angles."""
    scale: float = Field(1.0, gt=0)
    """Factor on the output before it is a score."""

    @property
    def n_outputs(self) -> int:
        """Output neurons this readout needs."""
        return 1 if self.kind == "angle" else self.classes

    @property
    def expected_first_loss(self) -> float:
        """Loss of a network whose scores are all zero: ln(classes), mean square of the angle, or ln(2 pi)."""
        return {"class": math.log(self.classes), "angle": 1 / 3, "direction": math.log(2 * math.pi)}[self.kind]

    def scores(self, activity: Activity) -> Tensor:
        """Scores of the output neurons: [batch, n_outputs]."""
        return activity.output if self.scale == 1 else activity.output * self.scale

    def loss(self, activity: Activity, angle: Tensor, limit: float) -> Tensor:
        """Loss averaged over the batch, for true angles [batch] in radians within +-limit."""
        scores = self.scores(activity)
        match self.kind:
            case "class":
                return functional.cross_entropy(scores, self.true_label(angle, limit).to(scores.device))
            case "angle":
                return functional.mse_loss(scores[:, 0], (angle / limit).to(scores))
            case "direction":
                return von_mises_loss(population_vector(scores), angle.to(scores))

    def true_label(self, angle: Tensor, limit: float) -> Tensor:
        """The class of each true angle [batch] in radians."""
        return class_of_angle(angle, self.classes, limit)

    def decide(self, activity: Activity, limit: float) -> Decision:
        """The estimates of a batch."""
        scores = self.scores(activity).detach()
        if self.kind == "class":
            label = scores.argmax(dim=1).cpu()
            return Decision(angle_of_class(label, self.classes, limit), label)
        uncertainty = None
        if self.kind == "angle":
            angle = scores[:, 0].double().cpu() * limit
        else:
            z = population_vector(scores).double().cpu()
            angle = torch.atan2(z[:, 1], z[:, 0])
            uncertainty = z.norm(dim=1).clamp(min=1e-12).rsqrt()
        angle = angle.clamp(-limit, limit)
        return Decision(angle, class_of_angle(angle, self.classes, limit), uncertainty)


def population_vector(scores: Tensor) -> Tensor:
    """sum_k score_k (cos phi_k, sin phi_k) with directions phi_k evenly around the circle: [batch, K] -> [batch, 2]."""
    phi = directions(scores.shape[1])
    return scores @ torch.stack([phi.cos(), phi.sin()], dim=1).to(scores)


def directions(n: int) -> Tensor:
    """Directions that n output neurons of a population vector stand for, radians, float32 [n]."""
    return 2 * math.pi * torch.arange(n) / n - math.pi


def von_mises_loss(z: Tensor, angle: Tensor) -> Tensor:
    """Mean negative log-likelihood of angles [batch] under von Mises distributions with parameter z [batch, 2].

    -ln p = ln(2 pi I0(k)) - z . (cos angle, sin angle),  k = |z|
    """
    k = z.norm(dim=1)
    agreement = z[:, 0] * angle.cos() + z[:, 1] * angle.sin()
    # ln I0(k) = ln i0e(k) + k, and k - agreement is small where both are large.
    return (math.log(2 * math.pi) + torch.special.i0e(k).log() + (k - agreement)).mean()
