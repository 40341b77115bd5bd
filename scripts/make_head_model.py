"""Make the shipped model ``head``: train its recipe, round its weights to half precision, and score what is shipped.

    python scripts/make_head_model.py            trains into runs/head (or goes on there), then writes models/head
    python scripts/make_head_model.py RUN        ships a run that is trained already

Half precision, so that the model is half as large: 11 bits, wherever a weight's own scale is. (Bytes with one scale for
each neuron do not do: weights of rare inputs are a thousand times those of busy ones.) Its metrics are those of the
rounded weights, on the test sounds of the recipe.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from spikeloc.evaluation import evaluate
from spikeloc.recipe import load_recipe
from spikeloc.runs import Run, read_safetensors, write_safetensors
from spikeloc.training import train

TARGET = Path(__file__).parents[1] / "src" / "spikeloc" / "models" / "head"


def main() -> int:
    """Train, round, score, write."""
    run = Run.open(sys.argv[1]) if len(sys.argv) > 1 else train(load_recipe("head"), "runs/head", resume=True)
    tensors, about = read_safetensors(run.path / "model.safetensors", run.read("model.safetensors"))
    small = {name: weights.half() for name, weights in tensors.items()}
    if not all(weights.isfinite().all() for weights in small.values()):
        raise OverflowError("some weights are too large for half precision")
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
