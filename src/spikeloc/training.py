"""Training: recipe -> run. Killed at any moment, it continues to the same weights, bit for bit.

Every epoch depends only on the recipe, the epoch's number and the state at its start; that state (weights, Adam's
moments, best weights so far, history) is one file, replaced whole after each epoch.
"""

from __future__ import annotations

import csv
import io
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikeloc.batches import Drawn, batches_of
from spikeloc.closed_form import fit_output
from spikeloc.compiled import threads_for_loops
from spikeloc.direct_gradients import direct_gradients, has_direct_gradients
from spikeloc.errors import StimulusWarning, UserError
from spikeloc.kept_sounds import KeptSounds
from spikeloc.network import Activity, Network
from spikeloc.optimiser import Adam
from spikeloc.pursuit import fit_staircases
from spikeloc.randomness import permutation, torch_generator
from spikeloc.rate_network import fit_second_layer
from spikeloc.recipe import Recipe, TrainingSettings
from spikeloc.runs import Run, build_network, read_safetensors, write_safetensors
from spikeloc.stimuli import Sounds

__all__ = ["Watch", "train"]

CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"
BEGIN_BATCH = 64
FEW = 2**13  # sounds that output weights are solved for where the second layer was trained before


class Watch:
    """Is told how training goes, and says nothing; a subclass shows what it wants to show."""

    def started(self, recipe: Recipe, device: str, epochs_done: int) -> None:
        """Training begins, or continues after some epochs."""

    def beginning(self, what: str, done: int, total: int) -> None:
        """Before the first epoch: so many of the sounds, or passes, of a way to begin are done."""

    def first_loss(self, expected: float, seen: float) -> None:
        """Loss of the first batch, beside that of a network that knows nothing."""

    def batch(self, epoch: int, done: int, total: int) -> None:
        """Some batches of an epoch are done."""

    def epoch(self, row: dict[str, float]) -> None:
        """An epoch is done; its row of the history."""

    def refitting(self, done: int, total: int) -> None:
        """After the last epoch: so many of the sounds are done on which the output weights are solved for."""

    def finished(self, reason: str) -> None:
        """Training is over, and why."""


@dataclass
class _State:
    """Where training stands between two epochs."""

    network: Network
    optimiser: Adam
    history: list[dict[str, float]] = field(default_factory=list)
    average: list[Tensor] = field(default_factory=list)  # of recent weights, in the order of the network's
    best: dict[str, Tensor] = field(default_factory=dict)  # copies, never the live parameters
    best_epoch: int = 0
    best_loss: float = math.inf
    kept: KeptSounds | None = None  # the training sounds, if they are the same in every epoch

    @property
    def epoch(self) -> int:
        return len(self.history)


def train(recipe: Recipe, out: str | Path, *, resume: bool = False, watch: Watch | None = None) -> Run:
    """Train the recipe's network; the weights and the history end up in the run folder ``out``.

    With ``resume``, a run that was interrupted is continued, and a finished one is returned as it is. Raises UserError
    if the folder exists and is not to be resumed, or holds the run of another recipe, or if the loss stops being a
    number.
    """
    watch = watch or Watch()
    device = choose_device(recipe.training, recipe.network.engine)
    run = _open_or_create(Path(out), recipe, resume)
    for caveat in recipe.stimulus.caveats():
        warnings.warn(caveat, StimulusWarning, stacklevel=2)
    if run.has(MODEL):
        watch.finished("this run was finished before")
        return run
    state = _restore(run, recipe, device)
    watch.started(recipe, str(device), state.epoch)
    if recipe.training.begin != "weights" and not run.has(CHECKPOINT):
        _begin(recipe, state.network, watch)
        _save(run, state)
    # The reference engine's products are large; beside the fused engine PyTorch has little to do.
    with threads_for_loops() if recipe.network.engine == "fused" else nullcontext():
        reason = _train_epochs(run, recipe, state, watch) + _refit(recipe, state, watch)
    # Killed after its last checkpoint, a run may have an older history beside it.
    run.write("history.csv", history_csv(state.history))
    about = {"epoch": state.best_epoch, "format": "spikeloc model 1"}
    write_safetensors(run.path / MODEL, state.best, about)
    (run.path / CHECKPOINT).unlink(missing_ok=True)
    watch.finished(reason)
    return run


