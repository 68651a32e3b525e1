"""Addresses, devices, cores, and what a unit does in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.errors import ConfigError, DataError
from geneb_jax.fleet import LocalWorkers, RemoteScheduler, WorkerError, read_scheduler
from geneb_jax.fleet import unit as units
from geneb_jax.fleet.cores import share_of_cores
from geneb_jax.fleet.local_workers import device_variables
from geneb_jax.fleet.unit import Order, do_unit, software
from tests.fleet.work import refuse, who


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Order:
    monkeypatch.setattr(units, "_stopped_runs", set())
    return Order(1, "run", str(tmp_path), software())


def test_what_a_scheduler_may_be() -> None:
    assert read_scheduler("local:8") == LocalWorkers(8)
    assert read_scheduler("tcp://10.0.0.1:8786") == RemoteScheduler("tcp://10.0.0.1:8786")
    assert read_scheduler("tls://[::1]:8786") == RemoteScheduler("tls://[::1]:8786")


@pytest.mark.parametrize(
    "text",
    ["", "local", "local:", "local:0", "local:513", "local:-1", "local:2x", "8", "node:8786"],
)
def test_what_it_may_not_be(text: str) -> None:
    with pytest.raises(ConfigError, match="--scheduler"):
        read_scheduler(text)


@pytest.mark.parametrize("cores", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_cores_are_divided(cores: int, workers: int) -> None:
    have = tuple(range(10, 10 + cores))
    shares = [share_of_cores(number, workers, have) for number in range(workers)]
    assert set().union(*shares) == set(have[: max(workers, cores)])
    sizes = [len(share) for share in shares]
    if workers <= cores:
        assert sum(sizes) == cores
        assert sorted(sizes) == sorted(map(len, np.array_split(have, workers)))
    else:
        assert sizes == [1] * workers


def test_a_confined_process_keeps_its_threads_and_loses_cores() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    code = (
        "import os, threading, time\n"
        "from geneb_jax.fleet.cores import confine\n"
        "seen = []\n"
        "def look():\n"
        "    time.sleep(0.5); seen.append(os.sched_getaffinity(0))\n"
        "threads = [threading.Thread(target=look) for _ in range(3)]\n"
        "[one.start() for one in threads]\n"
        "core = min(os.sched_getaffinity(0))\n"
        "assert confine([core])\n"
        "[one.join() for one in threads]\n"
        "assert seen == [{core}] * 3, seen\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_each_worker_of_a_machine_has_a_gpu_of_its_own() -> None:
    found = device_variables("gpu", 4, 2, {})
    assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == ["0", "1"]
    named = device_variables("gpu", 2, 2, {"CUDA_VISIBLE_DEVICES": "5, GPU-8a"})
    assert [one["CUDA_VISIBLE_DEVICES"] for one in named] == ["5", "GPU-8a"]
    assert device_variables("cpu", 1, 3, {}) == [{}, {}, {}]
    with pytest.raises(ConfigError, match=r"there are 2 here\. --scheduler local:2"):
        device_variables("gpu", 2, 3, {})
    with pytest.raises(ConfigError, match="--part auto"):
        device_variables("tpu", 4, 4, {})


def test_a_unit_stands_where_the_driver_stands(order: Order, tmp_path: Path) -> None:
    before = Path.cwd()
    assert do_unit(_where, 0, order).result == tmp_path
    assert do_unit(_where, 0, replace(order, folder="/nowhere")).result == before
    assert Path.cwd() == before


def _where(number: int) -> Path:
    return Path.cwd()


def test_what_goes_wrong_comes_back_as_data(order: Order) -> None:
    assert do_unit(who, 5, order).result[:2] == (5, os.getpid())
    error = do_unit(refuse, 3, order).error
    assert isinstance(error, DataError) and error.where == "three.csv"
    failure = do_unit(len, 3, order).failure  # type: ignore[arg-type]
    assert failure.startswith("TypeError: object of type 'int' has no len()")


def test_a_worker_with_other_software_does_nothing(order: Order) -> None:
    other = tuple("jax 0.1" if one.startswith("jax ") else one for one in order.software)
    outcome = do_unit(who, 1, replace(order, software=other))
    assert outcome.result is None and isinstance(outcome.error, WorkerError)
    here = next(one for one in order.software if one.startswith("jax "))
    assert f"{here} and not 0.1." in outcome.error.message


def test_a_stopped_run_begins_no_unit_and_others_do(order: Order) -> None:
    units.stop_run("run")
    assert do_unit(who, 1, order).refused
    assert do_unit(who, 1, replace(order, run="another")).result is not None
