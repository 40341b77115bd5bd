"""Neurons: models, surrogate gradients, and the engines that compute layers of them."""

from spikeloc.neurons.models import LIF
from spikeloc.neurons.surrogate import Surrogate

__all__ = ["LIF", "Surrogate"]
