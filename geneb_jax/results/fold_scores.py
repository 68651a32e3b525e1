"""What held-out training rows say of each C: kept beside the record of the unit that swept them.

A strength that is chosen by its test score flatters itself. So a sweep also fits on parts of the
training rows and scores the rest, and the choice rests on these scores alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

import numpy as np

from geneb_jax.results.records import Records
from geneb_jax.results.score_rows import ScoreRow
from geneb_jax.results.unit_keys import UnitKey
from geneb_jax.sealed_files import read_sealed, write_sealed

__all__ = ["find_fold_scores", "has_fold_scores", "keep_fold_scores"]

_KIND = "folds 1"


def _path(records: Records, key: UnitKey) -> Path:
    return records.path_of(key).with_suffix(".folds")


def keep_fold_scores(records: Records, key: UnitKey, mcc: np.ndarray) -> Path:
    """Write the scores of a unit's held-out training rows.

    Args:
        records: The run's records.
        key: The unit.
        mcc: float64 ``[C, fold]`` in the key's order; NaN where a fit failed.

    Raises:
        OutputError: if the file cannot be written.
    """
    rows = [[value if math.isfinite(value) else None for value in row] for row in mcc.tolist()]
    path = _path(records, key)
    write_sealed(path, _KIND, {"unit": key.digest, "C": list(key.C), "mcc": rows})
    return path


def has_fold_scores(records: Records, key: UnitKey, rows: Collection[ScoreRow]) -> bool:
    """Whether a unit's scores on held-out training rows are kept, or cannot be had.

    Args:
        records: The run's records.
        key: The unit.
        rows: Its rows: one that failed has no such scores.
    """
    return any(row.failed for row in rows) or _read(records, key) is not None


def _read(records: Records, key: UnitKey) -> dict[float, list[float | None]] | None:
    """C -> MCC of each fold; None where nothing sound was kept for this unit."""
    try:
        content = read_sealed(_path(records, key), _KIND)
        if content["unit"] != key.digest or len(content["mcc"]) != len(key.C):
            return None
        if not all(_is_score(value) for row in content["mcc"] for value in row):
            return None
        return dict(zip(key.C, content["mcc"], strict=True))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _is_score(value: object) -> bool:
    return value is None or (type(value) in (int, float) and -1 <= value <= 1)  # type: ignore[operator]


def find_fold_scores(folder: Path, rows: Collection[ScoreRow]) -> dict[float, float] | None:
    """Mean held-out MCC of each C of the unit that some rows are of.

    Args:
        folder: The run's output folder.
        rows: Rows of scores.csv of one model, task, regime, probe, solver and C.

    Returns:
        C -> mean over the folds, of those whose every fit has a score; None where nothing was kept.
    """
    records = Records(folder)
    unit = records.kept_unit(rows)
    if unit is None:
        return None
    kept = _read(records, unit.key)
    if kept is None:
        return None
    try:
        return {
            C: float(np.mean(values, dtype=np.float64))  # type: ignore[arg-type]
            for C, values in kept.items()
            if values and None not in values
        }
    except (ValueError, TypeError):
        return None
