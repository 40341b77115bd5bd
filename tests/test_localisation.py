"""Recordings are localised alike however they arrive, and what cannot be localised is refused in one sentence."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloc.audio import shipped_sounds, write_audio
from spikeloc.errors import UserError
from spikeloc.heads import load_head
from spikeloc.localisation import Localisation, Localiser, Window, localise, localise_file
from spikeloc.runs import Run
from spikeloc.stimuli.rendering import render

RATE = 16_000
DEG = math.radians(1)


def heard_from(azimuth, seconds=0.5, rate=RATE, seed=0):
    """Pink-ish noise from an azimuth in radians, through the head that the small network knows: [n, 2]."""
    source = np.random.default_rng(seed).normal(size=round(seconds * rate))
    source = np.convolve(source, [1, 1, 1, 1], "same").astype(np.float32)
    ears = render(source, load_head("spherical"), azimuth, rate).T
    return (0.2 * ears / np.abs(ears).max()).astype(np.float32)


def window(azimuth, uncertainty, **about):
    return Window(0.1, azimuth, uncertainty, -20.0, **about)


def heard(localiser, blocks):
    return [found for block in blocks for found in localiser.push(block)] + localiser.finish()


# ------------------------------------------------------------------------------------------------------------ answers


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 8000])
def test_sides_are_told_at_any_sample_rate(rate, scene_run):
    left, right = (localise(heard_from(sign * 60 * DEG, rate=rate), rate, scene_run) for sign in (-1, 1))
    assert left.azimuth < -25 * DEG
    assert right.azimuth > 25 * DEG
    assert len(right.windows) == 10


def test_the_level_of_a_recording_does_not_matter(scene_run):
    samples = heard_from(40 * DEG)
    loud, soft = (localise(factor * samples, RATE, scene_run) for factor in (1, 2**-6))
    assert loud.azimuth == soft.azimuth
    assert loud.windows[0].level - soft.windows[0].level == pytest.approx(36.12, abs=0.01)


def test_turned_ears_hear_the_other_side(scene_run):
    samples = heard_from(60 * DEG)
    assert localise(samples[:, ::-1], RATE, scene_run).azimuth < -25 * DEG


@given(st.lists(st.integers(0, 8000), max_size=12))
@settings(max_examples=15, deadline=None)
def test_blocks_do_not_matter(scene_run, cuts):
    """Bit for bit, with silence, an overdriven stretch and a last window that is not whole among them."""
    samples = np.concatenate([heard_from(30 * DEG, 0.2), np.zeros((1600, 2)), 30 * heard_from(-30 * DEG, 0.193)])
    samples = np.clip(samples, -1, 1).astype(np.float32)
    whole = heard(Localiser(scene_run, RATE), [samples])
    assert heard(Localiser(scene_run, RATE), np.split(samples, sorted(cuts))) == whole
    assert whole[4].silent
    assert len(whole) == 10
    assert any(each.clipped for each in whole)


def test_one_sample_at_a_time(scene_run):
    samples = heard_from(30 * DEG, 0.12, rate=8000)
    one_by_one = heard(Localiser(scene_run, 8000), samples[:, None])
    assert one_by_one == heard(Localiser(scene_run, 8000), [samples])
    assert len(one_by_one) == 2


def test_a_file_is_heard_as_its_samples_are(scene_run, tmp_path):
    samples = heard_from(50 * DEG, 11)
    write_audio(tmp_path / "a.wav", samples, RATE)
    told = []
    found = localise_file(tmp_path / "a.wav", scene_run.path, heard=lambda done, total: told.append((done, total)))
    assert found == localise(samples, RATE, scene_run)
    assert told == [(5, 11), (10, 11), (11, 11)]


def test_times_are_the_middles_of_windows(scene_run):
    found = localise(heard_from(0.3, 0.28), RATE, scene_run)
    assert [each.time for each in found.windows] == pytest.approx([0.025, 0.075, 0.125, 0.175, 0.225, 0.265])


def test_a_silent_stretch_has_no_angle_and_no_weight(scene_run):
    sound = heard_from(40 * DEG, 0.2)
    found = localise(np.concatenate([sound, 1e-4 * heard_from(-40 * DEG, 0.2)]), RATE, scene_run)
    assert [each.silent for each in found.windows] == [False] * 4 + [True] * 4
    assert all(each.azimuth is None and each.uncertainty is None for each in found.windows[4:])
    assert found.azimuth == pytest.approx(localise(sound, RATE, scene_run).azimuth, abs=1e-9)


def test_an_overdriven_stretch_is_left_out_and_it_is_said(scene_run):
    sound = heard_from(40 * DEG, 0.2)
    found = localise(np.concatenate([sound, np.clip(30 * sound, -1, 1)]), RATE, scene_run)
    assert [each.clipped for each in found.windows] == [False] * 4 + [True] * 4
    assert found.remarks == ("4 of 8 windows are overdriven and were left out",)


def test_a_class_readout_has_no_uncertainty(scene_recipe, tmp_path):
    from spikeloc.training import train

    recipe = scene_recipe.with_values({"readout.kind": "class", "training.epochs": 1, "training.sounds": 32})
    found = localise(heard_from(0.5), RATE, train(recipe, tmp_path / "run"))
    assert found.uncertainty is None
    assert found.words()["uncertainty_deg"] is None


def test_the_answer_for_all_weights_windows_by_certainty():
    found = Localisation((window(0.1, 0.1), window(0.3, 0.2), window(None, None, silent=True)))
    assert found.azimuth == pytest.approx((0.1 * 100 + 0.3 * 25) / 125)
    assert found.uncertainty == pytest.approx((2 / 125) ** 0.5)
    assert found.is_one_place


def test_the_answer_for_all_is_where_most_windows_agree():
    """A few windows from elsewhere do not move it, nor does it lie between two places."""
    there = [window((40 + k) * DEG, 4 * DEG) for k in (-2, 0, 2, 0, 0)]
    found = Localisation((*there, window(-50 * DEG, 4 * DEG), window(-60 * DEG, 4 * DEG)))
    assert found.azimuth == pytest.approx(40 * DEG)
    assert found.uncertainty > 40 * DEG
    assert not found.is_one_place
    assert Localisation((window(0.1, None), window(0.2, None), window(1.0, None))).azimuth == 0.2


def test_windows_that_contradict_each_other_are_not_averaged_into_certainty():
    found = Localisation(tuple(window(sign * 60 * DEG, 4 * DEG) for sign in (-1, 1, -1, 1)))
    assert not found.is_one_place
    assert abs(found.azimuth) == pytest.approx(60 * DEG)
    assert found.uncertainty > 60 * DEG


def test_two_places_are_remarked(scene_run):
    several = np.concatenate([heard_from(-80 * DEG, 0.5), heard_from(80 * DEG, 0.5)])
    found = localise(several, RATE, scene_run)
    assert found.uncertainty > 40 * DEG
    # The small network is unsure of everything; a surer one would remark on it.
    assert found.is_one_place == (found.remarks == ())


def test_words_are_json_in_degrees(scene_run):
    samples = np.concatenate([heard_from(40 * DEG), np.zeros((800, 2), np.float32)])
    found = localise(samples, RATE, scene_run)
    words = json.loads(json.dumps(found.words(), allow_nan=False))
    assert words.keys() == {"azimuth_deg", "uncertainty_deg", "windows", "remarks"}
    assert words["azimuth_deg"] == pytest.approx(math.degrees(found.azimuth))
    assert words["windows"][0].keys() == {"time_s", "azimuth_deg", "uncertainty_deg", "silent", "clipped"}
    assert words["windows"][-1]["azimuth_deg"] is None


# ----------------------------------------------------------------------------------------------------------- mistakes


def refused(samples, model, words, rate=RATE):
    with pytest.raises(UserError, match=words) as caught:
        localise(samples, rate, model)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_localised_is_refused(scene_run):
    sound = heard_from(0.5)
    refused(np.zeros((0, 2)), scene_run, "shorter than 50 ms")
    refused(sound[:300], scene_run, "shorter than 50 ms")
    refused(np.zeros_like(sound), scene_run, "silent throughout")
    refused(1e-4 * sound, scene_run, "silent or nearly so")
    refused(sound * [1, 0], scene_run, "the right channel of the recording is silent")
    refused(sound[:, [0, 0]], scene_run, "both channels of the recording are the same")
    refused(np.clip(50 * sound, -1, 1), scene_run, "overdriven wherever it is not silent")
    refused(np.where(sound == sound.max(), np.nan, sound), scene_run, "not finite")
    refused(sound[:, 0], scene_run, "two ears need")
    refused(sound, scene_run, "between 1 kHz and 1 MHz", rate=10)


def test_a_model_of_tones_is_refused(tiny_run):
    refused(heard_from(0.5), tiny_run, "model tiny was trained on tones and cannot hear a recording")


@pytest.mark.parametrize("model", ["haed", "nothing-like-it"])
def test_a_model_that_is_not_there_is_refused(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"there is no model '{model}'"):
        Run.find(model)


def test_a_model_is_found_by_its_folder(scene_run, tmp_path, monkeypatch):
    monkeypatch.chdir(scene_run.path.parent)
    assert Run.find("scene").path.samefile(scene_run.path)
    with pytest.raises(UserError, match="there is no run folder"):
        Run.find("./nowhere")


@pytest.mark.parametrize(("channels", "words"), [(1, "has one channel"), (6, "has 6 channels")])
def test_files_of_other_than_two_channels_are_refused(channels, words, scene_run, tmp_path):
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, (4000, channels))
    write_audio(tmp_path / "a.wav", samples, RATE)
    with pytest.raises(UserError, match=words):
        localise_file(tmp_path / "a.wav", scene_run)


def test_the_package_has_them_by_name_even_after_their_module_was_imported(scene_run):
    import spikeloc as sl

    assert sl.localise is localise
    assert sl.localise(heard_from(0.5), RATE, scene_run) == localise(heard_from(0.5), RATE, scene_run)
    assert (sl.Localiser, sl.Localisation, sl.Window) == (Localiser, Localisation, Window)


def test_the_shipped_sound_is_heard_on_the_right_by_the_small_network(scene_run):
    sound = shipped_sounds()["demo"]
    assert localise_file(sound.path, scene_run).azimuth == pytest.approx(sound.azimuth, abs=30 * DEG)
