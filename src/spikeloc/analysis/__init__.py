"""Analysis: what a trained network does and how. Runs become tidy arrays; nothing is drawn here."""

from spikeloc.analysis.activity import Examples, Tuning, example_activity, tuning_curves
from spikeloc.analysis.weights import matrices, product, sort_hidden, sorted_orders

__all__ = [
    "Examples",
    "Tuning",
    "example_activity",
    "matrices",
    "product",
    "sort_hidden",
    "sorted_orders",
    "tuning_curves",
]
