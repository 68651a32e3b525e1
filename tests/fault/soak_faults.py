"""The faults of the soak: each disturbs a run, or what it left, and says what it did.

A fault raises :class:`Wrong` where something happened that must never happen: an exit code that is
not promised, a traceback, a write where none may be.
"""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fault import damage
from tests.fault.forked_runs import ForkedRun, start

__all__ = ["FAULTS", "Place", "Refused", "Wrong", "ended"]

#: What a run may end with where a place refuses: complete, some units failed, or one message.
_REFUSED = (0, 1, 2)
#: Messages that name the one file to delete.
_NEXT_STEP = re.compile(
    r"(\S+): the record of the folder's suite is not believed|"
    r"(\S+): .*format version"
)
_NOBODY = 65534
_DAY = 86_400


class Wrong(AssertionError):
    """What must never happen."""


class Refused(Exception):
    """A run ended with one message that names a damaged file to delete, as it may."""

    def __init__(self, path: Path) -> None:
        self.path = path


@dataclass(frozen=True)
class Place:
    """A round's own folder.

    Attributes:
        root: Holds ``out``, ``store``, ``cache`` and what the runs said.
        suite: The suite's folder, which no round changes.
        cpu_seconds: What the undisturbed run took.
        elsewhere: The store, where it is another's.
        logs: Where runs say what they say, if not in the root.
    """

    root: Path
    suite: Path
    cpu_seconds: float
    elsewhere: Path | None = None
    logs: Path | None = None

    @property
    def out(self) -> Path:
        """Results."""
        return self.root / "out"

    @property
    def store(self) -> Path:
        """Embeddings."""
        return self.elsewhere or self.root / "store"

    def begin(self, *more: str, prepare: Callable[[], None] | None = None) -> ForkedRun:
        """Start the run, or go on with it."""
        arguments = ["run", "-m", "kmer-2", "--suite", str(self.suite)]
        arguments += ["--regime", "full", "--regime", "10shot", "--C", "0.1,1", "--offline"]
        arguments += ["--out", str(self.out), "--store", str(self.store), *more]
        logs = self.logs or self.root
        count = len(list(logs.glob("said-*")))
        os.environ["GENEB_JAX_CACHE"] = str(self.root / "cache")
        return start(arguments, logs / f"said-{count}", prepare)

    def moment(self, generator: random.Random) -> float:
        """A random moment of the run, in seconds of its CPU time."""
        return generator.uniform(0.0, 1.1) * self.cpu_seconds

    def is_done(self) -> bool:
        """Whether all work was done."""
        return (self.out / "report.html").exists()


def ended(run: ForkedRun, *allowed: int) -> int:
    """Its exit code, if that is allowed and nothing reads like a defect."""
    code, said = run.wait(), run.said
    asked = _NEXT_STEP.search(said) if code == 2 and "Traceback" not in said else None
    if asked and 2 not in allowed:
        raise Refused(Path(asked[1]) if asked[1] else Path(asked[2]) / "manifest.json")
    if code not in allowed or "Traceback" in said or "This is a defect" in said:
        raise Wrong(f"exit code {code}: {said[-3000:]}")
    return code


def _killed(place: Place, generator: random.Random) -> dict[str, Any]:
    moment, run = place.moment(generator), place.begin()
    if run.at(moment):
        run.signal(signal.SIGKILL)
    return {"moment": moment, "code": ended(run, -signal.SIGKILL, 0)}


def _told_to_stop(place: Place, generator: random.Random) -> dict[str, Any]:
    moment, number = place.moment(generator), generator.choice([signal.SIGTERM, signal.SIGINT])
    run = place.begin()
    done_before = True
    if run.at(moment):
        done_before = place.is_done()
        run.signal(number)
    code = ended(run, 75, 0)
    if code == 0 and not done_before:
        raise Wrong("told to stop, went on and ended with 0")
    return {"signal": number.name, "moment": moment, "code": code}


def _files_limited(place: Place, generator: random.Random) -> dict[str, Any]:
    limit = int(10 ** generator.uniform(1, 4.6))

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    log = place.begin(prepare=prepare)  # what it says counts, too, and may be cut
    code = log.wait()
    if code not in _REFUSED:
        raise Wrong(f"exit code {code} where files are limited to {limit} bytes")
    return {"limit": limit, "code": code}


