"""Scenes written to a stereo file: left first, from left to right, and refused for tones."""

import numpy as np
import pytest

from spikeloc.audio import read_audio
from spikeloc.errors import UserError
from spikeloc.stimuli import SceneStimulus, ToneStimulus
from spikeloc.stimuli.cochlea import CochleaSettings
from spikeloc.stimuli.listening import write_examples

SMALL = SceneStimulus(duration=0.05, cochlea=CochleaSettings(channels=2, fibres_per_channel=1))


def test_sounds_follow_each_other_from_left_to_right(tmp_path):
    heard = read_audio(write_examples(SMALL, tmp_path / "scene.wav", n=3))
    assert heard.sample_rate == SMALL.sample_rate
    sounds = heard.samples.reshape(3, -1, 2)
    assert sounds.shape[1] == round((0.05 + 0.3) * SMALL.sample_rate)
    assert float(np.abs(sounds).max()) == pytest.approx(0.5, abs=1e-3)
    assert not sounds[:, -round(0.3 * SMALL.sample_rate) :].any()
    left, right = np.square(sounds).sum(axis=1).T
    assert left[0] > 2 * right[0]
    assert right[2] > 2 * left[2]


def test_a_tone_cannot_be_listened_to(tmp_path):
    with pytest.raises(UserError, match="cannot be listened to"):
        write_examples(ToneStimulus(), tmp_path / "tone.wav")
    assert not (tmp_path / "tone.wav").exists()
