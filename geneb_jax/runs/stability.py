"""The paper's probe-stability study for any models: two runs into one folder, and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.analysis import Stability, probe_stability, published_probe_subset
from geneb_jax.benchmark import load_suite, select_tasks
from geneb_jax.data import fetched_data_folder, find_task_files
from geneb_jax.report import Table, stability_tables, write_table
from geneb_jax.runs.execute import execute
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.outcome import RunOutcome
from geneb_jax.runs.request import RunRequest

__all__ = ["STRENGTHS", "StabilityOutcome", "run_stability"]

#: The paper's sweep.
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDER = "stability"


@dataclass(frozen=True, slots=True)
class StabilityOutcome:
    """What the study hands back.

    Attributes:
        runs: The outcomes of the linear and of the MLP run.
        stability: What they say.
        tables: The same as tables.
        folder: Where the tables are, as CSV.
        tasks: The tasks.
    """

    runs: tuple[RunOutcome, RunOutcome]
    stability: Stability
    tables: tuple[Table, ...]
    folder: Path
    tasks: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every unit asked for has its scores."""
        return all(run.complete for run in self.runs)


def run_stability(
    request: RunRequest, *, mlp_seeds: Sequence[int] = (), observer: RunObserver | None = None
) -> StabilityOutcome:
    """Sweep C in every regime, train the MLP on all rows, compare the rankings, write the tables.

    Args:
        request: Models, tasks, places; no C means the paper's five, no task means the paper's
            subset, as far as its files are there (every task of another suite).
        mlp_seeds: Seeds of the MLP, whose scores are averaged; none: the protocol's first.
        observer: Receives progress; none: silence.

    Raises:
        GenebError: for input that leaves nothing to do.
    """
    observer = observer or RunObserver()
    request = _with_tasks(request, observer)
    suite = load_suite(request.suite)
    full = next(regime.name for regime in suite.protocol.regimes if not regime.seeded)
    linear = _changed(request, probe="logistic", C=request.C or STRENGTHS, regime=())
    mlp = _changed(
        request,
        probe="mlp",
        solver=None,
        C=(),
        regime=(full,),
        seed=tuple(mlp_seeds) or suite.protocol.seeds[:1],
    )
    # No C is chosen here, so nothing is held out for that; layers without it would be unfinished.
    swept = execute(linear, observer, report=False, choices=request.many_variants)
    trained = execute(mlp, observer)
    tasks = tuple(task.task_id for task in select_tasks(suite, request.task))
    found = probe_stability(trained.rows, suite, trained.labels, tasks)
    tables = stability_tables(found)
    folder = request.out / FOLDER
    for table in tables:
        write_table(folder, table, "csv")
    return StabilityOutcome((swept, trained), found, tables, folder, tasks)


def _changed(request: RunRequest, **values: object) -> RunRequest:
    return RunRequest.model_validate({**request.model_dump(), **values})


def _with_tasks(request: RunRequest, observer: RunObserver) -> RunRequest:
    """The request with the paper's tasks where it names none."""
    suite = load_suite(request.suite)
    if request.task or suite.name != "geneb":
        return request
    subset = published_probe_subset().tasks
    folder = request.data_dir or suite.folder or fetched_data_folder(suite)
    there = {task.task_id for task in find_task_files(suite, folder).tasks}
    absent = [name for name in subset if name not in there]
    if absent and len(absent) < len(subset):
        observer.note(
            f"{len(absent)} of the paper's {len(subset)} tasks have no file here and are left out: "
            f"{', '.join(absent)}"
        )
    return _changed(request, task=tuple(name for name in subset if name in there) or subset)
