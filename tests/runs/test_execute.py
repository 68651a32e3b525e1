"""A run end to end on a small suite: scores as scikit-learn's, nothing twice, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
)
from sklearn.preprocessing import label_binarize

import geneb_jax
from geneb_jax.errors import ConfigError, DataError, SelectionError, StoreError
from geneb_jax.results import Records, ScoreRow, find_answer_key, read_run_record, read_scores
from geneb_jax.runs import run
from geneb_jax.runs.execute import execute
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import request_from_mapping
from tests.report_pages import timeless

SEEDS = (13, 17, 42, 123, 997)


def read_parts(path: Path) -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    parts = []
    for split in ("train", "test"):
        chosen = [line for line in lines if line[2] == split]
        parts += [[line[0] for line in chosen], np.array([int(line[1]) for line in chosen])]
    return tuple(parts)


def _draw(labels: np.ndarray, shots: int, seed: int) -> np.ndarray:
    generator = np.random.RandomState(seed)
    return np.concatenate(
        [
            generator.choice(np.where(labels == c)[0], size=shots, replace=False)
            for c in np.unique(labels)
        ]
    )


def assert_decided_alike(row: ScoreRow, truth: np.ndarray, share: np.ndarray, tolerance) -> None:
    """AUROC, AUPRC and Brier score of scikit-learn's own probabilities."""
    limit = tolerance("metrics_of_fits", "float64")
    assert row.brier == pytest.approx(brier_score_loss(truth, share), abs=limit)
    if np.diff(np.sort(share, axis=0), axis=0).min() < tolerance("metrics_of_fits", "rank"):
        return  # rows that only rounding ranks
    if share.shape[1] == 2:
        curves = roc_auc_score(truth, share[:, 1]), average_precision_score(truth, share[:, 1])
    else:
        indicator = label_binarize(truth, classes=np.unique(truth))
        curves = (
            roc_auc_score(truth, share, multi_class="ovr"),
            average_precision_score(indicator, share),
        )
    assert (row.auroc, row.auprc) == pytest.approx(curves, abs=limit)


def test_scores_are_those_of_the_reference_procedure(
    suite_folder: Path, tmp_path: Path, tolerance
) -> None:
    outcome = run("kmer-2", suite=suite_folder, out=tmp_path / "out", store=tmp_path / "store")
    assert outcome.complete
    rows = {(row.task_id, row.regime, row.seed): row for row in read_scores(outcome.out)}
    assert len(rows) == 3 * 3 * 5
    records = Records(outcome.out)
    leaked = {}
    model = geneb_jax.load_model("kmer-2")
    for task in ("one", "two", "three"):
        train, y_train, test, y_test = read_parts(suite_folder / f"{task}.csv")
        X_train, X_test = (model.embed(part).astype(np.float64) for part in (train, test))
        for regime, shots in (("full", None), ("10shot", 10), ("1shot", 1)):
            for seed in SEEDS:
                drawn = slice(None) if shots is None else _draw(y_train, shots, seed)
                probe = LogisticRegression(max_iter=1000).fit(X_train[drawn], y_train[drawn])
                decision = probe.decision_function(X_test)
                if decision.ndim == 1 and np.abs(decision).min() < 1e-12:
                    continue  # a row exactly on the boundary: rounding decides its class
                predicted = probe.predict(X_test)
                row = rows[task, regime, seed]
                assert row.n_iter == probe.n_iter_.max()
                kept = records.kept_unit([row])
                fit = 0 if shots is None else kept.key.seeds.index(seed)
                assert np.array_equal(kept.predictions.labels[0, fit], predicted)
                answers = find_answer_key(outcome.out, task, kept.key.task_fingerprint)
                assert np.array_equal(answers.labels, y_test)
                assert answers.in_training.tolist() == [text in set(train) for text in test]
                leaked[task] = int(answers.in_training.sum())
                limit = tolerance("metrics", "float64")
                assert row.mcc == pytest.approx(matthews_corrcoef(y_test, predicted), abs=limit)
                assert row.accuracy == pytest.approx(accuracy_score(y_test, predicted), abs=limit)
                assert row.macro_f1 == pytest.approx(
                    f1_score(y_test, predicted, average="macro"), abs=limit
                )
                assert_decided_alike(row, y_test, probe.predict_proba(X_test), tolerance)
    assert leaked == {"one": 0, "two": 5, "three": 0}


