"""Progress on stderr: bars on a terminal, a line a minute where there is none."""

from __future__ import annotations

import threading
import time
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
from geneb_jax.interruption import loops_ask, stop_if_requested
from geneb_jax.runs.observer import RunObserver

__all__ = ["ConsoleObserver"]


#: Between two lines of a log, so that a job that works can be told from one that hangs.
_LOG_SECONDS = 60.0


class _Log:
    """Says where the work stands once a minute, also while nothing reports progress."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._stage = "at work"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """Say no more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def show(self, stage: str) -> None:
        """Where the work stands now."""
        self._stage = stage

    def _tell(self) -> None:
        while not self._stopped.wait(self._seconds):
            minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
            note(f"[{minutes}:{seconds:02d}] {self._stage}")


class ConsoleObserver(RunObserver):
    """Shows one bar for the present stage, with sequences/s while embedding.

    Embedding and probing are loops that ask whether to stop; every call here asks as well.

    Args:
        log_seconds: Between two lines where stderr is no terminal.
    """

    def __init__(self, *, log_seconds: float = _LOG_SECONDS) -> None:
        console = stderr()
        self._log = None if console.is_terminal else _Log(log_seconds)
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
        if self._log is not None:
            self._log.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loops_ask(False)
        self._progress.stop()
        if self._log is not None:
            self._log.stop()

    def note(self, text: str) -> None:
        """Print one sentence above the bar."""
        stop_if_requested()
        if self._progress.disable:
            note(text)
        else:
            self._progress.console.print(plain(text), markup=False)

    def reading(self, done: int, total: int) -> None:
        """Show files read."""
        stop_if_requested()
        self._show("reading task files", done, total)

    def embedding(self, progress: EmbedProgress) -> None:
        """Show sequences embedded, and how fast."""
        self._in_a_loop()
        rate = f"{progress.sequences_per_second:,.0f} sequences/s"
        if progress.workers is not None:
            rate = f"{progress.workers} workers, {rate}"
        done, total = progress.sequences_done, progress.sequences_total
        self._show(f"{plain(progress.model_id)}: embedding", done, total, rate)

    def probing(self, model_id: str, done: int, total: int) -> None:
        """Show units scored."""
        self._in_a_loop()
        self._show(f"{plain(model_id)}: probing", done, total)

    def finished(self) -> None:
        """Take the bar away."""
        loops_ask(False)
        if self._log is not None:
            self._log.show("between two stages")
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None
        stop_if_requested()

    @staticmethod
    def _in_a_loop() -> None:
        loops_ask(True)
        stop_if_requested()

    def _show(self, description: str, done: int, total: int, rate: str = "") -> None:
        if self._log is not None:
            self._log.show(f"{description}: {done:,} of {total:,}" + (f", {rate}" if rate else ""))
            return
        if self._bar is None:
            self._bar = self._progress.add_task(description, total=total, rate=rate)
        self._progress.update(
            self._bar, description=description, completed=done, total=total, rate=rate
        )
