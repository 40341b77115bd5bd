import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from spikeloc import runs, training
from spikeloc.errors import StimulusWarning, UserError
from spikeloc.kept_sounds import KeptSounds
from spikeloc.network import Activity
from spikeloc.recipe import RatePenalty, TrainingSettings
from spikeloc.training import Watch, learning_rate, rate_penalty, train


class Killed(BaseException):
    """Stands for a process that is gone."""


def weights(run):
    return (run.path / "model.safetensors").read_bytes()


def n_writes(recipe, path, monkeypatch):
    """How often a whole training run writes a file."""
    calls = []
    write = runs.write_whole
    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_whole", lambda *a: (calls.append(a), write(*a))[1])
        train(recipe, path)
    return len(calls)


def test_the_same_recipe_gives_the_same_weights(tiny_recipe, tiny_run, tmp_path):
    assert weights(train(tiny_recipe, tmp_path / "again")) == weights(tiny_run)


def test_another_seed_gives_other_weights(tiny_recipe, tiny_run, tmp_path):
    assert weights(train(tiny_recipe.with_values({"seed": 1}), tmp_path / "other")) != weights(tiny_run)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_write_it_resumes_to_the_same_weights(tiny_recipe, tiny_run, tmp_path, monkeypatch, after):
    write = runs.write_whole
    for fatal in range(n_writes(tiny_recipe, tmp_path / "count", monkeypatch)):
        count = iter(range(1000))

        def dying(path, content, count=count, fatal=fatal):
            last = next(count) == fatal
            if last and not after:
                raise Killed
            write(path, content)
            if last:
                raise Killed

        out = tmp_path / f"run{fatal}"
        with monkeypatch.context() as patch:
            patch.setattr(runs, "write_whole", dying)
            with pytest.raises(Killed):
                train(tiny_recipe, out)
        resumed = train(tiny_recipe, out, resume=True)
        assert weights(resumed) == weights(tiny_run)
        without_time = [{k: v for k, v in row.items() if k != "seconds"} for row in resumed.history]
        assert without_time == [{k: v for k, v in row.items() if k != "seconds"} for row in tiny_run.history]


def test_kill_9_and_resume(tiny_recipe, tmp_path):
    recipe = tiny_recipe.with_values({"training.epochs": 40})
    whole = train(recipe, tmp_path / "whole")
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "spikeloc.cli", "train", str(tmp_path / "recipe.toml"), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "model.safetensors").exists(), "it finished before it was killed: the test says nothing"
    assert weights(train(recipe, out, resume=True)) == weights(whole)


def test_resuming_a_finished_run_leaves_it_alone(tiny_recipe, tmp_path):
    run = train(tiny_recipe, tmp_path / "run")
    before = {item.name: item.stat().st_mtime_ns for item in run.path.iterdir()}
    train(tiny_recipe, run.path, resume=True)
    assert {item.name: item.stat().st_mtime_ns for item in run.path.iterdir()} == before


def test_an_existing_run_is_never_overwritten(tiny_recipe, tiny_run):
    with pytest.raises(UserError, match=r"exists; choose another folder with --out"):
        train(tiny_recipe, tiny_run.path)


def test_a_run_is_not_resumed_with_another_recipe(tiny_recipe, tiny_run):
    with pytest.raises(UserError, match=r"network\.tau differs"):
        train(tiny_recipe.with_values({"network.tau": "7 ms"}), tiny_run.path, resume=True)


def test_a_damaged_checkpoint_is_one_sentence(tiny_recipe, tmp_path, monkeypatch):
    def half(path, *_):
        path.write_bytes(b"half")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_safetensors", half)
        with pytest.raises(Killed):
            train(tiny_recipe, tmp_path / "run")
    with pytest.raises(UserError, match="damaged"):
        train(tiny_recipe, tmp_path / "run", resume=True)


