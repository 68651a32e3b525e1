"""Rows as columns: the same rows back, the same CSV, the same means to the bit."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.results import (
    SCORE_COLUMNS,
    ScoreRow,
    ScoreTable,
    means_over_seeds,
    read_scores,
    sds_over_seeds,
    write_scores_csv,
)


@pytest.fixture
def many(row: ScoreRow) -> list[ScoreRow]:
    """Rows with everything that a column must hold: None, odd texts, large and negative numbers."""
    failed = replace(
        row,
        mcc=None,
        accuracy=None,
        macro_f1=None,
        status="failed",
        error='a "quoted", reason',
        n_iter=None,
    )
    return [
        row,
        replace(row, seed=17, layer=-1, brier=0.25, auroc=1.0, grad_norm=None),
        replace(failed, seed=2**40, model_id="=SUM(A1), or not"),
        replace(row, seed=42, mcc=-0.0, windows=0, cut_bp=2**33, weights="random:3"),
        replace(row, task_id="'task", C=1e-5, accuracy=0.1 + 0.2, n_iter=0),
    ]


def test_the_same_rows_come_back(many: list[ScoreRow]) -> None:
    table = ScoreTable.of(many)
    assert list(table) == many and table == many and len(table) == 5
    assert [table[at] for at in range(-5, 5)] == many + many
    assert table[1:4] == tuple(many[1:4])
    assert list(ScoreTable.joined([ScoreTable.of(many[:2]), ScoreTable.of(many[2:])])) == many
    assert str(table[3].mcc) == "-0.0"
    assert list(ScoreTable.of([])) == [] and table != many[:4] and table != "rows"
    with pytest.raises(IndexError):
        table[5]


def test_numbers_beyond_64_bits_come_back(row: ScoreRow) -> None:
    rows = [replace(row, seed=2**70, layer=None), replace(row, seed=3, layer=2)]
    joined = ScoreTable.joined([ScoreTable.of(rows[:1]), ScoreTable.of(rows[1:])])
    assert list(joined) == rows and joined.group("seed")[1].tolist() == [0, 1]


def test_groups_are_in_order_of_appearance(many: list[ScoreRow]) -> None:
    table = ScoreTable.of([*many, *many[::-1]])
    group, first = table.group("model_id", "task_id")
    names = [(row.model_id, row.task_id) for row in table]
    expected = list(dict.fromkeys(names))
    assert [names[at] for at in first] == expected
    assert [expected[at] for at in group] == names
    assert list(table.where(seed=42)) == [many[3], many[3]]


def test_the_csv_is_what_the_csv_module_writes(many: list[ScoreRow], tmp_path: Path) -> None:
    path = write_scores_csv(tmp_path, many)
    assert read_scores(path) == many
    written = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    assert tuple(written[0]) == SCORE_COLUMNS
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(written)
    assert buffer.getvalue().encode() == path.read_bytes()
    with pytest.raises(ValueError, match="two rows for"):
        write_scores_csv(tmp_path, [*many, many[2]])


finite = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 0.1, 1 / 3, 1e-300, -1e-17])


@given(st.lists(st.lists(finite, min_size=5, max_size=5), min_size=1, max_size=20))
def test_means_and_spreads_are_exactly_rounded(rows: list[list[float]]) -> None:
    means = means_over_seeds(np.array(rows))
    spreads = sds_over_seeds(np.array(rows))
    for row, mean, spread in zip(rows, means.tolist(), spreads.tolist(), strict=True):
        expected = row[0] + math.fsum(value - row[0] for value in row) / 5
        assert mean.hex() == expected.hex()
        squares = [(value - expected) ** 2 for value in row]
        assert spread.hex() == math.sqrt(math.fsum(squares) / 4).hex()
    assert np.isnan(sds_over_seeds(np.array([[0.5], [0.25]]))).all()
    assert np.isnan(means_over_seeds(np.array([[0.5, np.nan]]))).all()
