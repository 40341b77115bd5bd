"""Averaged weights are what the formula says, change nothing of the training itself, and survive a kill."""

import contextlib
import itertools

import pytest
import torch

from spikeloc import runs, training
from spikeloc.optimiser import Adam
from spikeloc.runs import build_network
from spikeloc.training import _average, _averaged, _State, train


class Killed(BaseException):
    """Stands for a process that is gone."""


def with_averaging(recipe, batches, epochs=3):
    return recipe.with_values({"training.averaging": batches, "training.epochs": epochs})


def result(run):
    return (run.path / "model.safetensors").read_bytes()


def losses(run):
    return [row["loss"] for row in run.history]


@pytest.fixture
def state(tiny_recipe):
    network = build_network(tiny_recipe)
    return _State(network, Adam(network.parameters()))


def step_to(state, number):
    """Weights of a training step: pure functions of its number."""
    generator = torch.Generator().manual_seed(number)
    for weights in state.network.parameters():
        weights.data = torch.randn(weights.shape, generator=generator)


@pytest.mark.parametrize("batches", [1, 3, 7, 1000])
def test_the_average_is_that_of_the_formula(state, batches):
    """m_0 = w_0, m_n = m_{n-1} + (w_n - m_{n-1}) / min(batches, 1 + n / 10), in float64."""
    expected = None
    for step in range(90):
        step_to(state, step)
        _average(state, batches, step)
        weights = torch.cat([w.detach().flatten().double() for w in state.network.parameters()])
        part = 1 / min(batches, 1 + step / 10)
        expected = weights if expected is None else expected + part * (weights - expected)
        found = torch.cat([mean.flatten() for mean in state.average])
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def test_the_average_forgets_the_first_weights(state):
    """Of a long past, about the last tenth counts: the first weights' share is the product of what is left of them."""
    for number, weights in enumerate(state.network.parameters()):
        weights.data = torch.full_like(weights, 1.0 + number)
    _average(state, 10_000, 0)
    for weights in state.network.parameters():
        weights.data = torch.zeros_like(weights)
    for step in range(1, 201):
        _average(state, 10_000, step)
    assert max(mean.max() for mean in state.average) < 1e-6


def test_weights_that_stay_are_their_own_average(state):
    before = [weights.detach().clone() for weights in state.network.parameters()]
    for step in range(50):
        _average(state, 20, step)
    for weights, mean in zip(before, state.average, strict=True):
        torch.testing.assert_close(mean, weights, rtol=0, atol=0)


def test_the_network_has_the_average_within_the_block_only(state):
    _average(state, 5, 0)
    mean = [each.clone() for each in state.average]
    step_to(state, 1)
    own = [weights.detach().clone() for weights in state.network.parameters()]
    with _averaged(state):
        assert all(torch.equal(w, m) for w, m in zip(state.network.parameters(), mean, strict=True))
    assert all(torch.equal(w, o) for w, o in zip(state.network.parameters(), own, strict=True))
    with contextlib.suppress(ZeroDivisionError), _averaged(state):
        raise ZeroDivisionError
    assert all(torch.equal(w, o) for w, o in zip(state.network.parameters(), own, strict=True))


def test_averaging_changes_the_result_and_not_the_training(tiny_recipe, tiny_run, tmp_path):
    averaged = train(with_averaging(tiny_recipe, 20), tmp_path / "averaged")
    assert losses(averaged) == losses(tiny_run)
    assert result(averaged) != result(tiny_run)


def test_averaging_over_one_batch_is_no_averaging(tiny_recipe, tiny_run, tmp_path):
    one, none = train(with_averaging(tiny_recipe, 1), tmp_path / "one"), tiny_run.network()
    for a, b in zip(one.network().weights, none.weights, strict=True):
        assert torch.equal(a, b)
    validation = [[row["validation_loss"] for row in run.history] for run in (one, tiny_run)]
    assert validation[0] == validation[1]


def test_without_averaging_no_average_is_kept(tiny_recipe, tmp_path, monkeypatch):
    states = []
    monkeypatch.setattr(training, "_save", lambda _, state: states.append(state))
    train(with_averaging(tiny_recipe, 0), tmp_path / "run")
    assert states[-1].average == []


def test_validated_and_kept_are_the_averaged_weights(tiny_recipe, tmp_path, monkeypatch):
    seen, states = [], []
    loss = itertools.count(10, -1)

    def validate(_, network):
        seen.append([weights.detach().clone() for weights in network.weights])
        return {"validation_loss": float(next(loss)), "validation_accuracy": 0.5}

    monkeypatch.setattr(training, "_validate", validate)
    save = training._save
    monkeypatch.setattr(training, "_save", lambda run, state: (states.append(state), save(run, state)))
    network = train(with_averaging(tiny_recipe, 20), tmp_path / "run").network()
    assert all(torch.equal(a, b) for a, b in zip(network.weights, seen[-1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(network.weights, states[-1].average, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(network.weights, states[-1].network.weights, strict=True))


@pytest.mark.parametrize("fatal", range(3))
def test_killed_after_any_epoch_it_resumes_to_the_same_average(tiny_recipe, tmp_path, monkeypatch, fatal):
    recipe = with_averaging(tiny_recipe, 5)
    whole = train(recipe, tmp_path / "whole")
    write, checkpoints = runs.write_whole, itertools.count()

    def dying(path, content):
        write(path, content)
        if path.name == "checkpoint.safetensors" and next(checkpoints) == fatal:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_whole", dying)
        with pytest.raises(Killed):
            train(recipe, tmp_path / "run")
    assert result(train(recipe, tmp_path / "run", resume=True)) == result(whole)
