"""Kills, cuts and full memories: nothing is lost, nothing is done twice, and the end is clear."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.data.distinct import sequence_digest
from geneb_jax.embed import open_store
from geneb_jax.fleet import FleetEndedError, LostUnitsError
from geneb_jax.fleet.opening import open_fleet
from geneb_jax.fleet.roster import Patience
from geneb_jax.models import LoadOptions
from geneb_jax.models.loading import load_encoder
from geneb_jax.store import EmbeddingStore
from geneb_jax.store.claims import CLAIMS_FOLDER
from geneb_jax.store.shard_files import read_row_file
from tests.fleet.cluster import Cluster, wait_until
from tests.fleet.proxy import Proxy
from tests.fleet.runs_by_many import children, command, start, write_suite
from tests.fleet.work import die, fill_memory, keep_memory, sleep, slowly, who

pytestmark = pytest.mark.sweep

OPTIONS = ("--regime", "1shot")
REAL = (
    "leannmlindsey_GUE_human_tf_0",
    "leannmlindsey_GUE_mouse_4",
    "leannmlindsey_GUE_prom_core_all",
    "leannmlindsey_GUE_emp_H3",
    "iPro-WAEL_Promoter_HUVEC",
)


@dataclass(frozen=True)
class Alone:
    """What one process gives.

    Attributes:
        scores: Its scores.csv.
        digests: Of all distinct sequences, uint8 ``[n, 16]``.
        tokens: Of each, by its digest.
    """

    scores: bytes
    digests: np.ndarray
    tokens: dict[bytes, int]


@pytest.fixture(scope="module")
def suite(real_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200,000 distinct sequences: simulated ones of 30 to 120 bp, real ones of 70 to 2,993."""
    files = [real_tasks / f"{task}.csv.gz" for task in REAL]
    if lacking := [file.name for file in files if not file.exists()]:
        pytest.skip(f"not among the real task files: {', '.join(lacking)}")
    folder = tmp_path_factory.mktemp("suite") / "toy"
    return write_suite(folder, tasks=2, rows=52_000, real=files)


