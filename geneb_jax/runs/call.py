"""``geneb_jax.run``: the command line's run, as a call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geneb_jax.runs.execute import execute
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.outcome import RunOutcome
from geneb_jax.runs.request import request_from_mapping

__all__ = ["run"]


def run(
    models: str | Path | Sequence[str | Path] = (),
    *,
    data_dir: str | Path | None = None,
    suite: str | Path | None = None,
    tasks: Sequence[str] = (),
    regimes: Sequence[str] = (),
    seeds: Sequence[int] = (),
    C: Sequence[float] = (),
    out: str | Path | None = None,
    store: str | Path | None = None,
    observer: RunObserver | None = None,
    **options: Any,
) -> RunOutcome:
    """Embed, probe, record and report; see ``geneb-jax run --help`` for what each option means.

    Args:
        models: Model ids, hub ids or checkpoint folders; none: the demo's models.
        data_dir: Folder of task files.
        suite: ``geneb``, ``demo`` or a folder with a suite.toml.
        tasks: Task ids, globs or ``category:NAME``; none: every task with a file.
        regimes: Names of regimes; none: all.
        seeds: Few-shot seeds; none: the suite's.
        C: Inverse regularisation strengths; none: the protocol's.
        out: Folder for the results; none: ``geneb-out``, and ``geneb-demo`` for the demo.
        store: Folder or URL of the embedding store; none: the user's cache.
        observer: Receives progress; none: silence.
        **options: any other field of :class:`~geneb_jax.runs.request.RunRequest`: probe, solver,
            weights, name, dtype, pooling, layer, batch_tokens, offline, fresh and so on.

    Returns:
        The outcome: rows, paths, problems. ``outcome.complete`` says whether every unit has scores.

    Raises:
        GenebError: for input that leaves nothing to do.
    """
    named = [models] if isinstance(models, str | Path) else models
    values: dict[str, Any] = {
        "model": [str(model) for model in named],
        "task": list(tasks),
        "regime": list(regimes),
        "seed": list(seeds),
        "C": list(C),
        **options,
    }
    places = {"data_dir": data_dir, "suite": suite, "store": store, "out": out}
    values |= {name: str(place) for name, place in places.items() if place is not None}
    return execute(request_from_mapping(values), observer)
