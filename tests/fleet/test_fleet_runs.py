"""Runs and embeddings by many workers: the same bytes as one process, each row once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geneb_jax.embed import EmbedProgress, open_store
from geneb_jax.fleet.dispatch import Fleet
from geneb_jax.models import LoadOptions
from geneb_jax.models.loading import load_encoder
from geneb_jax.runs import run
from geneb_jax.runs.execute import execute
from geneb_jax.runs.executors import open_executor
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import request_from_mapping
from geneb_jax.store import EmbeddingStore
from geneb_jax.store.claims import CLAIMS_FOLDER
from tests.fleet.cluster import wait_until
from tests.fleet.runs_by_many import children, command, request_of, start, write_suite
from tests.fleet.work import who


class Watching(RunObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.shown: list[EmbedProgress] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def embedding(self, progress: EmbedProgress) -> None:
        self.shown.append(progress)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    request = request_from_mapping({"model": ["kmer-3"], "scheduler": "local:2"})
    with open_executor(request, RunObserver()) as fleet:
        assert isinstance(fleet, Fleet)
        yield fleet


def _store(place: Path, model: str) -> EmbeddingStore:
    return open_store(str(place / "store"), load_encoder(model, LoadOptions(dtype="float32")))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("suite") / "toy", tasks=4, rows=200)


@pytest.mark.parametrize("model", [pytest.param("kmer-3", marks=pytest.mark.sweep), "tiny-nt-v2"])
def test_two_workers_give_the_bytes_of_one_process(
    fleet: Fleet, suite: Path, tmp_path: Path, model: str
) -> None:
    options: dict[str, Any] = {"regime": ["10shot"]}
    if model == "tiny-nt-v2":  # one length, one program
        suite = write_suite(tmp_path / "alike", tasks=4, rows=60, length_bp=0)
    alone = execute(request_of(suite, tmp_path / "alone", model, **options))
    watching = Watching()
    request = request_of(suite, tmp_path / "many", model, **options)
    many = execute(request, watching, executor=fleet)
    assert many.complete
    for file in ("scores.csv", "summary.csv"):
        assert (many.out / file).read_bytes() == (alone.out / file).read_bytes()
    here, there = (_store(tmp_path / one, model) for one in ("alone", "many"))
    assert len(here) == len(there) > 200
    assert here.read(here.digests()).tobytes() == there.read(here.digests()).tobytes()
    assert there.verify() == []
    (facts,) = many.run.models.values()
    assert facts.embedding is not None
    assert (facts.embedding.embedded, facts.embedding.reused) == (len(here), 0)
    assert facts.embedding.tokens == next(iter(alone.run.models.values())).embedding.tokens
    last = watching.shown[-1]
    assert last.sequences_done == last.sequences_total == len(here)


def test_sequences_without_a_vector_are_named_as_by_one_process(
    fleet: Fleet, suite: Path, tmp_path: Path
) -> None:
    bad = (suite / "task-1.csv").read_text(encoding="utf-8").splitlines()[100].split(",")[0]
    module = tmp_path / "broken.py"
    module.write_text(
        "import numpy as np\n"
        "class Broken:\n"
        "    def extract_embeddings(self, sequences, batch_size=8):\n"
        "        rows = np.array([[s.count(c) for c in 'ACGT'] for s in sequences], np.float32)\n"
        f"        rows[[s == '{bad}' for s in sequences]] = np.nan\n"
        "        return rows\n",
        encoding="utf-8",
    )
    tables = []
    for place, executor in (("alone", None), ("many", fleet)):
        request = request_of(suite, tmp_path / place, f"{module}:Broken", regime=["1shot"])
        outcome = execute(request, executor=executor)
        assert not outcome.complete
        tables.append((outcome.out / "scores.csv").read_text(encoding="utf-8"))
    assert "hold NaN or infinity" in tables[0] and tables[0] == tables[1]


class Killing(RunObserver):
    """Kills a worker as soon as rows are there."""

    def __init__(self, victim: int) -> None:
        self.victim: int | None = victim

    def embedding(self, progress: EmbedProgress) -> None:
        if self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None


def test_a_run_survives_a_killed_worker(fleet: Fleet, suite: Path, tmp_path: Path) -> None:
    victim = next(process for _, process, _ in fleet.map(who, [1]))
    killing = Killing(victim)
    options = {"regime": ["1shot"]}
    many = execute(
        request_of(suite, tmp_path / "many", "kmer-3", **options), killing, executor=fleet
    )
    assert many.complete and killing.victim is None
    alone = execute(request_of(suite, tmp_path / "alone", "kmer-3", **options))
    assert (many.out / "scores.csv").read_bytes() == (alone.out / "scores.csv").read_bytes()
    here, there = (_store(tmp_path / one, "kmer-3") for one in ("alone", "many"))
    assert len(here) == len(there) and not len(there.missing(here.digests()))
    assert there.verify() == [] and there._folder.names(CLAIMS_FOLDER) == []


@pytest.mark.sweep
def test_the_command_survives_a_killed_worker(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "toy", tasks=2, rows=300)
    options = ("--regime", "1shot")
    process = start(command(suite, tmp_path, "--scheduler", "local:2", *options), tmp_path)
    wait_until(lambda: len(children(process.pid)) >= 2)
    wait_until(lambda: list((tmp_path / "store").rglob("*.rows")) or process.poll() is not None)
    for victim in children(process.pid)[:1]:
        os.kill(victim, signal.SIGKILL)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert json.loads(printed)["leaderboard"]
    alone = run(
        "kmer-4", suite=suite, out=tmp_path / "alone", store=tmp_path / "other", regimes=["1shot"]
    )
    assert (tmp_path / "out" / "scores.csv").read_bytes() == (alone.out / "scores.csv").read_bytes()
