"""Real sounds through a head and a cochlea: the angle is the azimuth of the source."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from spikeloc import randomness
from spikeloc.errors import UserError
from spikeloc.heads import Head, load_head, varied
from spikeloc.settings import Angle, Level, Settings, Time
from spikeloc.stimuli.cochlea import CochleaSettings
from spikeloc.stimuli.fibres import Fibres
from spikeloc.stimuli.nerve import nerve_spikes
from spikeloc.stimuli.rendering import at_level, diffuse_noise, mixed, render, render_moving, render_reverberant
from spikeloc.stimuli.sounds import Sounds
from spikeloc.stimuli.sources import SourceSettings, generator
from spikeloc.units import ms, write_quantity

__all__ = ["SceneStimulus"]

MAX_STEPS = 1_000_000
LONGEST_ITD = 0.8e-3  # seconds: a little more than the largest of heads
VARIATIONS = 64  # of each head
SCENE, SECOND, AROUND, VARIED = 21, 22, 23, 24  # what random numbers of a sound's key are for; see sources.generator
Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0.5, le=2)]


class SceneStimulus(Settings):
    """A source at an azimuth, heard through a head by two cochleas; the angle is the source's azimuth.

    Each sound draws everything anew from its own key: azimuth, head and its size, source, level, and noise. The two
    ears' pressures (see :mod:`spikeloc.stimuli.rendering`) excite auditory-nerve fibres
    (see :mod:`spikeloc.stimuli.cochlea`), whose spikes are shown after a lead-in.
    """

    kind: Literal["scene"] = "scene"
    heads: tuple[str, ...] = Field(("kemar",), min_length=1)
    """Heads to draw from: "kemar", "spherical", "spherical:9 cm", or paths of SOFA files."""
    head_sizes: tuple[Size, ...] = Field((1.0,), min_length=1)
    """Factors on a head's size to draw from."""
    varied: Share = 0.0
    """Share of the sounds that are heard through a variation of the head (see :mod:`spikeloc.heads.variation`)."""
    varied_sizes: tuple[Size, Size] = (0.92, 1.22)
    """Range of these heads' sizes."""
    varied_gain: Level = 1.5
    """Amplitude of the changes in these heads' gains at high frequencies; their standard deviation is 0.76 of it."""
    source: SourceSettings = SourceSettings()
    """What is heard."""
    duration: Time = Field(200 * ms, gt=0)
    """Length of what is shown of each sound."""
    lead_in: Time = Field(20 * ms, ge=0)
    """How long each sound is heard before its spikes are shown."""
    level: tuple[Level, Level] = (50.0, 80.0)
    """Range of the source's level in dB SPL without the head."""
    noisy: Share = 0.0
    """Share of the sounds that are heard in diffuse noise."""
    snr: tuple[Level, Level] = (0.0, 25.0)
    """Range of the signal-to-noise ratio of these, at the ears."""
    accompanied: Share = 0.0
    """Share of the sounds that are heard together with a second source, from another azimuth."""
    target_ratio: tuple[Level, Level] = (0.0, 25.0)
    """Range of the first source's power over the second's, at the ears."""
    reverberant: Share = 0.0
    """Share of the sounds that are heard in a room."""
    reverberation: Time = Field(300 * ms, gt=0)
    """Time in which the room's sound decays by 60 dB."""
    direct_ratio: tuple[Level, Level] = (0.0, 12.0)
    """Range of the direct sound's energy over the room's."""
    moving: Angle = 0.0
    """A source moves from up to this on one side of its azimuth to as much on the other; rooms hear it at rest."""
    max_azimuth: Angle = Field(math.pi / 2, gt=0, le=math.pi)
    """Azimuths are drawn evenly between minus this and this."""
    cochlea: CochleaSettings = CochleaSettings()
    """The ears."""

    @model_validator(mode="after")
    def _check(self) -> SceneStimulus:
        for name in ("level", "snr", "target_ratio", "direct_ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise UserError(f"{name} goes from {low:g} dB to {high:g} dB; give the lower one first")
        if self.varied_sizes[0] > self.varied_sizes[1]:
            raise UserError(
                f"varied_sizes goes from {self.varied_sizes[0]:g} to {self.varied_sizes[1]:g}; give the smaller "
                f"one first"
            )
        if not 0 <= self.varied_gain <= 20:
            raise UserError(f"varied_gain is {self.varied_gain:g} dB; choose an amplitude between 0 dB and 20 dB")
        steps = (self.duration + self.lead_in) / self.dt
        if self.duration <= 0.5 * self.dt or steps > MAX_STEPS:
            raise UserError(
                f"duration {write_quantity(self.duration, 'time')} is {self.duration / self.dt:.3g} time steps of "
                f"{write_quantity(self.dt, 'time')}; choose between 1 and {MAX_STEPS} steps"
            )
        if self.lead_in < self.cochlea.longest_delay:
            raise UserError(
                f"lead_in {write_quantity(self.lead_in, 'time')} is shorter than the cochlea's longest_delay "
                f"{write_quantity(self.cochlea.longest_delay, 'time')}; make it at least as long"
            )
        return self

    @property
    def limit(self) -> float:
        """Angles lie between minus this and this, radians."""
        return self.max_azimuth

    @property
    def dt(self) -> float:
        """Time step of the spikes, seconds."""
        return self.cochlea.dt

    @property
    def n_steps(self) -> int:
        """Time steps of a sound."""
        return round(self.duration / self.dt)

    @property
    def n_fibres(self) -> int:
        """Fibres of both ears."""
        return self.cochlea.n_fibres

    @property
    def sample_rate(self) -> float:
        """Samples of sound pressure a second."""
        return self.cochlea.sample_rate

    @property
    def fibres(self) -> Fibres:
        """What the fibres are tuned to."""
        cochlea = self.cochlea
        per_channel = cochlea.fibres_per_channel
        frequency = np.tile(np.repeat(cochlea.centre_frequencies, per_channel), 2)
        delay = np.tile(cochlea.delay_steps * cochlea.dt, 2 * cochlea.channels)
        turn = 2 * math.pi * frequency
        return Fibres(
            ear=np.repeat([0, 1], cochlea.channels * per_channel),
            frequency=frequency,
            phase=turn * delay,
            reach=np.minimum(math.pi, turn * LONGEST_ITD),
            locking=1 / (1 + (frequency / cochlea.phase_locking) ** 2),
        )

    def draw(
        self,
        n: int | None = None,
        *,
        seed: int,
        stream: str = "test",
        first: int = 0,
        indices: np.ndarray | None = None,
        angle: np.ndarray | None = None,
    ) -> Sounds:
        """Draw the sounds ``first`` to ``first + n`` of a stream, or those with the given indices.

        Sound i of a stream of a seed is the same sound however it is asked for. With ``angle`` [n], radians, the sounds
        come from there instead of from azimuths of their own. Raises UserError unless n >= 0.
        """
        indices = randomness.indices_of(n, first, indices)
        keys = randomness.sound_keys(seed, stream, indices)
        own = self.max_azimuth * (2 * randomness.uniform(seed, stream, indices, "angle") - 1)
        angle = own if angle is None else np.broadcast_to(np.asarray(angle, dtype=np.float64), own.shape).copy()
        heard = round((self.lead_in + self.duration) / self.dt) * self.cochlea.oversampling
        ears = np.empty((len(keys), 2, heard), dtype=np.float32)
        for i, key in enumerate(keys):
            ears[i] = self.pressure(int(key), float(angle[i]), heard)
        events = nerve_spikes(ears, keys, self.cochlea, self.n_steps)
        return Sounds(torch.from_numpy(angle), events, ears[:, :, heard - self.n_steps * self.cochlea.oversampling :])

    def pressure(self, key: int, azimuth: float, count: int) -> np.ndarray:
        """What reaches the ears of the sound of a key from an azimuth in radians: pascal, [2, count] float32."""
        rng = generator(key, SCENE)
        head = self._draw_head(key, rng)
        rate, duration = self.sample_rate, count / self.sample_rate
        level = rng.uniform(*self.level)
        source = at_level(self.source.draw(key, rate, duration), level)
        in_room, second, noisy = (rng.random(3) < (self.reverberant, self.accompanied, self.noisy)).tolist()
        ratios = [rng.uniform(*limits) for limits in (self.direct_ratio, self.target_ratio, self.snr)]
        swing = self.moving * rng.uniform(-1, 1, 2)[0]
        elsewhere = rng.uniform(-self.max_azimuth, self.max_azimuth)
        if in_room:
            ears = render_reverberant(source, head, azimuth, rate, key=key, decay=self.reverberation, direct=ratios[0])
        elif self.moving:
            middle = duration - self.duration / 2  # of what is shown
            ears = render_moving(
                source, head, lambda t: azimuth + swing * np.clip(2 * (t - middle) / self.duration, -1, 1), rate
            )
        else:
            ears = render(source, head, azimuth, rate)
        if second:
            other = self.source.draw(int(generator(key, SECOND).integers(2**63)), rate, duration)
            ears = mixed(ears, render(other, head, elsewhere, rate), ratios[1])
        if noisy:
            ears = mixed(ears, diffuse_noise(key, count, head, rate), ratios[2])
        return ears

    def _draw_head(self, key: int, rng: np.random.Generator) -> Head:
        name, size = self.heads[rng.integers(len(self.heads))], self.head_sizes[rng.integers(len(self.head_sizes))]
        if self.varied > 0:
            share, number = generator(key, VARIED).random(2)
            if share < self.varied:
                return _varied_head(name, int(number * VARIATIONS), self.varied_sizes, self.varied_gain)
        return _head(name, size)

    def caveats(self) -> list[str]:
        """What a user may not expect of this stimulus, a sentence each."""
        if self.max_azimuth > math.pi / 2:
            return ["sources in front and behind sound almost alike: expect confusions beyond 90 deg"]
        return []


@lru_cache(maxsize=4 * VARIATIONS)
def _varied_head(name: str, number: int, sizes: tuple[float, float], gain: float) -> Head:
    return varied(load_head(name), np.random.default_rng([number, *name.encode()]), sizes, gain)


@lru_cache(maxsize=64)
def _head(name: str, size: float) -> Head:
    head = load_head(name)
    return head if size == 1 else head.scaled(size)
