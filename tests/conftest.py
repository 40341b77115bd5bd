"""Small recipes that train in a moment, shared by the tests."""

import hypothesis
import pytest

from spikeloc.network import NetworkSettings
from spikeloc.readout import Readout
from spikeloc.recipe import EvaluationSettings, Recipe, TrainingSettings
from spikeloc.stimuli import SceneStimulus, ToneStimulus
from spikeloc.stimuli.cochlea import CochleaSettings
from spikeloc.stimuli.sources import SourceSettings
from spikeloc.training import train

# The first example of a test may have to wait for a kernel to be compiled.
hypothesis.settings.register_profile("compiled", deadline=None)
hypothesis.settings.load_profile("compiled")


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


@pytest.fixture(scope="session")
def scene_recipe():
    """Four channels of 16 fibres at each ear, sounds of 50 ms from a spherical head: an epoch takes half a second."""
    return Recipe(
        name="scene",
        stimulus=SceneStimulus(
            heads=("spherical",),
            source=SourceSettings(kinds=("white noise", "pink noise")),
            duration=0.05,
            level=(70, 75),
            cochlea=CochleaSettings(channels=4, lowest=300, highest=1000, fibres_per_channel=16),
        ),
        network=NetworkSettings(
            hidden=(64,), tau=0.001, output_tau=0.001, reset="subtract", surrogate="sigmoid", slope=3,
            initial_weights="coincidence", weight_gain=3,
        ),
        readout=Readout(kind="direction", classes=12, scale=300),
        training=TrainingSettings(
            sounds=512, batch=16, epochs=5, learning_rate=0.01, schedule="cosine", validation_sounds=64
        ),
        evaluation=EvaluationSettings(sounds=100),
    )  # fmt: skip


@pytest.fixture(scope="session")
def scene_run(scene_recipe, tmp_path_factory):
    """The finished run of the scene recipe, whose error is about 20 deg; do not write into it."""
    return train(scene_recipe, tmp_path_factory.mktemp("scenes") / "scene")
