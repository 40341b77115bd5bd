"""Observers: anything that turns spikes into an angle. All decide about the same spikes, scored by the same code."""

from spikeloc.observers.bounds import Bounds, bounds
from spikeloc.observers.classical import classical_observers
from spikeloc.observers.ideal import IdealObserver
from spikeloc.observers.observer import Observer
from spikeloc.observers.posterior import Posterior
from spikeloc.observers.trained import TrainedObserver

__all__ = ["Bounds", "IdealObserver", "Observer", "Posterior", "TrainedObserver", "bounds", "classical_observers"]
