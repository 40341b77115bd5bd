"""What is wrong with recordings is found alike however they are cut into blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloc.errors import UserError
from spikeloc.recordings import Overdriven, TwoEars, samples_of

RATE = 1000.0


def noise(n=500, seed=0):
    return np.random.default_rng(seed).normal(0, 0.2, (n, 2)).astype(np.float32)


def in_blocks(samples, cuts):
    return np.split(samples, sorted(cut for cut in cuts if cut <= len(samples)))


def overdriven(samples, cuts=()):
    found = Overdriven(RATE)
    for block in in_blocks(samples, cuts):
        found.push(block)
    return found


def test_whole_numbers_are_parts_of_full_scale():
    for kind, full in ((np.int16, 2**15), (np.int32, 2**31)):
        samples = np.array([[-full, 0], [full // 2, full // 4]], dtype=kind)
        np.testing.assert_array_equal(samples_of(samples), [[-1, 0], [0.5, 0.25]])
    np.testing.assert_array_equal(samples_of(np.array([[0, 128], [192, 64]], np.uint8)), [[-1, 0], [0.5, -0.5]])
    assert samples_of(np.ones((3, 2))).dtype == np.float32


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(5), r"shape \[5\]"),
        (np.zeros((5, 1)), r"shape \[5, 1\]"),
        (np.zeros((5, 6)), r"shape \[5, 6\]"),
        (np.zeros((2, 500)), r"turn them with samples\.T"),
        (np.zeros((5, 2), complex), "type complex"),
        (np.zeros((5, 2), bool), "type bool"),
        (np.array([[0, np.nan]]), "not finite"),
        (np.array([[0, np.inf]]), "not finite"),
    ],
)
def test_other_arrays_are_refused(samples, words):
    with pytest.raises(UserError, match=words):
        samples_of(samples)


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_a_sound_that_is_cut_off_is_overdriven(level):
    """A sine 1.5 times too high lies at its limits for 53 % of the time; counted are the third in a row and on."""
    time = np.arange(2000) / 2000
    sine = 1.5 * level * np.sin(2 * np.pi * 7.03 * time)[:, None] * [1, 0.2]
    cut = np.clip(sine, -level, level).astype(np.float32)
    share = overdriven(cut).take(np.inf) / len(cut)
    assert share == pytest.approx(2 * np.arccos(1 / 1.5) / np.pi, abs=0.03)
    assert overdriven((sine / 1.5).astype(np.float32)).take(np.inf) == 0


def test_a_sound_that_is_not_cut_off_is_not():
    assert overdriven(noise()).take(np.inf) == 0
    steps = np.repeat(noise(), 2, axis=0)  # every sample twice, as a crude resampler leaves it
    assert overdriven(steps).take(np.inf) == 0
    constant = np.full((500, 2), 0.2, np.float32)
    assert overdriven(constant).take(np.inf) == 0


@given(st.lists(st.integers(0, 500), max_size=8))
@settings(max_examples=30, deadline=None)
def test_blocks_do_not_matter(cuts):
    samples = np.clip(3 * noise(), -0.5, 0.5)
    whole, parts = overdriven(samples), overdriven(samples, cuts)
    for end in (0.1, 0.3, 0.5):
        assert whole.take(end) == parts.take(end)
    ears = TwoEars()
    for block in in_blocks(samples, cuts):
        ears.push(block)
    assert ears.count == 500
    assert ears.power == pytest.approx(np.square(samples, dtype=float).sum(axis=0))


def told(samples):
    ears = TwoEars()
    ears.push(samples.astype(np.float32))
    ears.check("it.wav")


def test_two_ears_are_accepted():
    told(noise())
    told(noise() * [1, 1e-2])  # a head's shadow of 40 dB
    told(noise()[:, :1] * [1, 1.01])  # a hundredth louder: next to straight ahead
    told(np.zeros((0, 2)))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((500, 2)), "it.wav is silent throughout"),
        (noise() * [0, 1], "the left channel of it.wav is silent"),
        (noise() * [1, 1e-5], "the right channel of it.wav is silent"),
        (noise()[:, :1] * [1, 1], "both channels of it.wav are the same"),
        (noise()[:, :1] + 1e-5 * noise(seed=1), "both channels of it.wav are the same"),
    ],
)
def test_what_is_not_two_ears_is_refused(samples, words):
    with pytest.raises(UserError, match=words):
        told(samples)
