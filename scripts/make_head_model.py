"""Make the shipped model ``head``: train its recipe, round its weights to a byte each, and score what is shipped.

    python scripts/make_head_model.py            trains into runs/head (or goes on there), then writes models/head
    python scripts/make_head_model.py RUN        ships a run that is trained already

Weights are whole numbers from -127 to 127 times a scale of each neuron's own, so that the model is a quarter as large.
Its metrics are those of the rounded weights, on the test sounds of the recipe.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch

from spikeloc.evaluation import evaluate
from spikeloc.recipe import load_recipe
from spikeloc.runs import Run, read_safetensors, write_safetensors
from spikeloc.training import train

TARGET = Path(__file__).parents[1] / "src" / "spikeloc" / "models" / "head"


def rounded(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [..., in, out] as bytes and a scale for each output: weights = bytes x scale, to half a scale."""
    scale = weights.abs().amax(dim=-2, keepdim=True).clamp(min=1e-30) / 127
    return (weights / scale).round().to(torch.int8), scale


def main() -> int:
    """Train, round, score, write."""
    run = Run.open(sys.argv[1]) if len(sys.argv) > 1 else train(load_recipe("head"), "runs/head", resume=True)
    tensors, about = read_safetensors(run.path / "model.safetensors", run.read("model.safetensors"))
    small = {}
    for name, weights in tensors.items():
        small[name], small[f"{name}/scale"] = rounded(weights)
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in ("recipe.toml", "history.csv", "environment.json"):
        shutil.copyfile(run.path / name, TARGET / name)
    write_safetensors(TARGET / "model.safetensors", small, about)
    shipped = Run(TARGET)
    shipped.write("metrics.json", json.dumps(evaluate(shipped), indent=1) + "\n")
    print(f"{TARGET}: {sum(path.stat().st_size for path in TARGET.iterdir()) / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