def test_a_full_disk_leaves_no_half_written_file(tiny_recipe, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        train(tiny_recipe, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_training_lowers_the_loss(tiny_recipe, tmp_path):
    recipe = tiny_recipe.with_values({"training.epochs": 12, "training.sounds": 256})
    history = train(recipe, tmp_path / "run").history
    assert history[-1]["loss"] < history[0]["loss"] - 0.1


def test_best_weights_are_kept_not_the_last(tiny_recipe, tmp_path, monkeypatch):
    """The network of the best epoch, although later epochs go on changing the live parameters."""
    losses = iter([3.0, 1.0, 2.0])
    seen = []

    def validate(_, network):
        seen.append([weight.detach().clone() for weight in network.weights])
        return {"validation_loss": next(losses), "validation_accuracy": 0.5}

    monkeypatch.setattr(training, "_validate", validate)
    network = train(tiny_recipe, tmp_path / "run").network()
    assert all(torch.equal(a, b) for a, b in zip(network.weights, seen[1], strict=True))
    assert not torch.equal(network.weights[0], seen[2][0])


def test_early_stopping_fires(tiny_recipe, tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.5])
    monkeypatch.setattr(training, "_validate", lambda *_: {"validation_loss": next(losses)})
    recipe = tiny_recipe.with_values({"training.epochs": 6, "training.patience": 3})
    assert len(train(recipe, tmp_path / "run").history) == 5


def test_fixed_sounds_are_the_same_in_every_epoch_and_fresh_ones_are_not(tiny_recipe):
    def heard(fresh, epoch):
        recipe = tiny_recipe.with_values({"training.fresh": fresh})
        state = training._State(None, None, history=[{}] * epoch)
        return torch.cat([sounds.angle for sounds in training._training_batches(recipe, state)])

    assert torch.equal(heard("false", 0).sort().values, heard("false", 1).sort().values)
    assert not torch.equal(heard("false", 0), heard("false", 1))
    assert not set(heard("true", 0).tolist()) & set(heard("true", 1).tolist())


def test_kept_sounds_train_the_same_network_as_sounds_drawn_anew(tiny_recipe, tmp_path, monkeypatch):
    recipe = tiny_recipe.with_values({"training.fresh": False, "training.epochs": 3})
    kept = train(recipe, tmp_path / "kept")
    monkeypatch.setattr(KeptSounds, "pays", lambda *_: False)
    assert weights(train(recipe, tmp_path / "anew")) == weights(kept)


def test_a_run_that_patience_ended_and_a_kill_in_the_last_fit_go_on_to_the_same_weights(tiny_recipe, tmp_path):
    changes = {"training.epochs": 9, "training.patience": 1, "training.learning_rate": 3.0}
    recipe = tiny_recipe.with_values(changes | {"training.refit_sounds": 96, "training.averaging": 3})
    whole = train(recipe, tmp_path / "whole")
    assert len(whole.history) < 9, "patience did not end it: the test says nothing"

    class Dying(Watch):
        def refitting(self, *_):
            raise Killed

    with pytest.raises(Killed):
        train(recipe, tmp_path / "killed", watch=Dying())
    resumed = train(recipe, tmp_path / "killed", resume=True)
    assert weights(resumed) == weights(whole)
    assert len(resumed.history) == len(whole.history)


def test_training_validation_and_test_sounds_are_different(tiny_recipe):
    streams = [tiny_recipe.stimulus.draw(50, seed=0, stream=name) for name in ("training", "validation", "test")]
    angles = [set(sounds.angle.tolist()) for sounds in streams]
    assert not angles[0] & angles[1]
    assert not angles[0] & angles[2]
    assert not angles[1] & angles[2]


def test_cosine_schedule_falls_from_the_rate_to_zero():
    settings = TrainingSettings(sounds=100, batch=10, epochs=4, learning_rate=0.5, schedule="cosine")
    rates = [learning_rate(settings, step) for step in range(41)]
    assert rates[0] == 0.5
    assert rates[20] == pytest.approx(0.25)
    assert rates[40] == pytest.approx(0, abs=1e-12)
    assert rates == sorted(rates, reverse=True)
    assert learning_rate(TrainingSettings(), 999) == TrainingSettings().learning_rate


def test_rate_penalty_by_hand():
    counts = (torch.tensor([[25.0, 75.0, 150.0]]), torch.tensor([[500.0]]))
    activity = Activity(torch.zeros(1, 2), counts, duration=0.5)
    first = RatePenalty(layer=0, lower=100, upper=200, weight=3)
    assert float(rate_penalty(TrainingSettings(rate_penalty=(first,)), activity)) == pytest.approx(
        3 * (0 + 0.25 + 4) / 3
    )
    every = RatePenalty(lower=100, upper=200, weight=3)
    assert float(rate_penalty(TrainingSettings(rate_penalty=(every,)), activity)) == pytest.approx(4.25 + 3 * 81)
    assert float(rate_penalty(TrainingSettings(), activity)) == 0


def test_rate_penalty_of_a_missing_layer_is_refused(tiny_recipe, tmp_path):
    penalty = RatePenalty(layer=1, lower=100, upper=200, weight=3)
    recipe = tiny_recipe.model_copy(update={"training": TrainingSettings(rate_penalty=(penalty,))})
    with pytest.raises(UserError, match="names layer 1, but there are 1 spiking layers"):
        train(recipe, tmp_path / "run")


def test_rate_penalty_lowers_rates(tiny_recipe, tmp_path):
    def mean_rate(penalties, name):
        settings = tiny_recipe.training.model_copy(update={"rate_penalty": penalties, "epochs": 10})
        run = train(tiny_recipe.model_copy(update={"training": settings}), tmp_path / name)
        sounds = run.recipe.stimulus.draw(64, seed=5)
        return run.network()(sounds.events).rates[0].mean().item()

    assert mean_rate((RatePenalty(lower=0, upper=1, weight=10),), "calm") < 0.5 * mean_rate((), "free")


def test_a_loss_that_is_no_number_ends_training(tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "rate_penalty", lambda *_: torch.tensor(math.nan, requires_grad=True))
    settings = tiny_recipe.training.model_copy(update={"rate_penalty": (RatePenalty(lower=0, upper=1, weight=1),)})
    with pytest.raises(UserError, match=r"lower training\.learning_rate"):
        train(tiny_recipe.model_copy(update={"training": settings}), tmp_path / "run")


def test_a_stimulus_with_a_caveat_warns(tiny_recipe, tmp_path):
    recipe = tiny_recipe.with_values({"stimulus.duration": "60 ms", "training.epochs": 1})
    with pytest.warns(StimulusWarning, match="not a whole number"):
        train(recipe, tmp_path / "run")


def test_the_fused_engine_does_not_pretend_to_run_on_a_gpu(tiny_recipe, tmp_path):
    with pytest.raises(UserError, match="runs on the CPU"):
        train(tiny_recipe.with_values({"training.device": "cuda"}), tmp_path / "run")


def test_a_run_trained_on_one_engine_is_evaluated_on_the_other(tiny_run):
    sounds = tiny_run.recipe.stimulus.draw(64, seed=2)
    network = tiny_run.network()
    other = runs.build_network(tiny_run.recipe.with_values({"network.engine": "reference"}))
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(sounds.events).output, other(sounds.events).output, rtol=1e-4, atol=1e-4)
