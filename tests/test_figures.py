import io
import math
import subprocess
import sys
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from spikeloc import figures
from spikeloc.figures import parts

HISTORY = [
    {"epoch": 1, "loss": 2.4, "seconds": 1.0, "validation_loss": 2.2, "validation_accuracy": 0.2},
    {"epoch": 2, "loss": 2.0, "seconds": 1.0, "validation_loss": 1.5, "validation_accuracy": 0.5},
    {"epoch": 3, "loss": 1.0, "seconds": 1.0, "validation_loss": 1.6, "validation_accuracy": 0.4},
]
BARE = [{"epoch": 1, "loss": 2.4, "seconds": 1.0}]
UNITS = ("(ms)", "(deg)", "(Hz)", "(%)", "(score)", "(threshold = 1)")
COUNTS = ("epoch", "loss", "sounds", "neurons", "neuron", "fibre", "product of weights")


def drawn(figure):
    """Draw it whole, and give its panels, without colour bars."""
    assert figures.save(figure).startswith(b"\x89PNG")
    return [axes for axes in figure.axes if axes.get_visible()]


def labels(figure):
    every = figure.findobj(mpl.axes.Axes)  # colour bars too
    found = {text for axes in every for text in (axes.get_xlabel(), axes.get_ylabel()) if text}
    for text in found:
        assert text.endswith(UNITS) or any(text.startswith(c) or text.endswith(c) for c in COUNTS) or "neuron" in text
    return found


def texts(figure):
    return " | ".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def picture(axes):
    return np.ma.filled(axes.images[0].get_array().astype(float), np.nan)


# ----------------------------------------------------------------------------------------------------- spike trains


def test_spike_trains_show_each_spike_in_its_ears_colour():
    spikes = np.zeros((1, 10, 4), dtype=bool)
    spikes[0, 3, 1] = spikes[0, 7, 2] = True
    figure = figures.spike_trains(np.array([-33.4]), spikes, 0.001)
    (axes,) = drawn(figure)
    shown = picture(axes) / 255
    np.testing.assert_allclose(shown[1, 3], to_rgb(parts.LEFT), atol=1 / 255)
    np.testing.assert_allclose(shown[2, 7], to_rgb(parts.RIGHT), atol=1 / 255)
    assert (shown == 1).all(axis=2).sum() == 4 * 10 - 2
    assert axes.images[0].get_extent() == [0, 10, -0.5, 3.5]  # milliseconds, fibres
    assert axes.get_title(loc="left") == "true IPD = −33°"
    assert labels(figure) == {"time (ms)", "fibre"}
    assert "left ear" in texts(figure)
    assert "right ear" in texts(figure)


@pytest.mark.parametrize("n", [1, 3, 5, 8])
def test_there_is_a_panel_for_each_sound(n):
    figure = figures.spike_trains(np.zeros(n), np.zeros((n, 10, 4), dtype=bool), 0.001)
    assert len(drawn(figure)) == n


# --------------------------------------------------------------------------------------------------------- training


def test_loss_curve_shows_training_validation_and_what_they_are_measured_by():
    figure = figures.loss_curve(HISTORY, expected=math.log(12), chance=1 / 12, accuracy=0.55, ceiling=0.9)
    loss, accuracy = drawn(figure)
    training, validation, kept, level = (line.get_ydata() for line in loss.lines)
    np.testing.assert_array_equal(training, [2.4, 2.0, 1.0])
    np.testing.assert_array_equal(validation, [2.2, 1.5, 1.6])
    np.testing.assert_array_equal(kept, [1.5])
    np.testing.assert_allclose(level, math.log(12))
    heights = [line.get_ydata()[0] for line in accuracy.lines]
    np.testing.assert_allclose(heights, [20, 100 / 12, 90, 55])
    assert labels(figure) == {"epoch", "loss", "accuracy (%)"}
    assert "ln(classes) 2.48" in texts(figure)