def test_a_second_run_embeds_and_fits_nothing(suite_folder: Path, tmp_path: Path) -> None:
    places = {"out": tmp_path / "out", "store": tmp_path / "store"}
    first = run("kmer-1", suite=suite_folder, **places)
    scores = (first.out / "scores.csv").read_bytes()
    report = timeless(first.report.read_bytes())
    again = run("kmer-1", suite=suite_folder, **places)
    assert timeless(again.report.read_bytes()) == report
    facts = again.run.models["kmer-1"]
    assert facts.units_reused == 9
    # What embedding cost is known; it is the first run's.
    assert facts.embedding == first.run.models["kmer-1"].embedding
    assert (first.out / "scores.csv").read_bytes() == scores


@pytest.mark.fault("F43")
def test_a_folder_gathers_models_and_replaces_what_is_run_again(
    suite_folder: Path, tmp_path: Path
) -> None:
    places = {"out": tmp_path / "out", "store": tmp_path / "store"}
    run("kmer-1", suite=suite_folder, **places)
    both = run("kmer-2", suite=suite_folder, **places)
    assert {row.model_id for row in both.rows} == {"kmer-1", "kmer-2"}
    assert set(both.run.models) == {"kmer-1", "kmer-2"}
    (suite_folder / "one.csv").write_text(
        (suite_folder / "one.csv").read_text(encoding="utf-8").replace("\nA", "\nC", 1),
        encoding="utf-8",
    )
    changed = run("kmer-2", suite=suite_folder, **places)
    tasks_of_the_other = {row.task_id for row in changed.rows if row.model_id == "kmer-1"}
    assert tasks_of_the_other == {"two", "three"}, "a score on changed data must not stay"


def test_a_bad_task_fails_by_name_and_the_others_go_on(suite_folder: Path, tmp_path: Path) -> None:
    with (suite_folder / "two.csv").open("a", encoding="utf-8") as file:
        file.write("ACGT,x,test\n")
    outcome = run("kmer-1", suite=suite_folder, out=tmp_path / "out", store=tmp_path / "store")
    assert not outcome.complete
    assert "two.csv:102" in outcome.problems["two"]
    by_task = {row.task_id: row.status for row in outcome.rows}
    assert by_task["two"] == "failed"
    assert by_task["one"] == by_task["three"] == "converged"


_EXTRACTOR = """
import numpy as np
from tests.report_pages import timeless

class Frequencies:
    def extract_embeddings(self, sequences, batch_size=8):
        rows = [[text.count(letter) / len(text) for letter in "ACGT"] for text in sequences]
        rows = np.array(rows, np.float32)
        rows[[text.startswith("TTTTTTTT") for text in sequences]] = np.nan
        return rows
"""


@pytest.mark.fault("F11")
def test_f11_nan_fails_the_tasks_that_hold_it_and_no_other(
    suite_folder: Path, tmp_path: Path
) -> None:
    with (suite_folder / "two.csv").open("a", encoding="utf-8") as file:
        file.write("TTTTTTTTACGT,1,test\n")
    model = tmp_path / "extractor.py"
    model.write_text(_EXTRACTOR, encoding="utf-8")
    places = {"out": tmp_path / "out", "store": tmp_path / "store"}
    outcome = run(f"{model}:Frequencies", suite=suite_folder, **places)
    assert not outcome.complete
    by_task = {row.task_id: row for row in outcome.rows}
    assert by_task["one"].status == by_task["three"].status == "converged"
    assert by_task["two"].status == "failed" and by_task["two"].mcc is None
    assert "1 of 101 rows" in by_task["two"].error
    assert "TTTTTTTTACGT (12 letters)" in by_task["two"].error
    scores = (outcome.out / "scores.csv").read_bytes()
    again = run(f"{model}:Frequencies", suite=suite_folder, **places)
    (facts,) = again.run.models.values()
    assert facts.units_reused == 6
    assert facts.embedding.nonfinite_sequences == 1
    assert (outcome.out / "scores.csv").read_bytes() == scores
    request = request_from_mapping(
        {"model": [f"{model}:Frequencies"], "suite": str(suite_folder)}
        | {name: str(path) for name, path in places.items()}
    )
    halves = execute(request, stored_only=True)
    assert {row.status for row in halves.rows if row.task_id == "two"} == {"failed"}


def test_only_bad_tasks_is_an_error(suite_folder: Path, tmp_path: Path) -> None:
    with (suite_folder / "two.csv").open("a", encoding="utf-8") as file:
        file.write("ACGT,1.5,test\n")
    with pytest.raises(DataError, match=r"two\.csv:102"):
        run(
            "kmer-1",
            suite=suite_folder,
            tasks=["two"],
            out=tmp_path / "out",
            store=tmp_path / "store",
        )
    assert not (tmp_path / "out" / "scores.csv").exists()