@pytest.fixture(scope="module")
def alone(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    place = tmp_path_factory.mktemp("alone")
    process = start(command(suite, place, *OPTIONS), place)
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    store = open_store(str(place / "store"), load_encoder("kmer-4", LoadOptions(dtype="float32")))
    texts = {
        row["text"].upper() for file in suite.glob("*.csv*") for row in csv.DictReader(_lines(file))
    }
    # Counts of words take a letter for a token.
    tokens = {sequence_digest(text): len(text) for text in texts}
    assert tokens.keys() == {digest.tobytes() for digest in store.digests()}
    assert len(tokens) >= 200_000
    (facts,) = json.loads((place / "out" / "run.json").read_text())["models"].values()
    assert facts["embedding"]["tokens"] == sum(tokens.values())
    return Alone((place / "out" / "scores.csv").read_bytes(), store.digests(), tokens)


def _lines(file: Path) -> list[str]:
    content = file.read_bytes()
    return (gzip.decompress(content) if file.suffix == ".gz" else content).decode().splitlines()


@pytest.mark.parametrize("workers", [2, 4, 8])
@pytest.mark.parametrize("seed", range(10))
def test_a_worker_killed_at_a_random_moment_changes_nothing(
    suite: Path,
    tmp_path: Path,
    alone: Alone,
    workers: int,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    digests = alone.digests
    chance = random.Random(100 * workers + seed)
    process = start(command(suite, tmp_path, "--scheduler", f"local:{workers}", *OPTIONS), tmp_path)
    wait_until(lambda: len(children(process.pid)) >= workers or process.poll() is not None, 300)
    wait_until(lambda: any((tmp_path / "store").rglob("*.rows")) or process.poll() is not None, 300)
    time.sleep(chance.uniform(0.0, 8.0))
    there = children(process.pid)
    if there:
        os.kill(chance.choice(there), signal.SIGKILL)
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert (tmp_path / "out" / "scores.csv").read_bytes() == alone.scores
    encoder = load_encoder("kmer-4", LoadOptions(dtype="float32"))
    store = open_store(str(tmp_path / "store"), encoder)
    assert len(store) == len(digests) and not len(store.missing(digests))
    assert store.verify() == [] and store._folder.names(CLAIMS_FOLDER) == []
    (facts,) = json.loads((tmp_path / "out" / "run.json").read_text())["models"].values()
    embedded, tokens = facts["embedding"]["embedded"], facts["embedding"]["tokens"]
    # Whoever lived on computed nothing that was there. What nobody reports is what the victim had
    # committed of its unit: whole shards that follow each other in the order of lengths.
    unreported = (len(digests) - embedded, sum(alone.tokens.values()) - tokens)
    record_property("unreported", str(unreported))
    assert unreported[0] <= len(digests) // 4
    assert unreported == (0, 0) or unreported in _runs_of_shards(store, alone.tokens)


def _runs_of_shards(store: EmbeddingStore, tokens: dict[bytes, int]) -> set[tuple[int, int]]:
    """Rows and tokens of every run of shards, longest sequences first."""
    contents = store._view.contents
    sizes = []
    for shard in contents.shards.values():
        of_rows = [
            tokens[digest.tobytes()]
            for digest in read_row_file(store._folder, shard, contents.manifest).digests
        ]
        sizes.append((-max(of_rows), -sum(of_rows), len(of_rows)))
    sizes.sort()
    ends = np.cumsum([(0, 0), *((rows, -total) for _, total, rows in sizes)], axis=0)
    return {
        tuple((ends[last] - ends[first]).tolist())
        for first in range(len(ends))
        for last in range(first + 1, len(ends))
    }


def test_a_driver_that_is_told_to_end_can_be_resumed(suite: Path, tmp_path: Path) -> None:
    arguments = command(suite, tmp_path, "--scheduler", "local:2", verb="embed")
    process = start(arguments, tmp_path)
    wait_until(lambda: any((tmp_path / "store").rglob("*.rows")) or process.poll() is not None, 300)
    workers = children(process.pid)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert "interrupted" in said and "Traceback" not in said
    for worker in workers:
        wait_until(lambda worker=worker: not Path(f"/proc/{worker}").exists())
    encoder = load_encoder("kmer-4", LoadOptions(dtype="float32"))
    before = len(open_store(str(tmp_path / "store"), encoder))
    assert before > 0
    process = start(arguments, tmp_path)
    printed, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    (report,) = json.loads(printed)["models"].values()
    assert report["reused"] == before and report["embedded"] > 0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        yield cluster


@pytest.mark.parametrize("told", ["nanny", "group", "lifetime"])
def test_however_a_worker_is_told_to_leave_its_unit_ends_short(
    cluster: Cluster, tmp_path: Path, told: str
) -> None:
    options = ("--lifetime", "8s") if told == "lifetime" else ()
    first = cluster.add_worker(*options, nanny=True)
    with open_fleet(cluster.address) as fleet:
        results = fleet.map(slowly, [(tmp_path, 0)])
        thread = threading.Thread(target=_tell, args=(told, first, tmp_path, cluster))
        thread.start()
        assert len(list(results)) == 1, "by it, or by the other one"
        thread.join()
    assert (tmp_path / "stopped-0").exists()
    assert first.wait(timeout=30) == 0


def _tell(told: str, worker: subprocess.Popen[bytes], place: Path, cluster: Cluster) -> None:
    wait_until((place / "begun-0").exists)
    if told != "lifetime":
        processes = [worker.pid, *(children(worker.pid) if told == "group" else ())]
        for process in processes:
            os.kill(process, signal.SIGTERM)
    wait_until((place / "stopped-0").exists)
    cluster.add_worker()


def test_a_cut_network_is_noticed(cluster: Cluster) -> None:
    cluster.add_worker()
    with (
        Proxy(int(cluster.address.rpartition(":")[2])) as proxy,
        pytest.raises(FleetEndedError, match="scheduler has not answered for") as caught,
        open_fleet(f"tcp://127.0.0.1:{proxy.port}", patience=Patience(silence=3.0)) as fleet,
    ):
        assert next(fleet.map(who, [1]))[0] == 1
        proxy.cut()
        list(fleet.map(sleep, [60.0]))
    assert caught.value.exit_code == 75


def test_a_unit_that_kills_its_workers_is_named(tmp_path: Path) -> None:
    got: list[int] = []
    with (
        open_fleet("local:2") as fleet,
        pytest.raises(LostUnitsError, match="4 workers died while they did it") as caught,
    ):
        got.extend(fleet.map(die, range(6)))
    assert got == [0, 2, 3, 4, 5] or sorted(got) == [0, 2, 3, 4, 5]
    assert [item for item, _ in caught.value.lost] == [1]


def test_a_unit_that_takes_too_much_memory_is_named(cluster: Cluster) -> None:
    cluster.add_worker("--memory-limit", "600MB", nanny=True)
    with (
        open_fleet(cluster.address) as fleet,
        pytest.raises(LostUnitsError, match="out of memory, killed"),
    ):
        assert list(fleet.map(fill_memory, [2000, 10])) == [10 << 20]


def test_workers_that_are_paused_for_good_end_the_run(cluster: Cluster) -> None:
    cluster.add_worker("--memory-limit", "600MB", nanny=True)
    with (
        open_fleet(cluster.address, patience=Patience(paused=3.0)) as fleet,
        pytest.raises(FleetEndedError, match=r"all 1 workers are paused.*--memory-limit"),
    ):
        list(fleet.map(keep_memory, [400, 1, 1]))


def test_a_worker_on_its_share_of_the_cores_gives_the_bits_of_one_process(tmp_path: Path) -> None:
    """With one thread this model gives others (measured), with all threads on one core it must not.

    Small models do not show it.
    """
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    found = []
    for number, cores in enumerate((None, [min(os.sched_getaffinity(0))])):
        file = tmp_path / f"{number}.npy"
        code = (
            "import jax, numpy, geneb_jax\n"
            "from geneb_jax.fleet.cores import confine\n"
            "jax.local_devices()\n"
            f"cores = {cores!r}\n"
            "assert cores is None or confine(cores)\n"
            "model = geneb_jax.load_model(\n"
            "    'nucleotide-transformer-v2-50m-multi-species', weights='random')\n"
            "random = numpy.random.default_rng(0)\n"
            "texts = [''.join(random.choice(list('ACGT'), 500)) for _ in range(4)]\n"
            f"numpy.save({str(file)!r}, model.embed(texts))\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
        found.append(np.load(file).tobytes())
    assert found[0] == found[1]