def _disk_full(place: Place, generator: random.Random) -> dict[str, Any]:
    """A file system of its own with little room; where none may be mounted, a limit on files."""
    disk, room = place.root / "disk", int(10 ** generator.uniform(3.6, 5.3))
    used = sum(-(-path.stat().st_size // 4096) + 1 for path in place.root.rglob("*")) * 4096
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={used + room}", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        disk.rmdir()
        return {"instead": "files limited", **_files_limited(place, generator)}
    try:
        for name in ("out", "store"):
            if (place.root / name).exists():
                shutil.copytree(place.root / name, disk / name)
        there = Place(disk, place.suite, place.cpu_seconds, logs=place.root)
        code = ended(there.begin(), *_REFUSED)
        for name in ("out", "store"):
            shutil.rmtree(place.root / name, ignore_errors=True)
            if (disk / name).exists():
                shutil.copytree(disk / name, place.root / name)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        disk.rmdir()
    return {"room": room, "code": code}


def _chosen(place: Place, generator: random.Random) -> list[Path]:
    """One to four files of the results and the store; a run first if there are none."""
    if not damage.content_files(place.out, place.store):
        ended(place.begin(), 0)
    files = damage.content_files(place.out, place.store)
    return generator.sample(files, min(len(files), generator.randint(1, 4)))


def _bits_flipped(place: Place, generator: random.Random) -> dict[str, Any]:
    flipped = {}
    for path in _chosen(place, generator):
        name = path.relative_to(place.root).as_posix()
        flipped[name] = damage.flip_bits(path, generator, generator.randint(1, 3))
    return {"flipped": flipped}


def _files_deleted(place: Place, generator: random.Random) -> dict[str, Any]:
    names = []
    for path in _chosen(place, generator):
        if path.suffix == ".npz" and "records" in path.parts:
            continue  # whoever deletes predictions to save room is not given them again
        path.unlink()
        names.append(path.relative_to(place.root).as_posix())
    return {"deleted": names}


def _files_cut(place: Place, generator: random.Random) -> dict[str, Any]:
    return {
        "cut": {
            path.relative_to(place.root).as_posix(): damage.cut(path, generator)
            for path in _chosen(place, generator)
        }
    }


def _two_writers(place: Place, generator: random.Random) -> dict[str, Any]:
    first, second = place.begin(), place.begin()
    killed = generator.random() < 0.5
    if killed and first.at(place.moment(generator)):
        first.signal(signal.SIGKILL)
    codes = [ended(second, 0), ended(first, 0, -signal.SIGKILL if killed else 0)]
    return {"killed": killed, "codes": codes}


def _part_lost(place: Place, generator: random.Random) -> dict[str, Any]:
    """Two parts share the work, the first dies, and the clocks of the two need not agree."""
    shift = generator.choice([0, 0, -3600, 40 * _DAY])
    first = place.begin("--part", "1/2")
    second = place.begin("--part", "2/2", prepare=_clock(shift))
    moment = place.moment(generator)
    if first.at(moment):
        first.signal(signal.SIGKILL)
    codes = [ended(second, 0, 1), ended(first, 0, 1, -signal.SIGKILL)]
    return {"moment": moment, "shift": shift, "codes": codes}


def _worker_lost(place: Place, generator: random.Random) -> dict[str, Any]:
    """One of two workers of a cluster is killed; the other takes over."""
    run = place.begin("--scheduler", "local:2")
    killed = False
    while not run.ended() and not killed:
        time.sleep(0.1)
        family = _descendants(run.pid) if not run.ended() else []
        workers = [pid for pid in family if b"spawn_main" in _command(pid)]
        if len(workers) >= 2:
            time.sleep(generator.uniform(0, 4))
            with suppress(ProcessLookupError):
                os.kill(generator.choice(workers), signal.SIGKILL)
                killed = True
    # One that dies before it has begun is a message.
    return {"killed": killed, "code": ended(run, 0, 2)}


def _clock_moved(place: Place, generator: random.Random) -> dict[str, Any]:
    """The clock is set back or forward between two runs, the first of them ended early."""
    shift = generator.choice([-1, 1]) * generator.choice([60, 3600, 40 * _DAY, 4000 * _DAY])
    first = place.begin()
    if first.at(place.moment(generator)):
        first.signal(signal.SIGKILL)
    ended(first, 0, -signal.SIGKILL)
    return {"shift": shift, "code": ended(place.begin(prepare=_clock(shift)), 0)}


def _times_moved(place: Place, generator: random.Random) -> dict[str, Any]:
    """Files that are said to be of another time, as after a copy or a clock set back."""
    shift = generator.choice([-4000, -1, 1, 400]) * _DAY
    for path in place.root.rglob("*"):
        os.utime(path, (time.time() + shift,) * 2)
    return {"shift": shift}


def _denied(place: Place, generator: random.Random) -> dict[str, Any]:
    """Another user, who may read everything and write nothing."""
    if os.geteuid():
        return {"skipped": "only the superuser can be somebody else"}
    place.out.mkdir(exist_ok=True)
    before = _tree(place)

    def prepare() -> None:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)

    code = ended(place.begin(prepare=prepare), 2)
    if _tree(place) != before:
        raise Wrong("a user who may write nothing changed something")
    return {"code": code}


FAULTS: dict[str, Callable[[Place, random.Random], dict[str, Any]]] = {
    "killed": _killed,
    "told to stop": _told_to_stop,
    "files limited": _files_limited,
    "disk full": _disk_full,
    "bits flipped": _bits_flipped,
    "files deleted": _files_deleted,
    "files cut": _files_cut,
    "two writers": _two_writers,
    "part lost": _part_lost,
    "worker lost": _worker_lost,
    "clock moved": _clock_moved,
    "times moved": _times_moved,
    "denied": _denied,
}


def _clock(shift: float) -> Callable[[], None]:
    """What sets this process's clock, as Python asks for it, wrong by some seconds."""

    def prepare() -> None:
        now, now_ns = time.time, time.time_ns
        time.time = lambda: now() + shift
        time.time_ns = lambda: now_ns() + int(shift) * 10**9

    return prepare


def _tree(place: Place) -> dict[str, int]:
    folders = (place.out, place.store)
    paths = (path for folder in folders for path in folder.rglob("*"))
    return {str(path): path.stat().st_mtime_ns for path in paths}


def _descendants(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text(encoding="ascii").split():
                found += [int(child), *_descendants(int(child))]
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
