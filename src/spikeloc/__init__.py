"""Spiking neural networks that tell where a sound comes from, beside the best that any decoder could do.

    import spikeloc as sl
    recipe = sl.load_recipe("tone")
    run = sl.train(recipe, out="runs/first")
    observer = sl.load(run)
    sounds = recipe.stimulus.draw(8, seed=1)      # sounds.angle [8] rad; sounds.spikes [8, time, fibre] bool
    observer.localise(sounds.spikes)              # [8] rad, positive on the right
    sl.evaluate(run)["accuracy"]
    sl.localise(samples, sample_rate).azimuth     # samples [n, 2] of a recording, left ear first; rad

Names are imported when first used, so that the command line answers at once.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeloc.errors import StimulusWarning, UserError
    from spikeloc.evaluation import evaluate, observe, score
    from spikeloc.localisation import Localisation, Localiser, Window, localise, localise_file
    from spikeloc.network import Network, NetworkSettings
    from spikeloc.neurons import LIF, Surrogate
    from spikeloc.readout import Decision, Readout
    from spikeloc.recipe import Recipe, load_recipe, shipped_recipes
    from spikeloc.report import write_report
    from spikeloc.runs import Run, load
    from spikeloc.spikes import SpikeEvents
    from spikeloc.stimuli import SceneStimulus, Sounds, ToneStimulus
    from spikeloc.training import train

_HOME = {
    "LIF": "neurons",
    "Decision": "readout",
    "Localisation": "localisation",
    "Localiser": "localisation",
    "Network": "network",
    "NetworkSettings": "network",
    "Readout": "readout",
    "Recipe": "recipe",
    "Run": "runs",
    "SceneStimulus": "stimuli",
    "Sounds": "stimuli",
    "SpikeEvents": "spikes",
    "StimulusWarning": "errors",
    "Surrogate": "neurons",
    "ToneStimulus": "stimuli",
    "UserError": "errors",
    "Window": "localisation",
    "evaluate": "evaluation",
    "load": "runs",
    "load_recipe": "recipe",
    "localise": "localisation",
    "localise_file": "localisation",
    "observe": "evaluation",
    "score": "evaluation",
    "shipped_recipes": "recipe",
    "train": "training",
    "write_report": "report",
}

__version__ = metadata.version("spikeloc")
__all__ = [
    "LIF",
    "Decision",
    "Localisation",
    "Localiser",
    "Network",
    "NetworkSettings",
    "Readout",
    "Recipe",
    "Run",
    "SceneStimulus",
    "Sounds",
    "SpikeEvents",
    "StimulusWarning",
    "Surrogate",
    "ToneStimulus",
    "UserError",
    "Window",
    "evaluate",
    "load",
    "load_recipe",
    "localise",
    "localise_file",
    "observe",
    "score",
    "shipped_recipes",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'spikeloc' has no attribute {name!r}")
    return getattr(import_module(f"spikeloc.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
