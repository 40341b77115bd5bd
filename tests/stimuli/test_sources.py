"""Sources are functions of a key with the spectra and envelopes that their names promise."""

import itertools
import typing

import numpy as np
import pytest

from spikeloc.audio import write_audio
from spikeloc.errors import UserError
from spikeloc.stimuli import waveforms
from spikeloc.stimuli.sources import SourceKind, SourceSettings, excerpt, generator, ramped, read_source

RATE = 20000.0
KINDS = typing.get_args(SourceKind)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds") / "a.wav"
    time = np.arange(48000) / 48000
    write_audio(path, 0.5 * np.sin(2 * np.pi * 500 * time)[:, None] * (time[:, None] > 0.4), 48000)
    return SourceSettings(kinds=KINDS, files=(str(path),))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_function_of_its_key(settings, kind):
    sounds = [settings.draw(key, RATE, 0.25, kind) for key in (7, 7, 8, 2**64 - 1)]
    for sound in sounds:
        assert sound.dtype == np.float32
        assert sound.shape == (5000,)
        assert np.isfinite(sound).all()
        assert np.mean(sound.astype(float) ** 2) == pytest.approx(1, rel=1e-4)
        assert np.abs(sound[[0, -1]]).max() < 0.05
    np.testing.assert_array_equal(sounds[0], sounds[1])
    assert np.abs(sounds[0] - sounds[2]).max() > 0.1
    assert np.abs(sounds[0] - sounds[3]).max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "duration"), [(8000.0, 0.001), (44100.0, 0.02), (96000.0, 1.5)])
def test_every_kind_lasts_as_long_as_asked(settings, kind, rate, duration):
    sound = settings.draw(3, rate, duration, kind)
    assert len(sound) == round(rate * duration)
    assert np.isfinite(sound).all()


def test_kinds_are_drawn_evenly_from_the_list():
    settings = SourceSettings(kinds=("tone", "tone", "clicks"))
    found = [settings.kind_of(key) for key in range(3000)]
    assert found.count("tone") == pytest.approx(2000, abs=100)
    np.testing.assert_array_equal(settings.draw(5, RATE, 0.1), settings.draw(5, RATE, 0.1, settings.kind_of(5)))


def power_in(signal, low, high, rate=RATE):
    spectrum = np.abs(np.fft.rfft(signal)) ** 2
    frequency = np.fft.rfftfreq(len(signal), 1 / rate)
    return spectrum[(frequency >= low) & (frequency < high)].sum() / spectrum.sum()


def test_pink_noise_has_equal_power_in_octaves_and_white_in_hertz(settings):
    for kind, factor in (("pink noise", 1), ("white noise", 2)):
        sound = settings.draw(1, RATE, 20.0, kind)
        octaves = [power_in(sound, low, 2 * low) for low in (100, 200, 400, 800, 1600, 3200)]
        np.testing.assert_allclose(np.divide(octaves[1:], octaves[:-1]), factor, rtol=0.15)


def test_drawn_spectra_are_those_of_normal_samples():
    for length in (300, 301):
        spectra = waveforms.noise_spectrum(generator(1, 9), length, 4000)
        samples = np.fft.irfft(spectra, length)
        assert samples.var() == pytest.approx(1 - 1 / length, rel=0.01)
        covariance = samples.T @ samples / len(samples)
        assert np.abs(covariance - np.eye(length)).max() < 0.1
        np.testing.assert_allclose(np.fft.rfft(samples), spectra, atol=1e-3)


def test_fast_lengths_are_long_enough_and_not_much_longer():
    for count in (1, 7, 100, 5000, 5181, 99999):
        length = waveforms.fast_length(count)
        assert count <= length <= max(1.08 * count, count + 1)


@pytest.mark.parametrize("key", range(5))
def test_band_noise_stays_in_two_octaves(settings, key):
    sound = settings.draw(key, RATE, 2.0, "band noise")
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    cumulated = np.cumsum(np.abs(np.fft.rfft(sound)) ** 2)
    low, high = (frequency[np.searchsorted(cumulated, part * cumulated[-1])] for part in (0.01, 0.99))
    assert 1.1 < high / low < 4.5
    assert 80 < low < high < 9000


@pytest.mark.parametrize("key", range(5))
def test_tone_has_one_frequency_in_its_range(settings, key):
    sound = settings.draw(key, RATE, 1.0, "tone")
    top = np.abs(np.fft.rfft(sound)).argmax()
    assert 200 <= top <= 4000
    assert power_in(sound, top - 20, top + 20) > 0.99


@pytest.mark.parametrize("key", range(5))
def test_harmonic_tones_have_power_at_multiples_of_one_frequency_only(key):
    signal = waveforms.harmonic_tones(generator(key, 2), 40000, RATE)
    windowed = signal * np.blackman(len(signal))
    spectrum = np.abs(np.fft.rfft(windowed)) ** 2
    frequency = np.fft.rfftfreq(len(signal), 1 / RATE)
    fundamental = 60 * 10 ** generator(key, 2).random()
    away = np.abs(frequency / fundamental - np.round(frequency / fundamental)) * fundamental > 5
    assert spectrum[away].sum() < 1e-4 * spectrum.sum()


def test_modulated_noise_has_the_envelope_of_its_modulator():
    rng = generator(3, 2)
    rate, depth = 4 * 32 ** rng.random(), 0.5 + 0.5 * rng.random()
    power = waveforms.modulated_noise(generator(3, 2), 400000, RATE) ** 2
    turn = np.exp(-2j * np.pi * rate / RATE * np.arange(len(power)))
    # (1 + m cos)^2 = 1 + m^2 / 2 + 2 m cos + ...
    assert 2 * abs((power * turn).mean()) / power.mean() == pytest.approx(2 * depth / (1 + depth**2 / 2), rel=0.1)


