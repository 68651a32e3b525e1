"""What a worker and the driver do of an embedding, without other processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.cli.embed import _embed_tasks
from geneb_jax.embed import ShardRows, embed_shard, embedder_of, plan_shards
from geneb_jax.embed.row_counts import RowCounts
from geneb_jax.embed.short_shard import ShortShards, joined
from geneb_jax.fleet import LostUnitsError, WorkerError
from geneb_jax.fleet.dispatch import Fleet
from geneb_jax.fleet.opening import closed_at_the_end
from geneb_jax.runs import embed_unit as embed_unit_module
from geneb_jax.runs import executors, fleet_embedding
from geneb_jax.runs.embed_unit import EmbedUnit, embed_unit, release_kept
from geneb_jax.runs.execute import execute
from geneb_jax.runs.executors import SerialExecutor
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.work import plan_work
from geneb_jax.store.claims import CLAIMS_FOLDER
from tests.fleet.runs_by_many import request_of, write_suite

#: Few enough that a shard is several batches.
BATCH_TOKENS = 1024


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "toy", tasks=4, rows=80)


@pytest.fixture(autouse=True)
def _no_model_is_kept() -> Iterator[None]:
    yield
    release_kept()


def _work(suite: Path, tmp_path: Path, model: str = "kmer-3") -> tuple[Any, Any]:
    options = {"regime": ["10shot"], "batch_tokens": BATCH_TOKENS}
    work = plan_work(request_of(suite, tmp_path, model, **options))
    return work, work.models[0]


def _open(model: Any) -> Any:
    from geneb_jax.embed import open_store

    return open_store(model.reference.store, model.reference.encoder())


# A shard in pieces


@pytest.mark.parametrize("model", ["kmer-3", "tiny-nt-v2"])
def test_a_shard_in_pieces_has_the_bits_of_a_whole_one(
    suite: Path, tmp_path: Path, model: str
) -> None:
    if model == "tiny-nt-v2":
        suite = write_suite(tmp_path / "alike", tasks=1, rows=400, length_bp=0)
    work, one = _work(suite, tmp_path, model)
    sequences = work.tables.read().sequences
    (shard,) = plan_shards(sequences, np.arange(len(sequences)), rows_per_shard=4096)
    embedder = embedder_of(one.reference.encoder(), batch_tokens=BATCH_TOKENS)
    whole = embed_shard(embedder, shard)
    asked: list[int] = []
    pieces = ShortShards(embedder, stopping=lambda: asked.append(1) is not None)(shard)
    assert len(asked) > 1, "it was cut"
    at = np.argsort(pieces.positions)
    assert pieces.rows[at].tobytes() == whole.rows[np.argsort(whole.positions)].tobytes()
    assert (pieces.name, pieces.bp, len(pieces.unusable)) == (whole.name, whole.bp, 0)
    assert pieces.read is not None and whole.read is not None
    for counts in ("tokens", "cut_bp", "unknown_bp"):
        found, expected = getattr(pieces.read, counts), getattr(whole.read, counts)
        assert np.array_equal(np.sort(found), np.sort(expected))
    assert pieces.batch_tokens == whole.batch_tokens and pieces.products == whole.products


def test_a_shard_ends_with_the_piece_that_is_at_work(suite: Path, tmp_path: Path) -> None:
    work, one = _work(suite, tmp_path)
    sequences = work.tables.read().sequences
    (shard,) = plan_shards(sequences, np.arange(len(sequences)), rows_per_shard=4096)
    embedder = embedder_of(one.reference.encoder(), batch_tokens=BATCH_TOKENS)
    short = ShortShards(embedder, stopping=lambda: True)(shard)
    assert 0 < len(short.rows) < len(shard) and short.name == shard.name
    assert len(short.rows) == len(short.digests) == len(short.positions)
    assert short.read is not None and len(short.read) == len(short.rows)


def test_every_field_of_a_shard_is_joined() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    digests = np.arange(48, dtype=np.uint8).reshape(3, 16)
    read = RowCounts(*(np.arange(3) for _ in range(4)), None)
    one = ShardRows("a", digests, rows, np.arange(3), np.arange(0), 7, read)
    other = replace(one, name="b", bp=5, compile_count=2, batch_tokens=512, products="x")
    both = joined("whole", [one, other])
    assert {field.name for field in fields(ShardRows)} >= {"bp", "rows", "products"}
    assert (both.name, both.bp, both.compile_count, both.batch_tokens) == ("whole", 12, 2, 512)
    assert both.rows.shape == (6, 2) and both.products == "x"
    assert both.read is not None and both.read.unknown_tokens is None
    assert both.read.tokens.tolist() == [0, 1, 2, 0, 1, 2]


# A unit in a worker


def test_a_unit_that_is_stopped_commits_what_it_has_and_says_so(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, model = _work(suite, tmp_path)
    sequences = work.tables.read().sequences
    everything = np.arange(len(sequences))
    unit = EmbedUnit(model.reference, everything, sequences.digests, tuple(sequences.sequences))
    monkeypatch.setattr(embed_unit_module, "stopping", lambda: True)
    short = embed_unit(unit)
    store = _open(model)
    assert 0 < short.report.embedded == len(store) < len(sequences)
    assert store.verify() == [] and store._folder.names(CLAIMS_FOLDER) == []
    release_kept()
    monkeypatch.undo()
    rest = embed_unit(unit)
    assert rest.report.embedded == len(sequences) - short.report.embedded
    assert rest.report.reused == short.report.embedded


def test_a_model_stays_loaded_between_units(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, model = _work(suite, tmp_path)
    sequences = work.tables.read().sequences
    made: list[object] = []
    real = embed_unit_module.embedder_of

    def count(*arguments: Any, **options: Any) -> Any:
        made.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(embed_unit_module, "embedder_of", count)
    for part in np.array_split(np.arange(len(sequences)), 3):
        texts = tuple(sequences.sequences[at] for at in part)
        embed_unit(EmbedUnit(model.reference, part, sequences.digests[part], texts))
    assert len(made) == 1
    assert not len(_open(model).missing(sequences.digests))


# The driver


class Here(Fleet):
    """A fleet of this process, which fails as it is told to."""

    def __init__(
        self, lose: Callable[[Any], bool] = lambda item: False, *, workers: int = 3
    ) -> None:
        self.lose, self.workers = lose, workers
        self.units: list[Any] = []

    @property
    def worker_count(self) -> int:
        return self.workers

    def everywhere(self, function: Callable[[], Any]) -> None:
        function()

    def map(  # type: ignore[override]
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        /,
        *,
        progress: Any = None,
        ahead: int = 1,
    ) -> Iterator[Any]:
        lost = []
        for item in items:
            self.units.append(item)
            if self.lose(item):
                lost.append((item, "4 workers died"))
            else:
                yield function(item)
        if lost:
            raise LostUnitsError(lost)


class Notes(RunObserver):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_a_unit_that_is_given_up_fails_its_tasks_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_embedding, "_FEWEST_ROWS", 1)
    suite = write_suite(tmp_path / "small", tasks=3, rows=16)
    request = request_of(suite, tmp_path, "kmer-3", regime=["1shot"])
    text = (suite / "task-2.csv").read_text().splitlines()[9].split(",")[0]
    fleet = Here(lambda item: isinstance(item, EmbedUnit) and text in item.sequences, workers=300)
    outcome = execute(request, executor=fleet)
    assert not outcome.complete
    failed = {row.task_id for row in outcome.rows if row.failed}
    assert failed == {"task-2"}
    whys = {row.error for row in outcome.rows if row.failed}
    assert all("rows have no embedding" in why and "4 workers died" in why for why in whys)
    again = execute(request)
    assert again.complete, "a second run does what was given up"


def test_a_group_of_probes_that_is_given_up_is_named_and_done_by_the_next_run(
    suite: Path, tmp_path: Path
) -> None:
    request = request_of(suite, tmp_path, "kmer-3", regime=["10shot"])
    notes = Notes()
    fleet = Here(
        lambda item: (
            isinstance(item, tuple)
            and any(task.task_id == "task-1" for group in item for task in group.units)
        )
    )
    outcome = execute(request, notes, executor=fleet)
    assert not outcome.complete
    assert {row.task_id for row in outcome.rows if row.failed} == {"task-1"}
    assert any("task-1: it could not be probed: 4 workers died" in said for said in notes.said)
    groups = [item for item in fleet.units if isinstance(item, tuple)]
    assert len(groups) == 4, "several groups, though one process would have one"
    assert execute(request).complete


def test_a_store_that_workers_do_not_share_is_noticed(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_embedding, "_SHARED_SECONDS", 0.1)
    request = request_of(suite, tmp_path, "kmer-3", regime=["10shot"])

    class Elsewhere(Here):
        def map(self, function: Any, items: Iterable[Any], /, **options: Any) -> Iterator[Any]:  # type: ignore[override]
            moved = (
                replace(item, model=replace(item.model, store=str(tmp_path / "elsewhere")))
                for item in items
            )
            return super().map(function, moved, **options)

    with pytest.raises(WorkerError, match=r"not in the store that is here.*not shared with"):
        execute(request, executor=Elsewhere())


def test_units_are_cut_to_the_speed_that_was_seen(suite: Path, tmp_path: Path) -> None:
    fleet = Here()
    execute(request_of(suite, tmp_path, "kmer-3", regime=["10shot"]), executor=fleet)
    units = [item for item in fleet.units if isinstance(item, EmbedUnit)]
    assert len(units) >= 3, "each worker has one"
    rows = [position for unit in units for position in unit.positions.tolist()]
    assert sorted(rows) == list(range(len(rows))), "every sequence once"


# What is left when workers do not end, and where there is no work for them


class Opened:
    """A context that does not end in order."""

    def __enter__(self) -> str:
        return "workers"

    def __exit__(self, *error: object) -> None:
        raise TimeoutError


def test_workers_that_do_not_end_in_time_lose_no_finished_run() -> None:
    with closed_at_the_end(Opened()) as opened:
        assert opened == "workers"
    with pytest.raises(KeyError, match="of the run"), closed_at_the_end(Opened()):
        raise KeyError("of the run")


def test_no_worker_is_started_where_nothing_is_missing(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(request_of(suite, tmp_path, "kmer-3", regime=["1shot"]), report=False)
    began: list[str] = []

    @contextmanager
    def noted(request: Any, observer: RunObserver) -> Iterator[Any]:
        began.append(request.scheduler)
        yield SerialExecutor()

    monkeypatch.setattr(executors, "open_executor", noted)
    for model, started in (("kmer-3", []), ("kmer-2", ["local:2"])):
        request = request_of(suite, tmp_path, model, scheduler="local:2")
        assert _embed_tasks(request, None, as_json=True) == 0
        assert began == started
        report = json.loads(capsys.readouterr().out)["models"][model]
        assert (report["embedded"] > 0) == bool(started)
