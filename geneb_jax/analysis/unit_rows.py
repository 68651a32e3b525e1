"""The rows of one setting by model, regime and task, made when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from geneb_jax.analysis.cube_from_scores import ProbeSetting, rows_in
from geneb_jax.results import ScoreRow, ScoreTable

__all__ = ["SettingRows", "rows_by_unit"]


class SettingRows(Mapping[tuple[str, ...], tuple[ScoreRow, ...]]):
    """Rows by what some columns hold, in the order in which they came.

    Args:
        table: The rows.
        columns: The columns of texts that are the key.
    """

    def __init__(self, table: ScoreTable, *columns: str) -> None:
        group, first = table.group(*columns)
        self._table = table
        self._order = np.argsort(group, kind="stable")
        ends = np.cumsum(np.bincount(group, minlength=len(first))).tolist()
        keys = zip(*(table.values(column, first) for column in columns), strict=True)
        self._spans = dict(zip(keys, zip([0, *ends[:-1]], ends, strict=True), strict=True))

    def __getitem__(self, key: tuple[str, ...]) -> tuple[ScoreRow, ...]:
        start, stop = self._spans[key]
        return tuple(self._table.rows(self._order[start:stop]))

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)


def rows_by_unit(scores: Iterable[ScoreRow], setting: ProbeSetting | None) -> SettingRows:
    """(label, regime, task id) -> the rows in a setting, one a seed."""
    return SettingRows(rows_in(scores, setting), "model_id", "regime", "task_id")
