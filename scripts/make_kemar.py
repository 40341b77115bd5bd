"""Make the shipped KEMAR head from its SOFA file: ``python scripts/make_kemar.py MIT_KEMAR_normal_pinna.sofa``.

The file is in Debian's package libmysofa1 (/usr/share/libmysofa/MIT_KEMAR_normal_pinna.sofa) and in PyPI's slab. Of its
710 directions the 72 horizontal ones are kept, aligned, cut to 128 taps and rounded to 16 bits; see
docs/decisions/0010-heads.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import spikeloc.heads
from spikeloc.heads.alignment import cut
from spikeloc.heads.sofa import read_sofa

TAPS = 128
CITATION = (
    "Gardner, W. G. & Martin, K. D. (1994). HRTF measurements of a KEMAR dummy-head microphone. MIT Media Laboratory "
    "Perceptual Computing technical report 280; J. Acoust. Soc. Am. 97, 3907-3908 (1995)."
)
LICENCE = (
    "Copyright 1994 by the MIT Media Laboratory. It is provided free with no restrictions on use, provided the authors "
    "are cited when the data is used in any research or commercial application."
)


def main(source: str) -> None:
    """Write kemar.safetensors beside the code that reads it."""
    head = read_sofa(source)
    short = cut(head.responses, TAPS)
    scale = float(np.abs(short).max()) / 32767
    tensors = {
        "azimuths_deg": np.rint(np.degrees(head.azimuths)).astype(np.int16),
        "responses": np.rint(short / scale).astype(np.int16),
        "delays": head.delays.astype(np.float32),
    }
    about = {
        "name": "KEMAR, normal pinna (MIT)",
        "sample_rate": repr(head.sample_rate),
        "scale": repr(scale),
        "citation": CITATION,
        "licence": LICENCE,
        "axes": "responses: direction, ear (left, right), tap; delays in s: same; azimuth positive on the right",
        "changes": "horizontal plane only, onset delays taken out, 128 taps, 16 bits",
    }
    target = Path(spikeloc.heads.__file__).parent / "kemar.safetensors"
    save_file(tensors, target, metadata=about)
    print(f"{target}: {target.stat().st_size} bytes, {len(head.azimuths)} directions at {head.sample_rate:g} Hz")


if __name__ == "__main__":
    main(*sys.argv[1:])
