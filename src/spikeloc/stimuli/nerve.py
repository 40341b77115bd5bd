"""The auditory nerve: sound pressure at the eardrums -> spikes."""

from __future__ import annotations

import math

import numpy as np

from spikeloc.compiled import over_sounds
from spikeloc.errors import UserError
from spikeloc.spikes import SpikeEvents
from spikeloc.stimuli.cochlea import CochleaSettings, design
from spikeloc.stimuli.kernels_cochlea import STATES, draw_nerve, hear_all
from spikeloc.stimuli.marks import byte_neurons, collect_spikes

__all__ = ["firing_rates", "nerve_spikes"]

DEVIATIONS = 8  # a sound has room for so many standard deviations more spikes than are likely


def firing_rates(
    sounds: np.ndarray, settings: CochleaSettings, state: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Firing rate in every time step of each kind of fibre of each channel, before internal delays, hertz.

    sounds   pressure at the eardrums, pascal, left ear first   [B, 2, samples], a whole number of time steps
    state    what an earlier call returned, to hear on where it ended
    returns  rates [B, steps, kinds, 2 channels] float32, left ear first; and the state at the end
    """
    sounds = _whole_steps(sounds, settings)
    numbers = design(settings)
    n_sounds, n_steps, width = len(sounds), sounds.shape[2] // settings.oversampling, len(numbers.gain)
    state = np.zeros((n_sounds, STATES, width), np.float32) if state is None else state.copy()
    hazard = np.empty((n_sounds, n_steps, len(settings.half_level), width), np.float32)
    over_sounds(hear_all, n_sounds, sounds, settings.oversampling, tuple(numbers), state, hazard)
    return hazard[..., : numbers.n_both] / np.float32(settings.dt), state


def nerve_spikes(sounds: np.ndarray, keys: np.ndarray, settings: CochleaSettings, n_steps: int) -> SpikeEvents:
    """Spikes of the fibres in the last ``n_steps`` time steps of each sound.

        P(fibre spikes in step t) = 1 - exp(-rate(t - delay) dt)     independent in every step, unless refractory

    What comes before those steps is heard but not shown: it must cover the longest internal delay.

    sounds   pressure at the eardrums, pascal, left ear first   [B, 2, samples]
    keys     of the sounds                                       [B] uint64
    """
    sounds = _whole_steps(sounds, settings)
    numbers = design(settings)
    n_sounds, heard = len(sounds), sounds.shape[2] // settings.oversampling
    delays = settings.delay_steps
    if heard - n_steps < delays.max():
        raise UserError(
            f"the sounds last {heard} time steps; {n_steps} steps of spikes need {n_steps + delays.max()}, "
            f"because of the longest internal delay"
        )
    refractory = round(settings.refractory / settings.dt)
    bins = n_steps * settings.n_fibres
    likely = bins * settings.rate_max * settings.dt / 2
    room = np.full(n_sounds, math.ceil(likely + DEVIATIONS * math.sqrt(likely) + 32))
    return collect_spikes(
        draw_nerve, n_sounds, n_steps, settings.n_fibres, room,
        sounds, keys, settings.oversampling, tuple(numbers), delays, refractory, n_steps,
        byte_neurons(settings.n_fibres // 2),
    )  # fmt: skip


def _whole_steps(sounds: np.ndarray, settings: CochleaSettings) -> np.ndarray:
    if sounds.ndim != 3 or sounds.shape[1] != 2:
        raise UserError(f"the sounds have shape {list(sounds.shape)}; expected [batch, 2, samples], left ear first")
    n_samples = sounds.shape[2] // settings.oversampling * settings.oversampling
    return np.ascontiguousarray(sounds[:, :, :n_samples], dtype=np.float32)
