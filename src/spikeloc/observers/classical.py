"""All classical observers of a stimulus, fitted."""

from __future__ import annotations

from spikeloc.observers.circular_mean import CircularMean
from spikeloc.observers.cross_correlation import CrossCorrelation
from spikeloc.observers.equalisation_cancellation import EqualisationCancellation
from spikeloc.observers.fitting import FittedObserver, fit_together
from spikeloc.observers.hemispheric import Hemispheric
from spikeloc.observers.jeffress import Jeffress
from spikeloc.observers.observer import TRAINING_SOUNDS, Observer, require_tone
from spikeloc.observers.pattern_match import PatternMatch
from spikeloc.stimuli import ToneStimulus

__all__ = ["classical_observers"]

FITTED: dict[str, type[FittedObserver]] = {
    "jeffress": Jeffress,
    "hemispheric": Hemispheric,
    "pattern_match": PatternMatch,
    "equalisation_cancellation": EqualisationCancellation,
}


def classical_observers(
    stimulus: ToneStimulus, n_classes: int, seed: int, n_sounds: int = TRAINING_SOUNDS
) -> dict[str, Observer]:
    """The classical observers by name; those with parameters are fitted on the stream "training" of a seed.

    None of them knows the common phase, even where the stimulus fixes it. Raises UserError unless there is at least
    one class and one training sound.
    """
    require_tone(stimulus, "each classical observer")
    fitted = fit_together(list(FITTED.values()), stimulus, n_classes, seed, n_sounds)
    return {
        "circular_mean": CircularMean(stimulus, n_classes),
        "cross_correlation": CrossCorrelation(stimulus, n_classes),
        **dict(zip(FITTED, fitted, strict=True)),
    }
