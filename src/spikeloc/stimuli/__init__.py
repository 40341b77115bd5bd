"""Stimuli: where a source is -> what reaches the two ears -> spikes of auditory-nerve fibres."""

from spikeloc.stimuli.fibres import Fibres
from spikeloc.stimuli.scene import SceneStimulus
from spikeloc.stimuli.sounds import Sounds
from spikeloc.stimuli.tone import ToneStimulus

__all__ = ["Fibres", "SceneStimulus", "Sounds", "Stimulus", "ToneStimulus"]

Stimulus = ToneStimulus | SceneStimulus
