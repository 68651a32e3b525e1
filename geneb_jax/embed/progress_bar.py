"""A bar for who waits in a notebook or at a prompt: ``Model.embed(..., progress=True)``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from geneb_jax.embed.progress import EmbedProgress, ProgressCallback

__all__ = ["progress_bar"]


@contextmanager
def progress_bar() -> Iterator[ProgressCallback]:
    """Show a bar on stderr, in a notebook below its cell, as long as the block runs."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False)) as bar:
        shown = bar.add_task("embedding", total=None, rate="")

        def tell(progress: EmbedProgress) -> None:
            bar.update(
                shown,
                description=f"{progress.model_id}: embedding",
                completed=progress.sequences_done,
                total=progress.sequences_total,
                rate=f"{progress.sequences_per_second:,.0f} sequences/s",
            )

        yield tell
