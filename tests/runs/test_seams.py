"""What a change costs: a probe and an executor from outside, without touching the project."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef
from sklearn.neighbors import NearestCentroid

import geneb_jax
from geneb_jax.errors import ConfigError
from geneb_jax.runs import probe_kinds, run
from geneb_jax.runs.execute import execute
from geneb_jax.runs.request import request_from_mapping
from geneb_jax.runs.work import plan_work
from tests.outside.nearest_centroid import KIND
from tests.outside.process_executor import ProcessExecutor


@pytest.fixture
def centroid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_kinds, "_KINDS", dict(probe_kinds._KINDS))
    probe_kinds.register_probe(KIND)


def _request(suite_folder: Path, tmp_path: Path, out: str, **values: object):
    return request_from_mapping(
        {
            "model": ["kmer-2"],
            "suite": str(suite_folder),
            "out": str(tmp_path / out),
            "store": str(tmp_path / "store"),
        }
        | values
    )


@pytest.mark.usefixtures("centroid")
def test_a_probe_from_outside_runs_like_ours(suite_folder: Path, tmp_path: Path) -> None:
    outcome = execute(_request(suite_folder, tmp_path, "out", probe="centroid"))
    assert outcome.complete
    model = geneb_jax.load_model("kmer-2")
    lines = [
        line.split(",")
        for line in (suite_folder / "three.csv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    X = model.embed([line[0] for line in lines])
    y = np.array([int(line[1]) for line in lines])
    train = np.array([line[2] == "train" for line in lines])
    theirs = NearestCentroid().fit(X[train], y[train]).predict(X[~train])
    full = [row for row in outcome.rows if (row.task_id, row.regime) == ("three", "full")]
    assert [row.mcc for row in full] == pytest.approx([matthews_corrcoef(y[~train], theirs)] * 5)
    assert {(row.probe, row.solver) for row in outcome.rows} == {("centroid", "mean")}


@pytest.mark.usefixtures("centroid")
def test_a_probe_says_what_it_has(suite_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="centroid has no C"):
        _request(suite_folder, tmp_path, "out", probe="centroid", C=[0.1])
    with pytest.raises(ConfigError, match="no solver 'exact'"):
        _request(suite_folder, tmp_path, "out", probe="centroid", solver="exact")


@pytest.fixture
def executor() -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(2)
    yield executor
    executor.close()


def test_an_executor_from_outside_gives_the_same_bytes(
    suite_folder: Path, tmp_path: Path, executor: ProcessExecutor
) -> None:
    elsewhere = execute(
        _request(suite_folder, tmp_path, "elsewhere", store=str(tmp_path / "other")),
        executor=executor,
    )
    here = run("kmer-2", suite=suite_folder, out=tmp_path / "here", store=tmp_path / "store")
    assert elsewhere.complete and executor.items > 0
    scores = (elsewhere.out / "scores.csv").read_bytes()
    assert scores == (here.out / "scores.csv").read_bytes()


def test_work_can_be_handed_over_and_shrinks(suite_folder: Path, tmp_path: Path) -> None:
    request = _request(suite_folder, tmp_path, "out")
    work = plan_work(request)
    (model,) = work.models
    assert len(model.absent) == 9
    copy = pickle.loads(pickle.dumps(work))
    assert copy.models == work.models and copy.request == work.request
    assert copy.tables.read().sequences.sequences == work.tables.read().sequences.sequences
    execute(_request(suite_folder, tmp_path, "out", task=["one", "three"]))
    (left,) = plan_work(request).models
    assert {task.task_id for task, _ in left.absent} == {"two"}
    execute(request)
    (done,) = plan_work(request).models
    assert done.absent == ()
