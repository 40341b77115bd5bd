"""spikeloc's own engines. `fused` and `autograd` read lists of events, as the stimulus makes them; others a tensor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from cases import Case, Inputs

from contenders.torch_step import step_with
from spikeloc.compiled import threads_for_loops
from spikeloc.direct_gradients import direct_gradients
from spikeloc.network import Network, NetworkSettings
from spikeloc.optimiser import Adam
from spikeloc.readout import Readout
from spikeloc.spikes import SpikeEvents

__all__ = ["build", "network"]


def network(case: Case, engine: str) -> Network:
    """The case's network with the case's weights."""
    settings = NetworkSettings(
        hidden=case.hidden,
        tau=case.tau,
        output_tau=case.tau,
        surrogate="superspike",
        slope=case.slope,
        engine="reference" if engine == "reference" else "fused",
    )
    made = Network(settings, case.fibres, case.classes, case.dt, generator=torch.Generator())
    for parameter, weights in zip(made.weights, case.weights(), strict=True):
        parameter.data = torch.from_numpy(weights)
    return made


def build(case: Case, inputs: Inputs, option: str) -> Callable[[], float]:
    """`option` is fused, autograd (fused, recorded by PyTorch as users' own modules are), dense (the same, but fed with
    a tensor) or reference.
    """
    made = network(case, option)
    tensor = torch.from_numpy(inputs.spikes).bool()
    spikes = SpikeEvents.from_dense(tensor) if option in ("fused", "autograd") else tensor
    optimiser = Adam(made.parameters())
    update = partial(optimiser.step, case.learning_rate)
    if option == "fused":
        return partial(
            _as_in_training, partial(_direct_step, made, Readout(classes=case.classes), spikes, inputs, update)
        )
    step = step_with(lambda: made(spikes).output, inputs, optimiser.clear, update)
    return step if option == "reference" else partial(_as_in_training, step)


def _direct_step(
    made: Network, readout: Readout, spikes: SpikeEvents, inputs: Inputs, update: Callable[[], None]
) -> float:
    loss = direct_gradients(made, readout, spikes, inputs.labels)
    update()
    return loss


def _as_in_training(step: Callable[[], float]) -> float:
    """The fused engine trains with all threads to itself; so it does here."""
    with threads_for_loops():
        return step()
