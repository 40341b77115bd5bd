"""The recipe: one frozen description of a whole run, written as a TOML file."""

from __future__ import annotations

import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from spikeloc.azimuth import HEAD_RADIUS
from spikeloc.errors import UserError
from spikeloc.network_settings import NetworkSettings
from spikeloc.pursuit import refuse_others
from spikeloc.readout import Readout
from spikeloc.settings import Length, Rate, Settings, nearest, sections_in
from spikeloc.stimuli import SceneStimulus, ToneStimulus

__all__ = [
    "EvaluationSettings",
    "RatePenalty",
    "Recipe",
    "TrainingSettings",
    "describe_settings",
    "load_recipe",
    "shipped_recipes",
]

Positive = Annotated[int, Field(ge=1)]


class RatePenalty(Settings):
    """Penalty on neurons that fire too fast:  weight * mean over neurons of (max(0, r - lower) / (upper - lower))^2.

    r is a neuron's rate, averaged over a batch of sounds and their duration.
    """

    layer: int | None = Field(None, ge=0)
    """Spiking layer it acts on, counted from 0; left out, every one."""
    lower: Rate = Field(ge=0)
    """Rate up to which nothing is charged."""
    upper: Rate = Field(gt=0)
    """Rate at which `weight` is charged."""
    weight: float = Field(gt=0)
    """Charge at the upper rate."""

    def model_post_init(self, _: Any) -> None:
        """Refuse an empty range."""
        if self.upper <= self.lower:
            raise UserError(f"upper rate {self.upper:g}/s is not above lower rate {self.lower:g}/s")


class TrainingSettings(Settings):
    """How a network is trained."""

    sounds: Positive = 16_384
    """Training sounds in an epoch."""
    fresh: bool = True
    """Fresh sounds in every epoch, or the same ones, shuffled."""
    batch: Positive = 128
    """Sounds in a batch."""
    epochs: Positive = 10
    """Passes over `sounds` sounds."""
    learning_rate: float = Field(0.01, gt=0)
    """Step size of Adam."""
    schedule: Literal["constant", "cosine"] = "constant"
    """The step size over training: constant, or falling to zero along half a cosine."""
    begin: Literal["weights", "least_squares", "rates", "pursuit"] = "weights"
    """How training begins: from the initial weights; with output weights solved for by least squares; or, before that,
    with the second hidden layer trained as rectifiers that read the first one's spike counts (`rates`), or with the
    first one trained as groups whose neurons differ in threshold, one time step apart (`pursuit`)."""
    begin_sounds: Positive = 16_384
    """Sounds that training begins with in these ways."""
    begin_epochs: Positive = 20
    """Passes over them with `rates`; with `pursuit`, over as many fresh ones each."""
    refit_sounds: int = Field(0, ge=0)
    """Sounds, many times as many as hidden neurons, on which least squares reads these anew after the last epoch; kept
    unless validation finds it worse. 0 leaves the output weights as they were trained."""
    ridge: float = Field(1e-4, ge=0)
    """Penalty on large output weights, or with `network.levels` on a polygon's steps, where least squares finds them;
    in units of their inputs' mean square."""
    averaging: int = Field(0, ge=0)
    """Batches over which the weights are averaged, for validation and for the result; 0 takes them as they are."""
    validation_sounds: int = Field(2048, ge=0)
    """Sounds that choose the best weights after each epoch; 0 keeps the last weights."""
    patience: int = Field(0, ge=0)
    """Stop after this many epochs without a better validation loss; 0 never stops early."""
    rate_penalty: tuple[RatePenalty, ...] = ()
    """Penalties on firing rates."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` is the GPU for the reference engine, if there is one, and the CPU for the fused engine."""


class EvaluationSettings(Settings):
    """How a trained network is tested."""

    sounds: Positive = 4096
    """Test sounds."""
    head_radius: Length = Field(HEAD_RADIUS, gt=0)
    """Radius of the head by which errors are given in degrees of azimuth."""


def describe_settings() -> Iterator[tuple[str, str]]:
    """Every setting of a recipe's sections: its dotted key and what it is; headings for kinds of stimulus, without key.

    Settings that several kinds share stand with each.
    """
    for section, field in Recipe.model_fields.items():
        kinds = sections_in(field.annotation)
        for kind in kinds:
            if len(kinds) > 1:
                yield "", f"{section} of kind {kind.model_fields['kind'].default}"
            yield from _described(f"{section}.", kind)
        if len(kinds) > 1:
            yield "", "all else"


