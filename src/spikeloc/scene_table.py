"""One model under many conditions: heads, sounds, noise and levels, beside correlations of the ears.

The result is a tidy table, a row for each condition and observer:

| column                                       | meaning                                                            |
|----------------------------------------------|--------------------------------------------------------------------|
| `head`, `sound`, `snr_db`, `level_db`        | the condition; `snr_db` is None in silence around                  |
| `observer`                                   | `network`, `gcc_phat` or `ear_correlation`                         |
| `mean_absolute_error_deg`, `..._ci95`        | as in :mod:`spikeloc.evaluation`, azimuths spread evenly over      |
| `root_mean_square_error_deg`, `..._ci95`     | the model's range                                                  |
| `n_sounds`, `seed`                           | test sounds in each condition: the same keys in all                |

The correlations' tables are always those of KEMAR, of its own size: a head that a condition names is as new to them as
it is to the network.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, get_args

from spikeloc.compiled import threads_for_loops
from spikeloc.errors import UserError
from spikeloc.evaluation import Listener, observe, score
from spikeloc.observers.ear_correlation import ear_observers
from spikeloc.runs import Run
from spikeloc.settings import nearest
from spikeloc.stimuli import SceneStimulus
from spikeloc.stimuli.sources import SourceKind, SourceSettings

__all__ = ["Condition", "conditions", "scene_table", "to_csv", "to_markdown"]

CALIBRATED_ON = "kemar"
NATURAL_LEVEL = 65.0  # dB SPL: conversation
NAMES = {"network": "network", "gcc_phat": "GCC-PHAT", "ear_correlation": "cross-correlation"}
KINDS: tuple[str, ...] = tuple(kind for kind in get_args(SourceKind) if kind != "files")


@dataclass(frozen=True)
class Condition:
    """What is heard.

    head       name, or path of a SOFA file
    sound      a kind of source, or a sound file: the name of a shipped one, or a path
    snr_db     of diffuse noise at the ears, dB; None for none
    level_db   of the source, dB SPL
    """

    head: str = CALIBRATED_ON
    sound: str = "white noise"
    snr_db: float | None = None
    level_db: float = NATURAL_LEVEL

    def stimulus(self, trained: SceneStimulus) -> SceneStimulus:
        """The stimulus a model was trained on, with nothing but this condition in it: one head of its own size, one
        kind of sound, no second source, no room, no movement.
        """
        own = trained.source
        if self.sound in KINDS:
            source = SourceSettings.model_validate(own.model_dump() | {"kinds": (self.sound,), "tilt": (0.0, 0.0)})
        elif "/" in self.sound or "." in self.sound or self.sound.startswith("speech-") or self.sound == "demo":
            source = SourceSettings(kinds=("files",), files=(self.sound,), ramp=own.ramp)
        else:
            known = [*KINDS, "speech-1", "speech-2"]
            raise UserError(
                f"{self.sound!r} is not a sound{nearest(self.sound, known)}; choose one of {', '.join(known)}, or the "
                f"path of a file"
            )
        noise = {} if self.snr_db is None else {"noisy": 1.0, "snr": (self.snr_db, self.snr_db)}
        return SceneStimulus(
            heads=(self.head,),
            source=source,
            duration=trained.duration,
            lead_in=trained.lead_in,
            level=(self.level_db, self.level_db),
            max_azimuth=trained.max_azimuth,
            cochlea=trained.cochlea,
            **noise,
        )


def conditions(
    heads: Iterable[str] = (CALIBRATED_ON,),
    sounds: Iterable[str] = ("white noise",),
    snr_db: Iterable[float | None] = (None,),
    level_db: Iterable[float] = (NATURAL_LEVEL,),
) -> list[Condition]:
    """All combinations."""
    return [Condition(*each) for each in product(heads, sounds, snr_db, level_db)]


def scene_table(
    run: Run, asked: Sequence[Condition], *, sounds: int = 1000, seed: int | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of the table above, condition by condition as they are done.

    seed   of the test sounds; by default the one of the model's recipe

    Raises UserError unless the model was trained on scenes.
    """
    trained, observer, n_classes = run.recipe.stimulus, run.observer(), run.recipe.readout.classes
    seed = run.recipe.seed if seed is None else seed
    if not isinstance(trained, SceneStimulus):
        raise UserError(
            f"the model {run.path.name} was trained on tones and hears no scenes; choose one trained on them"
        )
    # All of them before the first is heard: a mistake in the last should not cost the time of the others.
    stimuli = [condition.stimulus(trained) for condition in asked]
    for condition, stimulus in zip(asked, stimuli, strict=True):
        observers: dict[str, Listener] = {"network": observer, **ear_observers(stimulus, n_classes, head=CALIBRATED_ON)}
        with threads_for_loops():
            trial = observe(observers, stimulus, sounds, seed=seed)
        for name, decision in trial.decisions.items():
            found = score(trial.angle, decision, n_classes, stimulus.limit)
            errors = {key: value for key, value in found.items() if key.startswith(("mean_", "root_"))}
            yield {**asdict(condition), "observer": name, **errors, "n_sounds": sounds, "seed": seed}


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The table as CSV; an interval becomes two columns, `..._low` and `..._high`."""
    flat = [dict(cell for key, value in row.items() for cell in _columns(key, value)) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(flat[0]) if flat else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def to_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table for a page: a row for each condition, mean absolute and root mean square error of each observer."""
    keys = ("head", "sound", "snr_db", "level_db")
    table: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in rows:
        mean, square = (_cell(row, f"{kind}_error_deg") for kind in ("mean_absolute", "root_mean_square"))
        table.setdefault(tuple(row[key] for key in keys), {})[row["observer"]] = f"{mean}; {square}"
    observers = [name for name in NAMES if any(name in cells for cells in table.values())]
    lines = [
        "| head | sound | SNR (dB) | level (dB SPL) | " + " | ".join(NAMES[name] for name in observers) + " |",
        "|---" * (4 + len(observers)) + "|",
    ]
    for (head, sound, snr, level), cells in table.items():
        noise = "none" if snr is None else f"{snr:g}"
        found = " | ".join(cells.get(name, "") for name in observers)
        lines.append(f"| {head} | {sound} | {noise} | {level:g} | {found} |")
    return "\n".join([*lines, "", "Mean absolute error; root mean square error, degrees, with 95 % intervals."])


def _columns(key: str, value: Any) -> list[tuple[str, Any]]:
    return list(zip((f"{key}_low", f"{key}_high"), value, strict=True)) if isinstance(value, list) else [(key, value)]


def _cell(row: dict[str, Any], key: str) -> str:
    low, high = row[f"{key}_ci95"]
    return f"{row[key]:.1f}° [{low:.1f}, {high:.1f}]"