def _train_epochs(run: Run, recipe: Recipe, state: _State, watch: Watch) -> str:
    """All epochs that are left; returns why training is over."""
    patience = recipe.training.patience
    while state.epoch < recipe.training.epochs:
        # Asked before each epoch, so that a resumed run stops where the one before it did.
        if 0 < patience <= state.epoch - state.best_epoch:
            return f"no better validation loss in {patience} epochs"
        _train_epoch(recipe, state, watch)
        _save(run, state)
        watch.epoch(state.history[-1])
    return "all epochs done"


def _open_or_create(path: Path, recipe: Recipe, resume: bool) -> Run:
    if not resume or not (path / "recipe.toml").is_file():
        return Run.create(path, recipe)
    run = Run.open(path)
    if run.recipe != recipe:
        key = _first_difference(run.recipe.words(), recipe.words())
        raise UserError(f"{path} was made by another recipe ({key} differs), so it cannot be resumed with this one")
    return run


def _first_difference(one: dict[str, object], other: dict[str, object]) -> str:
    for key in {**one, **other}:
        a, b = one.get(key), other.get(key)
        if a != b:
            return f"{key}.{_first_difference(a, b)}" if isinstance(a, dict) and isinstance(b, dict) else key
    return "nothing"


def choose_device(settings: TrainingSettings, engine: str) -> torch.device:
    """Where the recipe trains. Raises UserError if that cannot be."""
    if settings.device == "cuda" and engine == "fused":
        raise UserError("the fused engine runs on the CPU; for the GPU add --network.engine reference")
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError("training.device is 'cuda', but no GPU is available; use 'cpu' or 'auto'")
    wants_gpu = settings.device == "cuda" or (settings.device == "auto" and engine == "reference")
    return torch.device("cuda" if wants_gpu and torch.cuda.is_available() else "cpu")


def _train_epoch(recipe: Recipe, state: _State, watch: Watch) -> None:
    settings, epoch = recipe.training, state.epoch
    began = time.monotonic()
    losses = []
    n_batches = math.ceil(settings.sounds / settings.batch)
    for done, sounds in enumerate(_training_batches(recipe, state)):
        rate = learning_rate(settings, epoch * n_batches + done)
        losses.append(_gradients(recipe, state, sounds))
        state.optimiser.step(rate)
        _average(state, settings.averaging, epoch * n_batches + done)
        if not math.isfinite(losses[-1]):
            raise UserError(f"the loss is {losses[-1]} in epoch {epoch + 1}; lower training.learning_rate")
        if epoch == 0 and done == 0:
            watch.first_loss(recipe.readout.expected_first_loss, losses[0])
        watch.batch(epoch, done + 1, n_batches)
    row = {"epoch": epoch + 1, "loss": float(np.mean(losses)), "learning_rate": rate}
    with _averaged(state):
        row |= _validate(recipe, state.network)
        row["seconds"] = round(time.monotonic() - began, 3)
        state.history.append(row)
        _keep_best(state, row)


def _gradients(recipe: Recipe, state: _State, sounds: Sounds) -> float:
    """Set the gradients of the weights for a batch, and return its loss."""
    settings, readout, network = recipe.training, recipe.readout, state.network
    if not settings.rate_penalty and has_direct_gradients(network, readout):
        label = readout.true_label(sounds.angle, recipe.stimulus.limit)
        return direct_gradients(network, readout, sounds.events, label.numpy())
    activity = network(sounds.events, readout.output)
    loss = readout.loss(activity, sounds.angle, recipe.stimulus.limit)
    if settings.rate_penalty:
        loss = loss + rate_penalty(settings, activity)
    state.optimiser.clear()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()


