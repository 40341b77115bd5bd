"""What is measured: sizes of a training step, and who takes it. Needs NumPy only, so that every environment can use it.

One step: 128 sounds x T time steps x 200 fibres -> hidden layers of LIF neurons -> 12 leaky readouts, whose mean
potential over time is the score of a class; cross-entropy, gradients of all weights, one update by Adam.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CONTENDERS", "Case", "Contender", "Inputs"]

DURATION = 0.1  # seconds of sound
FREQUENCY = 20  # Hz
POWER = 4  # of the rate's envelope


@dataclass(frozen=True)
class Case:
    """Sizes of a training step: ``steps`` time steps of a 100 ms sound, hidden layers, sounds, peak rate in 1/s."""

    steps: int
    hidden: tuple[int, ...] = (30,)
    sounds: int = 128
    rate_max: float = 1000.0
    fibres: int = 200
    classes: int = 12
    tau: float = 0.02
    slope: float = 100.0
    learning_rate: float = 0.01

    @property
    def dt(self) -> float:
        """Length of a time step in seconds."""
        return DURATION / self.steps

    @property
    def decay(self) -> float:
        """What a membrane keeps over a time step."""
        return math.exp(-self.dt / self.tau)

    @property
    def sizes(self) -> list[int]:
        """Neurons of all layers, fibres first."""
        return [self.fibres, *self.hidden, self.classes]

    @property
    def spikes_key(self) -> str:
        """Cases with the same key read the same spikes."""
        return f"{self.sounds}x{self.steps}x{self.fibres}-{self.rate_max:g}"

    def to_json(self) -> dict[str, Any]:
        """As a table that :meth:`of_json` reads."""
        return asdict(self)

    @staticmethod
    def of_json(table: dict[str, Any]) -> Case:
        """The case that :meth:`to_json` wrote."""
        return Case(**{**table, "hidden": tuple(table["hidden"])})

    def weights(self) -> list[np.ndarray]:
        """Initial weights [n_in, n_out] of each layer, float32, uniform in +-1/sqrt(n_in)."""
        rng = np.random.default_rng(0)
        pairs = zip(self.sizes[:-1], self.sizes[1:], strict=True)
        return [(rng.uniform(-1, 1, pair) / math.sqrt(pair[0])).astype(np.float32) for pair in pairs]


@dataclass(frozen=True)
class Inputs:
    """What every contender reads: spikes [sound, time, fibre] uint8 and the class of each sound [sound] int64."""

    spikes: np.ndarray
    labels: np.ndarray

    @staticmethod
    def load(folder: Path, case: Case) -> Inputs:
        """Read the inputs of a case; draw and store them first if need be."""
        files = [folder / f"{case.spikes_key}-{name}.npy" for name in ("spikes", "labels")]
        if not all(file.exists() for file in files):
            for file, array in zip(files, draw_inputs(case), strict=True):
                np.save(file, array, allow_pickle=False)
        return Inputs(*(np.load(file, allow_pickle=False) for file in files))


def draw_inputs(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and classes of tones with a fixed phase; IPDs uniform between -90 and 90 deg."""
    rng = np.random.default_rng(1)
    ipds = rng.uniform(-math.pi / 2, math.pi / 2, case.sounds)
    delays = np.linspace(0, math.pi / 2, case.fibres // 2)
    time = 2 * math.pi * FREQUENCY * case.dt * np.arange(case.steps)[:, None]
    left, right = time + delays, time + delays[::-1]
    spikes = np.empty((case.sounds, case.steps, case.fibres), np.uint8)
    for sound, ipd in enumerate(ipds):
        envelope = (0.5 + 0.5 * np.sin(np.hstack([left, right + ipd]).astype(np.float32))) ** POWER
        spikes[sound] = rng.random(envelope.shape, np.float32) < case.rate_max * case.dt * envelope
    return spikes, ((ipds / math.pi + 0.5) * case.classes).astype(np.int64)


@dataclass(frozen=True)
class Contender:
    """Someone who can take the step: name in tables, module in ``contenders``, its option, and who runs it.

    worker    `own` runs in the environment of spikeloc; `torch` and `jax` each in a process of the peers' environment
    package   distribution whose version is reported
    """

    label: str
    module: str
    worker: str
    package: str
    option: str = ""


CONTENDERS = {
    "fused": Contender("spikeloc, fused engine", "of_spikeloc", "own", "spikeloc", "fused"),
    "autograd": Contender("spikeloc, fused engine, through autograd", "of_spikeloc", "own", "spikeloc", "autograd"),
    "dense": Contender(
        "spikeloc, fused engine, dense input, through autograd", "of_spikeloc", "own", "spikeloc", "dense"
    ),
    "reference": Contender("spikeloc, reference engine", "of_spikeloc", "own", "torch", "reference"),
    "seed": Contender("the seed's loop in PyTorch", "of_seed", "own", "torch"),
    "snntorch": Contender("snnTorch", "of_snntorch", "torch", "snntorch"),
    "spikingjelly": Contender("SpikingJelly", "of_spikingjelly", "torch", "spikingjelly"),
    "norse": Contender("norse", "of_norse", "torch", "norse"),
    "sinabs": Contender("sinabs", "of_sinabs", "torch", "sinabs"),
    "jax": Contender("JAX lax.scan, jitted", "of_jax", "jax", "jax", "scan"),
    "jax-sum": Contender("JAX lax.scan, jitted, closed-form readout", "of_jax", "jax", "jax", "sum"),
}