def test_a_huge_first_loss_does_not_hide_the_rest():
    history = [{"epoch": k + 1, "loss": loss} for k, loss in enumerate([50.0, 1.0, -1.0, -1.5])]
    figure = figures.loss_curve(history, expected=1.84, least_loss=-1.9, silent="says nothing: ln(2π) =")
    (axes,) = drawn(figure)
    low, high = axes.get_ylim()
    assert low < -1.9
    assert 1.84 < high < 4
    assert "ideal observer" in texts(figure)
    assert "says nothing: ln(2π) = 1.84" in texts(figure)


def test_long_rasters_show_their_beginning():
    figure = figures.spike_trains(np.array([10.0]), np.ones((1, 1000, 2), dtype=bool), 0.001)
    assert drawn(figure)[0].images[0].get_extent()[1] == parts.LONG


def test_loss_curve_of_one_epoch_without_validation():
    figure = figures.loss_curve(BARE)
    (axes,) = drawn(figure)
    assert len(axes.lines) == 1
    assert labels(figure) == {"epoch", "loss"}


# ---------------------------------------------------------------------------------------------------------- answers


def test_confusion_matrix_has_true_classes_along_and_estimates_upwards():
    confusion = np.zeros((4, 4), dtype=int)
    confusion[3, 0] = 6  # from the far left, heard on the far right
    confusion[0, 0] = 2
    confusion[1, 1] = 5
    figure = figures.confusion_matrices({"network": confusion}, 90.0)
    axes = drawn(figure)[0]
    shown = picture(axes)
    np.testing.assert_allclose(shown[:, 0], [25, 0, 0, 75])
    np.testing.assert_allclose(shown[:, 1], [0, 100, 0, 0])
    assert np.isnan(shown[:, 2:]).all()  # no such sound
    assert axes.images[0].origin == "lower"
    assert axes.images[0].get_extent() == [-90, 90, -90, 90]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true IPD (deg)", "estimated IPD (deg)")
    assert "sounds of the true class (%)" in labels(figure)


def test_histograms_count_columns_as_true_and_rows_as_estimated():
    figure = figures.histograms(np.array([[3, 4], [0, 1]]), 90.0)
    (axes,) = drawn(figure)
    true, estimated = (patch.get_data() for patch in axes.patches)
    np.testing.assert_array_equal(true.values, [3, 5])
    np.testing.assert_array_equal(estimated.values, [7, 1])
    np.testing.assert_array_equal(true.edges, [-90, 0, 90])
    assert labels(figure) == {"IPD (deg)", "sounds"}


def test_error_by_angle_has_a_line_for_each_observer():
    errors = {"network": np.array([5.0, np.nan, 4.0]), "ideal": np.array([3.0, 2.5, 3.0])}
    figure = figures.error_by_angle(np.array([-60.0, 0.0, 60.0]), errors, floor=3.75, limit=90.0)
    (axes,) = drawn(figure)
    assert [line.get_label() for line in axes.lines[:2]] == ["network", "ideal"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), errors["network"])
    assert labels(figure) == {"true IPD (deg)", "mean absolute error (deg)"}
    assert "a perfect classifier: 3.75" in texts(figure)


def test_error_by_angle_shows_the_bound_and_a_floor_only_where_there_is_one():
    errors = {"network": np.array([5.0, 4.0])}
    figure = figures.error_by_angle(np.array([-45.0, 45.0]), errors, floor=None, limit=90.0, bound=1.7)
    (axes,) = drawn(figure)
    assert [line.get_label() for line in axes.lines] == ["network", "Cramér–Rao bound"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), 1.7)


def test_confusions_stand_side_by_side():
    figure = figures.confusion_matrices({"network": np.eye(3), "ideal": 2 * np.eye(3)}, 90.0)
    network, ideal = (axes for axes in drawn(figure) if axes.images)
    assert (network.get_title(loc="left"), ideal.get_title(loc="left")) == ("network", "ideal")
    np.testing.assert_array_equal(picture(ideal), 100 * np.eye(3))