@torch.no_grad()
def _average(state: _State, batches: int, step: int) -> None:
    """Weights averaged over about so many last batches, early on over the last tenth.

    m += (w - m) / min(batches, 1 + step / 10)
    """
    if batches == 0:
        return
    if not state.average:
        state.average = [weights.clone() for weights in state.network.parameters()]
    for mean, weights in zip(state.average, state.network.parameters(), strict=True):
        mean.lerp_(weights, 1 / min(batches, 1 + step / 10))


@contextmanager
def _averaged(state: _State) -> Iterator[None]:
    """Within this block the network has the averaged weights, if there are any."""
    own = [weights.data for weights in state.network.parameters()]
    for weights, mean in zip(state.network.parameters(), state.average, strict=False):
        weights.data = mean
    try:
        yield
    finally:
        for weights, data in zip(state.network.parameters(), own, strict=True):
            weights.data = data


def _training_batches(recipe: Recipe, state: _State) -> Iterator[Sounds]:
    n, epoch = recipe.training.sounds, state.epoch
    drawn: Drawn = recipe.stimulus
    if recipe.training.fresh:
        indices = np.arange(epoch * n, (epoch + 1) * n, dtype=np.int64)
    else:
        indices = permutation(recipe.seed, "training", n, epoch)
        if state.kept is None and KeptSounds.pays(recipe.stimulus, n):
            state.kept = KeptSounds(recipe.stimulus, n)
        drawn = state.kept or drawn
    return batches_of(drawn, indices, recipe.training.batch, seed=recipe.seed, stream="training")


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Step size at a training step: constant, or lr (1 + cos(pi step / steps)) / 2."""
    if settings.schedule == "constant":
        return settings.learning_rate
    steps = settings.epochs * math.ceil(settings.sounds / settings.batch)
    return settings.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2


def rate_penalty(settings: TrainingSettings, activity: Activity) -> Tensor:
    """The recipe's penalties on the firing rates of the spiking layers, summed. Was the seed's ``loss_reg_fn``."""
    total = activity.output.new_zeros(())
    for penalty in settings.rate_penalty:
        if penalty.layer is not None and penalty.layer >= len(activity.rates):
            raise UserError(
                f"training.rate_penalty names layer {penalty.layer}, but there are {len(activity.rates)} spiking layers"
            )
        layers = activity.rates if penalty.layer is None else (activity.rates[penalty.layer],)
        for rates in layers:
            excess = (rates - penalty.lower).clamp(min=0) / (penalty.upper - penalty.lower)
            total = total + penalty.weight * excess.square().mean()
    return total


@torch.no_grad()
def _validate(recipe: Recipe, network: Network) -> dict[str, float]:
    n = recipe.training.validation_sounds
    if n == 0:
        return {}
    loss, correct = 0.0, 0
    limit, readout = recipe.stimulus.limit, recipe.readout
    indices = np.arange(n, dtype=np.int64)
    for sounds in batches_of(recipe.stimulus, indices, 256, seed=recipe.seed, stream="validation"):
        activity = network(sounds.events, readout.output)
        loss += readout.loss(activity, sounds.angle, limit).item() * len(sounds)
        correct += int((readout.decide(activity, limit).label == readout.true_label(sounds.angle, limit)).sum())
    return {"validation_loss": loss / n, "validation_accuracy": correct / n}


def _keep_best(state: _State, row: dict[str, float]) -> None:
    # Without validation the last weights are the best known.
    loss = row.get("validation_loss", -float(state.epoch))
    if loss < state.best_loss:
        state.best = {name: value.clone() for name, value in state.network.state_dict().items()}
        state.best_loss, state.best_epoch = loss, state.epoch


def _save(run: Run, state: _State) -> None:
    tensors = {f"network/{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    tensors |= {f"average/{place}": value for place, value in enumerate(state.average)}
    tensors |= {f"adam/{name}": value for name, value in state.optimiser.state().items()}
    about = {"history": state.history, "best_epoch": state.best_epoch, "best_loss": state.best_loss}
    write_safetensors(run.path / CHECKPOINT, tensors, about)
    if state.history:
        run.write("history.csv", history_csv(state.history))


def _restore(run: Run, recipe: Recipe, device: torch.device) -> _State:
    network = build_network(recipe).to(device)
    state = _State(network, Adam(network.parameters()))
    if not run.has(CHECKPOINT):
        return state
    tensors, about = read_safetensors(run.path / CHECKPOINT, run.read(CHECKPOINT))
    state.history, state.best_epoch, state.best_loss = about["history"], about["best_epoch"], about["best_loss"]
    network.load_state_dict(_part(tensors, "network/"))
    state.best = {name: value.to(device) for name, value in _part(tensors, "best/").items()}
    average = _part(tensors, "average/")
    state.average = [average[str(place)].to(device) for place in range(len(average))]
    state.optimiser.load(_part(tensors, "adam/"))
    return state


def _begin(recipe: Recipe, network: Network, watch: Watch) -> None:
    """Weights by least squares, on sounds of a stream of their own; before that, the second layer's, if asked for."""
    settings = recipe.training

    def sounds(n: int) -> Iterator[Sounds]:
        return _counted(recipe, "begin", n, lambda done: watch.beginning("sounds", done, n))

    with threads_for_loops() if recipe.network.engine == "fused" else nullcontext():
        if settings.begin == "rates":
            generator = torch_generator(recipe.seed, "rates")
            epochs = settings.begin_epochs
            fit_second_layer(
                network,
                sounds(settings.begin_sounds),
                epochs,
                generator,
                lambda done: watch.beginning("passes", done, epochs),
            )
        if settings.begin == "pursuit":
            _pursue(recipe, network, watch)
        solved = min(settings.begin_sounds, FEW) if settings.begin == "rates" else settings.begin_sounds
        fit_output(network, recipe.readout, sounds(solved), recipe.stimulus.limit, settings.ridge)


