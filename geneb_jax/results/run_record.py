"""run.json: what ran, on what, with which versions, how long; fit to be shown to strangers.

One type, one writer, one reader: a fact about a run is a field here, and nowhere a key in quotes.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from geneb_jax import durable_files
from geneb_jax.benchmark import DatasetPin, Suite, pin_name
from geneb_jax.errors import DataError
from geneb_jax.results.model_facts import YOUNGER_FIELDS, ModelFacts
from geneb_jax.results.redaction import redacted_data
from geneb_jax.results.suite_record import suite_record
from geneb_jax.results.typed_json import STRICT, from_plain, to_plain
from geneb_jax.strict_json import read_json

__all__ = [
    "RUN_FILE",
    "Platform",
    "RequestFacts",
    "RunRecord",
    "RunSettings",
    "SuiteFacts",
    "TaskFacts",
    "installed_versions",
    "read_run_record",
    "utc_now",
    "write_run_record",
]

RUN_FILE = "run.json"

_SCHEMA_VERSION = 3
_LARGEST_BYTES = 64 * 2**20
_DEEPEST = 32
_PACKAGES = (
    "geneb-jax",
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "scipy",
    "optax",
    "tensorstore",
    "tokenizers",
    "safetensors",
    "torch",
    "transformers",
)


def utc_now() -> str:
    """This moment in UTC as ISO 8601 with seconds: for people to read, never for logic."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def installed_versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Versions of the installed ones of ``packages``, and of Python; imports none of them."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True, slots=True)
class Platform:
    """The kind of machine a run was on."""

    system: str = field(default_factory=platform.system)
    machine: str = field(default_factory=platform.machine)
    byte_order: str = sys.byteorder


@dataclass(frozen=True, slots=True)
class SuiteFacts:
    """Which suite a run is of.

    Attributes:
        name: Its name.
        digest: SHA-256 of what decides its scores (see :meth:`of`).
        simulated: Whether no organism ever wrote its sequences.
        dataset: The data set and revision that every scored task's files were verified to be of;
            None where any of them was not (``tasks`` of run.json says which were).
    """

    name: str
    digest: str = ""
    simulated: bool = False
    dataset: DatasetPin | None = None

    @classmethod
    def of(cls, suite: Suite, tasks: Mapping[str, TaskFacts] | None = None) -> SuiteFacts:
        """The facts of a suite, whole: one restricted to some tasks has another digest.

        Args:
            suite: The suite.
            tasks: The files that its scores were made on.
        """
        pin, found = suite.dataset, list((tasks or {}).values())
        whole = pin is not None and all(
            one.verified_as.split(" ")[0] == pin_name(pin) for one in found
        )
        dataset = pin if found and whole else None
        return cls(suite.name, suite_record(suite).digest, suite.simulated, dataset)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How every unit of the run was probed; the names are those of a unit's key."""

    probe: str
    solver: str
    regimes: tuple[str, ...]
    seeds: tuple[int, ...]
    C: tuple[float, ...]
    max_iter: int
    tol: float
    dtype: str
    code: str


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the last run into the folder was asked, so that it can be run again.

    Attributes:
        options: Option -> value as a run file would have it, every option that has one.
        models: Labels of the models that the run named; the folder may hold others.
    """

    options: Mapping[str, Any]
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task's files when a run last looked.

    Attributes:
        fingerprint: SHA-256 over their bytes.
        notes: What was noted in them, counted.
        test_rows: Rows of the test set; None where nothing was parsed yet.
        verified_as: The data set and revision whose digests the files were found to have, with the
            hub if it was not the usual one; empty where that was not so or not checked.
    """

    fingerprint: str
    notes: Mapping[str, int] = field(default_factory=dict)
    test_rows: int | None = None
    verified_as: str = ""

    __pydantic_config__ = STRICT


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What run.json holds.

    Attributes:
        suite: The suite.
        settings: How the last run into the folder probed.
        devices: Platform and kind of each device.
        models: Label -> facts, of every model with rows in the folder's tables.
        tasks: Task id -> its files, of every task with rows.
        problems: Task or model -> why it has no scores.
        seconds: Wall time of the last run.
        versions: Package -> version.
        platform: The kind of machine.
        written_utc: When the record was written, ISO 8601 in UTC.
        schema_version: Version of this layout.
        request: What the last run was asked; None in records of before it was kept.
    """

    __pydantic_config__ = STRICT

    suite: SuiteFacts
    settings: RunSettings
    devices: tuple[str, ...] = ()
    models: Mapping[str, ModelFacts] = field(default_factory=dict)
    tasks: Mapping[str, TaskFacts] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    platform: Platform = field(default_factory=Platform)
    written_utc: str = field(default_factory=utc_now)
    schema_version: int = _SCHEMA_VERSION
    request: RequestFacts | None = None

    def __post_init__(self) -> None:
        for label, facts in self.models.items():
            if label != facts.label:
                raise ValueError(f"models.{label} is filed under a label that is not its own")


def write_run_record(out: Path, record: RunRecord) -> Path:
    """Write ``out/run.json`` atomically, home folders and credentials redacted.

    Raises:
        ValueError: if a number is not finite.
        OutputError: if the file cannot be written.
    """
    path = out / RUN_FILE
    content = redacted_data(to_plain(record))
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)
    durable_files.write_text(path, text + "\n")
    return path


def read_run_record(out: Path) -> RunRecord:
    """Read ``out/run.json``.

    Raises:
        DataError: if it is absent, damaged or of another schema version; for a key that is unknown,
            missing or of another type, naming it.
    """
    path = out / RUN_FILE
    try:
        content = read_json(path, largest_bytes=_LARGEST_BYTES, deepest=_DEEPEST)
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", where=path, hint="name a run's output folder"
        ) from error
    except ValueError as error:
        raise DataError(str(error), where=path) from error
    if not isinstance(content, dict) or content.get("schema_version") != _SCHEMA_VERSION:
        raise DataError(
            f"not a run record of schema version {_SCHEMA_VERSION}",
            where=path,
            cause="another version wrote it",
            hint="run again into the folder: finished units are found and the record is rewritten",
        )
    try:
        return from_plain(RunRecord, content, younger=YOUNGER_FIELDS)
    except ValueError as error:
        raise DataError(str(error), where=path, cause="the file was edited or cut") from error
