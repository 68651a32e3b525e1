"""A Dask scheduler and workers as a user starts them: processes of their own on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]


class Cluster:
    """Processes of ``dask scheduler`` and ``dask worker``; none outlives the context.

    Args:
        place: Folder of their files.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.file = place / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        self.scheduler = self._start(
            "dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)
        )
        wait_until(self.file.exists)
        wait_until(lambda: bool(self.file.read_text()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return str(json.loads(self.file.read_text())["address"])

    def add_worker(
        self, *options: str, nanny: bool = False, address: str = ""
    ) -> subprocess.Popen[bytes]:
        """Start a worker."""
        worker = self._start(
            "dask_worker",
            address or self.address,
            *("--nthreads", "1", "--no-dashboard", "--local-directory", str(self.place)),
            *(() if nanny else ("--no-nanny",)),
            *options,
        )
        self.workers.append(worker)
        return worker

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths()))}
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--host", "127.0.0.1"]
        with (self.place / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [*command, *arguments], stdout=log, stderr=log, env=environment, cwd=self.place
            )


def paths() -> list[Path]:
    """Where workers find the project and its tests."""
    return [ROOT, ROOT / "kernels", ROOT / "probes"]


def wait_until(condition: object, seconds: float = 60.0) -> None:
    """Wait for something to come true."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
