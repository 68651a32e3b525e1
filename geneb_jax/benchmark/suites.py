"""Read suites: one TOML file names tasks and protocol; the task files may lie beside it.

A built-in suite is ``configs/benchmarks/<name>.toml`` or ``configs/benchmarks/<name>/suite.toml``.
Any folder with a ``suite.toml`` is a suite too, and its CSV files are the data
(docs/your-own-tasks.md has the format).
"""

from __future__ import annotations

import os
import shlex
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from geneb_jax.benchmark.definition import DatasetPin, Protocol, Regime, Suite, Task
from geneb_jax.benchmark.identifiers import task_id_problem
from geneb_jax.errors import ConfigError, SelectionError
from geneb_jax.plain_files import is_folder, is_plain_file, read_plain
from geneb_jax.plugins import SUITES, PlugIn, find_plug_in, plug_ins
from geneb_jax.resources import config_folder

__all__ = ["SUITE_FILE", "builtin_suites", "load_suite"]

#: The file that makes a folder a suite.
SUITE_FILE = "suite.toml"

_MAX_SUITE_BYTES = 16 * 2**20
_MOST_CLASSES = 10_000


def _printable(value: str) -> str:
    """What every table, page and terminal can show as it is, in one line."""
    if value != value.strip() or not value.isprintable():
        raise ValueError(f"{value!r} is not printable text without outer spaces")
    return value


Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _TaskEntry(_Strict):
    id: str
    category: Text
    label: Text | None = None
    test_rows: Annotated[int, Field(ge=1)] | None = None
    classes: Annotated[list[Text], Field(min_length=2, max_length=_MOST_CLASSES)] | None = None

    @field_validator("id")
    @classmethod
    def _allowed(cls, value: str) -> str:
        problem = task_id_problem(value)
        if problem is not None:
            raise ValueError(f"the task id {value[:80]!r} {problem}")
        return value

    @field_validator("classes")
    @classmethod
    def _each_once(cls, value: list[str] | None) -> list[str] | None:
        names = value or []
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise ValueError(f"the class {repeated[0]!r} appears twice")
        return value


class _RegimeEntry(_Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    shots: Annotated[int, Field(ge=1)] | None = None


class _ProtocolEntry(_Strict):
    regimes: Annotated[list[_RegimeEntry], Field(min_length=1)] = [
        _RegimeEntry(name="full"),
        _RegimeEntry(name="10shot", shots=10),
        _RegimeEntry(name="1shot", shots=1),
    ]
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1)] = [
        13,
        17,
        42,
        123,
        997,
    ]
    C: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    max_iter: Annotated[int, Field(ge=0)] = 1000
    tol: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4

    @model_validator(mode="after")
    def _distinct(self) -> _ProtocolEntry:
        _refuse_repeats("regime", [regime.name for regime in self.regimes])
        _refuse_repeats("seed", [str(seed) for seed in self.seeds])
        return self


