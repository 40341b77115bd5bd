"""What reaches the ears has the level, the ratio, the covariance, the decay and the direction that was asked for."""

import numpy as np
import pytest

from spikeloc.errors import UserError
from spikeloc.heads import Head, load_head
from spikeloc.heads.alignment import LEAD
from spikeloc.stimuli.rendering import (
    DIRECTIONS,
    at_level,
    diffuse_noise,
    level_of,
    mixed,
    render,
    render_moving,
    render_reverberant,
    reverberation,
)
from spikeloc.stimuli.sources import SourceSettings

RATE = 20000.0


def noise(n=5000, seed=1):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


@pytest.fixture(scope="module")
def kemar():
    return load_head("kemar")


def plain_head(reach=3e-4, rate=RATE):
    """A head that delays and does nothing else: tau = reach (1 -+ sin azimuth), flat to 6 kHz."""
    azimuths = np.radians(np.arange(-175, 181, 5, dtype=float))
    frequency = np.fft.rfftfreq(64)
    low = np.cos(np.pi / 2 * np.clip((frequency - 0.3) / 0.2, 0, 1)) ** 2
    pulse = np.fft.irfft(low * np.exp(-2j * np.pi * frequency * LEAD), 64)
    delays = reach * (1 + np.stack([np.sin(azimuths), -np.sin(azimuths)], axis=1))
    return Head("plain", rate, azimuths, np.broadcast_to(pulse, (len(azimuths), 2, 64)).astype(np.float32), delays)


def test_level_is_that_of_the_rms_in_pascal():
    tone = np.sin(2 * np.pi * 0.05 * np.arange(2000))
    scaled = at_level(tone, 60.0)
    assert np.sqrt(np.mean(scaled.astype(float) ** 2)) == pytest.approx(0.02, rel=1e-5)
    assert level_of(scaled) == pytest.approx(60, abs=1e-4)
    assert level_of(at_level(tone, 66.0)) - level_of(scaled) == pytest.approx(6, abs=1e-4)
    assert not at_level(np.zeros(10), 60).any()
    assert level_of(np.zeros((2, 10))) == -np.inf


def test_a_head_that_only_delays_leaves_the_level():
    frequency = np.fft.rfftfreq(8000, 1 / RATE)
    source = np.fft.irfft(np.fft.rfft(noise(8000)) * (frequency < 5000), 8000)
    ears = render(at_level(source, 70), plain_head(), 0.4, RATE)
    assert level_of(ears[:, 100:]) == pytest.approx(70, abs=0.1)


def test_rendering_is_convolution(kemar):
    source = noise(700)
    response = kemar.impulse_responses(0.7, RATE)[0]
    skip = kemar.latency(RATE)
    expected = np.stack([np.convolve(source, ear)[skip : skip + 700] for ear in response])
    np.testing.assert_allclose(render(source, kemar, 0.7, RATE), expected, atol=1e-4)


def test_a_batch_is_rendered_as_its_sounds_are(kemar):
    sources, azimuths = np.stack([noise(seed=k) for k in range(5)]), np.radians([-90.0, -10.0, 0.0, 33.0, 170.0])
    together = render(sources, kemar, azimuths, RATE)
    assert together.shape == (5, 2, 5000)
    assert together.dtype == np.float32
    for each, source, azimuth in zip(together, sources, azimuths, strict=True):
        np.testing.assert_allclose(each, render(source, kemar, azimuth, RATE), atol=1e-4)


def test_the_wave_front_meets_the_near_ear_with_the_first_sample():
    click = np.zeros(200, dtype=np.float32)
    click[0] = 1
    ears = render(click, plain_head(), np.pi / 2, RATE)
    assert np.abs(ears).argmax(axis=1).tolist() == [round(6e-4 * RATE), 0]


@pytest.mark.parametrize("ratio", [-10.0, 0.0, 15.0])
def test_ratio_is_of_mean_powers_over_both_ears(kemar, ratio):
    target = render(noise(), kemar, 1.2, RATE)
    other = diffuse_noise(3, 5000, kemar, RATE)
    added = mixed(target, other, ratio) - target
    assert 10 * np.log10(np.mean(target.astype(float) ** 2) / np.mean(added.astype(float) ** 2)) == pytest.approx(
        ratio, abs=1e-3
    )
    np.testing.assert_array_equal(mixed(0 * target, other, ratio), other)


def covariance(ears):
    """Spectra's covariance [2, 2, F] over sounds [n, 2, samples]."""
    spectra = np.fft.rfft(ears, axis=-1) / np.sqrt(ears.shape[-1])
    return np.einsum("naf,nbf->abf", spectra, spectra.conj()) / len(ears)


