"""Pictures. Each function takes plain numbers and returns a figure; :func:`save` makes a PNG of it.

Angles are in degrees, positive on the right; everything else is in SI units. Colours can be told apart by
colour-blind readers (Okabe and Ito 2008; viridis; PuOr). Only this folder imports Matplotlib.
"""

from matplotlib.figure import Figure

from spikeloc.figures.answers import confusion_matrices, error_by_angle, error_histogram, histograms
from spikeloc.figures.inside import example_traces, firing_rates, weight_matrices
from spikeloc.figures.learning import loss_curve
from spikeloc.figures.localisation import localisation
from spikeloc.figures.parts import save
from spikeloc.figures.scenes import estimates, scene_sounds
from spikeloc.figures.spikes import hidden_rasters, spike_trains
from spikeloc.figures.yardsticks import psychometric_function, reliability

__all__ = [
    "Figure",
    "confusion_matrices",
    "error_by_angle",
    "error_histogram",
    "estimates",
    "example_traces",
    "firing_rates",
    "hidden_rasters",
    "histograms",
    "localisation",
    "loss_curve",
    "psychometric_function",
    "reliability",
    "save",
    "scene_sounds",
    "spike_trains",
    "weight_matrices",
]
