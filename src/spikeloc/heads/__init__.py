"""Heads: what reaches the two ears from a source anywhere in the horizontal plane."""

from spikeloc.heads.head import Head
from spikeloc.heads.loading import load_head
from spikeloc.heads.variation import varied

__all__ = ["Head", "load_head", "varied"]
