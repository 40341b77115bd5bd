"""JAX: the whole step, Adam included, in one jitted function; ``lax.scan`` over time, currents in one product.

Same neuron, reset, surrogate and gradients as here. With the option `sum` the readout's mean potential is the closed
form that spikeloc uses, a weighted count of spikes; with `scan` the readout is integrated over time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import Case, Inputs
from jax import Array, lax

__all__ = ["build"]


def spike_function(slope: float) -> Callable[[Array], Array]:
    """The step with SuperSpike's gradient."""

    @jax.custom_vjp
    def spike(x: Array) -> Array:
        return (x > 0).astype(jnp.float32)

    spike.defvjp(lambda x: (spike(x), x), lambda x, g: (g / (1 + slope * jnp.abs(x)) ** 2,))
    return spike


def scores(case: Case, weights: list[Array], spikes: Array, closed_form: bool) -> Array:
    """Mean potential of the readout: time, batch, fibre -> batch, class."""
    spike, a = spike_function(case.slope), case.decay

    def lif(carry: tuple[Array, Array], current: Array) -> tuple[tuple[Array, Array], Array]:
        v, s = carry
        v = a * v * (1 - s) + current
        s = spike(v - 1)
        return (v, s), s

    def leak(u: Array, current: Array) -> tuple[Array, Array]:
        u = a * u + (1 - a) * current
        return u, u

    for w in weights[:-1]:
        rest = jnp.zeros((case.sounds, w.shape[1]))
        spikes = lax.scan(lif, (rest, rest), spikes @ w)[1]
    if closed_form:
        remaining = jnp.asarray((1 - a ** np.arange(case.steps, 0, -1.0)) / case.steps, jnp.float32)
        return jnp.einsum("t,tbh->bh", remaining, spikes) @ weights[-1]
    return lax.scan(leak, jnp.zeros((case.sounds, case.classes)), spikes @ weights[-1])[1].mean(0)


def adam(state: tuple[Any, ...], gradients: list[Array], rate: float) -> tuple[Any, ...]:
    """One update of (weights, first moments, second moments, number of steps)."""
    weights, m, v, n = state
    n = n + 1
    m = [0.9 * old + 0.1 * g for old, g in zip(m, gradients, strict=True)]
    v = [0.999 * old + 0.001 * g * g for old, g in zip(v, gradients, strict=True)]
    size = [rate * (a / (1 - 0.9**n)) / (jnp.sqrt(b / (1 - 0.999**n)) + 1e-8) for a, b in zip(m, v, strict=True)]
    return [w - s for w, s in zip(weights, size, strict=True)], m, v, n


def build(case: Case, inputs: Inputs, option: str) -> Callable[[], float]:
    """The network in JAX; `option` is scan or sum."""
    spikes = jnp.asarray(inputs.spikes.transpose(1, 0, 2), jnp.float32)
    labels = jnp.asarray(inputs.labels)

    def loss(weights: list[Array], spikes: Array) -> Array:
        logs = jax.nn.log_softmax(scores(case, weights, spikes, option == "sum"))
        return -jnp.take_along_axis(logs, labels[:, None], axis=1).mean()

    @jax.jit
    def update(state: tuple[Any, ...], spikes: Array) -> tuple[tuple[Any, ...], Array]:
        value, gradients = jax.value_and_grad(loss)(state[0], spikes)
        return adam(state, gradients, case.learning_rate), value

    weights = [jnp.asarray(w) for w in case.weights()]
    zeros = [jnp.zeros_like(w) for w in weights]
    state: tuple[Any, ...] = (weights, zeros, zeros, jnp.asarray(0.0))

    def step() -> float:
        nonlocal state
        state, value = update(state, spikes)
        return float(jax.block_until_ready((state, value))[1])

    return step