class _DatasetEntry(_Strict):
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class _SuiteFile(_Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    title: Text
    tasks: Annotated[list[_TaskEntry], Field(min_length=1)]
    protocol: _ProtocolEntry = Field(default_factory=_ProtocolEntry)
    harness_version: Text | None = None
    dataset: _DatasetEntry | None = None
    simulated: bool = False
    notes: list[str] = []
    files: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None

    @model_validator(mode="after")
    def _distinct(self) -> _SuiteFile:
        _refuse_repeats("task id", [task.id for task in self.tasks])
        spellings: dict[str, str] = {}
        for task in self.tasks:
            first = spellings.setdefault(task.category.casefold(), task.category)
            if first != task.category:
                raise ValueError(
                    f"the category {task.category!r} is also spelled {first!r}; use one spelling"
                )
        return self


def _refuse_repeats(kind: str, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        first = seen.get(name.casefold())
        if first is not None:
            same = "twice" if first == name else f"beside {first!r}, which differs only in case"
            raise ValueError(f"the {kind} {name!r} appears {same}")
        seen[name.casefold()] = name


def builtin_suites() -> tuple[str, ...]:
    """Names of the suites that ship with the package, sorted."""
    folder = config_folder() / "benchmarks"
    names = set()
    for entry in folder.iterdir():
        if entry.name.endswith(".toml"):
            names.add(entry.name.removesuffix(".toml"))
        elif entry.is_dir() and (entry / SUITE_FILE).is_file():
            names.add(entry.name)
    return tuple(sorted(names))


def load_suite(name_or_folder: str | Path) -> Suite:
    """Load a built-in suite by name, or the suite in a folder (or of a ``.toml`` file) by path.

    Args:
        name_or_folder: ``"geneb"``, ``"demo"``, a folder with a ``suite.toml``, or a suite's TOML
            file. A plain name that is a built-in suite always means the built-in one. Last comes
            the name of a suite that another package declares (docs/extending.md).

    Raises:
        SelectionError: if there is no such suite.
        ConfigError: if a package's suite cannot be had, or the TOML cannot be read, has unknown
            keys or impossible values, or names a task twice (also when only the case differs).
    """
    if isinstance(name_or_folder, str) and name_or_folder in builtin_suites():
        folder = Path(str(config_folder() / "benchmarks"))
        nested = folder / name_or_folder / SUITE_FILE
        if nested.is_file():
            return _read_suite(nested, nested.parent)
        return _read_suite(folder / f"{name_or_folder}.toml", None)
    path = Path(name_or_folder).expanduser()
    if is_plain_file(path / SUITE_FILE):
        return _read_suite(path / SUITE_FILE, path)
    if is_plain_file(path) and path.suffix == ".toml":
        return _read_suite(path, path.parent)
    plug_in = find_plug_in(SUITES, str(name_or_folder))
    if plug_in is not None:
        return _of_plug_in(plug_in)
    known = ", ".join((*builtin_suites(), *plug_ins(SUITES)))
    raise SelectionError(
        f"there is no suite {str(name_or_folder)!r}",
        cause=f"the folder has no {SUITE_FILE}" if is_folder(path) else None,
        hint=f"`geneb-jax suite init {shlex.quote(str(name_or_folder))}` writes one for the files "
        "that are there"
        if is_folder(path)
        else f"known suites: {known}; or give a folder that holds a {SUITE_FILE}",
    )


def _of_plug_in(plug_in: PlugIn) -> Suite:
    """The suite of another package, whose entry point is a folder or a function that gives one."""
    made = plug_in.load()
    folder = plug_in.call(made) if callable(made) else made
    if not isinstance(folder, str | os.PathLike):
        raise plug_in.refusal(f"gave {type(folder).__name__}, not a folder")
    path = Path(folder) / SUITE_FILE
    if not is_plain_file(path):
        raise plug_in.refusal(f"names {folder}, where there is no {SUITE_FILE}")
    return _read_suite(path, path.parent)


def _read_suite(path: Path, folder: Path | None) -> Suite:
    try:
        content = read_plain(path, largest_bytes=_MAX_SUITE_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read the suite ({error.strerror})", where=path) from error
    except ValueError as error:
        raise ConfigError(f"cannot be a suite ({error})", where=path) from error
    try:
        parsed = _SuiteFile.model_validate(tomllib.loads(content.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise ConfigError("the suite is not UTF-8 text", where=path) from error
    except ValidationError as error:
        raise ConfigError(_validation_message(error), where=path) from error
    except (ValueError, RecursionError) as error:  # integers of thousands of digits among them
        raise ConfigError(f"the suite is not valid TOML ({error})", where=path) from error
    return Suite(
        name=parsed.name,
        title=parsed.title,
        tasks=tuple(
            Task(
                entry.id,
                entry.label or entry.id,
                entry.category,
                entry.test_rows,
                tuple(entry.classes or ()),
            )
            for entry in parsed.tasks
        ),
        protocol=Protocol(
            regimes=tuple(Regime(entry.name, entry.shots) for entry in parsed.protocol.regimes),
            seeds=tuple(parsed.protocol.seeds),
            C=parsed.protocol.C,
            max_iter=parsed.protocol.max_iter,
            tol=parsed.protocol.tol,
        ),
        harness_version=parsed.harness_version,
        dataset=None
        if parsed.dataset is None
        else DatasetPin(parsed.dataset.repository, parsed.dataset.revision),
        folder=folder if folder is None or parsed.files is None else folder / parsed.files,
        simulated=parsed.simulated,
        notes=tuple(parsed.notes),
    )


def _validation_message(error: ValidationError) -> str:
    """All complaints as one sentence, the place in the file before each."""
    complaints = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"])
        text = "unknown key" if item["type"] == "extra_forbidden" else str(item["msg"])
        text = text.removeprefix("Value error, ")
        complaints.append(f"{place}: {text}" if place else text)
    shown = "; ".join(complaints[:5])
    more = len(complaints) - 5
    return shown + (f"; and {more} more" if more > 0 else "")
