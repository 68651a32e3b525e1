"""A scheduler and workers that users start: late ones, leaving ones, dying ones."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geneb_jax.fleet import FleetEndedError
from geneb_jax.fleet.opening import open_fleet
from tests.fleet.cluster import Cluster, wait_until
from tests.fleet.work import sleep, slowly, who


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        yield cluster


def test_a_late_worker_helps_and_one_that_is_told_to_leave_ends_its_unit_short(
    cluster: Cluster, tmp_path: Path
) -> None:
    first = cluster.add_worker()
    told: list[tuple[int, int, int]] = []
    second = None
    with open_fleet(cluster.address) as fleet:
        items = ((tmp_path, number) for number in range(2))
        results = fleet.map(slowly, items, progress=lambda *news: told.append(news))
        steps = []

        def join_and_leave() -> None:
            nonlocal second
            wait_until((tmp_path / "begun-0").exists)
            second = cluster.add_worker()
            wait_until((tmp_path / "begun-1").exists)
            first.send_signal(signal.SIGTERM)

        thread = threading.Thread(target=join_and_leave)
        thread.start()
        for done in results:
            steps.append(done)
            if len(steps) == 1:
                assert first.wait(timeout=30) == 0, "it left in order"
                assert second is not None
                second.send_signal(signal.SIGTERM)
        thread.join()
    assert len(steps) == 2 and max(steps) < 200
    assert (tmp_path / "stopped-0").exists() and (tmp_path / "stopped-1").exists()
    assert {unit for unit, _, _ in told} == {1, 2}


def test_a_scheduler_that_dies_ends_the_run_clearly(cluster: Cluster) -> None:
    cluster.add_worker()
    began = time.monotonic()
    with (
        pytest.raises(FleetEndedError, match="the scheduler") as caught,
        open_fleet(cluster.address) as fleet,
    ):
        assert next(fleet.map(who, [1]))[0] == 1
        threading.Timer(0.5, cluster.scheduler.kill).start()
        list(fleet.map(sleep, [30.0, 30.0]))
    assert caught.value.exit_code == 75 and cluster.address in caught.value.message
    assert time.monotonic() - began < 60


def test_no_scheduler_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from geneb_jax.fleet import opening

    monkeypatch.setattr(opening, "_CONNECT_SECONDS", 1)
    with (
        pytest.raises(FleetEndedError, match=r"tcp://127\.0\.0\.1:9: no scheduler answers"),
        open_fleet("tcp://127.0.0.1:9"),
    ):
        pass


def test_the_commands_do_not_load_distributed() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from geneb_jax.cli.main import command\n"
        "for verb in ('run', 'embed'):\n"
        "    said = CliRunner().invoke(command, [verb, '--help']).output\n"
        "    assert 'local:N' in said\n"
        "import geneb_jax.runs.execute\n"
        "assert not {'distributed', 'dask', 'tornado'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=dict(os.environ))
