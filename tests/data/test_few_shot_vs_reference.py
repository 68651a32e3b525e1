"""Few-shot draws against a stored table and against the recipe written out again.

few_shot_rows.json was made with NumPy 1.26.4 by the plain recipe, so it also holds the draws still
across NumPy versions.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.benchmark import load_suite
from geneb_jax.data import TaskTable, few_shot_rows

TABLE = json.loads((Path(__file__).parent / "few_shot_rows.json").read_text(encoding="utf-8"))


def plain_recipe(labels: np.ndarray, shots: int, seed: int) -> list[int]:
    """The protocol's words, one by one."""
    generator = np.random.RandomState(seed)
    drawn: list[int] = []
    for label in np.unique(labels):
        pool = np.where(labels == label)[0]
        drawn += generator.choice(pool, size=min(shots, len(pool)), replace=False).tolist()
    return drawn


@pytest.mark.parametrize("case", TABLE["labels"])
@pytest.mark.fault("F21")
def test_draws_equal_the_stored_table(case: str) -> None:
    labels = np.array(TABLE["labels"][case])
    draws = [draw for draw in TABLE["draws"] if draw["case"] == case]
    assert len(draws) == 10
    for draw in draws:
        rows = few_shot_rows(labels, draw["shots"], draw["seed"])
        assert rows.dtype == np.int64
        assert rows.tolist() == draw["rows"], draw


@pytest.mark.fault("F21")
def test_draws_equal_the_recipe_on_real_tasks(real_tables: list[TaskTable]) -> None:
    assert len(real_tables) >= 30
    for table in real_tables:
        labels = table.train_labels
        for seed in load_suite("geneb").protocol.seeds:
            for shots in (1, 10):
                rows = few_shot_rows(labels, shots, seed)
                assert rows.tolist() == plain_recipe(labels, shots, seed), (table.task, seed, shots)


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), min_size=1, max_size=60),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
)
@pytest.mark.fault("F21")
def test_draws_equal_the_recipe_and_are_balanced(labels: list[int], shots: int, seed: int) -> None:
    array = np.array(labels, dtype=np.int64)
    rows = few_shot_rows(array, shots, seed)
    assert rows.tolist() == plain_recipe(array, shots, seed)
    assert len(set(rows.tolist())) == len(rows)
    for label in set(labels):
        assert (array[rows] == label).sum() == min(shots, labels.count(label))


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()
    few_shot_rows(np.array([0, 1, 0, 1]), 1, 13)
    assert (np.random.get_state()[1] == before).all()


def test_impossible_arguments() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        few_shot_rows(np.array([0, 1]), 0, 13)
    with pytest.raises(ValueError, match="one dimension"):
        few_shot_rows(np.zeros((2, 2)), 1, 13)
