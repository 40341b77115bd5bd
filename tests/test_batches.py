import numpy as np
import pytest
import torch

from spikeloc import batches
from spikeloc.batches import batches_of
from spikeloc.stimuli import ToneStimulus


@pytest.mark.parametrize("rows", [1, 100, 400, 10_000])
@pytest.mark.parametrize("n", [0, 1, 7, 16, 23])
def test_batches_are_the_sounds_in_order_however_many_are_drawn_at_once(monkeypatch, n, rows):
    monkeypatch.setattr(batches, "ROWS", rows)
    stimulus = ToneStimulus(duration=0.02, fibres_per_ear=5)
    indices = np.random.default_rng(0).permutation(n).astype(np.int64)
    found = list(batches_of(stimulus, indices, 4, seed=3, stream="training"))
    assert [len(sounds) for sounds in found] == [4] * (n // 4) + ([n % 4] if n % 4 else [])
    for k, sounds in enumerate(found):
        alone = stimulus.draw(seed=3, stream="training", indices=indices[4 * k : 4 * k + 4])
        assert torch.equal(sounds.angle, alone.angle)
        assert torch.equal(sounds.spikes, alone.spikes)


def test_who_stops_early_leaves_nothing_behind():
    stimulus = ToneStimulus(duration=0.02, fibres_per_ear=5)
    drawn = batches_of(stimulus, np.arange(10_000, dtype=np.int64), 4, seed=0, stream="test")
    assert len(next(drawn)) == 4
    drawn.close()
