"""Which part of a task a row belongs to: as a column says it, or as its file is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from geneb_jax.data.layouts.options import ImportOptions
from geneb_jax.errors import DataError

__all__ = ["no_split", "obeys_column", "splits_of"]

_MEANINGS = "say what its values mean: --splits 0=train,1=dev,2=test"


def obeys_column(options: ImportOptions) -> bool:
    """Whether the user speaks of a column of splits, which then wins over names of files."""
    return "split" in options.columns or bool(options.splits)


def splits_of(
    values: Sequence[str],
    column: str,
    said: str | None,
    options: ImportOptions,
    where: Callable[[int], str],
) -> list[str]:
    """The part of each row.

    A column that the user names decides. One that is there by itself must not say another part than
    the file's name does; only dev rows inside a train file are taken at their word. Where it holds
    something else, such as folds of a cross-validation, the file's name decides.

    Args:
        values: The column's values, one a row.
        column: Its name.
        said: The part that the file's name says; None if it says none.
        options: What the user says.
        where: Row -> its place, for messages.

    Raises:
        DataError: naming the first row whose value is unknown or is against the file's name.
    """
    known: dict[str, str] = {}
    found: list[str] = []
    for row, value in enumerate(values):
        if value not in known:
            known[value] = _split_of(value, column, said, options, where(row))
        found.append(known[value])
    return found


def _split_of(value: str, column: str, said: str | None, options: ImportOptions, where: str) -> str:
    split = options.split(value)
    if said is None or obeys_column(options):
        if split is None:
            raise DataError(
                f"the column {column!r} has {value[:40]!r}, which is neither train, test nor dev",
                where=where,
                hint=_MEANINGS,
            )
        return split
    if split is None or split == said:
        return said
    if (said, split) == ("train", "dev"):
        return split
    raise DataError(
        f"the column {column!r} has {value[:40]!r} in the file of the {said} rows",
        where=where,
        cause="the file's name and its rows say two different parts",
        hint=f"--columns split={column} obeys the column; otherwise mend the rows or the names",
    )


def no_split(path: Path, options: ImportOptions, columns: Sequence[str] = ()) -> str:
    """The part of rows of which nothing says it: ``unknown``, to be set by ``--test-share``.

    Raises:
        DataError: without that option.
    """
    if options.test_share is not None:
        return "unknown"
    if columns:
        raise DataError(
            "nothing says which rows are train and which are test",
            where=path,
            cause=f"no column of {', '.join(repr(name) for name in columns[:8])} is known to be "
            "the split",
            hint="name it: --columns split=COLUMN; or give two files, train and test; or let "
            "--test-share 0.2 set a fifth of the sequences aside",
        )
    raise DataError(
        "nothing says which records are train and which are test",
        where=path,
        hint="give two files, train and test, or a column split in the table of labels; or let "
        "--test-share 0.2 set a fifth of the sequences aside",
    )
