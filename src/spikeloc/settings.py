"""Frozen settings that check themselves: the base of every section of a recipe.

A mistake becomes one sentence (:class:`~spikeloc.errors.UserError`): unknown keys name the nearest known one, and a
quantity in a recipe must be written with its unit.
"""

from __future__ import annotations

import difflib
import types
import typing
from contextvars import ContextVar
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from spikeloc.errors import UserError
from spikeloc.units import UNITS, read_quantity, write_quantity

__all__ = [
    "Angle",
    "Frequency",
    "Length",
    "Level",
    "Rate",
    "Settings",
    "Time",
    "first_problem",
    "nearest",
    "sections_in",
]

# True while reading a recipe or the command line, where a bare number may not stand for a quantity. (Pydantic's own
# validation context does not reach models inside models that have an ``__init__``.)
_written: ContextVar[bool] = ContextVar("written", default=False)


def _quantity(dimension: str) -> Any:
    def read(value: Any) -> Any:
        if isinstance(value, str):
            return read_quantity(value, dimension)
        if _written.get() and isinstance(value, int | float) and not isinstance(value, bool):
            unit = next(iter(UNITS[dimension]))
            gap = "" if unit.startswith("/") else " "
            raise UserError(f"{value} has no unit, but a {dimension} needs one; write for example '{value}{gap}{unit}'")
        return value

    return Annotated[
        float,
        BeforeValidator(read),
        PlainSerializer(lambda value: write_quantity(value, dimension), when_used="json"),
        Field(allow_inf_nan=False, json_schema_extra={"dimension": dimension}),
    ]


Time = _quantity("time")
Frequency = _quantity("frequency")
Rate = _quantity("rate")
Angle = _quantity("angle")
Length = _quantity("length")
Level = _quantity("level")


class Settings(BaseModel):
    """Frozen, complete, checked on construction; ``model_dump(mode="json")`` writes quantities with their units."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UserError(first_problem(error, type(self))) from None

    @classmethod
    def read(cls, values: dict[str, Any]) -> typing.Self:
        """Settings from a recipe's words, in which every quantity carries its unit. Raises UserError."""
        token = _written.set(True)
        try:
            return cls(**values)
        finally:
            _written.reset(token)


def nearest(word: str, known: list[str]) -> str:
    """`` (did you mean 'x'?)`` when a known word is near, else nothing."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem of a validation, as one sentence that names the key, what was given and what to do."""
    problem = error.errors()[0]
    path = _without_tags([str(step) for step in problem["loc"] if not str(step).startswith("function-")], model)
    key = ".".join(path) or model.__name__
    given = problem["input"]
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        return f"{key} is not a setting{nearest(path[-1], known)}; known here: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"{key} is missing; add it"
    if problem["type"] == "value_error":  # raised by one of our own checks, or by a section inside this one
        return ": ".join([*path, str(problem["ctx"]["error"])])
    message = problem["msg"].replace("Input should be", "it should be").replace("Value error, ", "")
    return f"{key} is {given!r}, but {message[0].lower()}{message[1:]}"


def _without_tags(path: list[str], model: type[BaseModel]) -> list[str]:
    """A path without the tags that say which of several kinds of section was meant."""
    field = model.model_fields.get(path[0]) if len(path) > 1 else None
    is_tagged = field is not None and len(sections_in(field.annotation)) > 1
    return [path[0], *path[2:]] if is_tagged else path


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Keys of the section that a path leads to."""
    for step in path:
        field = model.model_fields.get(step)
        inner = None if field is None else _model_in(field.annotation)
        if inner is None:
            continue  # a tag of a union, not a field
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    return next(iter(sections_in(annotation)), None)


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The kinds of section that a field of a type can hold."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in typing.get_args(annotation) for model in sections_in(part)]
