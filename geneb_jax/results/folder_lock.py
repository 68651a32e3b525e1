"""One process at a time decides what an output folder holds; records need no lock."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["one_at_a_time"]

_LOG = logging.getLogger(__name__)
_SECONDS_BEFORE_NOTICE = 2.0


@contextmanager
def one_at_a_time(out: Path) -> Iterator[None]:
    """Hold the folder while its suite is claimed, or its tables are made from its records.

    Two runs that end together would otherwise write each other's tables over with those of a moment
    before. The lock ends with its holder. Where the file system has none, the run goes on without:
    the records are whole either way, and any later run makes the tables from all of them.
    """
    lock = FileLock(str(out / "records" / ".lock"))
    held = False
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_SECONDS_BEFORE_NOTICE)
        except Timeout:
            _LOG.warning("%s: another run writes its tables; waiting for it", out)
            lock.acquire()
        held = True
    except (OSError, NotImplementedError) as error:
        _LOG.warning("%s: no lock (%s); do not run two commands into it at once", out, error)
    try:
        yield
    finally:
        if held:
            lock.release()
