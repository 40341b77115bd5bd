"""Pieces of a page."""

from __future__ import annotations

from collections.abc import Iterable

from spikeloc.recipe import Recipe

__all__ = ["n_classes", "percent", "signed", "table"]


def table(head: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    """A table of cells that are HTML already; the first cell of a row is its head."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = []
    for first, *rest in rows:
        lines.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>')
    body = "\n".join(lines)
    return f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>'


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.1f} %"


def signed(value: float, digits: int) -> str:
    """A number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def n_classes(recipe: Recipe) -> str:
    """The number of classes, in words."""
    n = recipe.readout.classes
    return f"{n} classes" if n > 1 else "1 class"
