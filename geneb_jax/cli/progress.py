"""Progress on stderr: bars on a terminal, silence in a pipe."""

from __future__ import annotations

from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from geneb_jax.cli.console import note, plain, stderr
from geneb_jax.embed.progress import EmbedProgress
from geneb_jax.runs.observer import RunObserver

__all__ = ["ConsoleObserver"]


class ConsoleObserver(RunObserver):
    """Shows one bar for the present stage, with sequences/s while embedding."""

    def __init__(self) -> None:
        console = stderr()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar: TaskID | None = None

    def __enter__(self) -> ConsoleObserver:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print one sentence above the bar."""
        if self._progress.disable:
            note(text)
        else:
            self._progress.console.print(plain(text), markup=False)

    def reading(self, done: int, total: int) -> None:
        """Show files read."""
        self._show("reading task files", done, total)

    def embedding(self, progress: EmbedProgress) -> None:
        """Show sequences embedded, and how fast."""
        rate = f"{progress.sequences_per_second:,.0f} sequences/s"
        done, total = progress.sequences_done, progress.sequences_total
        self._show(f"{plain(progress.model_id)}: embedding", done, total, rate)

    def probing(self, model_id: str, done: int, total: int) -> None:
        """Show units scored."""
        self._show(f"{plain(model_id)}: probing", done, total)

    def finished(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None

    def _show(self, description: str, done: int, total: int, rate: str = "") -> None:
        if self._bar is None:
            self._bar = self._progress.add_task(description, total=total, rate=rate)
        self._progress.update(
            self._bar, description=description, completed=done, total=total, rate=rate
        )