def test_errors_are_shares_of_the_sounds_beside_the_density_of_the_bound():
    edges = np.linspace(-10, 10, 21)
    counts = {"network": np.ones(20), "ideal": np.r_[np.zeros(9), 5, 5, np.zeros(9)]}
    figure = figures.error_histogram(edges, counts, sd=1.0, frequency=500.0)
    (axes,) = drawn(figure)
    shares = [patch.get_data().values for patch in axes.patches]
    np.testing.assert_allclose(shares[0], 5)
    assert max(shares[-1]) == 50
    assert axes.lines[0].get_ydata().max() == pytest.approx(100 / math.sqrt(2 * math.pi), rel=1e-3)
    assert labels(figure) == {"estimate − true IPD (deg)", "sounds (%)"}
    assert "estimate − true ITD (µs)" in texts(figure)
    (upper,) = axes.child_axes
    np.testing.assert_allclose(upper.get_xlim(), np.array([-10, 10]) / 360 / 500 * 1e6)


def test_psychometric_function_has_thresholds_and_people_in_both_units():
    ipd, correct = np.array([1.0, 3.6, 10.0]), {"network": np.array([0.5, 0.75, 1.0])}
    figure = figures.psychometric_function(ipd, correct, {"network": 3.6}, frequency=500.0, people=1.8)
    (axes,) = drawn(figure)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [50, 75, 100])
    assert "network: 3.60° (20.0 µs)" in texts(figure)
    assert "people: about 10 µs" in texts(figure)
    assert labels(figure) == {"difference in IPD (deg)", "correct (%)"}
    assert "difference in ITD (µs)" in texts(figure)
    np.testing.assert_allclose(axes.child_axes[0].get_xlim(), np.array(axes.get_xlim()) / 0.18)
    assert "people" not in texts(figures.psychometric_function(ipd, correct, {}, frequency=20.0))


@pytest.mark.parametrize("stated", [[2.0, 2.2], [0.1, 40.0]])
def test_reliability_has_an_honest_observer_on_the_diagonals(stated):
    figure = figures.reliability([0, 0.5, 1], {"network": [0, 0.4, 1]}, {"network": stated}, {"network": stated})
    left, right = drawn(figure)
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [0, 40, 100])
    np.testing.assert_array_equal(left.lines[1].get_ydata(), left.lines[1].get_xdata())
    np.testing.assert_array_equal(right.lines[0].get_ydata(), stated)
    assert right.get_xlim() == right.get_ylim()
    assert right.get_xscale() == ("log" if stated[1] > 10 else "linear")
    assert labels(figure) == {
        "probability of the interval (%)", "true angles within (%)", "uncertainty stated (deg)", "rms error found (deg)"
    }  # fmt: skip


@pytest.mark.parametrize("n_classes", [1, 2, 300])
def test_any_number_of_classes_can_be_drawn(n_classes):
    confusion = np.eye(n_classes, dtype=int)
    drawn(figures.confusion_matrices({"network": confusion}, 90.0))
    drawn(figures.histograms(confusion, 90.0))


# ---------------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("hidden", [(), (5,), (1,), (7, 3), (4, 3, 2)])
@pytest.mark.parametrize("n_outputs", [1, 12])
def test_weights_are_centred_on_zero_and_show_where_an_ear_ends(hidden, n_outputs):
    sizes = [10, *hidden, n_outputs]
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=shape) for shape in pairwise(sizes)]
    figure = figures.weight_matrices({"": weights}, fibres_per_ear=5, limit=None if n_outputs == 1 else 90.0)
    panels = [axes for axes in drawn(figure) if axes.images]
    assert len(panels) == len(weights)
    for axes, matrix in zip(panels, weights, strict=True):
        np.testing.assert_array_equal(picture(axes), matrix)
        low, high = axes.images[0].get_clim()
        assert low == -high < 0
    assert panels[0].lines[0].get_ydata()[0] == 4.5
    assert "weight (threshold = 1)" in labels(figure)


