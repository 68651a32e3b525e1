"""Means, spreads and coverage against NumPy and against published figures."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.analysis import SUMMARY_COLUMNS, summarise, write_summary_csv
from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.models import registry
from geneb_jax.resources import config_folder
from geneb_jax.results import ScoreRow


def _array(suite: Suite, rows: list[ScoreRow], regime: str, metric: str) -> np.ndarray:
    """Scores ``[task, seed]``."""
    seeds = suite.protocol.seeds
    scores = {(row.task_id, row.seed): getattr(row, metric) for row in rows if row.regime == regime}
    return np.array([[scores[task.task_id, seed] for seed in seeds] for task in suite.tasks])


def test_means_and_spreads_are_numpys(
    small_suite: Suite, score_all: Callable, tolerance: Callable
) -> None:
    rows = score_all(small_suite)
    summary = summarise(small_suite, rows)
    allowed = tolerance("summary", "float64")
    places = {"One": [0], "Two": [1, 2], "Three": [3, 4, 5]}
    for regime in ("full", "10shot"):
        for metric in ("mcc", "accuracy", "macro_f1"):
            scores = _array(small_suite, rows, regime, metric)
            by_category = np.stack([scores[index].mean(axis=0) for index in places.values()])
            expected = [
                *[("task", scores[at]) for at in range(6)],
                *[("category", values) for values in by_category],
                ("macro", by_category.mean(axis=0)),
                ("micro", scores.mean(axis=0)),
            ]
            found = [row for row in summary.rows if row.setting.regime == regime]
            assert [row.level for row in found] == [level for level, _ in expected]
            for line, (_, by_seed) in zip(found, expected, strict=True):
                spread = getattr(line, metric)
                assert spread.mean == pytest.approx(by_seed.mean(), rel=allowed, abs=allowed)
                assert spread.sd == pytest.approx(by_seed.std(ddof=1), rel=allowed, abs=allowed)
                assert line.complete


def test_equal_seeds_have_exactly_their_value_and_no_spread(
    small_suite: Suite, score_all: Callable
) -> None:
    rows = [replace(row, mcc=0.1, accuracy=0.7) for row in score_all(small_suite)]
    for line in summarise(small_suite, rows).select("task", regime="full"):
        assert (line.mcc.mean, line.mcc.sd) == (0.1, 0.0)
        assert (line.accuracy.mean, line.accuracy.sd) == (0.7, 0.0)


def test_one_seed_has_no_spread(small_suite: Suite, score_all: Callable) -> None:
    rows = score_all(small_suite, seeds=(13,))
    (macro,) = summarise(small_suite, rows).select("macro", regime="full")
    assert macro.mcc.sd is None
    assert macro.seed_count == 1


@pytest.mark.parametrize("missing", ["a", "b", "f"])
def test_f53_nothing_is_averaged_over_a_part_silently(
    small_suite: Suite, score_all: Callable, missing: str
) -> None:
    rows = [row for row in score_all(small_suite) if row.task_id != f"task-{missing}"]
    summary = summarise(small_suite, rows)
    for level in ("macro", "micro"):
        for line in summary.select(level):
            assert line.mcc is line.accuracy is line.macro_f1 is None
            assert (line.task_count, line.tasks_expected, line.complete) == (5, 6, False)
    category = {"a": "One", "b": "Two", "f": "Three"}[missing]
    lines = summary.select("category", category=category, regime="full")
    if category == "One":
        assert lines == ()
    else:
        assert not lines[0].complete
        assert lines[0].task_count == lines[0].tasks_expected - 1
        assert lines[0].mcc is not None
    assert len(summary.select("task", regime="full")) == 5


def test_f20_one_failed_seed_withholds_the_task_and_all_above(
    small_suite: Suite, score_all: Callable, failed: Callable
) -> None:
    rows = score_all(small_suite)
    at = next(i for i, row in enumerate(rows) if row.task_id == "task-b" and row.regime == "10shot")
    rows[at] = failed(rows[at])
    summary = summarise(small_suite, rows)
    (task,) = summary.select("task", task_id="task-b", regime="10shot")
    assert task.mcc is None
    assert (task.failed_count, task.task_count) == (1, 0)
    (macro,) = summary.select("macro", regime="10shot")
    assert macro.mcc is None
    assert macro.failed_count == 1
    (full,) = summary.select("macro", regime="full")
    assert full.mcc is not None
    (category,) = summary.select("category", category="Two", regime="10shot")
    (other,) = summary.select("task", task_id="task-c", regime="10shot")
    assert category.mcc == other.mcc


def test_a_seed_that_only_some_tasks_have_is_not_averaged_away(
    small_suite: Suite, score_all: Callable
) -> None:
    rows = [
        row for row in score_all(small_suite) if not (row.task_id == "task-d" and row.seed == 997)
    ]
    summary = summarise(small_suite, rows)
    assert summary.select("task", task_id="task-d", regime="full")[0].mcc is None
    assert summary.select("micro", regime="full")[0].mcc is None


def test_f16_fits_that_did_not_converge_are_counted(
    small_suite: Suite, score_all: Callable
) -> None:
    rows = score_all(small_suite, status="max_iter")
    (macro,) = summarise(small_suite, rows).select("macro", regime="full")
    assert macro.not_converged_count == 30
    assert macro.mcc is not None


def test_settings_are_kept_apart(small_suite: Suite, score_all: Callable) -> None:
    rows = [
        *score_all(small_suite),
        *score_all(small_suite, C=10.0),
        *score_all(small_suite, solver="exact"),
        *score_all(small_suite, model_id="kmer-6"),
    ]
    summary = summarise(small_suite, rows)
    assert len(summary.select("macro")) == 4 * 2
    assert len(summary.select("macro", C=10.0, regime="full")) == 1


def test_a_task_of_another_suite_is_refused(small_suite: Suite, row: ScoreRow) -> None:
    for other in (replace(row, task_id="task-z"), replace(row, category="Two")):
        with pytest.raises(DataError, match="has no task"):
            summarise(small_suite, [other])


def test_the_published_macro_comes_out_of_the_published_scores(
    geneb: Suite, row: ScoreRow, tolerance: Callable
) -> None:
    with (config_folder() / "published" / "scores.csv").open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    categories = {task.task_id: task.category for task in geneb.tasks}
    rows = [
        replace(
            row,
            model_id=model_id,
            task_id=line["task_id"],
            category=categories[line["task_id"]],
            regime=line["regime"],
            mcc=float(line[model_id]),
        )
        for line in published
        for model_id in registry()
    ]
    summary = summarise(geneb, rows)
    checked = 0
    with Path(__file__).with_name("published_macro_mcc.csv").open(newline="") as file:
        for stated in csv.DictReader(file):
            for regime in ("full", "10shot", "1shot"):
                (macro,) = summary.select("macro", model_id=stated["model_id"], regime=regime)
                allowed = tolerance("published_aggregate", "float64")
                assert macro.mcc.mean == pytest.approx(float(stated[regime]), abs=allowed)
                checked += 1
    assert checked == 120


def test_the_file_shows_coverage_and_leaves_withheld_cells_empty(
    tmp_path: Path, small_suite: Suite, score_all: Callable
) -> None:
    rows = [row for row in score_all(small_suite) if row.task_id != "task-c"]
    path = write_summary_csv(tmp_path, summarise(small_suite, rows))
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
    assert tuple(reader.fieldnames or ()) == SUMMARY_COLUMNS
    macro = next(line for line in lines if line["level"] == "macro")
    assert macro["mcc_mean"] == macro["mcc_sd"] == ""
    assert (macro["task_count"], macro["tasks_expected"], macro["complete"]) == ("5", "6", "no")
    task = next(line for line in lines if line["level"] == "task")
    exact = summarise(small_suite, rows).select("task", task_id=task["task_id"])[0].mcc.mean
    assert float(task["mcc_mean"]) == exact
    assert path.read_bytes().count(b"\r") == 0
