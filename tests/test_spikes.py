import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeloc.spikes import SpikeEvents, _list_bits, words_of


@given(st.integers(0, 5), st.integers(1, 9), st.integers(1, 70), st.floats(0, 1), st.integers(0, 99))
def test_events_and_tensor_are_the_same_spikes(sounds, steps, neurons, density, seed):
    dense = torch.rand(sounds, steps, neurons, generator=torch.Generator().manual_seed(seed)) < density
    events = SpikeEvents.from_dense(dense)
    assert events.shape == dense.shape
    assert events.n_spikes == int(dense.sum())
    assert torch.equal(events.to_dense(), dense)


@given(st.integers(0, 5), st.integers(1, 9), st.integers(1, 140), st.floats(0, 1), st.integers(0, 99))
def test_events_and_bits_are_the_same_spikes(sounds, steps, neurons, density, seed):
    dense = torch.rand(sounds, steps, neurons, generator=torch.Generator().manual_seed(seed)) < density
    events = SpikeEvents.from_dense(dense)
    bits = events.to_bits()
    assert bits.shape == (sounds, steps, words_of(neurons))
    unpacked = np.unpackbits(bits.view(np.uint8), axis=-1, bitorder="little")[..., :neurons]
    assert np.array_equal(unpacked.astype(bool), dense.numpy())
    again = SpikeEvents.from_bits(bits, neurons)
    assert np.array_equal(again.index, events.index)
    assert np.array_equal(again.start, events.start)
    assert again.shape == events.shape
    which = np.random.default_rng(seed).integers(0, max(sounds, 1), 4) if sounds else np.zeros(0, np.int64)
    some = SpikeEvents.from_bits(bits, neurons, which)
    assert torch.equal(some.to_dense(), dense[which])


@pytest.mark.parametrize("sounds", [(0, 1), (1, 3), (2, 3)])
def test_listing_bits_writes_nothing_beyond_its_sounds(sounds):
    """Others write there at the same time."""
    events = SpikeEvents.from_dense(torch.rand(4, 3, 70, generator=torch.Generator().manual_seed(2)) < 0.1)
    bits = events.to_bits()
    begin, end = events.start[3 * sounds[0]], events.start[3 * sounds[1]]
    index = np.full(events.n_spikes, 999, dtype=np.uint16)
    _list_bits(*sounds, bits, np.arange(4), events.start, index)
    assert np.array_equal(index[begin:end], events.index[begin:end])
    assert (index[:begin] == 999).all()
    assert (index[end:] == 999).all()


def test_indices_rise_within_a_row():
    events = SpikeEvents.from_dense(torch.tensor([[[0, 1, 1], [1, 0, 0]]]))
    assert events.index.tolist() == [1, 2, 0]
    assert events.start.tolist() == [0, 2, 3]


def test_part_of_a_batch():
    dense = torch.rand(6, 4, 5, generator=torch.Generator().manual_seed(0)) < 0.4
    events = SpikeEvents.from_dense(dense)
    assert torch.equal(events.sounds(2, 5).to_dense(), dense[2:5])
    assert events.sounds(0, 0).shape == (0, 4, 5)


def test_too_many_neurons_are_refused():
    with pytest.raises(ValueError, match="at most 65536"):
        SpikeEvents.from_dense(torch.zeros(1, 1, 65_537))
