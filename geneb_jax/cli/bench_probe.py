"""``geneb-jax bench probe``: seconds of batched probes on this device, on features of any size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import click

from geneb_jax.cli.run_options import number_list

__all__ = ["command"]

_SEEDS = (13, 17, 42, 123, 997)
_TEST_ROWS = 2000


@click.command()
@click.option("--rows", default=10_000, show_default=True, help="Training rows of a task.")
@click.option("--dim", default=512, show_default=True, help="Width of the embeddings.")
@click.option("--classes", default=2, show_default=True, help="Classes.")
@click.option("--tasks", default=1, show_default=True, help="Tasks fitted in one call.")
@click.option(
    "--C",
    "strengths",
    multiple=True,
    default=("0.01,0.1,1,10,100",),
    show_default=True,
    callback=number_list(float),
    help="The sweep, comma list.",
)
@click.option("--repeats", default=3, show_default=True, help="Timed calls after the first.")
@click.option("--sklearn", "peer", is_flag=True, help="Time scikit-learn's loop too, if installed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    rows: int,
    dim: int,
    classes: int,
    tasks: int,
    strengths: tuple[float, ...],
    repeats: int,
    peer: bool,
    as_json: bool,
) -> None:
    """Seconds of the benchmark's protocol and of a sweep over C, on made-up embeddings.

    The protocol is the full regime, 10-shot and 1-shot, five seeds, C = 1, by the reference solver;
    the sweep is the full regime for every C by the exact solver. Both predict and score the test
    rows. The first call compiles and is shown apart.

    \b
    Examples:
      geneb-jax bench probe
      geneb-jax bench probe --rows 15000 --dim 2560 --tasks 4 --json
      geneb-jax bench probe --rows 2000 --dim 256 --sklearn
    """
    from geneb_jax.cli.console import print_json, print_table

    if min(rows, dim, tasks, repeats) < 1 or classes < 2 or rows < classes:
        raise click.UsageError("--rows, --dim, --tasks, --repeats from 1; --classes from 2 to rows")
    from geneb_jax_probes import ProbeOptionError
    from geneb_jax_probes.problem import check_C

    try:
        check_C(strengths)
    except ProbeOptionError as error:
        raise click.UsageError(str(error)) from error
    found = measure(rows, dim, classes, tasks, strengths, repeats, peer=peer)
    if as_json:
        print_json(found)
        return
    about = f"{found['device']}: {tasks} tasks of {rows} x {dim}, {classes} classes"
    print_table(
        ("what", "fits", "first call, s", "later calls, s", "fits a second", "scikit-learn, s"),
        [
            (
                part["what"],
                part["fits"],
                f"{part['first_seconds']:.2f}",
                f"{part['seconds']:.3f}",
                f"{part['fits'] / part['seconds']:.0f}",
                None if part["sklearn_seconds"] is None else f"{part['sklearn_seconds']:.2f}",
            )
            for part in found["parts"]
        ],
        title=about,
        right=("fits", "first call, s", "later calls, s", "fits a second", "scikit-learn, s"),
    )


def measure(
    rows: int,
    dim: int,
    classes: int,
    task_count: int,
    strengths: tuple[float, ...],
    repeats: int,
    *,
    peer: bool,
) -> dict[str, Any]:
    """Time both solvers; the median of the later calls is reported."""
    import jax

    from geneb_jax.data import few_shot_rows
    from geneb_jax_probes import ProbeTask, fit_tasks
    from geneb_jax_probes.synthetic import decaying_features

    protocol, sweep = [], []
    for number in range(task_count):
        X, y = decaying_features(rows + _TEST_ROWS, dim, classes, seed=number)
        arrays = (X[:rows], y[:rows], X[rows:], y[rows:])
        draws = [few_shot_rows(y[:rows], shots, seed) for shots in (10, 1) for seed in _SEEDS]
        protocol.append(ProbeTask(*arrays, [None, *draws]))
        sweep.append(ProbeTask(*arrays))
    parts = [
        _timed(
            "protocol, reference solver",
            task_count * (1 + 2 * len(_SEEDS)),
            lambda: fit_tasks(protocol, solver="reference"),
            repeats,
            _sklearn_seconds(protocol, (1.0,)) if peer else None,
        ),
        _timed(
            "sweep over C, exact solver",
            task_count * len(strengths),
            lambda: fit_tasks(sweep, C=strengths, solver="exact"),
            repeats,
            _sklearn_seconds(sweep, strengths) if peer else None,
        ),
    ]
    return {
        "device": jax.devices()[0].device_kind,
        "rows": rows,
        "dim": dim,
        "classes": classes,
        "tasks": task_count,
        "C": list(strengths),
        "parts": parts,
    }


def _timed(
    what: str, fits: int, call: Callable[[], Any], repeats: int, peer: float | None
) -> dict[str, Any]:
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return {
        "what": what,
        "fits": fits,
        "first_seconds": seconds[0],
        "seconds": statistics.median(seconds[1:]),
        "sklearn_seconds": peer,
    }


def _sklearn_seconds(tasks: list[Any], strengths: tuple[float, ...]) -> float:
    """Every distinct fit once, as the benchmark's harness makes it, with this process's threads."""
    import warnings

    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise click.UsageError("--sklearn needs scikit-learn: pip install scikit-learn") from error
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the step limit, which is the protocol's
        for task in tasks:
            for rows in task.subsets or [slice(None)]:
                chosen = slice(None) if rows is None else rows
                for C in strengths:
                    model = LogisticRegression(C=C, max_iter=1000)
                    model.fit(task.X_train[chosen], task.y_train[chosen]).predict(task.X_test)
    return time.perf_counter() - start
