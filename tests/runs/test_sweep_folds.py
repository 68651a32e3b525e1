"""A sweep's answer: the C that training rows choose, against scikit-learn's cross-validation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, matthews_corrcoef
from sklearn.model_selection import PredefinedSplit, cross_val_score

import geneb_jax
from geneb_jax.analysis import sweep_lines
from geneb_jax.benchmark import load_suite
from geneb_jax.report import console_sweep, sweep_sentences
from geneb_jax.results import RunScores, read_scores
from geneb_jax.results.fold_scores import find_fold_scores
from geneb_jax.runs import run
from geneb_jax.runs.sweep_folds import FOLDS, fold_of_rows
from tests.report_pages import timeless
from tests.runs.test_execute import read_parts

STRENGTHS = (0.1, 10.0, 1000.0)


def test_folds_are_even_in_every_class_and_always_the_same() -> None:
    labels = np.array([5, 5, 5, 5, 1, 1, 1, 9, 9, 9, 9, 9])
    fold = fold_of_rows(labels)
    for label in (1, 5, 9):
        counts = np.bincount(fold[labels == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    assert np.array_equal(fold, fold_of_rows(labels))


def test_held_out_scores_are_those_of_cross_validation(
    suite_folder: Path, tmp_path: Path, tolerance
) -> None:
    places = {"out": tmp_path / "out", "store": tmp_path / "store"}
    outcome = run("kmer-2", suite=suite_folder, C=STRENGTHS, **places)
    rows = [row for row in read_scores(outcome.out) if row.regime == "full" and row.C == 0.1]
    model = geneb_jax.load_model("kmer-2")
    means = {}
    for task in ("one", "two", "three"):
        found = find_fold_scores(outcome.out, [row for row in rows if row.task_id == task])
        assert found is not None
        train, labels, _, _ = read_parts(suite_folder / f"{task}.csv")
        X = model.embed(train).astype(np.float64)
        for C in STRENGTHS:
            probe = LogisticRegression(C=C, max_iter=1000)
            folds = PredefinedSplit(fold_of_rows(labels))
            scorer = make_scorer(matthews_corrcoef)
            expected = cross_val_score(probe, X, labels, cv=folds, scoring=scorer).mean()
            assert abs(found[C] - expected) <= tolerance("metrics", "float64"), (task, C)
            means[task, C] = expected
    suite = load_suite(str(suite_folder))
    lines = sweep_lines([RunScores(suite, outcome.rows, outcome.run, outcome.out)])
    assert [line.regime for line in lines] == ["full", "10shot", "1shot"]
    full = lines[0]
    macro = {
        C: ((means["one", C] + means["two", C]) / 2 + means["three", C]) / 2 for C in STRENGTHS
    }
    assert full.chosen == max(macro, key=lambda C: (macro[C], -C))
    assert abs(full.held_out[10.0] - macro[10.0]) <= tolerance("metrics", "float64")
    assert lines[1].chosen is None  # few rows a class leave none to hold out
    columns, cells = console_sweep(lines)
    assert columns == ("model", "regime", "C = 0.1", "C = 10", "C = 1000", "chosen C")
    marked = [cell for cell in cells[0] if cell.endswith("*")]
    assert marked == [f"{full.test[full.chosen]:.4f}*"]
    assert f"C = {full.chosen:g} by held-out training rows" in sweep_sentences(lines)[0]
    page = outcome.report.read_text(encoding="utf-8")
    assert "Score by C" in page and (outcome.out / "figures" / "figure-sweep.svg").is_file()
    first = timeless(outcome.report.read_bytes())
    again = run("kmer-2", suite=suite_folder, C=STRENGTHS, **places)
    assert timeless(again.report.read_bytes()) == first


def test_without_fold_scores_nothing_is_chosen(suite_folder: Path, tmp_path: Path) -> None:
    outcome = run("kmer-1", suite=suite_folder, C=(1.0, 10.0), regimes=["full"], out=tmp_path / "o")
    suite = load_suite(str(suite_folder))
    scores = RunScores(suite, outcome.rows, outcome.run, outcome.out)
    assert sweep_lines([scores])[0].chosen is not None
    kept = sorted(outcome.out.glob("records/*/*/*.folds"))
    assert len(kept) == 3
    content = json.loads(kept[0].read_text(encoding="utf-8"))
    content["content"]["mcc"][0][0] = 1.0  # edited, so not believed
    kept[0].write_text(json.dumps(content), encoding="utf-8")
    (line,) = sweep_lines([scores])
    assert line.chosen is None and set(line.test) == {1.0, 10.0}
    kept[1].unlink()
    assert sweep_lines([scores])[0].chosen is None


def test_one_C_is_no_sweep(suite_folder: Path, tmp_path: Path) -> None:
    outcome = run("kmer-1", suite=suite_folder, regimes=["full"], out=tmp_path / "o")
    assert not list(outcome.out.glob("records/*/*/*.folds"))
    assert "Score by C" not in outcome.report.read_text(encoding="utf-8")
