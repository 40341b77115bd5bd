import json

import pytest

from spikeloc.cli import main


@pytest.fixture(scope="module")
def recipe_file(tiny_recipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(tiny_recipe.to_toml())
    return str(path)


@pytest.fixture(scope="module")
def run_folder(recipe_file, tmp_path_factory):
    """A run made the way a user makes one."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", recipe_file, "--out", str(out)]) == 0
    return out


def mistake(capsys, *words):
    assert main(list(words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("spikeloc: ")
    assert err.count("\n") == 1
    return err


def test_train_leaves_a_trained_network_a_score_and_a_report(run_folder):
    names = {item.name for item in run_folder.iterdir()}
    assert names >= {
        "recipe.toml",
        "environment.json",
        "history.csv",
        "model.safetensors",
        "metrics.json",
        "report.html",
    }
    assert any((run_folder / "figures").iterdir())


def test_train_says_what_it_does(recipe_file, tmp_path, capsys):
    assert main(["train", recipe_file, "--out", str(tmp_path / "x"), "--epochs", "2", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert "training tiny: 10-5-4 neurons" in err
    assert "first loss" in err
    assert "1.39 = ln classes" in err
    assert "epoch 2/2: loss" in err
    assert "accuracy" in out
    assert "chance is 25.0 %" in out
    assert str(tmp_path / "x" / "report.html") in out
    assert "seed = 3" in (tmp_path / "x" / "recipe.toml").read_text()


def test_resuming_a_finished_run_prints_its_score_again(recipe_file, run_folder, capsys):
    assert main(["train", recipe_file, "--out", str(run_folder), "--resume"]) == 0
    assert "accuracy" in capsys.readouterr().out


def test_evaluate_json_is_one_object_and_nothing_else(run_folder, capsys):
    before = (run_folder / "metrics.json").read_text()
    assert main(["evaluate", str(run_folder), "--sounds", "50", "--seed", "9", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert (metrics["n_sounds"], metrics["seed"]) == (50, 9)
    assert (run_folder / "metrics.json").read_text() == before


def test_stimuli_and_report_make_pictures(recipe_file, run_folder, tmp_path, capsys):
    picture = tmp_path / "x.png"
    assert main(["stimuli", recipe_file, "--out", str(picture), "--stimulus.phase", "fixed"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    (run_folder / "report.html").unlink()
    assert main(["report", str(run_folder)]) == 0
    assert (run_folder / "report.html").exists()
    assert "report.html" in capsys.readouterr().out


def test_recipes_are_listed_one_a_line(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("tone ") for line in lines)


@pytest.mark.parametrize(
    "command", [[], ["ceiling"], ["train"], ["evaluate"], ["stimuli"], ["localise"], ["report"], ["recipes"]]
)
def test_help_has_an_explanation(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert "usage: spikeloc" in out
    if command in ([], ["train"], ["evaluate"], ["stimuli"], ["localise"]):
        assert "example" in out
    if command == ["train"]:
        for key in ("network.hidden", "stimulus.frequency", "stimulus.heads", "stimulus.cochlea.channels"):
            assert f"--{key} " in out
        assert out.index("stimulus of kind tone:") < out.index("stimulus of kind scene:") < out.index("all else:")


def test_mistakes_end_with_status_2_and_one_sentence(recipe_file, run_folder, tmp_path, capsys):
    fresh = str(tmp_path / "fresh")
    assert "did you mean 'tone'" in mistake(capsys, "train", "tonne")
    assert "did you mean 'tau'" in mistake(capsys, "train", recipe_file, "--out", fresh, "--network.tua", "5 ms")
    assert "it is in 'Hz'" in mistake(capsys, "train", recipe_file, "--out", fresh, "--network.tau=20 Hz")
    assert "has no unit" in mistake(capsys, "train", recipe_file, "--out", fresh, "--network.tau", "20")
    assert "needs a value" in mistake(capsys, "train", recipe_file, "--out", fresh, "--network.tau")
    assert "epochs is 0" in mistake(capsys, "train", recipe_file, "--out", fresh, "--epochs", "0")
    assert "did you mean '--out'" in mistake(capsys, "train", recipe_file, "--uot", fresh)
    assert "exists" in mistake(capsys, "train", recipe_file, "--out", str(run_folder))
    assert "there is no run folder" in mistake(capsys, "evaluate", fresh)
    assert "not a whole number" in mistake(capsys, "evaluate", str(run_folder), "--sounds", "many")
    assert "at least 1" in mistake(capsys, "evaluate", str(run_folder), "--sounds", "0")
    assert "not an option" in mistake(capsys, "recipes", "--long")
    assert "COMMAND" in mistake(capsys)
    assert not (tmp_path / "fresh").exists()


@pytest.mark.filterwarnings("always::spikeloc.errors.StimulusWarning")
def test_clipping_is_said(recipe_file, tmp_path, capsys):
    main(["stimuli", recipe_file, "--out", str(tmp_path / "x.png"), "--stimulus.rate_max", "2000/s"])
    assert "note: the spike probability reaches 4 and is clipped" in capsys.readouterr().err


def test_interruption_says_how_to_go_on(recipe_file, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("spikeloc.training.train", interrupt)
    assert main(["train", recipe_file, "--out", str(tmp_path / "x")]) == 130
    assert "--resume" in capsys.readouterr().err


def test_a_ceiling_says_what_bounds_it(recipe_file, capsys):
    natural = ["--stimulus.frequency", "500 Hz", "--stimulus.dt", "0.2 ms", "--stimulus.duration", "20 ms"]
    assert main(["ceiling", recipe_file, "--sounds", "80", *natural]) == 0
    out = capsys.readouterr().out
    assert "Cramér-Rao bound: accuracy" in out
    assert "mean |error| of the ideal observer:" in out
    assert "deg of azimuth" in out
    assert "within its 68 % intervals" in out
    assert "just-noticeable difference (75 % correct): ideal observer" in out
    assert "people, about 10.0 us" in out
    assert "±500 µs" in out


def test_an_evaluation_says_why_a_classifier_has_no_threshold(run_folder, capsys):
    assert main(["evaluate", str(run_folder), "--sounds", "60"]) == 0
    out = capsys.readouterr().out
    assert "The network has no just-noticeable difference" in out
    assert "degrees of phase here, not of azimuth" in out


@pytest.mark.parametrize("command", ["ceiling", "train"])
def test_spikes_that_say_nothing_are_said_to(command, recipe_file, tmp_path, capsys):
    out = ["--out", str(tmp_path / "run")] if command == "train" else []
    assert main([command, recipe_file, *out, "--stimulus.rate_max", "0/s", "--stimulus.fibres_per_ear", "1"]) == 0
    assert "These spikes say nothing about the angle" in capsys.readouterr().out


def test_ceilings_of_nothing_are_refused(recipe_file, capsys):
    assert "at least 1" in mistake(capsys, "ceiling", recipe_file, "--sounds", "0")
    assert "classes is 0" in mistake(capsys, "ceiling", recipe_file, "--readout.classes", "0")
    assert "classes is 5000" in mistake(capsys, "ceiling", recipe_file, "--readout.classes", "5000")
    assert "fibres_per_ear is 0" in mistake(capsys, "ceiling", recipe_file, "--stimulus.fibres_per_ear", "0")


# ----------------------------------------------------------------------------------------------------------- scenes


@pytest.fixture(scope="module")
def scene_file(scene_recipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "scene.toml"
    path.write_text(scene_recipe.to_toml())
    return str(path)


def test_a_ceiling_of_scenes_scores_the_correlations_of_the_ears(scene_file, capsys):
    assert main(["ceiling", scene_file, "--sounds", "40"]) == 0
    out = capsys.readouterr().out
    assert "rms error" in out
    assert "GCC-PHAT of the ears" in out
    assert "people in a quiet room: rms error 6.2 deg" in out
    assert "There is no ideal observer here" in out
    assert main(["ceiling", scene_file, "--sounds", "40", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ideal"] is None


def test_a_run_of_scenes_is_scored_and_compared(scene_run, capsys):
    assert main(["evaluate", str(scene_run.path), "--sounds", "60"]) == 0
    out = capsys.readouterr().out
    assert "the network's mean |error| less that of the GCC-PHAT of the ears: +" in out
    assert "within its 68 % intervals" in out
    assert "None" not in out


def test_training_on_scenes_ends_in_a_report(scene_file, tmp_path, capsys):
    short = ["--epochs", "1", "--training.sounds", "32", "--evaluation.sounds", "20"]
    assert main(["train", scene_file, "--out", str(tmp_path / "run"), *short]) == 0
    assert "GCC-PHAT" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_stimuli_of_scenes_are_drawn(scene_file, tmp_path, capsys):
    assert main(["stimuli", scene_file, "--out", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
