"""What runs in a worker: one unit at a time, its progress told, and a way to stop it early.

A unit never raises: what went wrong comes back as data, since an error that another process cannot
unpickle would hide the reason. Nothing here needs ``distributed``; a unit also runs without it.
"""

from __future__ import annotations

import os
import platform
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from geneb_jax.errors import GenebError
from geneb_jax.fleet.losses import WorkerError

__all__ = [
    "Order",
    "Outcome",
    "Progress",
    "do_unit",
    "finish",
    "leave",
    "run_here",
    "software",
    "stop_run",
    "stopping",
    "tell",
]

#: Distributions of which a worker must have the very version that the driver has: they decide bits.
_DECIDING = ("geneb-jax", "jax", "jaxlib", "flax", "numpy", "scipy")

#: What is told of a unit at work: (unit, letters done, sequences done).
Progress = Callable[[int, int, int], None]

_one_at_a_time = threading.Lock()
_leaving = threading.Event()
_stopped_runs: set[str] = set()
_now: Order | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker must know of a unit besides its work.

    Attributes:
        key: Number of the unit in its run.
        run: Name of the run, also the topic under which progress is told.
        folder: Where the driver stands; relative paths of the work begin there.
        software: See :func:`software`.
    """

    key: int
    run: str
    folder: str
    software: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a unit.

    Attributes:
        worker: Address and machine of the worker.
        result: What the function gave.
        error: A message for the user instead.
        failure: Any other error instead: its last line, and where it happened.
        refused: The worker is about to leave and did not begin.
    """

    worker: str
    result: Any = None
    error: GenebError | None = None
    failure: str = ""
    refused: bool = False


def software() -> tuple[str, ...]:
    """Versions of what decides results, such as ``jax 0.10.2``."""
    python = ".".join(platform.python_version_tuple()[:2])
    return (f"python {python}", *(f"{name} {_version(name)}" for name in _DECIDING))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def stopping() -> bool:
    """Whether the unit at work should end as soon as it can, with what it has."""
    return _leaving.is_set() or (_now is not None and _now.run in _stopped_runs)


def leave() -> None:
    """This worker is to end: the unit at work stops short, and no other begins."""
    _leaving.set()


def stop_run(run: str) -> None:
    """Units of a run stop short and no other of them begins; the worker stays for other runs."""
    _stopped_runs.add(run)


def finish(seconds: float | None = None) -> bool:
    """Wait until no unit is at work; whether that came true in time."""
    if not _one_at_a_time.acquire(timeout=-1 if seconds is None else seconds):
        return False
    _one_at_a_time.release()
    return True


def tell(letters: int, sequences: int) -> None:
    """Tell the driver how far the unit at work is; in vain where there is no worker."""
    with suppress(ImportError, ValueError):
        from distributed import get_worker

        if _now is not None:
            get_worker().log_event(_now.run, [_now.key, letters, sequences])


def do_unit(function: Callable[[Any], Any], item: Any, order: Order) -> Outcome:
    """Do one unit in this process, which does no other meanwhile."""
    global _now
    worker = _name()
    with _one_at_a_time:
        if _leaving.is_set() or order.run in _stopped_runs:
            return Outcome(worker, refused=True)
        _now = order
        try:
            _require(order)
            with _standing_in(order.folder):
                return Outcome(worker, function(item))
        except GenebError as error:
            return Outcome(worker, error=error)
        except Exception as error:
            return Outcome(worker, failure=_told(error))
        finally:
            _now = None


def run_here(function: Callable[[], Any]) -> str:
    """Call something once between units; what went wrong, or nothing."""
    with _one_at_a_time:
        try:
            function()
        except Exception as error:
            return _told(error)
    return ""


def _require(order: Order) -> None:
    here = software()
    if here != order.software:
        theirs = dict(one.rsplit(" ", 1) for one in order.software)
        unlike = [
            f"{name} {version} and not {theirs.get(name)}"
            for name, version in (one.rsplit(" ", 1) for one in here)
            if theirs.get(name) != version
        ]
        raise WorkerError(
            f"this worker has other software than the command: {', '.join(unlike)}",
            where=_name(),
            cause="its results could differ in their last bits",
            hint="start the workers in the environment that the command runs in",
        )


@contextmanager
def _standing_in(folder: str) -> Iterator[None]:
    """Relative paths mean what they mean to the driver, where this machine has its folder."""
    before = Path.cwd()
    if not Path(folder).is_dir():
        yield  # absolute paths and URLs do without
        return
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _told(error: Exception) -> str:
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(at.filename).name}:{at.lineno})"


def _name() -> str:
    with suppress(ImportError, ValueError):
        from distributed import get_worker

        return f"{get_worker().address} ({platform.node()})"
    return f"process {os.getpid()} ({platform.node()})"
