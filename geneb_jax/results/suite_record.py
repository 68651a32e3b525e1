"""Which suite an output folder belongs to: recorded before its first score, asked ever after.

Scores are filed under task ids, and a task id means something only within its suite. So a folder
holds the results of one suite; another one, or a changed one, is met before any work is done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from geneb_jax.benchmark.definition import DatasetPin, Protocol, Regime, Suite, Task
from geneb_jax.errors import ConfigError
from geneb_jax.results.records import Records
from geneb_jax.results.score_tables import SCORES_FILE
from geneb_jax.results.typed_json import STRICT, from_plain
from geneb_jax.sealed_files import read_sealed, seal_of, write_sealed

__all__ = [
    "SuiteRecord",
    "changes_of_suite",
    "claim_folder",
    "read_suite_record",
    "require_no_suite",
    "require_suite",
    "suite_record",
    "suite_record_path",
]

_KIND = "suite 1"
_SHOWN = 3
#: What a record of an earlier release may lack.
_YOUNGER = frozenset({"dataset", "title", "labels", "classes"})


@dataclass(frozen=True, slots=True)
class _Protocol:
    """The types of a recorded protocol."""

    regimes: Mapping[str, int | None]
    seeds: tuple[int, ...]
    C: float
    max_iter: int
    tol: float

    def __post_init__(self) -> None:
        shots = [each for each in self.regimes.values() if each is not None]
        if not self.regimes or not self.seeds or min(shots, default=1) < 1 or min(self.seeds) < 0:
            raise ValueError("protocol: regimes and seeds are not those of a protocol")
        if not (0 < self.C < math.inf and 0 < self.tol < math.inf and self.max_iter >= 0):
            raise ValueError("protocol: C, tol and max_iter are not those of a protocol")


@dataclass(frozen=True, slots=True)
class _Content:
    """The types of a whole record."""

    name: str
    simulated: bool
    tasks: tuple[tuple[str, str], ...]
    protocol: _Protocol
    dataset: str = ""
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if not self.tasks or len(dict(self.tasks)) != len(self.tasks):
            raise ValueError("tasks: there is none, or one stands there twice")
        shown = [
            *chain(*self.tasks),
            self.name,
            *self.labels.values(),
            *chain(*self.classes.values()),
        ]
        for text in shown:
            if not text or text != text.strip() or not text.isprintable():
                raise ValueError(f"{text!r:.80} is not printable")


@dataclass(frozen=True, slots=True)
class SuiteRecord:
    """What of a suite decides where a score belongs and with which others it stands.

    Attributes:
        name: The suite's name.
        simulated: Whether no organism ever wrote its data.
        tasks: (task id, category) of every task, in the suite's order.
        protocol: Regimes, seeds, C, max_iter and tol of its probe, as plain data.
        dataset: ``repository@revision`` of its data; empty where they lie with the user.
        title: What reports call it; decides nothing.
        labels: Task id -> what reports call the task, where that is not its id; decides nothing.
        classes: Task id -> names of its labels 0, 1, 2, ..., where they have some; decides nothing.
    """

    name: str
    simulated: bool
    tasks: tuple[tuple[str, str], ...]
    protocol: Mapping[str, Any]
    dataset: str = ""
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def categories(self) -> dict[str, str]:
        """Task id -> category, in the suite's order."""
        return dict(self.tasks)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over all that decides."""
        plain = asdict(self)
        del plain["title"], plain["labels"], plain["classes"]
        return seal_of(plain)

    def suite(self) -> Suite:
        """The suite, for tables and reports; where its data are is not recorded."""
        repository, _, revision = self.dataset.partition("@")
        protocol = self.protocol
        return Suite(
            name=self.name,
            title=self.title or self.name,
            tasks=tuple(
                Task(
                    task_id,
                    self.labels.get(task_id, task_id),
                    category,
                    classes=tuple(self.classes.get(task_id, ())),
                )
                for task_id, category in self.tasks
            ),
            protocol=Protocol(
                regimes=tuple(Regime(name, shots) for name, shots in protocol["regimes"].items()),
                seeds=tuple(protocol["seeds"]),
                C=protocol["C"],
                max_iter=protocol["max_iter"],
                tol=protocol["tol"],
            ),
            dataset=DatasetPin(repository, revision) if self.dataset else None,
            simulated=self.simulated,
        )


def suite_record(suite: Suite) -> SuiteRecord:
    """What is to be recorded of a suite."""
    pin = suite.dataset
    return SuiteRecord(
        name=suite.name,
        simulated=suite.simulated,
        tasks=tuple((task.task_id, task.category) for task in suite.tasks),
        protocol=_plain(suite.protocol),
        dataset="" if pin is None else f"{pin.repository}@{pin.revision}",
        title=suite.title,
        labels={task.task_id: task.label for task in suite.tasks if task.label != task.task_id},
        classes={task.task_id: list(task.classes) for task in suite.tasks if task.classes},
    )


def suite_record_path(out: Path) -> Path:
    """Where the record is, or would be."""
    return out / "records" / "suite.json"


def read_suite_record(out: Path) -> SuiteRecord | None:
    """The suite that a folder belongs to; None for a folder without results.

    Raises:
        ConfigError: if the record was edited or damaged.
    """
    path = suite_record_path(out)
    try:
        content = read_sealed(path, _KIND)
        from_plain(_Content, content, younger=_YOUNGER)
        tasks = tuple((str(task), str(category)) for task, category in content.pop("tasks"))
        return SuiteRecord(tasks=tasks, **content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"the record of the folder's suite is not believed ({error})",
            where=path,
            cause="it was edited, or the disk damaged it",
            hint="delete this one file if you are sure which suite the folder is of, and run again",
        ) from error


def claim_folder(out: Path, suite: Suite, *, update: bool = False) -> tuple[str, ...]:
    """Make a folder the suite's own; see :func:`require_suite`.

    Raises:
        OutputError: if the record cannot be written.
    """
    changes = require_suite(out, suite, update=update)
    write_sealed(suite_record_path(out), _KIND, asdict(suite_record(suite)))
    return changes


def require_suite(out: Path, suite: Suite, *, update: bool = False) -> tuple[str, ...]:
    """Refuse a folder of another suite before anything is computed.

    Args:
        out: The output folder.
        suite: The suite of the run.
        update: Take the suite as it is now for the folder's, where only its definition changed.

    Returns:
        Sentences on what changed, with ``update``.

    Raises:
        ConfigError: if the folder holds results of another suite, or of this one as it was before.
    """
    wanted = suite_record(suite)
    there = read_suite_record(out)
    if there is None and (out / SCORES_FILE).is_file() and Records(out).is_empty:
        raise ConfigError(
            f"the folder holds a {SCORES_FILE} without the records of a run, which this run would "
            "replace",
            where=out,
            cause="it is of the user's own arrays, or was copied here",
            hint="choose another folder with --out, or move the table away",
        )
    if there is not None and there.name != wanted.name:
        raise ConfigError(
            f"the folder holds results of the suite {there.name!r}, and this run is of "
            f"{wanted.name!r}",
            where=out,
            hint="choose another folder with --out: scores of two suites never share a table",
        )
    changes = () if there is None else changes_of_suite(there, wanted)
    if changes and not update:
        raise ConfigError(
            f"the suite {wanted.name!r} is no longer what it was when this folder was written: "
            + "; ".join(changes),
            where=out,
            hint="--update-suite takes the folder over to the suite as it is now: scores that "
            "still belong to it stay, what leaves the tables is said, and no record is deleted. "
            "Or choose another folder with --out",
        )
    return changes


def require_no_suite(out: Path) -> None:
    """Refuse to write scores that are of no suite into a suite's folder.

    Raises:
        ConfigError: if the folder belongs to a suite.
    """
    held = read_suite_record(out)
    if held is not None:
        raise ConfigError(
            f"the folder holds results of the suite {held.name!r}; scores of arrays would replace "
            "its tables",
            where=out,
            hint="choose another folder with --out",
        )


def _plain(protocol: Protocol) -> dict[str, Any]:
    return {
        "regimes": {regime.name: regime.shots for regime in protocol.regimes},
        "seeds": list(protocol.seeds),
        "C": float(protocol.C),
        "max_iter": protocol.max_iter,
        "tol": float(protocol.tol),
    }


def changes_of_suite(old: SuiteRecord, new: SuiteRecord) -> tuple[str, ...]:
    """What differs, a phrase each; empty for equal suites."""
    said = _task_changes(old.categories, new.categories)
    said += [
        f"{key} of the protocol is {value}, was {old.protocol.get(key)}"
        for key, value in new.protocol.items()
        if old.protocol.get(key) != value
    ]
    if old.dataset != new.dataset:
        said.append(f"the data set is {new.dataset or 'local'}, was {old.dataset or 'local'}")
    if old.simulated != new.simulated:
        said.append("simulated" if new.simulated else "no longer simulated")
    return tuple(said)


def _task_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Tasks that went, came, changed their category or their place, a phrase each."""
    gone = [task for task in before if task not in now]
    come = [task for task in now if task not in before]
    moved = [task for task in before if before[task] != now.get(task, before[task])]
    said = [
        f"{_named(tasks)} {what}" for tasks, what in ((gone, "removed"), (come, "added")) if tasks
    ]
    said += [
        f"task {task} is in the category {now[task]!r}, was in {before[task]!r}"
        for task in moved[:_SHOWN]
    ]
    if len(moved) > _SHOWN:
        said.append(f"and {len(moved) - _SHOWN} more tasks are in other categories")
    if not said and list(before) != list(now):
        said.append("the tasks are in another order")
    return said


def _named(tasks: list[str]) -> str:
    more = f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else ""
    plural = "tasks" if len(tasks) > 1 else "task"
    return f"{plural} {', '.join(tasks[:_SHOWN])}{more}"
