"""Score rows as columns: what hundreds of thousands of rows are held and computed in.

A :class:`ScoreTable` is a sequence of :class:`ScoreRow` that makes a row only when somebody asks
for it. Texts are codes into a list of names, floats have NaN for None (no row holds NaN), whole
numbers the smallest one of their type.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, overload

import numpy as np

from geneb_jax.results.score_rows import (
    DECISION_RANGES,
    FAILED,
    SCORE_COLUMNS,
    SCORE_RANGES,
    TASK_COUNTS,
    ScoreRow,
)

__all__ = ["FLOATS", "INTEGERS", "TEXTS", "ScoreTable"]

#: Columns of scores.csv by what they hold.
FLOATS: Final = frozenset({"C", *SCORE_RANGES, *DECISION_RANGES, "grad_norm"})
INTEGERS: Final = frozenset(
    {"seed", "layer", "n_train", "n_test", "n_classes", "n_iter", *TASK_COUNTS}
)
TEXTS: Final = frozenset(SCORE_COLUMNS) - FLOATS - INTEGERS
#: Rows that are made at once while a table is gone through.
_BLOCK = 4096


class ScoreTable(Sequence[ScoreRow]):
    """Rows of scores.csv as columns.

    Args:
        columns: Name -> array ``[row]``: codes (int32) of a text, float64, or int32 or int64; for
            every name of :data:`SCORE_COLUMNS`.
        names: Column of texts -> what its codes stand for, no two alike.

    Attributes:
        derived: What others have computed from the rows and may want again.
    """

    def __init__(
        self, columns: Mapping[str, np.ndarray], names: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.columns = columns
        self.names = names
        self.derived: dict[Hashable, Any] = {}
        self._groups: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def of(cls, rows: Iterable[ScoreRow]) -> ScoreTable:
        """The table of some rows; of a table, itself."""
        if isinstance(rows, ScoreTable):
            return rows
        cells = list(zip(*(row.cells() for row in rows), strict=True))
        columns: dict[str, np.ndarray] = {}
        names: dict[str, tuple[str, ...]] = {}
        for at, column in enumerate(SCORE_COLUMNS):
            values: Sequence[Any] = cells[at] if cells else ()
            if column in TEXTS:
                codes: dict[str, int] = {}
                coded = [codes.setdefault(value, len(codes)) for value in values]
                columns[column] = np.array(coded, np.int32)
                names[column] = tuple(codes)
            elif column in FLOATS:
                columns[column] = np.array(values, np.float64)  # None becomes NaN
            else:
                columns[column] = _whole_numbers(values)
        return cls(columns, names)

    @classmethod
    def joined(cls, tables: Sequence[ScoreTable]) -> ScoreTable:
        """The rows of several tables, one after the other."""
        if len(tables) == 1:
            return tables[0]
        columns: dict[str, np.ndarray] = {}
        names: dict[str, tuple[str, ...]] = {}
        for column in SCORE_COLUMNS:
            parts = [table.columns[column] for table in tables]
            if column in TEXTS:
                codes: dict[str, int] = {}
                for at, table in enumerate(tables):
                    own = [codes.setdefault(name, len(codes)) for name in table.names[column]]
                    parts[at] = np.array(own, np.int32)[parts[at]] if own else parts[at]
                names[column] = tuple(codes)
            elif column in INTEGERS:
                parts = _of_one_type(parts)
            empty = np.zeros(0, np.float64 if column in FLOATS else np.int32)
            columns[column] = np.concatenate(parts) if parts else empty
        return cls(columns, names)

    def __len__(self) -> int:
        return len(self.columns["C"])

    @overload
    def __getitem__(self, at: int) -> ScoreRow: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[ScoreRow, ...]: ...
    def __getitem__(self, at: int | slice) -> ScoreRow | tuple[ScoreRow, ...]:
        if isinstance(at, slice):
            return tuple(self.rows(np.arange(len(self))[at]))
        place = range(len(self))[at]
        return next(self.rows(np.arange(place, place + 1)))

    def __iter__(self) -> Iterator[ScoreRow]:
        for first in range(0, len(self), _BLOCK):
            yield from self.rows(np.arange(first, min(first + _BLOCK, len(self))))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(self) != len(other):
            return NotImplemented if not isinstance(other, Sequence) else False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def rows(self, places: np.ndarray) -> Iterator[ScoreRow]:
        """The rows at some places, int64 ``[n]``, in the order asked for."""
        parts = [self.values(column, places) for column in SCORE_COLUMNS]
        for cells in zip(*parts, strict=True):
            row = object.__new__(ScoreRow)  # they were checked when the table was made
            for set_, value in zip(_SETTERS, cells, strict=True):
                set_(row, value)
            yield row

    def values(self, column: str, places: np.ndarray | None = None) -> list[Any]:
        """The cells of a column as rows have them, None included, at some places or everywhere."""
        found = self.columns[column]
        found = found if places is None else found[places]
        if column in TEXTS:
            names = self.names[column]
            return [names[code] for code in found.tolist()]
        if column in FLOATS:
            return [None if value != value else value for value in found.tolist()]
        nothing = np.iinfo(found.dtype).min if found.dtype != object else None
        return [None if value == nothing else value for value in found.tolist()]

    def take(self, places: np.ndarray | slice) -> ScoreTable:
        """The rows at some places, of a stretch, or under a mask, as a table."""
        return ScoreTable(
            {name: column[places] for name, column in self.columns.items()}, self.names
        )

    def equal(self, column: str, value: Any) -> np.ndarray:
        """Bool ``[row]``: whether a cell holds a value that is not None."""
        if column in TEXTS:
            names = self.names[column]
            code = names.index(value) if value in names else -1
            found: np.ndarray = self.columns[column] == code
            return found
        found = self.columns[column] == value
        return found

    def where(self, **wanted: Any) -> ScoreTable:
        """The rows whose cells hold some values."""
        mask = np.ones(len(self), bool)
        for column, value in wanted.items():
            mask &= self.equal(column, value)
        return self.take(mask)

    @property
    def failed(self) -> np.ndarray:
        """Bool ``[row]``: see :attr:`ScoreRow.failed`."""
        return self.equal("status", FAILED)

    def group(self, *columns: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows by what several columns hold.

        Returns:
            The number of each row's group, int64 ``[row]``, groups in the order in which they
            appear, and the place of each group's first row, int64 ``[group]``.
        """
        known = self._groups.get(columns)
        if known is not None:
            return known
        key, size = np.zeros(len(self), np.int64), 1
        for column in columns:
            codes, count = self.columns[column], len(self.names.get(column, ()))
            if column not in TEXTS:
                codes, count = _codes(codes)
            if size * count >= 2**62:  # numbered anew, so that products stay small
                key = np.unique(key, return_inverse=True)[1]
                size = int(key.max(initial=0)) + 1
            key, size = key * count + codes, size * count
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        found = self._groups[columns] = place[group], first[order]
        return found