def test_an_unknown_model_stops_the_run_before_it_begins(
    suite_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SelectionError, match="kmer-1"):
        run(["kmer-2", "kmer-11"], suite=suite_folder, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_probing_alone_refuses_what_is_not_embedded(suite_folder: Path, tmp_path: Path) -> None:
    request = request_from_mapping(
        {
            "model": ["kmer-1"],
            "suite": str(suite_folder),
            "out": str(tmp_path / "out"),
            "store": str(tmp_path / "store"),
        }
    )
    with pytest.raises(StoreError, match="geneb-jax embed"):
        execute(request, stored_only=True)


def test_a_sweep_over_c_keeps_every_c(suite_folder: Path, tmp_path: Path, tolerance) -> None:
    outcome = run(
        "kmer-1",
        suite=suite_folder,
        C=(0.1, 1.0, 10.0),
        solver="exact",
        regimes=["full"],
        out=tmp_path / "out",
        store=tmp_path / "store",
    )
    assert {row.C for row in outcome.rows} == {0.1, 1.0, 10.0}
    for row in outcome.rows:
        kept = Records(outcome.out).kept_unit([row])
        truth = find_answer_key(outcome.out, row.task_id, kept.key.task_fingerprint).labels
        guess = kept.predictions.labels[kept.key.C.index(row.C), 0]
        limit = tolerance("metrics", "float64")
        assert row.mcc == pytest.approx(matthews_corrcoef(truth, guess), abs=limit)
    assert read_run_record(outcome.out).settings.solver == "exact"


def test_the_mlp_probe_runs_in_the_same_record_format(suite_folder: Path, tmp_path: Path) -> None:
    outcome = run(
        "kmer-2",
        suite=suite_folder,
        probe="mlp",
        tasks=["one"],
        out=tmp_path / "out",
        store=tmp_path / "store",
    )
    assert outcome.complete
    assert {row.probe for row in outcome.rows} == {"mlp"}
    few = [row for row in outcome.rows if row.regime == "10shot"]
    kept = Records(outcome.out).kept_unit(few).predictions.labels
    assert kept.shape == (1, 5, 40)  # here every seed is a fit of its own, in every regime
    full = [row for row in outcome.rows if row.regime == "full"]
    assert Records(outcome.out).kept_unit(full).predictions.labels.shape == (1, 5, 40)


def test_an_impossible_option_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="speed"):
        run("kmer-1", out=tmp_path / "out", speed=3)


def test_a_damaged_store_is_mended_within_the_run(suite_folder: Path, tmp_path: Path) -> None:
    places = {"out": tmp_path / "out", "store": tmp_path / "store"}
    scores = run("kmer-2", suite=suite_folder, **places).out / "scores.csv"
    expected = scores.read_bytes()
    shard = max((tmp_path / "store").rglob("c/*/*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(bytes(content))
    again = run("kmer-2", suite=suite_folder, fresh=True, **places)
    assert again.complete
    assert scores.read_bytes() == expected


def test_a_device_without_enough_memory_goes_on_under_an_identity_that_says_so(
    suite_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geneb_jax.embed import Forward
    from geneb_jax.runs.observer import RunObserver

    whole = Forward._program

    def small_device(self, bucket, dtype):
        if bucket.rows * bucket.length_tokens > 128:
            raise MemoryError("RESOURCE_EXHAUSTED: out of memory")
        return whole(self, bucket, dtype)

    monkeypatch.setattr(Forward, "_program", small_device)
    notes: list[str] = []
    observer = RunObserver()
    observer.note = notes.append  # type: ignore[method-assign]
    places = {"out": tmp_path / "out", "store": tmp_path / "store", "regimes": ["full"]}
    outcome = run("tiny-nt-v2", suite=suite_folder, observer=observer, **places)
    assert outcome.complete
    assert any("Going on with" in text for text in notes)
    (facts,) = outcome.run.models.values()
    assert facts.identity is not None and int(facts.identity.batch_tokens) <= 256
    assert {row.identity for row in outcome.rows} == {facts.identity_short}
    again = run("tiny-nt-v2", suite=suite_folder, **places)
    assert again.rows == outcome.rows and again.run.models["tiny-nt-v2"].units_reused == 3


def test_a_class_without_a_test_row_is_said(suite_folder: Path, tmp_path: Path) -> None:
    path = suite_folder / "three.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.endswith(",2,test")]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    told: list[str] = []

    class Listener(RunObserver):
        def note(self, text: str) -> None:
            told.append(text)

    outcome = run(
        "kmer-1", suite=suite_folder, out=tmp_path / "out", observer=Listener(), regimes=["full"]
    )
    assert "classes without a test row: three (1 of 3)" in " ".join(told)
    found = {row.task_id: row for row in outcome.rows}
    assert 0 <= found["three"].auroc <= 1 and found["three"].brier is not None
