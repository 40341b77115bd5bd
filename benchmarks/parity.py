"""What must hold before any clock starts: equal answers from the contenders, and sounds that follow their law."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import Case, Inputs
from contenders.of_spikeloc import network
from torch.nn import functional

from spikeloc.direct_gradients import direct_gradients
from spikeloc.network import Activity, Network
from spikeloc.readout import Readout
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli import ToneStimulus

__all__ = ["check_drawing", "check_engines", "check_losses", "check_parity"]

CASES = (
    Case(100),
    Case(100, (128, 30)),
    Case(100, (33, 17, 5), sounds=37),
    Case(1000, sounds=32),
)


def check_parity() -> dict[str, Any]:
    """All checks that need spikeloc alone; raises AssertionError."""
    with tempfile.TemporaryDirectory() as folder:
        engines = [check_engines(case, Path(folder)) for case in CASES]
    return {"engines": engines, "drawing": [check_drawing(1e-3, 4096), check_drawing(1e-4, 256)]}


def check_engines(case: Case, folder: Path) -> dict[str, Any]:
    """Equal spikes, and gradients equal within rounding, from the fused and the reference engine.

    The fused engine's gradients are those of autograd, and those whose chain rule is written out for training.

    Weights are multiples of 1/1024, so that sums of them are exact in whatever order they are added.
    """
    inputs = Inputs.load(folder, case)
    fused, expected = (one_pass(case, inputs, engine) for engine in ("fused", "reference"))
    for mine, other in zip(fused[0].hidden, expected[0].hidden, strict=True):
        assert mine.spikes is not None
        assert torch.equal(mine.spikes, other.spikes), f"spikes of the engines differ in {case}"
    worst = 0.0
    for found in (fused[1], direct_pass(case, inputs)):
        for mine, other in zip(found, expected[1], strict=True):
            worst = max(worst, float((mine - other).abs().max() / other.abs().max()))
    assert worst < 1e-4, f"gradients of the engines differ by {worst:.2g} of the largest in {case}"
    return {"case": case.to_json(), "equal_spikes": True, "gradient_difference": worst}


def one_pass(case: Case, inputs: Inputs, engine: str) -> tuple[Activity, list[torch.Tensor]]:
    """Activity and gradients of all weights, by autograd."""
    made, spikes = prepared(case, inputs, engine)
    activity = made(spikes, record=True)
    functional.cross_entropy(activity.output, torch.from_numpy(inputs.labels)).backward()
    return activity, gradients_of(made)


def direct_pass(case: Case, inputs: Inputs) -> list[torch.Tensor]:
    """Gradients of all weights as training takes them."""
    made, spikes = prepared(case, inputs, "fused")
    direct_gradients(made, Readout(classes=case.classes), spikes, inputs.labels)
    return gradients_of(made)


def prepared(case: Case, inputs: Inputs, engine: str) -> tuple[Network, SpikeEvents]:
    """A network whose weights are multiples of 1/1024, and its spikes."""
    made = network(case, engine)
    for weights in made.weights:
        weights.data = (weights.data * 1024).round() / 1024
    return made, SpikeEvents.from_dense(torch.from_numpy(inputs.spikes))


def gradients_of(made: Network) -> list[torch.Tensor]:
    """The gradients that its weights have."""
    gradients = [weights.grad for weights in made.weights]
    assert all(gradient is not None for gradient in gradients)
    return [gradient for gradient in gradients if gradient is not None]


def check_losses(losses: dict[str, float]) -> None:
    """All contenders start from the same weights and must agree on the loss.

    A potential that rounding puts on the other side of the threshold moves a spike, so the losses are only close.
    """
    expected = losses.get("fused", next(iter(losses.values())))
    for name, loss in losses.items():
        assert math.isclose(loss, expected, rel_tol=0.01), f"{name} starts from a loss of {loss}, not {expected}"


def check_drawing(dt: float, n_sounds: int) -> dict[str, Any]:
    """Spikes in every bin, summed over many sounds, against the sum of their probabilities."""
    stimulus = ToneStimulus(dt=dt)
    counts, mean, variance = 0.0, 0.0, 0.0
    for first in range(0, n_sounds, 64):
        indices = np.arange(first, min(first + 64, n_sounds), dtype=np.int64)
        sounds = stimulus.draw(indices=indices, seed=5, stream="test")
        angle, phase = stimulus.draw_angles(indices, seed=5, stream="test")
        p = stimulus.spike_probability(torch.from_numpy(angle), torch.from_numpy(phase)).numpy()
        counts = counts + sounds.spikes.numpy().sum(0)
        mean, variance = mean + p.sum(0), variance + (p * (1 - p)).sum(0)
    z = (counts - mean) / np.sqrt(variance)
    total = float((counts - mean).sum() / np.sqrt(np.sum(variance)))
    # For independent bins, z has mean square 1 with standard error sqrt(2 / bins), more where few spikes are expected.
    spread, error = float((z**2).mean()), math.sqrt((2 + float((1 / variance).mean())) / z.size)
    assert abs(total) < 5, f"the number of spikes is {total:.1f} standard errors off"
    assert abs(spread - 1) < 5 * error, f"counts in bins scatter {spread:.4f} times as much as they should"
    return {"dt": dt, "sounds": n_sounds, "total_z": total, "mean_square_z": spread, "mean_square_error": error}