def _codes(column: np.ndarray) -> tuple[np.ndarray, int]:
    """A number for each distinct value, int64 ``[row]``, and how many there are."""
    if column.dtype == object:
        known: dict[object, int] = {}
        coded = [known.setdefault(one, len(known)) for one in column.tolist()]
        return np.array(coded, np.int64), len(known)
    values, codes = np.unique(column, return_inverse=True)
    return codes, len(values)


#: What sets a field of a row that is otherwise never changed.
_SETTERS = tuple(getattr(ScoreRow, column).__set__ for column in SCORE_COLUMNS)


def _whole_numbers(values: Sequence[int | None]) -> np.ndarray:
    """The smallest type that holds them and a value that stands for None; else Python's."""
    given = [value for value in values if value is not None]
    low, high = min(given, default=0), max(given, default=0)
    for kind in (np.int32, np.int64):
        limits = np.iinfo(kind)
        if limits.min < low and high <= limits.max:
            return np.array([limits.min if one is None else one for one in values], kind)
    return np.array(values, object)


def _of_one_type(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Whole numbers of several tables, what stands for None being one and the same."""
    kinds = {part.dtype for part in parts}
    if len(kinds) < 2:
        return parts
    if np.dtype(object) in kinds:
        return [
            part
            if part.dtype == object
            else np.array(
                [None if v == np.iinfo(part.dtype).min else v for v in part.tolist()], object
            )
            for part in parts
        ]
    return [
        np.where(part == np.iinfo(part.dtype).min, np.iinfo(np.int64).min, part.astype(np.int64))
        for part in parts
    ]
