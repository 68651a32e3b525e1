"""One run's scores, and whether runs may be compared at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.results.model_facts import ModelFacts
from geneb_jax.results.run_record import RunRecord, TaskFacts
from geneb_jax.results.score_rows import ScoreRow

__all__ = ["RunScores", "changed_files", "other_revision", "require_same_data"]


@dataclass(frozen=True, slots=True)
class RunScores:
    """One run: its suite, rows, run.json and folder, where predictions may be kept.

    Attributes:
        suite: The suite.
        scores: Rows of scores.csv.
        record: run.json; None where there is none or it cannot be read.
        folder: The output folder.
        left_out: Sentences on what is recorded in the folder and in none of the rows, and on what
            of it could not be read.
        models: Label -> facts as the folder's records have them; None where there are no records.
        tasks: Task id -> its files, likewise.
    """

    suite: Suite
    scores: Sequence[ScoreRow]
    record: RunRecord | None = None
    folder: Path | None = None
    left_out: tuple[str, ...] = ()
    models: Mapping[str, ModelFacts] | None = None
    tasks: Mapping[str, TaskFacts] | None = None

    @property
    def model_facts(self) -> Mapping[str, ModelFacts]:
        """Label -> what is known of the model: from the records, else from run.json."""
        if self.models is not None:
            return self.models
        return self.record.models if self.record else {}

    @property
    def task_facts(self) -> Mapping[str, TaskFacts]:
        """Task id -> its files: from the records, else from run.json."""
        if self.tasks is not None:
            return self.tasks
        return self.record.tasks if self.record else {}

    @property
    def versions(self) -> Mapping[str, str]:
        """Package -> version of the last run into the folder; empty where run.json is silent."""
        return self.record.versions if self.record else {}


def require_same_data(runs: Sequence[RunScores]) -> None:
    """Refuse runs whose scores are not of the same data.

    Raises:
        DataError: for different suites or different revisions of the data set.
    """
    if not runs:
        return
    first = runs[0]
    for other in runs[1:]:
        if (other.suite.name, other.suite.simulated) != (first.suite.name, first.suite.simulated):
            raise DataError(
                f"the runs are of different suites, {first.suite.name!r} and {other.suite.name!r}",
                hint="report them one by one",
            )
    revisions = {revision for run in runs if (revision := _revision(run)) is not None}
    if len(revisions) > 1:
        raise DataError(
            f"the runs were made on different data set revisions: {', '.join(sorted(revisions))}",
            hint="run the older one again at the pinned revision",
        )


def other_revision(run: RunScores) -> str:
    """Why a run's data are not the published scores' data; empty when they are, or unstated."""
    revision, pin = _revision(run), run.suite.dataset
    if revision is None or pin is None or revision == pin.revision:
        return ""
    return f"data set revision {revision[:12]} instead of {pin.revision[:12]}"


def _revision(run: RunScores) -> str | None:
    dataset = run.record.suite.dataset if run.record else None
    return dataset.revision if dataset else None


def changed_files(runs: Sequence[RunScores]) -> tuple[str, ...]:
    """Task ids under which runs scored different files, sorted."""
    seen: dict[str, set[str]] = {}
    for run in runs:
        for task_id, facts in run.task_facts.items():
            seen.setdefault(task_id, set()).add(facts.fingerprint)
    return tuple(sorted(task_id for task_id, prints in seen.items() if len(prints) > 1))
