"""Pictures of scenes and of recordings show the numbers they were given."""

import matplotlib as mpl
import numpy as np
import pytest

from spikeloc import figures
from spikeloc.figures import parts
from spikeloc.report.pictures import stimulus_examples


def drawn(figure):
    """Draw it whole, and give its panels."""
    assert figures.save(figure).startswith(b"\x89PNG")
    return figure.axes


def labels(figure):
    return {text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel()) if text}


def texts(figure):
    return " | ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def stimulus_picture(sounds, stimulus):
    return figures.scene_sounds(
        np.rad2deg(sounds.angle.numpy()),
        sounds.ears,
        sounds.spikes.numpy(),
        sample_rate=stimulus.sample_rate,
        dt=stimulus.dt,
        frequencies=stimulus.cochlea.centre_frequencies,
    )


def test_scenes_show_pressures_and_spikes_of_both_ears(scene_recipe):
    stimulus = scene_recipe.stimulus
    sounds = stimulus.draw(3, seed=0, angle=np.deg2rad([-60.0, 0.0, 60.0]))
    figure = stimulus_picture(sounds, stimulus)
    panels = drawn(figure)
    assert len(panels) == 9
    assert [axes.get_title(loc="left") for axes in panels[:3]] == [
        f"true azimuth = {angle}" for angle in ("−60°", "+0°", "+60°")
    ]
    for place, axes in enumerate(panels[:3]):
        for line, colour in zip(axes.get_lines(), (parts.LEFT, parts.RIGHT) if place < 2 else "", strict=False):
            assert colour in (parts.LEFT, parts.RIGHT)
            assert len(line.get_ydata()) == sounds.ears.shape[2]
        shown = {line.get_color(): line.get_ydata() for line in axes.get_lines()}
        np.testing.assert_allclose(shown[parts.LEFT], 1e3 * sounds.ears[place, 0])
        np.testing.assert_allclose(shown[parts.RIGHT], 1e3 * sounds.ears[place, 1])
    for axes in panels[3:6]:
        low, high = axes.get_xlim()
        assert 7 < high - low <= 8.1
        assert 0 <= low < high <= 50
    assert labels(figure) == {"time (ms)", "pressure (mPa)", "channel (kHz)"}
    counts = panels[6].images[0].get_array()
    assert counts.shape == (8, 25)  # channels of both ears; steps of 2 ms
    assert counts.sum() == sounds.spikes[0].sum()
    assert {"left ear", "right ear"} <= set(texts(figure).split(" | "))


def test_scenes_shorter_than_what_is_shown(scene_recipe):
    stimulus = scene_recipe.stimulus.model_copy(update={"duration": 0.0015})
    assert len(drawn(stimulus_picture(stimulus.draw(1, seed=0), stimulus))) == 3


def test_examples_of_every_stimulus(tiny_recipe, scene_recipe):
    assert len(drawn(stimulus_examples(tiny_recipe.stimulus, 0).figure())) == 8
    assert len(drawn(stimulus_examples(scene_recipe.stimulus, 0).figure())) == 12


def test_estimates_stand_over_true_azimuths():
    angles = np.array([-50.0, 0, 70])
    figure = figures.estimates(angles, {"this network": angles + 3, "GCC-PHAT": -angles}, 90)
    one, other = drawn(figure)
    np.testing.assert_array_equal(one.get_lines()[1].get_xydata(), np.column_stack([angles, angles + 3]))
    assert other.get_title(loc="left") == "GCC-PHAT"
    assert labels(figure) == {"true azimuth (deg)", "estimated azimuth (deg)"}


def test_labels_say_azimuth_where_it_is_one():
    edges, ones = np.linspace(-3, 3, 4), np.ones(3)
    three = dict.fromkeys("abc", ones)
    for figure in (
        figures.histograms(np.eye(3), 90, "azimuth"),
        figures.confusion_matrices({"a": np.eye(3)}, 90, "azimuth"),
        figures.error_histogram(edges, three, angle="azimuth"),
        figures.error_by_angle(ones, three, floor=None, limit=90, angle="azimuth"),
        figures.firing_rates(np.arange(3.0), {"layer": np.eye(3)}, "azimuth"),
        figures.hidden_rasters(np.zeros(1), [np.zeros((1, 5, 2), bool)], 1e-3, "azimuth"),
        figures.weight_matrices({"": [np.eye(4)]}, fibres_per_ear=2, limit=90, angle="azimuth"),
    ):
        drawn(figure)
        assert "azimuth" in texts(figure)
        assert "IPD" not in texts(figure)


# ------------------------------------------------------------------------------------------------------ localisation


def heard(*azimuths, spread=5.0):
    windows = [
        {"time_s": 0.1 + 0.2 * k, "azimuth_deg": azimuth, "uncertainty_deg": None if azimuth is None else spread,
         "silent": azimuth is None, "clipped": False}
        for k, azimuth in enumerate(azimuths)
    ]  # fmt: skip
    return {"azimuth_deg": 30.0, "uncertainty_deg": spread, "windows": windows}


def test_a_localisation_is_shown_over_time_and_from_above():
    figure = figures.localisation(heard(30.0, 40.0, None, 20.0, None), 33.0)
    time, above = drawn(figure)
    first, second, true = time.get_lines()
    np.testing.assert_allclose(first.get_xydata(), [[0.1, 30], [0.3, 40]])
    np.testing.assert_allclose(second.get_xydata(), [[0.7, 20]])  # no line across silence
    assert set(true.get_ydata()) == {33}
    assert time.get_xlim() == pytest.approx((0, 1))
    assert labels(figure) == {"time (s)", "azimuth (deg)"}
    assert texts(figure).count("silent") == 1
    assert above.get_title(loc="left") == "+30° ± 5°, true +33°"
    dots = [line.get_xydata()[0] for line in above.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[-1], [0.5, 3**0.5 / 2])  # 30 deg to the right, ahead is up
    assert dots[0][0] > dots[-1][0]


@pytest.mark.parametrize("found", [heard(30.0), heard(30.0, spread=None), heard(*[10.0] * 3000), heard(None, -90.0)])
def test_any_localisation_is_drawn(found):
    figure = figures.localisation(found)
    assert len(drawn(figure)) == 2
    assert "true" not in texts(figure)


def test_an_overdriven_stretch_is_marked():
    found = heard(30.0, None)
    found["windows"][1] |= {"silent": False, "clipped": True}
    assert "overdriven" in texts(figures.localisation(found))
