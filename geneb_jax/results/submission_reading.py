"""Read other people's submission files: what they score, whatever else stands in them.

A file of the benchmark's form is read for the names that are known here; names that are not, at
any level, are passed over, and so is a later schema version, with a word about it. What is read is
checked: a score that is no number or out of range refuses the file, and a task that is missing is
missing in every table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.results.model_facts import ModelFacts, Source
from geneb_jax.results.name_lists import listed
from geneb_jax.results.score_rows import SCORE_RANGES
from geneb_jax.results.submission_check import SCHEMA_VERSION, read_submission_json

__all__ = ["METRIC_NAMES", "ReadSubmission", "read_submission", "read_submissions"]

#: Columns of scores.csv and what submissions call them.
METRIC_NAMES = {"mcc": "MCC", "accuracy": "Acc", "macro_f1": "F1"}
_SLACK = 1e-6  # as the benchmark's own check has it

_Scores = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class ReadSubmission:
    """One submission.

    Attributes:
        path: The file.
        facts: The model, as the file describes it.
        scores: Metric -> (regime, task id) -> score, of the suite's regimes and tasks.
        unlike: Tasks that the file itself says were scored on data unlike the benchmark's.
        warnings: What was passed over, as sentences.
    """

    path: Path
    facts: ModelFacts
    scores: Mapping[str, _Scores]
    unlike: frozenset[str]
    warnings: tuple[str, ...]


def read_submissions(
    places: Sequence[Path], suite: Suite
) -> tuple[tuple[ReadSubmission, ...], tuple[str, ...]]:
    """Read submission files, and every ``*.json`` of folders of them, by name.

    A file named by itself must be readable; of a folder, those that are not are left out and named.

    Returns:
        The submissions and sentences about them.

    Raises:
        DataError: for a file that is no submission, or a folder without any.
    """
    found: list[ReadSubmission] = []
    told: list[str] = []
    for place in places:
        if not place.is_dir():
            found.append(read_submission(place, suite))
            continue
        refused: list[DataError] = []
        before = len(found)
        for path in sorted(place.glob("*.json")):
            try:
                found.append(read_submission(path, suite))
            except DataError as error:
                refused.append(error)
        if len(found) == before:
            raise (
                refused[0]
                if refused
                else DataError(
                    "there is no submission file", where=place, hint="its files end in .json"
                )
            )
        told += [f"left out: {error.message}" for error in refused]
    for one in found:
        told += [f"{one.path}: {warning}" for warning in one.warnings]
    return tuple(found), tuple(told)


def read_submission(path: Path, suite: Suite, *, source: Source = "submission") -> ReadSubmission:
    """Read one submission file.

    Args:
        path: The file.
        suite: The benchmark whose tasks and regimes count.
        source: Whose scores these are.

    Raises:
        DataError: naming file and place, if it is no submission or holds an impossible score.
    """
    try:
        content, odd = read_submission_json(path)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from error
    except (ValueError, RecursionError) as error:
        raise DataError(str(error), where=path, hint="name a submission file") from error
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise DataError("not a submission: it has no results", where=path)
    model_id = content.get("model_id")
    if not isinstance(model_id, str) or not model_id.strip():
        raise DataError("not a submission: it has no model_id", where=path)
    warnings = list(odd)
    version = content.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        warnings.append(
            f"schema version {str(version)[:40]!r}, this release knows {SCHEMA_VERSION!r}: read as "
            "far as its names are the known ones"
        )
    scores = _scores(content["results"], suite, path, warnings)
    if not any(scores.values()):
        raise DataError(f"no score of a task of the suite {suite.name}", where=path)
    unlike = _unlike(content.get("unverified"), suite, warnings)
    return ReadSubmission(
        path, _facts(model_id, content.get("meta"), source), scores, unlike, tuple(warnings)
    )


def _unlike(said: Any, suite: Suite, warnings: list[str]) -> frozenset[str]:
    """Tasks that a file says are of other data; all of them where it says so in no known way."""
    if said is None:
        return frozenset()
    tasks = said.get("unlike_data") if isinstance(said, dict) else None
    known = {task.task_id for task in suite.tasks}
    if isinstance(tasks, list) and all(isinstance(one, str) and one in known for one in tasks):
        return frozenset(tasks)
    warnings.append(
        "'unverified' names no list of the suite's tasks under 'unlike_data': every score of the "
        "file counts as of other data"
    )
    return frozenset(known)


def _facts(model_id: str, meta: Any, source: Source) -> ModelFacts:
    meta = meta if isinstance(meta, dict) else {}
    params = meta.get("params")
    # Beyond what a float holds nobody counted parameters.
    whole = isinstance(params, int) and not isinstance(params, bool) and 0 < params < 10**18
    texts = {
        name: value
        for name, value in meta.items()
        if name in ("display", "url") and isinstance(value, str)
    }
    return ModelFacts(
        label=model_id.strip()[:200],
        display=texts.get("display", "").strip()[:200],
        url=texts.get("url", ""),
        params=params if whole else None,
        source=source,
    )


def _scores(
    results: Mapping[str, Any], suite: Suite, path: Path, warnings: list[str]
) -> dict[str, _Scores]:
    regimes = [regime.name for regime in suite.protocol.regimes]
    tasks = {task.task_id for task in suite.tasks}
    found: dict[str, dict[tuple[str, str], float]] = {name: {} for name in METRIC_NAMES}
    strange: set[str] = set()
    for regime in (name for name in regimes if name in results):
        if not isinstance(results[regime], dict):
            raise DataError(f"results.{regime} is not an object", where=path)
        for task_id, cell in results[regime].items():
            if task_id not in tasks:
                strange.add(task_id)
                continue
            where = f"results.{regime}.{task_id}"
            if not isinstance(cell, dict):
                raise DataError(f"{where} is not an object", where=path)
            for metric, name in METRIC_NAMES.items():
                if name in cell:
                    value = _number(cell[name], metric, f"{where}.{name}", path)
                    found[metric][regime, task_id] = value
    if strange:
        warnings.append(f"{len(strange)} tasks are not the suite's: {listed(sorted(strange))}")
    return dict(found)


def _number(value: Any, metric: str, where: str, path: Path) -> float:
    low, high = SCORE_RANGES[metric]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where} is not a number", where=path)
    if not low - _SLACK <= value <= high + _SLACK or not math.isfinite(value):
        raise DataError(f"{where} is {str(value)[:40]}, outside [{low:g}, {high:g}]", where=path)
    return min(max(float(value), low), high)