@pytest.mark.parametrize("value", [0.0, 0.3, -2.0])
def test_constant_weights_can_be_drawn(value):
    drawn(figures.weight_matrices({"": [np.full((4, 3), value)]}, fibres_per_ear=2, limit=90.0))


# --------------------------------------------------------------------------------------------------------- activity


@pytest.mark.parametrize("sizes", [(1,), (6,), (5, 3)])
def test_rasters_stack_the_layers(sizes):
    generator = np.random.default_rng(0)
    layers = [generator.random((3, 20, n)) < 0.2 for n in sizes]
    figure = figures.hidden_rasters(np.array([-60.0, 0.0, 60.0]), layers, 0.001)
    panels = drawn(figure)
    assert [axes.get_title(loc="left") for axes in panels] == ["true IPD = −60°", "true IPD = +0°", "true IPD = +60°"]
    for k, axes in enumerate(panels):
        spiking = (picture(axes) < 255).any(axis=2)
        np.testing.assert_array_equal(spiking, np.concatenate([layer[k] for layer in layers], axis=1).T)
    assert labels(figure) == {"time (ms)", "hidden neuron"}


def test_silent_networks_say_so():
    assert "no spikes" in texts(figures.hidden_rasters(np.zeros(2), [np.zeros((2, 9, 4), dtype=bool)], 0.001))
    figure = figures.firing_rates(np.array([-45.0, 45.0]), {"hidden layer 1": np.zeros((2, 4))})
    assert "hidden layer 1: 4 of 4 silent" in texts(figure)
    drawn(figure)


def test_firing_rates_show_distribution_and_tuning():
    rates = np.array([[0.0, 10.0, 80.0], [0.0, 30.0, 40.0]])
    figure = figures.firing_rates(np.array([-45.0, 45.0]), {"hidden layer 1": rates, "output layer": rates[:, :1]})
    distribution, curves, cells = drawn(figure)[:3]
    assert sum(bar.get_height() for bar in distribution.patches) == 3
    np.testing.assert_array_equal([line[:, 1] for line in curves.collections[0].get_segments()], [[10, 30], [80, 40]])
    np.testing.assert_array_equal(picture(cells), rates.T)
    assert cells.images[0].get_extent() == [-90, 90, -0.5, 2.5]
    assert labels(figure) == {"mean rate (Hz)", "neurons", "IPD (deg)", "rate (Hz)", "neuron"}


def test_output_traces_highlight_the_true_and_the_chosen_class():
    traces = np.arange(4.0) * np.ones((1, 5, 1))
    figure = figures.example_traces(np.array([-80.0]), np.array([67.5]), traces, 0.002, limit=90.0)
    (axes,) = drawn(figure)
    true, chosen = axes.lines
    np.testing.assert_array_equal(true.get_ydata(), 0)
    np.testing.assert_array_equal(chosen.get_ydata(), 3)
    np.testing.assert_allclose(true.get_xdata(), [2, 4, 6, 8, 10])
    assert labels(figure) == {"time (ms)", "output (score)"}


def test_output_traces_of_an_angle_are_in_degrees():
    figure = figures.example_traces(np.zeros(2), np.ones(2), np.zeros((2, 5, 1)), 0.001, limit=None)
    assert labels(figure) == {"time (ms)", "output (deg)"}


# ------------------------------------------------------------------------------------------------------------ saving


def test_the_same_picture_is_the_same_file():
    first, second = (figures.save(figures.loss_curve(HISTORY, expected=2.5)) for _ in range(2))
    assert first == second
    pixels = imread(io.BytesIO(first))
    assert pixels.shape[1] == round(parts.WIDTH * parts.STYLE["figure.dpi"])
    assert pixels[0, 0].min() == 1  # white ground


def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(mpl.rcParams)
    drawn(figures.loss_curve(BARE))
    assert dict(mpl.rcParams) == before


def test_nothing_is_imported_that_opens_windows():
    code = "import sys, spikeloc.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