@pytest.mark.parametrize("colour", ["white", "pink"])
def test_diffuse_noise_is_the_sum_over_directions(kemar, colour):
    """By its definition: independent noise from each direction through the head, against the pair drawn at once."""
    count, sounds = 1000, 400
    azimuths = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    drawn = np.stack([diffuse_noise(key, count, kemar, RATE, colour=colour) for key in range(sounds)])
    sources = np.random.default_rng(1).standard_normal((sounds, DIRECTIONS, count + 400)).astype(np.float32)
    spectra = np.fft.rfft(sources)
    if colour == "pink":
        magnitude = 1 / np.sqrt(np.maximum(np.fft.rfftfreq(count + 400, 1 / RATE), 50))
        spectra *= magnitude / np.sqrt(np.mean(magnitude**2))
    response = np.fft.rfft(kemar.impulse_responses(azimuths, RATE), count + 400)
    summed = np.fft.irfft(np.einsum("ndf,def->nef", spectra, response), count + 400)[..., -count:] / np.sqrt(DIRECTIONS)
    bands = [slice(k, k + 20) for k in range(5, 440, 20)]
    found, expected = (
        np.stack([covariance(x)[..., band].mean(axis=-1) for band in bands], axis=-1) for x in (drawn, summed)
    )
    scale = np.sqrt(expected[0, 0] * expected[1, 1]).real
    assert np.abs((found - expected) / scale).max() < 0.1


def test_diffuse_noise_has_the_level_of_its_source_and_agrees_at_low_frequencies(kemar):
    ears = np.stack([diffuse_noise(key, 4000, kemar, RATE) for key in range(100)])
    assert 10 * np.log10(np.mean(ears**2)) == pytest.approx(0, abs=1)  # the top of the band fades out at this rate
    s = covariance(ears)
    coherence = np.abs(s[0, 1]) / np.sqrt(s[0, 0].real * s[1, 1].real)
    frequency = np.fft.rfftfreq(4000, 1 / RATE)
    assert coherence[(frequency > 80) & (frequency < 150)].mean() > 0.8
    assert coherence[(frequency > 2000) & (frequency < 8000)].mean() < 0.35


def test_diffuse_noise_is_a_function_of_its_key(kemar):
    first, again, other = (diffuse_noise(key, 300, kemar, RATE) for key in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    assert first.dtype == np.float32


@pytest.mark.parametrize(("decay", "direct"), [(0.2, 10.0), (0.5, -3.0)])
def test_reverberation_has_its_decay_and_its_ratio(kemar, decay, direct):
    tail = reverberation(1, kemar, RATE, decay=decay, direct=direct, azimuth=0.5).astype(float)
    response = kemar.impulse_responses(0.5, RATE).astype(float)
    assert 10 * np.log10((response**2).sum() / (tail**2).sum()) == pytest.approx(direct, abs=0.01)
    assert not tail[:, : int(3e-3 * RATE)].any()
    remaining = np.cumsum((tail**2).sum(axis=0)[::-1])[::-1]  # Schroeder 1965: integrated backwards
    level = 10 * np.log10(remaining / remaining[0])
    part = (level < -5) & (level > -25)
    slope = np.polyfit(np.flatnonzero(part) / RATE, level[part], 1)[0]
    assert -60 / slope == pytest.approx(decay, rel=0.1)


def test_a_reverberant_source_is_the_direct_sound_and_its_tail(kemar):
    click = np.zeros(3000, dtype=np.float32)
    click[0] = 1
    room = {"decay": 0.1, "direct": 3.0}
    ears = render_reverberant(click, kemar, 0.5, RATE, key=4, **room)
    tail = reverberation(4, kemar, RATE, azimuth=0.5, **room)[:, kemar.latency(RATE) :]
    expected = render(click, kemar, 0.5, RATE)
    expected[:, : tail.shape[1]] += tail
    np.testing.assert_allclose(ears, expected, atol=1e-4)
    with pytest.raises(UserError, match="choose one between"):
        reverberation(1, kemar, RATE, decay=0.0, direct=0.0)


@pytest.mark.parametrize("count", [1, 199, 5000])
def test_a_source_that_stands_still_is_not_moving(kemar, count):
    source = noise(count)
    found = render_moving(source, kemar, lambda time: np.full_like(time, -0.6), RATE)
    np.testing.assert_allclose(found, render(source, kemar, -0.6, RATE), atol=1e-4)


def test_a_moving_source_arrives_when_it_should():
    head, frequency = plain_head(), 600.0
    time = np.arange(10000) / RATE
    source = np.sin(2 * np.pi * frequency * time)
    ears = render_moving(source, head, lambda t: np.radians(180 * t - 45), RATE)
    grid = np.linspace(0, time[-1], 500)
    delays = head.onset_delays(np.radians(180 * grid - 45))
    delay = np.stack([np.interp(time, grid, ear) for ear in delays.T])
    expected = np.sin(2 * np.pi * frequency * (time - delay))
    assert np.abs(ears - expected)[:, 200:-200].max() < 0.01


@pytest.mark.parametrize("azimuth", [-70.0, -12.0, 0.0, 25.0, 55.0])
def test_rendered_noise_carries_the_heads_itd(kemar, azimuth):
    source = SourceSettings().draw(1, RATE, 1.0, "white noise")
    left, right = np.fft.rfft(render(source, kemar, np.radians(azimuth), RATE), 2**16)
    frequency = np.fft.rfftfreq(2**16, 1 / RATE)
    response = np.fft.rfft(kemar.impulse_responses(np.radians(azimuth), RATE)[0], 2**16)
    band = (frequency > 300) & (frequency < 1500)
    error = (left * right.conj())[band] * (response[1] * response[0].conj())[band]
    weight = np.abs(error)
    assert abs((weight * np.angle(error) / (2 * np.pi * frequency[band])).sum() / weight.sum()) < 3e-6
