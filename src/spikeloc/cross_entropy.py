"""Cross-entropy of classes read from mean potentials, and its gradients, in one pass."""

from __future__ import annotations

import numpy as np

from spikeloc.compiled import kernel
from spikeloc.compiled.lanes import LANES, at, fill, first_lanes, load, muladd, store, store_first

__all__ = ["cross_entropy"]

_ZERO = np.float32(0)


def cross_entropy(
    means: np.ndarray, weights: np.ndarray, scale: float, label: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss, and its gradients with respect to the weights [H, K] and to the means [B, H].

        z = scale means weights                                       scores of B sounds for K classes
        loss = mean_b [ln sum_k exp(z_bk) - z_b,label_b]
        d loss / d z_bk = (exp(z_bk) / sum_j exp(z_bj) - [k = label_b]) / B

    means, weights   float32, contiguous
    label            class of each sound    [B] int64

    Raises ValueError for labels that are no classes of these sounds. For many inputs and classes, matrix products of a
    library are faster.
    """
    if label.shape != means.shape[:1] or (label.size and not 0 <= label.min() <= label.max() < weights.shape[1]):
        raise ValueError(f"expected a class from 0 to {weights.shape[1] - 1} for each of {len(means)} sounds")
    g_weights, g_means = np.empty_like(weights), np.empty_like(means)
    loss = _cross_entropy(means, weights, np.float32(scale), label, g_weights, g_means)
    return float(loss), g_weights, g_means


@kernel
def _cross_entropy(
    means: np.ndarray,
    weights: np.ndarray,
    scale: np.float32,
    label: np.ndarray,
    g_weights: np.ndarray,
    g_means: np.ndarray,
) -> float:
    n_sounds, n_inputs = means.shape
    n_classes = weights.shape[1]
    wide, tall = (n_classes + LANES - 1) // LANES, (n_inputs + LANES - 1) // LANES
    # Padded with zeros to whole rows of lanes: by inputs, and by classes.
    by_input = np.zeros((n_inputs, wide * LANES), np.float32)
    by_class = np.zeros((n_classes, tall * LANES), np.float32)
    for n in range(n_inputs):
        for k in range(n_classes):
            by_input[n, k] = by_class[k, n] = weights[n, k]
    g_by_input = np.zeros((n_inputs, wide * LANES), np.float32)
    scores = np.empty(wide * LANES, np.float32)
    loss = 0.0
    for sound in range(n_sounds):
        for j in range(wide):
            total = fill(_ZERO)
            for n in range(n_inputs):
                total = muladd(fill(at(means, sound * n_inputs + n)), load(by_input, n * wide + j), total)
            store(scores, j, total)
        loss += _to_gradient(scores, n_classes, label[sound], scale, n_sounds)
        for j in range(wide):
            g = load(scores, j)
            for n in range(n_inputs):
                row = n * wide + j
                store(g_by_input, row, muladd(fill(at(means, sound * n_inputs + n)), g, load(g_by_input, row)))
        for j in range(tall):
            total = fill(_ZERO)
            for k in range(n_classes):
                total = muladd(fill(at(scores, k)), load(by_class, k * tall + j), total)
            store_first(g_means, sound * n_inputs + j * LANES, first_lanes(n_inputs - j * LANES), total)
    g_weights[:] = g_by_input[:, :n_classes]
    return loss / n_sounds


@kernel
def _to_gradient(scores: np.ndarray, n_classes: int, label: int, scale: np.float32, n_sounds: int) -> float:
    """Turn a sound's scores before scaling into the gradient with respect to them, and return the sound's loss."""
    most = scores[0]
    for k in range(1, n_classes):
        most = max(most, scores[k])
    own, total = scale * (scores[label] - most), 0.0
    for k in range(n_classes):
        scores[k] = np.exp(scale * (scores[k] - most))
        total += scores[k]
    factor = scale / np.float32(n_sounds)
    for k in range(n_classes):
        scores[k] *= factor / np.float32(total)
    scores[label] -= factor
    return np.log(total) - own
