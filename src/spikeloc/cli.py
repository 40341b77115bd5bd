"""The command line: parses, calls, prints; no logic."""

from __future__ import annotations

import argparse
import gc
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from spikeloc.drawing import Drawer
from spikeloc.errors import StimulusWarning, UserError

__all__ = ["main"]

EXAMPLES = """examples:
  spikeloc train tone                          train the default network, score it, draw it: runs/tone/report.html
  spikeloc train tone --out runs/small --network.hidden 384 --training.epochs 40
  spikeloc train tone --resume                 continue a run that was interrupted
  spikeloc evaluate runs/tone --sounds 20000
  spikeloc ceiling tone                        what the ideal observer reaches, without training
  spikeloc stimuli tone --out tone.png         example spike trains
  spikeloc localise demo                       where a recording comes from: a file, or a shipped sound
  spikeloc recipes                             what is shipped
"""

TRAIN_EXAMPLES = """examples:
  spikeloc train tone
  spikeloc train seed-spiking --out runs/seed --seed 3
  spikeloc train minimal-model --network.tau "5 ms" --stimulus.phase per_dataset
  spikeloc train my-recipe.toml --network.hidden 64,32 --network.engine reference

Any setting of the recipe can be given as --SECTION.KEY VALUE:
"""


class _Parser(argparse.ArgumentParser):
    lists_settings = False  # whether the help ends with every setting of a recipe

    def format_help(self) -> str:
        return super().format_help() + (_settings_help() if self.lists_settings else "")

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for a user's mistake, 130 when interrupted."""
    warnings.showwarning = _show_warning
    try:
        arguments, rest = _parser().parse_known_args(argv)
        if rest and not hasattr(arguments, "values"):
            raise UserError(f"{rest[0]} is not an option of `spikeloc {arguments.command}`; see its --help")
        if hasattr(arguments, "values"):
            arguments.values = _settings(rest)
        arguments.run(arguments)
    except UserError as error:
        print(f"spikeloc: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("spikeloc: interrupted; `spikeloc train ... --resume` continues a training run", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has gone: nothing more to say
        return 1
    return 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001  (the signature is Python's)
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    label = "note" if issubclass(category, StimulusWarning) else f"warning ({category.__name__})"
    print(f"{label}: {message}", file=sys.stderr)


def _parser() -> _Parser:
    parser = _Parser(
        prog="spikeloc",
        description="Train spiking neural networks to localise sounds, and find out what they do.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"spikeloc {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_train(commands)
    _add_evaluate(commands)
    _add_ceiling(commands)
    _add_stimuli(commands)
    _add_localise(commands)
    command = _add(commands, "report", "make a run's report and pictures anew", _report)
    command.add_argument("folder", metavar="RUN", help="a run folder")
    _add(commands, "recipes", "list the shipped recipes", _recipes)
    return parser


def _add(commands: Any, name: str, about: str, run: Callable[[argparse.Namespace], None], epilog: str = "") -> _Parser:
    formatter = argparse.RawDescriptionHelpFormatter
    command: _Parser = commands.add_parser(
        name, help=about, description=about, epilog=epilog, formatter_class=formatter, allow_abbrev=False
    )
    command.set_defaults(run=run)
    return command


def _add_train(commands: Any) -> None:
    command = _add(commands, "train", "train a recipe's network, score it and draw it", _train, TRAIN_EXAMPLES)
    command.lists_settings = True
    command.add_argument("recipe", metavar="RECIPE", help="a shipped recipe's name, or the path of a TOML file")
    command.add_argument(
        "--out", metavar="DIR", type=Path, help="the run folder (default: runs/ and the recipe's name)"
    )
    command.add_argument("--seed", metavar="N", help="seed of everything random (default: the recipe's)")
    command.add_argument("--epochs", metavar="N", help="short for --training.epochs")
    command.add_argument("--resume", action="store_true", help="continue a run that was interrupted")
    command.set_defaults(values={})


def _add_evaluate(commands: Any) -> None:
    epilog = "example:\n  spikeloc evaluate runs/tone --sounds 20000 --json"
    command = _add(commands, "evaluate", "score a run's network on test sounds", _evaluate, epilog)
    command.add_argument("folder", metavar="RUN", help="a run folder")
    command.add_argument("--sounds", metavar="N", type=_whole, help="test sounds (default: the recipe's)")
    command.add_argument("--seed", metavar="N", type=_whole, help="seed of the test sounds (default: the recipe's)")
    command.add_argument("--json", action="store_true", help="print the metrics as one JSON object and nothing else")


def _add_ceiling(commands: Any) -> None:
    epilog = "example:\n  spikeloc ceiling minimal-model --sounds 20000 --stimulus.duration 200ms"
    about = "score the ideal and the classical observers on a recipe's stimulus, without training"
    command = _add(commands, "ceiling", about, _ceiling, epilog)
    command.add_argument("recipe", metavar="RECIPE", help="a shipped recipe's name, or the path of a TOML file")
    command.add_argument("--sounds", metavar="N", type=_whole, help="test sounds (default: the recipe's)")
    command.add_argument("--seed", metavar="N", help="seed of the sounds (default: the recipe's)")
    command.add_argument("--json", action="store_true", help="print the metrics as one JSON object and nothing else")
    command.set_defaults(values={})


def _add_stimuli(commands: Any) -> None:
    epilog = (
        "examples:\n  spikeloc stimuli tone --out tone.png --stimulus.phase fixed\n"
        "  spikeloc stimuli head --out head.wav        to listen to, with headphones"
    )
    command = _add(
        commands,
        "stimuli",
        "draw examples of a recipe's stimulus: spike trains, and what reaches the ears",
        _stimuli,
        epilog,
    )
    command.add_argument("recipe", metavar="RECIPE", help="a shipped recipe's name, or the path of a TOML file")
    command.add_argument(
        "--out", metavar="FILE", type=Path, help="a picture, or a sound file (default: the recipe's name and .png)"
    )
    command.add_argument("--seed", metavar="N", help="seed of the sounds (default: the recipe's)")
    command.set_defaults(values={})


def _add_localise(commands: Any) -> None:
    epilog = "examples:\n  spikeloc localise recording.wav\n  spikeloc localise demo --figure demo.png\n"
    epilog += "  spikeloc localise street.flac --model runs/head --json"
    about = "say where a stereo recording of two ears comes from, window by window"
    command = _add(commands, "localise", about, _localise, epilog)
    command.add_argument("file", metavar="FILE", help="a sound file, left ear first, or the name of a shipped sound")
    command.add_argument(
        "--model", metavar="RUN-OR-NAME", help="a run folder, or the name of a shipped model (default: head)"
    )
    command.add_argument("--json", action="store_true", help="print the answer as one JSON object and nothing else")
    command.add_argument("--figure", metavar="PATH", type=Path, help="draw the answer as a picture, a .png file")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _settings(rest: list[str]) -> dict[str, str]:
    """``--section.key value`` and ``--section.key=value`` as a table."""
    from spikeloc.settings import nearest

    values, words = {}, list(rest)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if not name.startswith("--") or "." not in name:
            known = ["--out", "--seed", "--epochs", "--resume"]
            raise UserError(f"{word} is not an option{nearest(name, known)}; settings are written --SECTION.KEY VALUE")
        if not equals:
            if not words:
                raise UserError(f"{name} needs a value: write {name} VALUE")
            value = words.pop(0)
        values[name.removeprefix("--")] = value
    return values


def _settings_help() -> str:
    from spikeloc.recipe import describe_settings

    return "".join(f"  {f'--{key}':<36} {about}\n" if key else f" {about}:\n" for key, about in describe_settings())


def _version() -> str:
    from importlib.metadata import version

    return version("spikeloc")


def _recipe(arguments: argparse.Namespace) -> Any:
    from spikeloc.recipe import load_recipe

    values = dict(arguments.values)
    if arguments.seed is not None:
        values["seed"] = arguments.seed
    if getattr(arguments, "epochs", None) is not None:
        values["training.epochs"] = arguments.epochs
    recipe = load_recipe(arguments.recipe)
    return recipe.with_values(values) if values else recipe


@contextmanager
def _importing() -> Iterator[None]:
    """Import much: no search for garbage meanwhile, nor ever again in what was imported, which is a million objects."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _train(arguments: argparse.Namespace) -> None:
    with Drawer() as drawer:  # it gets ready while this process imports and trains
        with _importing():
            from spikeloc.progress import TrainingDisplay
            from spikeloc.training import train

        recipe = _recipe(arguments)
        with TrainingDisplay() as display:
            run = train(recipe, arguments.out or Path("runs") / recipe.name, resume=arguments.resume, watch=display)
        _score(run, drawer)


def _score(run: Any, drawer: Drawer) -> None:
    with _importing():
        from spikeloc.report import begin_report, write_report
        from spikeloc.scoreboard import score_lines

    drawn = run.has("report.html")
    if not drawn:
        begin_report(run, drawer)
    _make_metrics(run, drawer)
    _print(score_lines(run.metrics))
    report = run.path / "report.html" if drawn else write_report(run, run.metrics, drawer)
    print(f"report: {report}")


def _make_metrics(run: Any, drawer: Drawer) -> None:
    from spikeloc.evaluation import evaluate
    from spikeloc.report import go_on_with_report

    if not run.has("metrics.json"):
        metrics = evaluate(run, known=lambda metrics: go_on_with_report(run, drawer, metrics))
        run.write("metrics.json", json.dumps(metrics, indent=2) + "\n")


def _evaluate(arguments: argparse.Namespace) -> None:
    from spikeloc.evaluation import evaluate
    from spikeloc.runs import Run
    from spikeloc.scoreboard import score_lines

    metrics = evaluate(Run.open(arguments.folder), sounds=arguments.sounds, seed=arguments.seed)
    if arguments.json:
        print(json.dumps(metrics))
    else:
        _print(score_lines(metrics))


def _ceiling(arguments: argparse.Namespace) -> None:
    from spikeloc.evaluation import ceiling
    from spikeloc.scoreboard import score_lines

    recipe = _recipe(arguments)
    for caveat in recipe.stimulus.caveats():
        warnings.warn(caveat, StimulusWarning, stacklevel=2)
    metrics = ceiling(recipe, sounds=arguments.sounds)
    if arguments.json:
        print(json.dumps(metrics))
    else:
        _print(score_lines(metrics))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _localise(arguments: argparse.Namespace) -> None:
    with _importing():
        from spikeloc.audio import find_sound
        from spikeloc.localisation import DEFAULT, localise_file
        from spikeloc.progress import ListeningDisplay
        from spikeloc.terminal import localisation_lines, sentence

    sound, model = find_sound(arguments.file), arguments.model or DEFAULT
    if arguments.figure is not None and arguments.figure.suffix != ".png":
        raise UserError(f"{arguments.figure} is not the name of a picture; give one that ends in .png")
    with ListeningDisplay() as display:
        found = localise_file(sound.path, model, heard=display.heard)
    if arguments.figure is not None:
        _draw_localisation(arguments.figure, found, sound.azimuth)
    if arguments.json:
        known = {} if sound.azimuth is None else {"true_azimuth_deg": math.degrees(sound.azimuth)}
        print(json.dumps({**found.words(), "file": str(sound.path), "model": str(model), **known}))
    else:
        _print([*localisation_lines(found), sentence(sound.path.name, found, sound.azimuth)])


def _draw_localisation(path: Path, found: Any, true: float | None) -> None:
    from spikeloc import figures
    from spikeloc.runs import write_whole

    write_whole(path, figures.save(figures.localisation(found.words(), None if true is None else math.degrees(true))))


def _stimuli(arguments: argparse.Namespace) -> None:
    from spikeloc.report.pictures import stimulus_examples
    from spikeloc.runs import write_whole
    from spikeloc.stimuli.listening import ENDINGS, write_examples

    recipe = _recipe(arguments)
    for caveat in recipe.stimulus.caveats():
        warnings.warn(caveat, StimulusWarning, stacklevel=2)
    out = arguments.out or Path(f"{recipe.name}.png")
    if out.suffix.lower() in ENDINGS:
        print(write_examples(recipe.stimulus, out, seed=recipe.seed))
        return
    print(write_whole(out, stimulus_examples(recipe.stimulus, recipe.seed).png()))


def _report(arguments: argparse.Namespace) -> None:
    with Drawer() as drawer:
        with _importing():
            from spikeloc.report import begin_report, write_report
            from spikeloc.runs import Run

        run = Run.open(arguments.folder)
        begin_report(run, drawer)
        _make_metrics(run, drawer)
        print(f"report: {write_report(run, run.metrics, drawer)}")


def _recipes(_: argparse.Namespace) -> None:
    from spikeloc.recipe import shipped_recipes

    for name, recipe in shipped_recipes().items():
        print(f"{name:<18} {recipe.description}")


if __name__ == "__main__":
    sys.exit(main())