def _described(prefix: str, section: type[BaseModel]) -> Iterator[tuple[str, str]]:
    for key, field in section.model_fields.items():
        inner = [] if typing.get_origin(field.annotation) is tuple else sections_in(field.annotation)
        if inner:
            yield from _described(f"{prefix}{key}.", inner[0])
        elif key != "kind" or not prefix.startswith("stimulus."):
            yield f"{prefix}{key}", " ".join((field.description or "").split())


def _kind_of(stimulus: Any) -> str:
    kind = stimulus.get("kind", "tone") if isinstance(stimulus, Mapping) else getattr(stimulus, "kind", "tone")
    if kind not in ("tone", "scene"):
        raise UserError(f"kind is {kind!r}; choose 'tone' or 'scene'")
    return str(kind)


AnyStimulus = Annotated[
    Annotated[ToneStimulus, Tag("tone")] | Annotated[SceneStimulus, Tag("scene")], Discriminator(_kind_of)
]


class Recipe(Settings):
    """One frozen description of a whole run."""

    name: str = Field("unnamed", min_length=1)
    """A short name."""
    description: str = ""
    """What it is for, in a sentence."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of everything random."""
    stimulus: AnyStimulus = ToneStimulus()
    network: NetworkSettings = NetworkSettings()
    readout: Readout = Readout()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.training.refit_sounds and self.readout.output != "mean":
            raise UserError(
                f"training.refit_sounds needs readout.output = 'mean', but that is {self.readout.output!r}; set it to 0"
            )
        if self.training.begin != "weights" and self.readout.output != "mean":
            raise UserError(
                f"training.begin = {self.training.begin!r} needs readout.output = 'mean', but that is "
                f"{self.readout.output!r}"
            )
        if self.training.begin == "pursuit":
            refuse_others(self.network, self.stimulus.dt, self.stimulus.fibres)
        return self

    def with_values(self, values: Mapping[str, str | int | float | bool]) -> Recipe:
        """The recipe with dotted keys changed, such as ``{"network.tau": "5 ms"}``; texts are read as in a recipe."""
        words = self.words()
        for key, value in values.items():
            section = words
            *path, last = key.split(".")
            for step in path:
                section = section.setdefault(step, {})
                if not isinstance(section, dict):
                    raise UserError(f"{key} is not a setting: {step} is not a section of a recipe")
            section[last] = read_word(value) if isinstance(value, str) else value
        return Recipe.read(words)

    def words(self) -> dict[str, Any]:
        """The complete recipe as nested tables, quantities written with their units."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """The complete recipe as TOML; reading it gives an equal recipe."""
        return tomli_w.dumps(self.words())


def read_word(text: str) -> Any:
    """A value typed on a command line: TOML where it is TOML, a list where it has commas, else the text itself."""
    for attempt in (text, f"[{text}]" if "," in text else text):
        try:
            return tomllib.loads(f"value = {attempt}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    return [part.strip() for part in text.split(",")] if "," in text else text


def shipped_recipes() -> dict[str, Recipe]:
    """All recipes that come with the package, by name."""
    folder = resources.files("spikeloc") / "recipes"
    names = sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
    return {name: load_recipe(name) for name in names}


def load_recipe(recipe: str | Path) -> Recipe:
    """Read a shipped recipe by its name, or a recipe file by its path. Raises UserError."""
    text = str(recipe)
    shipped = resources.files("spikeloc") / "recipes" / f"{text}.toml"
    if re.fullmatch(r"[\w-]+", text) and shipped.is_file():
        return parse_recipe(shipped.read_text(encoding="utf-8"), text)
    path = Path(recipe)
    if not path.exists():
        folder = resources.files("spikeloc") / "recipes"
        names = sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
        raise UserError(
            f"there is no recipe {text!r}{nearest(text, names)}; "
            f"give a path to a TOML file or one of {', '.join(names)}"
        )
    try:
        return parse_recipe(path.read_text(encoding="utf-8"), path.stem, source=text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read the recipe {text}: {reason}") from None


def parse_recipe(toml: str, name: str, source: str | None = None) -> Recipe:
    """A recipe from the text of a TOML file; ``name`` is used where the text gives none. Raises UserError."""
    try:
        words = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"the recipe {source or name} is not valid TOML: {error}") from None
    try:
        return Recipe.read({"name": name, **words})
    except UserError as error:
        raise UserError(f"recipe {source or name}: {error}") from None
