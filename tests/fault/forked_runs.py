"""Whole runs as processes of their own that cost no start: forked once everything is imported.

``geneb-jax`` spends most of a small run on imports. A process that has imported all of it, and has
used neither JAX nor tensorstore, forks a child for every run; the child calls ``main`` as the
console script does, and can be signalled, killed and limited like any process.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

#: Rooms that a run on plain k-mers never enters, and that cost seconds or start processes.
_LEFT_OUT = ("adapters", "torch_reader", "worker_plugin", "__main__")
_TICK = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.004


def import_everything() -> None:
    """Import what a run imports; call it once, before the first :func:`start`."""
    import geneb_jax
    import geneb_jax_kernels
    import geneb_jax_probes

    for package in (geneb_jax_kernels, geneb_jax_probes, geneb_jax):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in found.name for part in _LEFT_OUT):
                importlib.import_module(found.name)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page


class ForkedRun:
    """A running ``geneb-jax``."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid, self._log = pid, log
        self.code: int | None = None
        self.cpu_seconds = 0.0

    @property
    def said(self) -> str:
        """What it wrote to stdout and stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def ended(self) -> bool:
        """Whether it is over; ``code`` and ``cpu_seconds`` are known then."""
        return self._collect(os.WNOHANG)

    def wait(self, timeout: float = 600.0) -> int:
        """Its exit code, negative for a signal; TimeoutError (and a kill) if it hangs."""
        until = time.monotonic() + timeout
        while not self.ended():
            if time.monotonic() > until:
                self.kill()
                raise TimeoutError(f"no end after {timeout:.0f} s: {self.said[-2000:]}")
            time.sleep(_POLL_SECONDS)
        assert self.code is not None
        return self.code

    def at(self, cpu_seconds: float) -> bool:
        """Wait for a moment by the CPU time that it used; False if it ended before.

        The load of the machine does not move such a moment. Before it listens to signals there is
        none of ours to hear them.
        """
        while not self.ended():
            if self._used() >= cpu_seconds and self._hears():
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it and all that it started, at once."""
        if self.code is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._collect(0)

    def _collect(self, flags: int) -> bool:
        if self.code is None:
            pid, status, usage = os.wait4(self.pid, flags)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self.code is not None

    def _used(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        return sum(int(ticks) for ticks in fields.split()[11:13]) / _TICK

    def _hears(self) -> bool:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def start(
    arguments: Sequence[str], log: Path, prepare: Callable[[], None] | None = None
) -> ForkedRun:
    """Run ``geneb-jax`` with these arguments.

    Args:
        arguments: As typed behind the name.
        log: Takes what it says.
        prepare: Called in the child first: limits, another user, another clock.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        _run(arguments, log, prepare)
    return ForkedRun(pid, log)


def _run(arguments: Sequence[str], log: Path, prepare: Callable[[], None] | None) -> NoReturn:
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        random.seed()  # names of temporary files must not be the sibling's
        if prepare is not None:
            prepare()
        from geneb_jax.cli.main import main

        sys.argv = ["geneb-jax", *arguments]
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 70
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 70
        os._exit(code)
