"""Two processes on one store divide the work, embed nothing twice, and outlive each other."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.embed import embed_into
from geneb_jax.store import EmbeddingStore, list_stores, prune_remnants
from geneb_jax.store.claims import CLAIMS_FOLDER, Claims
from geneb_jax.store.folders import open_folder

CHILD = Path(__file__).with_name("sharing_child.py")
_SPEC = importlib.util.spec_from_file_location("sharing_child", CHILD)
assert _SPEC is not None and _SPEC.loader is not None
child = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(child)

COUNT = 640


@pytest.fixture(params=["folder", "url"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    place = tmp_path / "store"
    place.mkdir()
    return str(place) if request.param == "folder" else f"file://{place}"


def start(root: str, gate: Path, *options: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), root, str(gate), *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    return json.loads(said.splitlines()[-1])


def open_store(root: str) -> EmbeddingStore:
    return child.open_store(root, child.Slow())


def require_complete(root: str, count: int = COUNT) -> None:
    """Everything is there with the bytes that one process gives, and no claim is left."""
    store, table = open_store(root), child.table(count)
    expected = child.Slow().embed(table.sequences)
    assert len(store) == len(table.sequences)
    assert store.read(table.digests).tobytes() == expected.tobytes()
    assert store.verify() == []
    assert store._folder.names(CLAIMS_FOLDER) == []


@pytest.mark.fault("F40")
def test_two_processes_share_the_work_and_embed_nothing_twice(root: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    processes = [start(root, gate) for _ in range(2)]
    gate.touch()
    reports = [report_of(process) for process in processes]
    embedded = [report["embedded"] for report in reports]
    assert sum(embedded) == COUNT
    assert min(embedded) > COUNT / 4, embedded
    for report in reports:
        assert report["embedded"] + report["reused"] == COUNT
        assert report["from_others"] == report["reused"]
        assert report["computed"] == report["embedded"]
    require_complete(root)


@pytest.mark.fault("F40")
def test_what_a_killed_process_had_claimed_is_taken_over(root: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    victim, other = start(root, gate, "--pause", 0.2), start(root, gate, "--pause", 0.02)
    gate.touch()
    while len(open_store(root)) < 64:
        time.sleep(0.02)
    victim.kill()
    victim.communicate()
    began = time.monotonic()
    report = report_of(other)
    assert report["embedded"] + report["reused"] == COUNT
    assert time.monotonic() - began < 30, "half a lease"
    require_complete(root)


def test_a_late_one_joins_and_shares_what_is_left(root: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first, second = start(root, gate, "--pause", 0.1), start(root, tmp_path / "later")
    gate.touch()
    while not len(open_store(root)):
        time.sleep(0.02)
    (tmp_path / "later").touch()
    embedded = [report_of(process)["embedded"] for process in (first, second)]
    assert sum(embedded) == COUNT and min(embedded) >= 64
    require_complete(root)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(20))
def test_twenty_random_kills_leave_the_same_rows(root: str, tmp_path: Path, seed: int) -> None:
    gate, chance = tmp_path / "gate", random.Random(seed)
    gate.touch()
    processes = [start(root, gate, "--pause", 0.02) for _ in range(2)]
    time.sleep(chance.uniform(0.0, 0.6))
    processes[seed % 2].kill()
    if seed % 3 == 0:
        time.sleep(chance.uniform(0.0, 0.2))
        processes[1 - seed % 2].kill()
    for process in processes:
        process.communicate(timeout=120)
    embed_into(open_store(root), child.Slow(), child.table(COUNT))
    require_complete(root)


# Claims by themselves


def digests_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16)).astype(np.uint8)


def claims_of(root: str, *, lease_seconds: float = 60.0, elsewhere: bool = False) -> Claims:
    claims = Claims(open_folder(root, "a-0123456789abcdef"), lease_seconds=lease_seconds)
    if elsewhere:
        holder = claims._holder
        claims._holder = type(holder)("another machine", holder.pid, holder.started, holder.token)
    return claims


@pytest.fixture
def place(root: str) -> str:
    open_folder(root, "a-0123456789abcdef").prepare()
    return root


def test_rows_are_claimed_once_whatever_shard_they_are_in(place: str) -> None:
    one, two, rows = claims_of(place), claims_of(place), digests_of(10)
    first = one.take(rows[:6])
    assert first is not None and first.digests.tobytes() == rows[:6].tobytes()
    assert two.take(rows[:6]) is None and two.take(rows[2:5]) is None
    rest = two.take(rows[4:])
    assert rest is not None and rest.digests.tobytes() == rows[6:].tobytes()
    assert two.held_by_others().tobytes() == rows[:6].tobytes()
    one.release([first.name])
    assert not len(two.held_by_others()) and two.take(rows[:4]) is not None


@pytest.mark.fault("F40", "F51")
def test_a_silent_claim_of_another_machine_is_taken_over_after_its_lease(place: str) -> None:
    theirs, ours, rows = claims_of(place, elsewhere=True), claims_of(place), digests_of(4)
    ours._lease_seconds = 0.3
    assert theirs.take(rows) is not None
    assert ours.take(rows) is None
    time.sleep(0.4)
    claim = ours.take(rows)
    assert claim is not None
    theirs.release([claim.name])  # it wakes up: what is not its own any more stays
    assert claims_of(place).take(rows) is None


def test_a_beating_claim_of_another_machine_outlives_its_lease(place: str) -> None:
    theirs, ours = claims_of(place, lease_seconds=0.6, elsewhere=True), claims_of(place)
    ours._lease_seconds, rows = 0.6, digests_of(4)
    with theirs:
        assert theirs.take(rows) is not None
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert ours.take(rows) is None
            time.sleep(0.02)
    assert ours.take(rows) is not None, "left claims are free"


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[1]\n", b'{"pid": 1}\nxx', b"\xff\xfe\n"])
def test_a_damaged_claim_stops_nobody(place: str, content: bytes) -> None:
    folder, rows = open_folder(place, "a-0123456789abcdef"), digests_of(4)
    claim = claims_of(place).take(rows)
    assert claim is not None
    folder.write(f"{CLAIMS_FOLDER}/{claim.name}", content)
    assert claims_of(place).take(rows) is not None


@pytest.mark.fault("F40")
def test_many_threads_claim_every_row_once(place: str) -> None:
    rows, taken, barrier = digests_of(60), [], threading.Barrier(4)

    def work(offset: int) -> None:
        claims = claims_of(place)
        barrier.wait()
        for first in range(0, 60, 6):
            claim = claims.take(rows[first + offset : first + offset + 6])
            if claim is not None:
                taken.append(claim.digests)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 0, 3, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claimed = [digest.tobytes() for digests in taken for digest in digests]
    assert len(claimed) == len(set(claimed))


def test_prune_leaves_the_claims_of_the_living_and_takes_those_of_the_dead(
    root: str, tmp_path: Path
) -> None:
    store = open_store(root)
    claims, rows = store.claims(), digests_of(8)
    living, dead = claims.take(rows[:4]), store.claims()
    assert living is not None
    holder = dead._holder
    # A process number that is taken by nobody, or by one that started at another time.
    dead._holder = type(holder)(holder.machine, 2**22 - 1, 1, holder.token)
    gone = dead.take(rows[4:])
    assert gone is not None
    (entry,) = list_stores(root)
    assert prune_remnants(root, entry) == [f"{CLAIMS_FOLDER}/{gone.name}"]
    assert store.claims().held_by_others().tobytes() == rows[:4].tobytes()
