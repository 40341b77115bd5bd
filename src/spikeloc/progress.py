"""Progress on a terminal: what a person sees while work goes on. Writes to standard error."""

from __future__ import annotations

import threading
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from spikeloc.compiled import on_first_compilation
from spikeloc.recipe import Recipe
from spikeloc.training import Watch

__all__ = ["ListeningDisplay", "TrainingDisplay", "announce_compilation"]

LONG = 20.0  # seconds of a recording


class TrainingDisplay(Watch):
    """Shows how training goes: a live bar on a terminal, a line for each epoch elsewhere; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.task: TaskID | None = None
        self.epochs = 0
        self.state = ""
        self.readout = "class"

    def __enter__(self) -> TrainingDisplay:
        announce_compilation(self.console)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def started(self, recipe: Recipe, device: str, epochs_done: int) -> None:
        """Announce what is trained, and start the bar."""
        sizes = [recipe.stimulus.n_fibres, *recipe.network.hidden, recipe.readout.n_outputs]
        layers = "-".join(map(str, sizes))
        resumed = f", resumed after epoch {epochs_done}" if epochs_done else ""
        kind = recipe.network.engine
        self.console.print(f"training {recipe.name}: {layers} neurons, {kind} engine on {device}{resumed}")
        self.epochs = recipe.training.epochs
        self.readout = recipe.readout.kind
        if self.console.is_terminal:
            self.bar.start()
            self.task = self.bar.add_task(self._title(epochs_done), total=self.epochs, completed=epochs_done, state="")

    def beginning(self, what: str, done: int, total: int) -> None:
        """Move the bar, and say what happens before the first epoch."""
        if self.task is not None:
            state = f"{done} of {total} {what}"
            self.bar.update(self.task, description="beginning", completed=0, state=state)
        elif done == total:
            self.console.print(f"beginning: {total} {what} done")

    def first_loss(self, expected: float, seen: float) -> None:
        """The first batch's loss beside that of a network that says nothing."""
        formula = {"class": " = ln classes", "angle": " = 1/3", "direction": " = ln 2π"}[self.readout]
        self.console.print(f"first loss {seen:.2f} (a network that knows nothing: {expected:.2f}{formula})")

    def batch(self, epoch: int, done: int, total: int) -> None:
        """Move the bar."""
        if self.task is not None and (done % 8 == 0 or done == total):
            self.bar.update(self.task, description=self._title(epoch), completed=epoch + done / total, state=self.state)

    def epoch(self, row: dict[str, float]) -> None:
        """Show the loss and the validation accuracy of the last epoch."""
        self.state = f"loss {row['loss']:.3f}"
        if "validation_accuracy" in row:
            self.state += f", validation accuracy {100 * row['validation_accuracy']:.1f} %"
        if self.task is None:
            self.console.print(f"epoch {row['epoch']:.0f}/{self.epochs}: {self.state}, {row['seconds']:.1f} s")

    def refitting(self, done: int, total: int) -> None:
        """Move the bar, and say what happens after the last epoch."""
        if self.task is not None:
            self.bar.update(
                self.task, description="refitting", completed=done, total=total, state=f"{done} of {total} sounds"
            )
        elif done == total:
            self.console.print(f"refitting: {total} sounds done")

    def finished(self, reason: str) -> None:
        """Stop the bar and say why training is over."""
        self._stop()
        last = f"; last epoch: {self.state}" if self.state else ""
        self.console.print(f"training is over: {reason}{last}")

    def _stop(self) -> None:
        if self.task is not None:
            self.bar.stop()

    def _title(self, epoch: int) -> str:
        return f"epoch {min(epoch + 1, self.epochs)}/{self.epochs}"


class ListeningDisplay:
    """A bar on a terminal while a long recording is heard; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        columns = (TextColumn("listening"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.task: TaskID | None = None

    def __enter__(self) -> ListeningDisplay:
        announce_compilation(self.console)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.task is not None:
            self.bar.stop()

    def heard(self, done: float, total: float) -> None:
        """Move the bar: so many seconds of so many have been heard."""
        if self.task is None and self.console.is_terminal and total >= LONG:
            self.task = self.bar.add_task("", total=total, state="")
            self.bar.start()
        if self.task is not None:
            self.bar.update(self.task, completed=done, state=f"{done:.0f} of {total:.0f} s")


def announce_compilation(console: Console) -> None:
    """Say once, when it happens, that loops are being compiled."""
    said = threading.Event()

    def say() -> None:
        if not said.is_set():
            said.set()
            console.print("compiling loops for this machine (once, a few seconds)")

    on_first_compilation(say)
