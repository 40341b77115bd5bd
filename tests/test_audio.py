"""Sound files: right ones are read alike whatever their format, each wrong one is refused in one sentence."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloc.audio import (
    Recording,
    Resampler,
    blocks_of,
    inspect_audio,
    read_audio,
    resample,
    shipped_sounds,
    stereo,
    write_audio,
)
from spikeloc.errors import UserError
from spikeloc.heads import load_head

RATE = 44100


def noise(n=RATE // 4, channels=2, seed=1):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n, channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "bits", "error"),
    [
        ("a.wav", None, 0),
        ("a.wav", 16, 2**-15),
        ("a.wav", 24, 2**-23),
        ("a.flac", None, 2**-23),
        ("a.flac", 16, 2**-15),
    ],
)
def test_what_was_written_is_read(tmp_path, name, bits, error):
    samples = noise()
    write_audio(tmp_path / name, samples, RATE, bits=bits)
    recording = read_audio(tmp_path / name)
    assert recording.sample_rate == RATE
    assert recording.samples.dtype == np.float32
    assert recording.name == name
    assert np.abs(recording.samples - samples).max() <= error
    about = inspect_audio(tmp_path / name)
    assert (about.samples, about.channels, about.seconds) == (len(samples), 2, recording.seconds)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_compressed_files_are_read(tmp_path, name):
    time = np.arange(RATE) / RATE
    samples = 0.3 * np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)], axis=1)
    write_audio(tmp_path / name, samples, RATE)
    found = read_audio(tmp_path / name).samples
    spectrum = np.abs(np.fft.rfft(found[:RATE], axis=0))
    np.testing.assert_allclose(spectrum.argmax(axis=0), [440, 660], atol=1)
    assert np.std(found) == pytest.approx(np.std(samples), rel=0.05)


def test_integers_of_any_width_have_one_scale(tmp_path):
    samples = np.full((100, 1), 0.5)
    for form in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        soundfile.write(tmp_path / "a.wav", samples, RATE, subtype=form)
        assert read_audio(tmp_path / "a.wav").samples == pytest.approx(0.5, abs=1e-2)


@given(st.integers(1, 5000), st.floats(1e-4, 0.3))
@settings(max_examples=20, deadline=None)
def test_blocks_are_the_whole_in_pieces(tmp_path_factory, n, seconds):
    path = tmp_path_factory.mktemp("blocks") / "a.wav"
    samples = noise(n)
    write_audio(path, samples, 16000)
    blocks = list(blocks_of(path, seconds))
    assert all(len(block.samples) == round(seconds * 16000) for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks]), samples)


def bad_files(folder):
    """Name -> (what the sentence says), after making the file."""
    write_audio(folder / "whole.wav", noise(), RATE)
    write_audio(folder / "whole.flac", noise(), RATE)
    for kind in ("wav", "flac"):
        whole = (folder / f"whole.{kind}").read_bytes()
        (folder / f"cut.{kind}").write_bytes(whole[: len(whole) // 2])
        (folder / f"header.{kind}").write_bytes(whole[:20])
    whole = bytearray((folder / "whole.flac").read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 4000] = bytes(4000)
    (folder / "damaged.flac").write_bytes(whole)
    (folder / "text.wav").write_text("not a sound")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "some.raw").write_bytes(bytes(1000))
    (folder / "folder.wav").mkdir()
    soundfile.write(folder / "none.wav", np.zeros((0, 2)), RATE)
    soundfile.write(folder / "slow.wav", noise(), 4000)
    for name, value in {"nan": np.nan, "infinite": -np.inf}.items():
        samples = noise()
        samples[1000, 1] = value
        soundfile.write(folder / f"{name}.wav", samples, RATE, subtype="FLOAT")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.wav", "does not exist"),
        ("folder.wav", "is a folder"),
        ("text.wav", "cannot be read as a sound file"),
        ("empty.wav", "cannot be read as a sound file"),
        ("header.wav", "cannot be read|cut short"),
        ("header.flac", "cannot be read"),
        ("some.raw", "cannot be read"),
        ("cut.wav", "cut short"),
        ("cut.flac", "cut short|damaged"),
        ("damaged.flac", "cut short|damaged"),
        ("none.wav", "has no samples"),
        ("slow.wav", "too little of a sound's spectrum"),
        ("nan.wav", "not finite"),
        ("infinite.wav", "not finite"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(tmp_path, name, reason):
    bad_files(tmp_path)
    for read in (read_audio, lambda path: list(blocks_of(path, 0.01))):
        with pytest.raises(UserError, match=reason) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


def test_8_khz_is_enough(tmp_path):
    write_audio(tmp_path / "a.wav", noise(), 8000)
    assert read_audio(tmp_path / "a.wav").sample_rate == 8000


def test_a_wav_file_written_by_a_stream_has_no_size_and_is_read(tmp_path):
    write_audio(tmp_path / "a.wav", noise(), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_audio(tmp_path / "a.wav").samples) == RATE // 4


@pytest.mark.parametrize(
    ("name", "samples", "bits", "reason"),
    [
        ("a.xyz", noise(), None, "name a file that ends in"),
        ("none/a.wav", noise(), None, "is not a folder"),
        ("a.flac", 3 * noise(), None, "scale them down"),
        ("a.wav", 3 * noise(), 16, "scale them down"),
        ("a.wav", noise() * np.nan, None, "not finite"),
        ("a.wav", noise(), 12, "choose 16 or 24"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, samples, bits, reason):
    with pytest.raises(UserError, match=reason):
        write_audio(tmp_path / name, samples, RATE, bits=bits)


def test_two_ears_are_needed():
    recording = Recording(noise(), RATE)
    assert stereo(recording) is recording
    with pytest.raises(UserError, match="takes two ears"):
        stereo(Recording(noise(channels=1), RATE))
    with pytest.raises(UserError, match="has 5 channels; keep the two"):
        stereo(Recording(noise(channels=5), RATE))


def test_block_length_must_be_sensible(tmp_path):
    write_audio(tmp_path / "a.wav", noise(), RATE)
    for seconds in (0, -1, float("nan")):
        with pytest.raises(UserError, match="choose from one sample"):
            blocks_of(tmp_path / "a.wav", seconds)


def delayed_tones(rate, delay, frequencies=(300.0, 1100.0, 3100.0), seconds=0.5):
    time = np.arange(round(seconds * rate)) / rate
    ears = [sum(np.sin(2 * np.pi * f * (time - d)) for f in frequencies) / 4 for d in (0, delay)]
    return np.stack(ears, axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("old", "new"), [(44100, 20000), (48000, 24000), (16000, 44100), (8000, 24000), (44100, 44100)]
)
@pytest.mark.parametrize("delay", [0.0, 37e-6, 520.3e-6])
def test_resampling_keeps_the_interaural_time(old, new, delay):
    found = resample(delayed_tones(old, delay), old, new)
    expected = delayed_tones(new, delay)
    assert len(found) == len(expected)
    middle = slice(new // 10, -new // 10)
    assert np.abs(found - expected)[middle].max() < 1e-4
    window = np.hanning(len(found[middle]))[:, None]
    for frequency in (300.0, 1100.0, 3100.0):
        turn = np.exp(-2j * np.pi * frequency * np.arange(len(window)) / new)
        left, right = turn @ (found[middle] * window)
        error = np.angle(left * np.conj(right) * np.exp(-2j * np.pi * frequency * delay)) / (2 * np.pi * frequency)
        assert abs(error) < 0.05e-6


@pytest.mark.parametrize(("old", "new"), [(44100.0, 20000.0), (16000.0, 24000.0), (24000.0, 24000.0)])
def test_a_stream_is_resampled_as_the_whole_is(old, new):
    samples = noise(20011)
    stream = Resampler(old, new, 2)
    edges = [0, 1, 500, 7777, 7777, 15000, 20011]
    parts = [stream.push(samples[a:b]) for a, b in pairwise(edges)]
    joined = np.concatenate([*parts, stream.finish()])
    whole = resample(samples, old, new)
    assert joined.shape == whole.shape
    np.testing.assert_allclose(joined, whole, atol=1e-5)


def test_resampling_removes_what_would_alias():
    time = np.arange(44100) / 44100
    found = resample(np.sin(2 * np.pi * 12000 * time), 44100, 20000)
    assert np.abs(found[1000:-1000]).max() < 1e-4


def test_absurd_rates_are_refused():
    with pytest.raises(UserError, match="choose one between"):
        resample(noise(), 44100, 0)
    with pytest.raises(UserError, match="choose one between"):
        Resampler(1e9, 44100, 2)


def test_libraries_are_imported_when_needed():
    code = "import sys, spikeloc.audio, spikeloc.heads; print({'soundfile', 'soxr', 'h5py'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_shipped_speech_has_one_channel_and_is_small():
    sounds = shipped_sounds()
    for name in ("speech-1", "speech-2"):
        recording = read_audio(sounds[name].path)
        assert recording.samples.shape[1] == 1
        assert 2 < recording.seconds < 6
        assert sounds[name].azimuth is None
        assert sounds[name].path.stat().st_size < 150_000


def test_demo_comes_from_where_it_says():
    """Of all azimuths its phases between the ears fit 40 deg best, and the right ear is louder."""
    demo = shipped_sounds()["demo"]
    assert demo.azimuth == pytest.approx(np.radians(40))
    assert demo.path.stat().st_size < 400_000
    recording = stereo(read_audio(demo.path))
    length, rate = 2**18, recording.sample_rate
    frequency = np.fft.rfftfreq(length, 1 / rate)
    band = (frequency > 200) & (frequency < 3000)
    azimuths = np.arange(-90, 91, 5)
    heard = np.fft.rfft(recording.samples.T, length)[:, band]
    known = np.fft.rfft(load_head("kemar").impulse_responses(np.radians(azimuths), rate), length)[..., band]
    between = known[:, 0] * known[:, 1].conj()
    match = (heard[0] * heard[1].conj() * between.conj() / np.abs(between)).sum(axis=-1).real
    assert azimuths[match.argmax()] == 40
    assert recording.samples[:, 1].std() > 1.3 * recording.samples[:, 0].std()
