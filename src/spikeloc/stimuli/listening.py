"""What the ears hear, as a stereo file to listen to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikeloc.audio import write_audio
from spikeloc.errors import UserError
from spikeloc.stimuli.scene import SceneStimulus
from spikeloc.stimuli.tone import ToneStimulus

__all__ = ["ENDINGS", "write_examples"]

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
PAUSE = 0.3  # seconds between sounds
PEAK = 0.5  # of full scale, of the loudest sample: levels are kept relative to each other


def write_examples(stimulus: SceneStimulus | ToneStimulus, path: str | Path, *, n: int = 8, seed: int = 0) -> Path:
    """Write n test sounds of a scene one after another, with pauses, as the two ears hear them (use headphones).

    They come from evenly spaced azimuths, from the left to the right. Raises UserError for tones, which are no sounds
    but spikes, and if the file cannot be written.
    """
    if not isinstance(stimulus, SceneStimulus):
        raise UserError(
            "a tone goes straight to spikes and cannot be listened to; name a picture, or a recipe of scenes"
        )
    azimuths = stimulus.limit * np.linspace(-1, 1, n)
    ears = stimulus.draw(n, seed=seed, angle=azimuths).ears
    assert ears is not None
    parts = np.pad(ears, ((0, 0), (0, 0), (0, round(PAUSE * stimulus.sample_rate))))
    joined = np.moveaxis(parts, 1, 2).reshape(-1, 2)
    loudest = float(np.abs(joined).max(initial=0))
    write_audio(path, joined * (PEAK / loudest if loudest > 0 else 0), stimulus.sample_rate)
    return Path(path)