def test_clicks_come_at_a_steady_rate():
    where = np.flatnonzero(waveforms.clicks(generator(4, 2), 20000, RATE))
    gaps = np.diff(where)
    assert np.ptp(gaps) <= 1
    assert 100 <= gaps.mean() <= 2000


def test_speech_like_sounds_have_the_rhythm_and_the_spectrum_of_speech(settings):
    """Most envelope power between 1 and 10 Hz, most sound power below 3 kHz: unlike noise of a steady level."""

    def rhythm(sound):
        envelope = np.sqrt(np.mean(sound.reshape(-1, 200) ** 2, axis=1))  # 100 per second
        return power_in(envelope - envelope.mean(), 1, 10, 100.0)

    long = [settings.draw(key, RATE, 10.0, "speech-like") for key in range(4)]
    assert min(map(rhythm, long)) > 0.7
    assert rhythm(settings.draw(1, RATE, 10.0, "white noise")) < 0.3
    assert np.mean([power_in(sound, 0, 3000) for sound in long]) > 0.7
    assert np.mean([power_in(sound, 3000, 8000) for sound in long]) > 0.01


@pytest.mark.parametrize("slope", [-12.0, -3.0, 0.0, 6.0])
def test_tilts_are_slopes_above_400_hz_in_decibels_per_octave(slope):
    noise = waveforms.white_noise(generator(1, 2), 200_000)
    found = waveforms.tilted(noise, RATE, slope)
    gain = np.abs(np.fft.rfft(found)) / np.abs(np.fft.rfft(noise))
    frequency = np.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = [np.median(20 * np.log10(gain[np.abs(frequency / f - 1) < 0.05])) for f in (100, 400, 800, 1600, 6400)]
    np.testing.assert_allclose(octaves, np.array([0, 0, 1, 2, 4]) * slope, atol=0.2)


def measured_tilt(sound, first=500, octaves=4):
    """Slope of a white noise's spectrum in dB per octave, fitted to half octaves."""
    edges = first * 2.0 ** (np.arange(2 * octaves + 1) / 2)
    density = [power_in(sound, low, high) / (high - low) for low, high in itertools.pairwise(edges)]
    return np.polyfit(np.arange(2 * octaves) / 2, 10 * np.log10(density), 1)[0]


def test_each_sound_draws_its_tilt_from_the_range():
    settings = SourceSettings(kinds=("white noise",), tilt=(-9, 3))
    slopes = [measured_tilt(settings.draw(key, RATE, 1.0)) for key in range(60)]
    assert -9.5 < min(slopes) < -6.5
    assert 0.5 < max(slopes) < 3.5
    assert np.mean(slopes) == pytest.approx(-3, abs=1.5)
    fixed = SourceSettings(kinds=("white noise",), tilt=(-6, -6))
    assert measured_tilt(fixed.draw(1, RATE, 1.0)) == pytest.approx(-6, abs=0.4)
    # A tilt takes no random numbers from the sound itself.
    plain = SourceSettings(kinds=("white noise",)).draw(1, RATE, 1.0)
    level = SourceSettings(kinds=("white noise",), tilt=(0, 1e-9)).draw(1, RATE, 1.0)
    np.testing.assert_allclose(level, plain, atol=1e-3)


def test_excerpts_are_not_silent(settings):
    sounds = [settings.draw(key, RATE, 0.1, "files") for key in range(20)]
    assert all(power_in(sound, 300, 700) > 0.8 for sound in sounds)


def test_shipped_speech_is_a_source():
    sound = SourceSettings(kinds=("files",), files=("speech-1", "speech-2")).draw(1, RATE, 0.25)
    assert len(sound) == 5000
    assert sound.std() > 0.9


def test_a_recording_shorter_than_asked_stands_in_zeros():
    found = excerpt(generator(1, 2), np.ones(10, dtype=np.float32), 30)
    assert (found == 1).sum() == 10
    assert (found == 0).sum() == 20


def test_ramps_are_raised_cosines():
    found = ramped(np.ones(1000), 100)
    expected = 0.5 - 0.5 * np.cos(np.pi * (np.arange(100) + 0.5) / 100)
    np.testing.assert_allclose(found[:100] / found[500], expected, rtol=1e-4)
    np.testing.assert_array_equal(found, found[::-1])
    assert not ramped(np.zeros(10), 3).any()
    assert len(ramped(np.ones(3), 100)) == 3


def test_purposes_of_a_key_share_nothing():
    draws = [generator(key, purpose).random(4) for key in (1, 2, 2**63) for purpose in (1, 2)]
    assert len({tuple(draw) for draw in draws}) == 6


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"kinds": ()}, "kinds"),
        ({"kinds": ("violin",)}, "kinds"),
        ({"kinds": ("files",)}, "list sound files"),
        ({"lowest": "5 kHz"}, "exchange them"),
        ({"ramp": "10"}, "has no unit"),
        ({"tilt": ["3 dB", "-3 dB"]}, "tilt goes from 3 dB to -3 dB; give the lower one first"),
    ],
)
def test_wrong_settings_are_refused(values, reason):
    with pytest.raises(UserError, match=reason):
        SourceSettings.read(values)


def test_silent_files_and_no_time_are_refused(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros((100, 1)), 16000)
    with pytest.raises(UserError, match="silent throughout"):
        read_source(tmp_path / "a.wav", RATE)
    with pytest.raises(UserError, match="choose a longer one"):
        SourceSettings().draw(1, RATE, 1e-6)
