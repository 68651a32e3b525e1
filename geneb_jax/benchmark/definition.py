"""What a benchmark is: tasks in categories, regimes, seeds and the probe's protocol.

Plain frozen data; reading it from TOML is the business of :mod:`geneb_jax.benchmark.suites`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DatasetPin", "Protocol", "Regime", "Suite", "Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """One classification task; ``task_id`` names its files and its rows in every table.

    ``test_rows`` is the size of the official test set, where the suite states it. ``classes`` are
    the names of labels 0, 1, 2, ..., where they have names; they decide nothing.
    """

    task_id: str
    label: str
    category: str
    test_rows: int | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Regime:
    """How much of the training set the probe sees: all of it, or ``shots`` rows a class."""

    name: str
    shots: int | None

    @property
    def seeded(self) -> bool:
        """Whether the seed changes the training rows; the full regime has one fit for all seeds."""
        return self.shots is not None


@dataclass(frozen=True, slots=True)
class Protocol:
    """The probe that makes a score comparable with the published ones (paper, section on probes).

    ``C``, ``max_iter`` and ``tol`` are scikit-learn's ``LogisticRegression`` parameters.
    """

    regimes: tuple[Regime, ...]
    seeds: tuple[int, ...]
    C: float = 1.0
    max_iter: int = 1000
    tol: float = 1e-4


@dataclass(frozen=True, slots=True)
class DatasetPin:
    """Where a suite's data live on the hub, at which revision."""

    repository: str
    revision: str


@dataclass(frozen=True, slots=True)
class Suite:
    """A benchmark: its tasks in their official order, its protocol, and where its data are.

    ``folder`` holds the task files of a suite that carries its data; ``simulated`` marks data that
    no organism ever wrote, and must be shown wherever its scores are.
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    protocol: Protocol
    harness_version: str | None = None
    dataset: DatasetPin | None = None
    folder: Path | None = None
    simulated: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def categories(self) -> tuple[str, ...]:
        """Category names in order of first appearance."""
        return tuple(dict.fromkeys(task.category for task in self.tasks))
