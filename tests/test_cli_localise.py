"""`spikeloc localise` as a user meets it: answers, and one sentence with status 2 for all that cannot be answered."""

import json

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from spikeloc.audio import shipped_sounds, write_audio
from spikeloc.cli import main

RATE = 16_000
ANSWER = {"azimuth_deg", "uncertainty_deg", "windows"}


@pytest.fixture
def model(scene_run):
    return ["--model", str(scene_run.path)]


def noise(n=RATE, channels=2, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (n, channels)).astype(np.float32)


def written(path, samples, rate=RATE, subtype="FLOAT"):
    soundfile.write(path, samples, rate, subtype=subtype)
    return str(path)


def mistake(capsys, *words):
    assert main(["localise", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("spikeloc: ")
    assert err.count("\n") == 1
    return err


def test_a_shipped_sound_is_known_by_its_name_and_its_true_azimuth(model, capsys):
    assert main(["localise", "demo", *model]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) <= 23
    assert "deg to the right, +- " in lines[-1]
    assert lines[-1].endswith("(true azimuth: 40 deg to the right)")
    assert err == ""


def test_json_is_one_object_and_nothing_else(model, tmp_path, capsys):
    assert main(["localise", "demo", "--json", *model]) == 0
    named = json.loads(capsys.readouterr().out)
    assert main(["localise", str(shipped_sounds()["demo"].path), "--json", *model]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() >= ANSWER
    assert found["windows"][0].keys() >= {"time_s", "azimuth_deg", "uncertainty_deg", "silent"}
    assert {key: named[key] for key in ANSWER} == {key: found[key] for key in ANSWER}
    assert named["true_azimuth_deg"] == pytest.approx(40)
    assert "true_azimuth_deg" not in found


def test_a_picture_is_drawn_on_request(model, tmp_path, capsys):
    picture = tmp_path / "new" / "a.png"
    assert main(["localise", "demo", "--figure", str(picture), *model]) == 0
    assert imread(picture).shape[1] > 500
    capsys.readouterr()
    assert "ends in .png" in mistake(capsys, "demo", "--figure", str(tmp_path / "a.pdf"), *model)


def test_a_file_of_the_name_of_a_shipped_sound_goes_first(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_bytes(b"no sound")
    assert "cannot be read as a sound file" in mistake(capsys, "demo", *model)


def test_recordings_that_cannot_be_localised(model, tmp_path, capsys):
    wav, sound = tmp_path / "a.wav", noise()
    cases = {
        "has one channel": written(wav.with_stem("mono"), sound[:, :1]),
        "has 6 channels": written(wav.with_stem("many"), noise(channels=6)),
        "is silent throughout": written(wav.with_stem("silent"), 0 * sound),
        "the left channel of left.wav is silent": written(wav.with_stem("left"), sound * np.float32([0, 1])),
        "both channels of same.wav are the same": written(wav.with_stem("same"), sound[:, [0, 0]]),
        "is overdriven": written(wav.with_stem("cut"), np.clip(50 * sound, -1, 1), subtype="PCM_16"),
        "not finite numbers": written(wav.with_stem("nan"), np.where(sound == sound.max(), np.nan, sound)),
        "has no samples": written(wav.with_stem("empty"), sound[:0]),
        "sampled at 4000 Hz": written(wav.with_stem("low"), sound, 4000),
        "shorter than 50 ms": written(wav.with_stem("short"), sound[:300]),
        "is a folder": str(tmp_path),
        "does not exist": str(tmp_path / "missing.wav"),
    }
    text = tmp_path / "text.wav"
    text.write_text("no sound at all")
    cases["cannot be read as a sound file"] = str(text)
    part = tmp_path / "part.wav"
    part.write_bytes((tmp_path / "same.wav").read_bytes()[:5000])
    cases["cut short"] = str(part)
    for words, path in cases.items():
        assert words in mistake(capsys, path, *model), words
        assert words in mistake(capsys, path, "--json", *model)


def test_models_that_cannot_localise(tiny_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "was trained on tones" in mistake(capsys, "demo", "--model", str(tiny_run.path))
    assert "there is no model 'nothing'" in mistake(capsys, "demo", "--model", "nothing")
    assert "there is no run folder" in mistake(capsys, "demo", "--model", "no/where")
    assert "is not a run folder" in mistake(capsys, "demo", "--model", str(tmp_path))


def test_names_that_are_nearly_right(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'demo'" in mistake(capsys, "dmeo", *model)
    assert "--figrue is not an option" in mistake(capsys, "demo", "--figrue", "a.png", *model)


def test_a_name_near_that_of_a_shipped_model_is_suggested(tmp_path, monkeypatch, capsys):
    """Whatever models are shipped."""
    from spikeloc import runs

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "runs.py"))
    (tmp_path / "models" / "ears").mkdir(parents=True)
    (tmp_path / "models" / "ears" / "recipe.toml").write_text("")
    assert "did you mean 'ears'" in mistake(capsys, "demo", "--model", "eras")


def test_long_files_are_condensed(model, tmp_path, capsys):
    write_audio(tmp_path / "long.wav", noise(20 * RATE), RATE)
    assert main(["localise", str(tmp_path / "long.wav"), *model]) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 23
