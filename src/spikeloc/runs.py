"""The run: the folder that one recipe made. Files are written whole or not at all.

recipe.toml          the recipe, complete
environment.json     versions of what computed it
history.csv          one row for each epoch
checkpoint.safetensors   where training stands, until it is finished
model.safetensors    the trained weights
metrics.json         the score on test sounds
figures/, report.html
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import re
import tempfile
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from spikeloc.errors import UserError
from spikeloc.network import Network
from spikeloc.observers.trained import TrainedObserver
from spikeloc.randomness import torch_generator
from spikeloc.recipe import Recipe, parse_recipe
from spikeloc.settings import nearest

__all__ = ["Run", "build_network", "load", "write_whole"]


def build_network(recipe: Recipe) -> Network:
    """The recipe's network with its initial weights."""
    stimulus = recipe.stimulus
    generator = torch_generator(recipe.seed, "initial weights")
    n_outputs = recipe.readout.n_outputs
    return Network(
        recipe.network, stimulus.n_fibres, n_outputs, stimulus.dt, generator=generator, fibres=stimulus.fibres
    )


@dataclass(frozen=True)
class Run:
    """A run folder. Reading a part that is missing or damaged raises UserError."""

    path: Path

    @staticmethod
    def create(path: Path, recipe: Recipe) -> Run:
        """A new run folder that holds the recipe. Raises UserError if the folder exists and is not empty."""
        if path.exists() and not _is_fresh(path):
            raise UserError(f"{path} exists; choose another folder with --out, or continue that run with --resume")
        run = Run(path)
        run.write("environment.json", json.dumps(environment(), indent=2) + "\n")
        run.write("recipe.toml", recipe.to_toml())
        return run

    @staticmethod
    def open(path: str | Path) -> Run:
        """An existing run folder. Raises UserError if it is none."""
        run = Run(Path(path))
        if not run.path.is_dir():
            raise UserError(f"there is no run folder {path}; `spikeloc train RECIPE --out {path}` makes one")
        if not run.has("recipe.toml"):
            raise UserError(f"{path} is not a run folder: it has no recipe.toml")
        return run

    @staticmethod
    def find(model: str | Path) -> Run:
        """A trained network that is shipped, by its name, or the run folder of a path. Raises UserError."""
        shipped = resources.files("spikeloc") / "models" / str(model)
        if re.fullmatch(r"[\w-]+", str(model)) and not Path(model).exists():
            if isinstance(shipped, Path) and shipped.is_dir():
                return Run(shipped)
            names = sorted(path.parent.name for path in (Path(__file__).parent / "models").glob("*/recipe.toml"))
            choice = f" or one of {', '.join(names)}" if names else ""
            raise UserError(
                f"there is no model {str(model)!r}{nearest(str(model), names)}; give the folder of a run{choice}"
            )
        return Run.open(model)

    def has(self, name: str) -> bool:
        """Whether a file of the run exists."""
        return (self.path / name).is_file()

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the run, whole or not at all."""
        return write_whole(self.path / name, content)

    def read(self, name: str) -> bytes:
        """The content of a file of the run."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            hint = "; continue training with --resume" if self.has("checkpoint.safetensors") else ""
            raise UserError(f"the run {self.path} has no {name}{hint}") from None
        except OSError as error:
            raise UserError(f"cannot read {self.path / name}: {error.strerror}") from None

    @property
    def recipe(self) -> Recipe:
        """The recipe that made the run."""
        source = str(self.path / "recipe.toml")
        try:
            return parse_recipe(self.read("recipe.toml").decode("utf-8"), self.path.name, source=source)
        except UnicodeDecodeError:
            raise UserError(f"{source} is damaged: it is not UTF-8 text") from None

    @property
    def metrics(self) -> dict[str, Any]:
        """The score on test sounds."""
        data = self.read("metrics.json")
        try:
            content = json.loads(data)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise UserError(
                f"{self.path / 'metrics.json'} is damaged; delete it, and `spikeloc report {self.path}` makes it anew"
            )
        return content

    @property
    def history(self) -> list[dict[str, float]]:
        """A row for each epoch: epoch, loss, learning_rate, seconds, and validation columns where there are any."""
        text = self.read("history.csv").decode("utf-8", errors="replace")
        try:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(io.StringIO(text))]
        except (ValueError, TypeError, AttributeError):
            raise UserError(f"{self.path / 'history.csv'} is damaged: not every cell is a number") from None

    def network(self) -> Network:
        """The trained network, on the CPU."""
        network = build_network(self.recipe)
        tensors, _ = read_safetensors(self.path / "model.safetensors", self.read("model.safetensors"))
        tensors = {name: value.float() for name, value in tensors.items()}  # shipped ones have half precision
        expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in tensors.items()}
        if expected != found:
            raise UserError(f"{self.path / 'model.safetensors'} holds {found}, but its recipe describes {expected}")
        network.load_state_dict(tensors)
        return network

    def observer(self) -> TrainedObserver:
        """The trained network as an observer."""
        recipe = self.recipe
        return TrainedObserver(self.network(), recipe.readout, recipe.stimulus.limit)


def _is_fresh(path: Path) -> bool:
    """Whether a folder holds nothing, or no more than what creating a run that was killed can have left in it."""
    return path.is_dir() and all(
        item.name == "environment.json" or (item.name.startswith(".") and item.is_file()) for item in path.iterdir()
    )


def load(run: Run | str | Path) -> TrainedObserver:
    """The trained observer of a run, or of the run in a folder."""
    return (run if isinstance(run, Run) else Run.open(run)).observer()


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file so that at any moment it is absent, old or new, never partial. Raises UserError if it cannot."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return path


def write_safetensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write named tensors and facts about them as one safetensors file, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One entry: the library writes several in an order that changes from run to run.
    write_whole(path, tensors_to_bytes(contiguous, {"spikeloc": json.dumps(about)}))


def read_safetensors(path: Path, data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file and the facts about them; executes nothing. Raises UserError if damaged."""
    try:
        tensors = read_tensors(data)
        length = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + length]).get("__metadata__", {}).get("spikeloc", "{}"))
    except (SafetensorError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged or not a safetensors file: {error}") from None
    return tensors, about


def environment() -> dict[str, Any]:
    """Versions of everything that takes part in the computation."""
    packages = ("spikeloc", "torch", "numpy", "numba")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "packages": {name: metadata.version(name) for name in packages},
    }
