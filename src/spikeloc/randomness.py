"""Counter-based randomness: everything random is a function of a seed, a name and a number.

A sound's key is a hash of (seed, stream name, index); its random numbers are hashes of that key and a counter. Sound i
of a stream is therefore the same sound in any batch, on any number of threads, and with any engine, and streams of
different names share nothing.

All keys count along one sequence of 2^64 states, so the numbers of two sounds overlap only by chance: with probability
N^2 L / 2^64 among N sounds of L numbers each, which is one in a thousand for a million sounds of 20,000 numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from spikeloc.compiled import inlined, kernel
from spikeloc.compiled.hashing import FIRST_FACTOR, GOLDEN, SECOND_FACTOR
from spikeloc.errors import UserError

__all__ = ["indices_of", "mix", "permutation", "sound_keys", "torch_generator", "uniform", "word"]


@inlined
def mix(z: np.uint64) -> np.uint64:
    """A 64-bit hash of a 64-bit number, one to one: the finaliser of SplitMix64.

    Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", with Stafford's variant 13.
    """
    z = np.uint64((z ^ (z >> np.uint64(30))) * np.uint64(FIRST_FACTOR))
    z = np.uint64((z ^ (z >> np.uint64(27))) * np.uint64(SECOND_FACTOR))
    return np.uint64(z ^ (z >> np.uint64(31)))


@inlined
def word(key: np.uint64, counter: np.uint64) -> np.uint64:
    """Random number ``counter`` of a key: 64 independent bits."""
    return mix(np.uint64(key + (counter + np.uint64(1)) * np.uint64(GOLDEN)))


@kernel
def _keys(base: np.uint64, indices: np.ndarray, keys: np.ndarray) -> None:
    for i in range(len(indices)):
        # Twice: one word is a simple function of base + index, and keys of neighbouring sounds are used as bases again.
        keys[i] = mix(np.uint64(word(base, np.uint64(indices[i])) ^ base))


def sound_keys(seed: int, stream: str, indices: np.ndarray) -> np.ndarray:
    """Keys of the sounds with these indices of a stream: [n] int64 -> [n] uint64."""
    keys = np.empty(len(indices), dtype=np.uint64)
    _keys(np.uint64(_digest(seed, stream)), np.ascontiguousarray(indices, dtype=np.int64), keys)
    return keys


def indices_of(n: int | None, first: int, indices: np.ndarray | None) -> np.ndarray:
    """The given indices of sounds, or ``n`` from ``first`` on: [n] int64. Raises UserError unless n >= 0."""
    if indices is not None:
        return indices
    if n is None or n < 0:
        raise UserError(f"the number of sounds is {n}; it must be a whole number from 0")
    return np.arange(first, first + n, dtype=np.int64)


def uniform(seed: int, stream: str, indices: np.ndarray, purpose: str) -> np.ndarray:
    """One number evenly in [0, 1) for each sound and purpose, float64, 53 random bits: [n] -> [n]."""
    keys = sound_keys(seed, f"{stream}\0{purpose}", indices)
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, stream: str, n: int, epoch: int) -> np.ndarray:
    """An order of n sounds for an epoch: [n] int64."""
    key = _digest(seed, f"{stream}\0order\0{epoch}")
    return np.random.Generator(np.random.Philox(key=key)).permutation(n)


def torch_generator(seed: int, purpose: str) -> torch.Generator:
    """PyTorch's generator for one purpose, such as the initial weights."""
    return torch.Generator().manual_seed(_digest(seed, purpose) >> 1)


def _digest(seed: int, name: str) -> int:
    """64 bits that stand for a seed and a name."""
    text = f"spikeloc\0{seed}\0{name}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
