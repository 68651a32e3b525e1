"""Means, spreads and coverage against NumPy and against published figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.analysis import (
    SUMMARY_COLUMNS,
    Summary,
    SummaryRow,
    aggregate,
    cube_from_scores,
    summarise,
    write_summary_csv,
    write_summary_of,
)
from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.resources import config_folder
from geneb_jax.results import ScoreRow
from tests.tolerance import Tolerance

#: Macro, micro and category means of every released submission.
AGGREGATES = Path(__file__).parents[1] / "analysis" / "published_aggregates.csv"


def select(summary: Summary, level: str, **fixed: str | float) -> tuple[SummaryRow, ...]:
    """Rows of one level; ``fixed`` names values of the setting, ``task_id`` or ``category``."""
    return tuple(
        row
        for row in summary.rows
        if row.level == level
        and all(
            getattr(row if name in ("task_id", "category") else row.setting, name) == value
            for name, value in fixed.items()
        )
    )


def _array(suite: Suite, rows: list[ScoreRow], regime: str, metric: str) -> np.ndarray:
    """Scores ``[task, seed]``."""
    seeds = suite.protocol.seeds
    scores = {(row.task_id, row.seed): getattr(row, metric) for row in rows if row.regime == regime}
    return np.array([[scores[task.task_id, seed] for seed in seeds] for task in suite.tasks])


def _over(*values: np.ndarray) -> list[np.ndarray]:
    """Means over the first axis, to the twelve decimals that keep ties (docs/statistics.md)."""
    return [np.round(value.mean(axis=0), 12) for value in values]


def test_means_and_spreads_are_numpys(
    small_suite: Suite, score_all: Callable, tolerance: Tolerance
) -> None:
    rows = score_all(small_suite)
    summary = summarise(small_suite, rows)
    allowed = tolerance("summary", "float64")
    places = {"One": [0], "Two": [1, 2], "Three": [3, 4, 5]}
    for regime in ("full", "10shot"):
        for metric in ("mcc", "accuracy", "macro_f1"):
            scores = _array(small_suite, rows, regime, metric)
            means = scores.mean(axis=1)
            expected = [
                *[("task", means[at], scores[at]) for at in range(6)],
                *[("category", *_over(means[at], scores[at])) for at in places.values()],
            ]
            categories = [
                np.stack(part) for part in zip(*[e[1:] for e in expected[6:]], strict=True)
            ]
            expected += [("macro", *_over(*categories)), ("micro", *_over(means, scores))]
            found = [row for row in summary.rows if row.setting.regime == regime]
            assert [row.level for row in found] == [level for level, *_ in expected]
            for line, (_, mean, by_seed) in zip(found, expected, strict=True):
                spread = getattr(line, metric)
                assert spread.mean == pytest.approx(mean, rel=allowed, abs=allowed)
                assert spread.sd == pytest.approx(by_seed.std(ddof=1), rel=allowed, abs=allowed)
                assert line.complete


def test_equal_seeds_have_exactly_their_value_and_no_spread(
    small_suite: Suite, score_all: Callable
) -> None:
    rows = [replace(row, mcc=0.1, accuracy=0.7) for row in score_all(small_suite)]
    for line in select(summarise(small_suite, rows), "task", regime="full"):
        assert (line.mcc.mean, line.mcc.sd) == (0.1, 0.0)
        assert (line.accuracy.mean, line.accuracy.sd) == (0.7, 0.0)


def test_one_seed_has_no_spread(small_suite: Suite, score_all: Callable) -> None:
    rows = score_all(small_suite, seeds=(13,))
    (macro,) = select(summarise(small_suite, rows), "macro", regime="full")
    assert macro.mcc.sd is None
    assert macro.seed_count == 1


@pytest.mark.parametrize("missing", ["a", "b", "f"])
@pytest.mark.fault("F53")
def test_f53_nothing_is_averaged_over_a_part_silently(
    small_suite: Suite, score_all: Callable, missing: str
) -> None:
    rows = [row for row in score_all(small_suite) if row.task_id != f"task-{missing}"]
    summary = summarise(small_suite, rows)
    for level in ("macro", "micro"):
        for line in select(summary, level):
            assert line.mcc is line.accuracy is line.macro_f1 is None
            assert (line.task_count, line.tasks_expected, line.complete) == (5, 6, False)
    category = {"a": "One", "b": "Two", "f": "Three"}[missing]
    lines = select(summary, "category", category=category, regime="full")
    if category == "One":
        assert lines == ()
    else:
        assert not lines[0].complete
        assert lines[0].task_count == lines[0].tasks_expected - 1
        assert lines[0].mcc is not None
    assert len(select(summary, "task", regime="full")) == 5


@pytest.mark.fault("F20")
def test_f20_one_failed_seed_withholds_the_task_and_all_above(
    small_suite: Suite, score_all: Callable, failed: Callable
) -> None:
    rows = score_all(small_suite)
    at = next(i for i, row in enumerate(rows) if row.task_id == "task-b" and row.regime == "10shot")
    rows[at] = failed(rows[at])
    summary = summarise(small_suite, rows)
    (task,) = select(summary, "task", task_id="task-b", regime="10shot")
    assert task.mcc is None
    assert (task.failed_count, task.task_count) == (1, 0)
    (macro,) = select(summary, "macro", regime="10shot")
    assert macro.mcc is None
    assert macro.failed_count == 1
    (full,) = select(summary, "macro", regime="full")
    assert full.mcc is not None
    (category,) = select(summary, "category", category="Two", regime="10shot")
    (other,) = select(summary, "task", task_id="task-c", regime="10shot")
    assert category.mcc.mean == round(other.mcc.mean, 12)


def test_a_seed_that_only_some_tasks_have_is_not_averaged_away(
    small_suite: Suite, score_all: Callable
) -> None:
    rows = [
        row for row in score_all(small_suite) if not (row.task_id == "task-d" and row.seed == 997)
    ]
    summary = summarise(small_suite, rows)
    assert select(summary, "task", task_id="task-d", regime="full")[0].mcc is None
    assert select(summary, "micro", regime="full")[0].mcc is None


@pytest.mark.fault("F16")
def test_f16_fits_that_did_not_converge_are_counted(
    small_suite: Suite, score_all: Callable
) -> None:
    rows = score_all(small_suite, status="max_iter")
    (macro,) = select(summarise(small_suite, rows), "macro", regime="full")
    assert macro.not_converged_count == 30
    assert macro.mcc is not None


def test_a_fit_converged_by_either_of_its_own_rules(
    small_suite: Suite, score_all: Callable
) -> None:
    words = {"converged": 0, "no_progress": 0, "max_iter": 30, "line_search": 30}
    for status, count in words.items():
        rows = score_all(small_suite, status=status)
        (macro,) = select(summarise(small_suite, rows), "macro", regime="full")
        assert macro.not_converged_count == count


def test_every_mean_has_the_bits_of_the_cubes(small_suite: Suite, score_all: Callable) -> None:
    rows = [row for m in range(9) for row in score_all(small_suite, f"m{m}")]
    rows = [replace(row, mcc=float(np.sin(k))) for k, row in enumerate(rows)]
    cube, _ = cube_from_scores(rows, small_suite)
    means = aggregate(cube)
    summary = summarise(small_suite, rows)
    for m, model_id in enumerate(cube.model_ids):
        for r, regime in enumerate(cube.regimes):
            fixed = {"model_id": model_id, "regime": regime}
            found = {
                level: [line.mcc.mean for line in select(summary, level, **fixed)]
                for level in ("task", "category", "macro", "micro")
            }
            assert found["task"] == cube.mcc[m, r].tolist()
            assert found["category"] == means.category[m, r].tolist()
            assert found["macro"] == [means.macro[m, r]]
            assert found["micro"] == [means.micro[m, r]]


@pytest.mark.parametrize("regime", ["full", "10shot"])
@pytest.mark.parametrize("how", ["missing", "failed"])
def test_a_missing_seed_withholds_the_task_in_every_regime_and_every_table(
    small_suite: Suite, score_all: Callable, failed: Callable, regime: str, how: str
) -> None:
    rows = score_all(small_suite)
    at = next(
        k
        for k, row in enumerate(rows)
        if (row.task_id, row.regime, row.seed) == ("task-d", regime, 997)
    )
    rows[at : at + 1] = [failed(rows[at])] if how == "failed" else []
    cube, notices = cube_from_scores(rows, small_suite)
    (task,) = select(summarise(small_suite, rows), "task", task_id="task-d", regime=regime)
    assert task.mcc is None
    missing = np.isnan(cube.mcc[0])
    assert missing[cube.regime_index(regime), 3] and missing.sum() == 1
    assert any("lack some of the seeds" in text for text in notices)


def test_settings_are_kept_apart(small_suite: Suite, score_all: Callable) -> None:
    rows = [
        *score_all(small_suite),
        *score_all(small_suite, C=10.0),
        *score_all(small_suite, solver="exact"),
        *score_all(small_suite, model_id="kmer-6"),
    ]
    summary = summarise(small_suite, rows)
    assert len(select(summary, "macro")) == 4 * 2
    assert len(select(summary, "macro", C=10.0, regime="full")) == 1


def test_a_task_of_another_suite_is_refused(small_suite: Suite, row: ScoreRow) -> None:
    for other in (replace(row, task_id="task-z"), replace(row, category="Two")):
        with pytest.raises(DataError, match="has no task"):
            summarise(small_suite, [other])


def test_the_published_means_come_out_of_the_published_scores(
    geneb: Suite, row: ScoreRow, tolerance: Tolerance
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
        for model_id in line.keys() - {"regime", "task_id"}
    ]
    found = {
        (row.level, row.setting.model_id, row.setting.regime): row.mcc
        for row in summarise(geneb, rows).rows
    }
    with AGGREGATES.open(encoding="utf-8", newline="") as file:
        stated = list(csv.DictReader(file))
    assert len(stated) == 120
    allowed = tolerance("published_aggregate", "float64")
    for line in stated:
        for level in ("macro", "micro"):
            value = found[level, line["model_id"], line["regime"]].mean
            assert value == pytest.approx(float(line[level]), abs=allowed)


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
    exact = select(summarise(small_suite, rows), "task", task_id=task["task_id"])[0].mcc.mean
    assert float(task["mcc_mean"]) == exact
    assert path.read_bytes().count(b"\r") == 0


def test_further_seeds_in_the_folder_move_no_mean(small_suite: Suite, score_all: Callable) -> None:
    own = score_all(small_suite)
    further = [replace(row, mcc=0.9) for row in score_all(small_suite, seeds=(1, 2))]
    cube, notices = cube_from_scores([*own, *further], small_suite)
    alone, _ = cube_from_scores(own, small_suite)
    assert np.array_equal(cube.mcc, alone.mcc)
    assert np.array_equal(cube.seed_sd, alone.seed_sd, equal_nan=True)
    assert any("further ones are left out" in text for text in notices)
    for level in ("macro", "micro", "task"):
        rows = select(summarise(small_suite, [*own, *further]), level)
        means = [(row.mcc, row.seed_count) for row in rows]
        assert means == [
            (row.mcc, row.seed_count) for row in select(summarise(small_suite, own), level)
        ]
    others, _ = cube_from_scores(further, small_suite)
    assert np.nanmean(others.mcc) == pytest.approx(0.9)


def _decided(row: ScoreRow) -> float | None:
    return None if row.failed else 0.1 + row.seed * 1e-7


@pytest.mark.parametrize("seeds", ["all", "one"])
def test_the_file_written_by_column_is_what_the_csv_module_writes(
    tmp_path: Path, small_suite: Suite, score_all: Callable, seeds: str
) -> None:
    rows = [row for row in score_all(small_suite) if seeds == "all" or row.seed == 13]
    rows[3] = replace(rows[3], mcc=None, accuracy=None, macro_f1=None, status="failed", error="no")
    # Names as nobody wants them; one model lacks the scores of decision values.
    rows += [replace(row, model_id='=a, "b"', auroc=_decided(row)) for row in rows]
    written = write_summary_of(tmp_path, small_suite, rows).read_text(encoding="utf-8")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(SUMMARY_COLUMNS)
    for line in summarise(small_suite, rows).rows:
        named = [f"'{cell}" if cell == '=a, "b"' else cell for cell in line.cells()]
        writer.writerow([repr(cell) if isinstance(cell, float) else cell for cell in named])
    assert written == buffer.getvalue()
    assert written == write_summary_csv(tmp_path, summarise(small_suite, rows)).read_text("utf-8")
    assert "''=a" not in written
    assert ",,," in written