def _pursue(recipe: Recipe, network: Network, watch: Watch) -> None:
    """The hidden layer's weights by projection pursuit, on as many fresh sounds in each pass."""
    n, passes, batch = recipe.training.begin_sounds, recipe.training.begin_epochs, recipe.training.batch
    fibres = recipe.stimulus.fibres

    def sounds(each: int) -> Iterator[Sounds]:
        indices = np.arange(each * n, (each + 1) * n, dtype=np.int64)
        return batches_of(recipe.stimulus, indices, batch, seed=recipe.seed, stream="pursuit")

    def passed(done: int) -> None:
        watch.beginning("passes", done, passes)

    fit_staircases(network, fibres, sounds, passes, math.ceil(n / batch), passed)


def _refit(recipe: Recipe, state: _State, watch: Watch) -> str:
    """Output weights by least squares once more, if asked for and if validation finds them better; what to say of it.

    Killed in here, a run that is resumed does all of it again: the checkpoint stays until the model is written.
    """
    n = recipe.training.refit_sounds
    if n == 0 or not state.best:
        return ""
    network = state.network
    network.load_state_dict(state.best)
    fit_output(
        network,
        recipe.readout,
        _counted(recipe, "refit", n, lambda done: watch.refitting(done, n)),
        recipe.stimulus.limit,
        recipe.training.ridge,
    )
    found = _validate(recipe, network)
    if not found.get("validation_loss", -math.inf) <= state.best_loss:
        return "; output weights kept, least squares had no better ones"
    state.best = {name: value.clone() for name, value in network.state_dict().items()}
    accuracy = f": validation accuracy {100 * found['validation_accuracy']:.1f} %" if found else ""
    return f"; output weights refitted on {n} sounds{accuracy}"


def _counted(recipe: Recipe, stream: str, n: int, told: Callable[[int], None]) -> Iterator[Sounds]:
    """Batches of n sounds of a stream of their own; ``told`` hears after each how many are done."""
    done = 0
    indices = np.arange(n, dtype=np.int64)
    for sounds in batches_of(recipe.stimulus, indices, BEGIN_BATCH, seed=recipe.seed, stream=stream):
        yield sounds
        done += len(sounds)
        told(done)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def history_csv(history: list[dict[str, float]]) -> str:
    """The history as CSV, one row for each epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
