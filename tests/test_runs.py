import json
import struct

import pytest
import torch

from spikeloc.errors import UserError
from spikeloc.runs import Run, load, read_safetensors, write_safetensors, write_whole


def refusal(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def copy(tiny_run, tmp_path):
    """A run folder that a test may damage."""
    for item in tiny_run.path.iterdir():
        if item.is_file():
            (tmp_path / item.name).write_bytes(item.read_bytes())
    return Run(tmp_path)


def test_a_run_holds_its_recipe_environment_history_and_weights(tiny_run, tiny_recipe):
    assert tiny_run.recipe == tiny_recipe
    assert [row["epoch"] for row in tiny_run.history] == [1, 2, 3]
    assert json.loads(tiny_run.read("environment.json"))["packages"]["torch"]
    assert {item.name for item in tiny_run.path.iterdir()} >= {"recipe.toml", "history.csv", "model.safetensors"}
    assert not tiny_run.has("checkpoint.safetensors")


def test_loading_gives_the_same_observer(tiny_run, copy):
    sounds = tiny_run.recipe.stimulus.draw(20, seed=9)
    angles = load(tiny_run).localise(sounds.spikes)
    assert angles.shape == (20,)
    assert torch.equal(load(copy.path).localise(sounds.events), angles)


def test_missing_things_are_named(copy, tmp_path):
    assert "there is no run folder" in refusal(load, tmp_path / "nowhere")
    assert "has no metrics.json" in refusal(lambda: copy.metrics)
    (copy.path / "model.safetensors").unlink()
    assert "has no model.safetensors" in refusal(load, copy)
    (copy.path / "recipe.toml").unlink()
    assert "not a run folder" in refusal(load, copy.path)


def test_truncated_and_foreign_weights_are_refused(copy):
    whole = copy.read("model.safetensors")
    for damaged in (whole[:7], whole[:60], whole[:-1], b"", b"\x80\x04pickle", struct.pack("<Q", 2**60) + b"{}"):
        copy.write("model.safetensors", damaged)
        assert "damaged" in refusal(load, copy)


def test_weights_of_another_shape_are_refused(copy):
    write_safetensors(copy.path / "model.safetensors", {"weights.0": torch.zeros(2, 2)}, {})
    assert "its recipe describes" in refusal(load, copy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damaged_metrics_are_refused(copy, content):
    copy.write("metrics.json", content)
    assert "is damaged" in refusal(lambda: copy.metrics)


def test_damaged_history_and_recipe_are_refused(copy):
    copy.write("history.csv", "epoch,loss\n1,two\n")
    assert "is damaged" in refusal(lambda: copy.history)
    copy.write("recipe.toml", b"\xff\xfe")
    assert "not UTF-8" in refusal(lambda: copy.recipe)


def test_tensors_and_texts_survive(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.zeros(())}
    write_safetensors(tmp_path / "x", tensors, {"note": "déjà vu"})
    found, about = read_safetensors(tmp_path / "x", (tmp_path / "x").read_bytes())
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert about == {"note": "déjà vu"}


def test_writing_replaces_whole_files_and_keeps_the_old_one_on_failure(tmp_path, monkeypatch):
    target = tmp_path / "file"
    write_whole(target, "old")
    write_whole(target, "new")
    assert target.read_text() == "new"

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "No space left" in refusal(write_whole, target, "newer")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_in_use_is_not_taken(tmp_path, tiny_recipe):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "exists" in refusal(Run.create, tmp_path, tiny_recipe)
    assert "exists" in refusal(Run.create, tmp_path / "thesis.tex", tiny_recipe)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, tiny_recipe):
    (tmp_path / "file").write_text("")
    assert "cannot write" in refusal(Run.create, tmp_path / "file" / "run", tiny_recipe)
