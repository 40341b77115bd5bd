"""Make the shipped sounds: ``python scripts/make_sounds.py FOLDER``, a folder of pocketsphinx's LibriVox clips.

They are in Debian's package pocketsphinx-testdata (/usr/share/pocketsphinx/test/data/librivox). Two become shipped
speech; a third is heard through the shipped head from 40 deg on the right, as a recording to try the package on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tomli_w

import spikeloc
from spikeloc.audio import read_audio, resample, write_audio
from spikeloc.heads import load_head
from spikeloc.stimuli.rendering import render

BOOK = "sense_and_sensibility_01_austen_64kb"
SPEECH = {
    "speech-1": ("0880", "he was not an ill disposed young man"),
    "speech-2": ("0890", "unless to be rather cold hearted and rather selfish is to be ill disposed"),
}
DEMO = ("0930", "he might even have been made amiable himself")
AZIMUTH = 40  # degrees to the right
RATE = 44100.0
PEAK = 0.5  # of full scale


def main(folder: str) -> None:
    """Write the sounds and what they are into the package."""
    target = Path(spikeloc.__file__).parent / "sounds"
    target.mkdir(exist_ok=True)
    about: dict[str, dict[str, str]] = {}
    for name, (number, text) in SPEECH.items():
        clip = read_audio(Path(folder) / f"{BOOK}-{number}.wav")
        write_audio(target / f"{name}.flac", clip.samples, clip.sample_rate, bits=16)
        about[name] = {"file": f"{name}.flac", "text": text}
    number, text = DEMO
    clip = read_audio(Path(folder) / f"{BOOK}-{number}.wav")
    source = resample(clip.samples[:, 0], clip.sample_rate, RATE)
    ears = render(source, load_head("kemar"), np.radians(AZIMUTH), RATE).T
    write_audio(target / "demo.flac", PEAK * ears / np.abs(ears).max(), RATE, bits=16)
    about["demo"] = {"file": "demo.flac", "text": text, "azimuth": f"{AZIMUTH} deg", "head": "kemar"}
    (target / "sounds.toml").write_text(tomli_w.dumps(about), encoding="utf-8")
    for path in sorted(target.iterdir()):
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
