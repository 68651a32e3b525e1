"""Runs and embeddings by many workers: the same bytes as one process, each row once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.embed import EmbedProgress, open_store
from geneb_jax.fleet.dispatch import Fleet
from geneb_jax.fleet.opening import open_fleet
from geneb_jax.models import LoadOptions
from geneb_jax.models.loading import load_encoder
from geneb_jax.runs import run
from geneb_jax.runs.embed_stage import embed_model
from geneb_jax.runs.execute import execute
from geneb_jax.runs.fleet_embedding import prepare_worker
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import request_from_mapping
from geneb_jax.runs.work import plan_work
from tests.fleet.cluster import wait_until


def write_suite(folder: Path, *, tasks: int, rows: int, length_bp: int = 60) -> Path:
    """Random tasks of two classes, with rows that several tasks share."""
    folder.mkdir()
    names = [f"task-{number}" for number in range(tasks)]
    listed = "".join(f'  {{ id = "{name}", category = "Only" }},\n' for name in names)
    (folder / "suite.toml").write_text(
        f'name = "toy"\ntitle = "Toy"\nsimulated = true\ntasks = [\n{listed}]\n', encoding="utf-8"
    )
    random = np.random.default_rng(0)
    common = _texts(random, rows // 10, length_bp)
    for name in names:
        own = common + _texts(random, rows - len(common), length_bp)
        lines = ["text,label,split"]
        for row, text in enumerate(own):
            lines.append(f"{text},{row % 2},{'train' if row < rows * 3 // 4 else 'test'}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _texts(random: np.random.Generator, count: int, length_bp: int) -> list[str]:
    letters = np.frombuffer(b"ACGT", np.uint8)
    lengths = random.integers(length_bp // 2, length_bp * 2, count)
    flat = letters[random.integers(0, 4, int(lengths.sum()))].tobytes().decode()
    ends = np.cumsum(lengths).tolist()
    return [flat[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def request_of(suite: Path, place: Path, model: str, **more: Any) -> Any:
    return request_from_mapping(
        {
            "model": [model],
            "suite": str(suite),
            "out": str(place / "out"),
            "store": str(place / "store"),
            **more,
        }
    )


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
    with open_fleet("local:2", prepare=prepare_worker) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("suite") / "toy", tasks=4, rows=400)


@pytest.mark.parametrize("model", ["kmer-3", "tiny-nt-v2"])
def test_two_workers_give_the_bytes_of_one_process(
    fleet: Fleet, suite: Path, tmp_path: Path, model: str
) -> None:
    options = {"regime": ["10shot"]} if model != "kmer-3" else {}
    alone = execute(request_of(suite, tmp_path / "alone", model, **options))
    watching = Watching()
    request = request_of(suite, tmp_path / "many", model, **options)
    many = execute(request, watching, executor=fleet)
    assert many.complete
    for file in ("scores.csv", "summary.csv"):
        assert (many.out / file).read_bytes() == (alone.out / file).read_bytes()
    encoder = load_encoder(model, LoadOptions(dtype="float32"))
    here, there = (open_store(str(tmp_path / one / "store"), encoder) for one in ("alone", "many"))
    assert len(here) == len(there) == 4 * 360 + 40
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
    module = tmp_path / "broken.py"
    module.write_text(
        "import numpy as np\n"
        "class Broken:\n"
        "    def extract_embeddings(self, sequences, batch_size=8):\n"
        "        rows = np.array([[s.count(c) for c in 'ACGT'] for s in sequences], np.float32)\n"
        "        rows[[s.startswith('ACGT') for s in sequences]] = np.nan\n"
        "        return rows\n",
        encoding="utf-8",
    )
    said = []
    for place, executor in (("alone", None), ("many", fleet)):
        request = request_of(suite, tmp_path / place, f"{module}:Broken", regime=["full"])
        watching = Watching()
        with pytest.raises(Exception, match="hold NaN or infinity") as caught:
            execute(request, watching, executor=executor)
        said.append(str(caught.value))
    assert said[0] == said[1]


def command(
    suite: Path, place: Path, *more: str, verb: str = "run", model: str = "kmer-4"
) -> list[str]:
    arguments = [verb, "-m", model, "--suite", str(suite), "--store", str(place / "store")]
    arguments += ["--out", str(place / "out"), "--json", *more]
    return [sys.executable, "-W", "error::ResourceWarning", "-m", "geneb_jax", *arguments]


def children(parent: int) -> list[int]:
    """Processes that a process has started and that run Python."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"spawn_main" in (path.parent / "cmdline").read_bytes():
                found.append(int(path.parent.name))
        except (OSError, IndexError):
            continue
    return found


def start(arguments: Sequence[str], place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place
    )


def test_the_command_survives_a_killed_worker(suite: Path, tmp_path: Path) -> None:
    process = start(command(suite, tmp_path, "--scheduler", "local:2"), tmp_path)
    wait_until(lambda: len(children(process.pid)) >= 2)
    wait_until(lambda: list((tmp_path / "store").rglob("*.rows")) or process.poll() is not None)
    for victim in children(process.pid)[:1]:
        os.kill(victim, signal.SIGKILL)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert json.loads(printed)["leaderboard"]
    alone = run("kmer-4", suite=suite, out=tmp_path / "alone", store=tmp_path / "other")
    assert (tmp_path / "out" / "scores.csv").read_bytes() == (
        alone.out / "scores.csv"
    ).read_bytes()
