"""How near the data of a task are to the benchmark's own: the one rule for every table.

A published score was made on the files of one pinned revision. A score of the user's may stand
beside it if it was made on those files, or on files that could be those: as many test rows as the
official test set has. Anything else is scored and shown, and ranked with nothing that is published.
"""

from __future__ import annotations

import functools
from enum import StrEnum

from geneb_jax.benchmark.definition import DatasetPin, Suite, Task
from geneb_jax.benchmark.suites import load_suite

__all__ = ["DataStanding", "data_standing", "official_test_rows", "pin_name"]


class DataStanding(StrEnum):
    """What is known of a task's data; the column ``data`` of scores.csv.

    Attributes:
        VERIFIED: The files have the digests of the pinned revision.
        SIZE_ALIKE: The test set has the official number of rows; nothing more was checked.
        UNLIKE: It has another number of rows.
        NOTHING_STATED: The suite pins no data set or states no size, so there is nothing to be
            like; or the number of rows is not known.
    """

    VERIFIED = "verified"
    SIZE_ALIKE = "size alike"
    UNLIKE = "unlike"
    NOTHING_STATED = ""


def pin_name(pin: DatasetPin) -> str:
    """``repository@revision`` of a pinned data set."""
    return f"{pin.repository}@{pin.revision}"


def official_test_rows(suite: Suite, task: Task) -> int | None:
    """Rows of a task's official test set; None where nobody states them.

    Whoever pins the data set of GENEB has its sizes: another suite file cannot state others.
    """
    if suite.dataset is not None and suite.dataset == _geneb().dataset:
        return _geneb_sizes().get(task.task_id, task.test_rows)
    return task.test_rows


def data_standing(
    suite: Suite, task: Task, *, test_rows: int | None, verified_as: str = ""
) -> DataStanding:
    """How near a task's data are to the suite's own.

    Args:
        suite: The suite.
        task: One of its tasks.
        test_rows: Rows of the test set that was scored, where known.
        verified_as: The data set whose digests the files have, as :func:`pin_name` writes it, maybe
            with more words behind; empty where the digests were not compared or differ.
    """
    if suite.dataset is None:
        return DataStanding.NOTHING_STATED
    if verified_as.split(" ")[0] == pin_name(suite.dataset):
        return DataStanding.VERIFIED
    official = official_test_rows(suite, task)
    if official is None or test_rows is None:
        return DataStanding.NOTHING_STATED
    return DataStanding.SIZE_ALIKE if test_rows == official else DataStanding.UNLIKE


@functools.cache
def _geneb() -> Suite:
    return load_suite("geneb")


@functools.cache
def _geneb_sizes() -> dict[str, int | None]:
    return {task.task_id: task.test_rows for task in _geneb().tasks}
