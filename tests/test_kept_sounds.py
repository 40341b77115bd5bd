"""Sounds that are kept are the sounds that are drawn."""

import numpy as np
import pytest
import torch

from spikeloc.batches import batches_of
from spikeloc.kept_sounds import KeptSounds
from spikeloc.stimuli import SceneStimulus, ToneStimulus

TONE = ToneStimulus(fibres_per_ear=35, duration=0.02)


def same(one, other):
    assert torch.equal(one.angle, other.angle)
    assert np.array_equal(one.events.index, other.events.index)
    assert np.array_equal(one.events.start, other.events.start)
    assert one.events.shape == other.events.shape


def test_every_time_they_are_what_the_stimulus_draws(monkeypatch):
    kept, drawn = KeptSounds(TONE, 40), []
    draw = ToneStimulus.draw

    def counting(self, *args, **kwargs):
        drawn.append(len(kwargs["indices"]))
        return draw(self, *args, **kwargs)

    monkeypatch.setattr(ToneStimulus, "draw", counting)
    generator = np.random.default_rng(1)
    for _ in range(3):
        order = generator.permutation(40)
        pairs = zip(
            batches_of(kept, order, 16, seed=3, stream="training"),
            [draw(TONE, seed=3, stream="training", indices=order[i : i + 16]) for i in (0, 16, 32)],
            strict=True,
        )
        for found, expected in pairs:
            same(found, expected)
    assert sum(drawn) == 40


def test_sounds_of_which_some_are_new_are_drawn():
    kept = KeptSounds(TONE, 10)
    for indices in ([1, 2], [2, 3], [3, 1, 2], [2, 9]):
        places = np.array(indices)
        same(kept.draw(seed=0, stream="x", indices=places), TONE.draw(seed=0, stream="x", indices=places))


@pytest.mark.parametrize(
    ("n", "pays"), [(100, True), (2**26 // (8 * 20 * 2), True), (2**26 // (8 * 20 * 2) + 1, False)]
)
def test_only_what_fits_is_kept(n, pays):
    assert KeptSounds.pays(TONE, n) is pays


def test_scenes_are_not_kept():
    assert not KeptSounds.pays(SceneStimulus(), 1)
