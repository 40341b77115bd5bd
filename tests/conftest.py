"""Small recipes that train in a moment, shared by the tests."""

import pytest

from spikeloc.network import NetworkSettings
from spikeloc.readout import Readout
from spikeloc.recipe import EvaluationSettings, Recipe, TrainingSettings
from spikeloc.stimuli import ToneStimulus
from spikeloc.training import train


@pytest.fixture(scope="session")
def tiny_recipe():
    """Ten fibres, ten steps, five neurons: an epoch takes milliseconds."""
    return Recipe(
        name="tiny",
        stimulus=ToneStimulus(fibres_per_ear=5, duration=0.05, dt=0.002, rate_max=500),
        network=NetworkSettings(hidden=(5,), tau=0.005),
        readout=Readout(classes=4),
        training=TrainingSettings(sounds=96, batch=32, epochs=3, validation_sounds=64),
        evaluation=EvaluationSettings(sounds=100),
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_recipe, tmp_path_factory):
    """The finished run of the tiny recipe; do not write into it."""
    return train(tiny_recipe, tmp_path_factory.mktemp("runs") / "tiny")
