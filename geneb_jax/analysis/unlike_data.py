"""Keep scores of unlike data apart: from published ones, and of one run from another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.benchmark import DataStanding, Suite, official_test_rows
from geneb_jax.results import RunScores, changed_files, listed

__all__ = ["PartedScores", "part_unlike", "without_changed_files"]


@dataclass(frozen=True, eq=False)
class PartedScores:
    """The scores of runs, by whether they may stand beside published ones.

    Attributes:
        cube: Those that may; all of them where nothing published is beside, or none may.
        unlike: The others, over their tasks; None where there are none or ``cube`` has them.
        own_data: Whether none of the scores may.
        notices: Sentences on the others.
    """

    cube: ScoreCube
    unlike: ScoreCube | None
    own_data: bool
    notices: tuple[str, ...]


def without_changed_files(
    cube: ScoreCube, runs: Sequence[RunScores]
) -> tuple[ScoreCube, tuple[str, ...]]:
    """Leave out tasks whose files differ between runs: nobody was scored on the other's rows.

    Scores on verified files stay, since those are what such a task should be.

    Args:
        cube: The models of the runs; others keep all they have.
        runs: The runs.

    Returns:
        The cube, and a sentence on what is left out of it.
    """
    changed = changed_files(runs)
    if not changed:
        return cube, ()
    keep = np.array(
        [
            [
                task.task_id not in changed
                or model.source != "user"
                or cube.data.get(model.label, {}).get(task.task_id) == DataStanding.VERIFIED
                for task in cube.tasks
            ]
            for model in cube.models
        ],
        dtype=bool,
    ).reshape(len(cube.models), len(cube.tasks))
    said = (
        f"{len(changed)} tasks had different files in the runs and do not compare, so their scores "
        f"on files that are not verified are left out: {listed(changed, 5)}."
    )
    return cube.only(keep), (said,)


def part_unlike(cube: ScoreCube, suite: Suite, *, beside: bool) -> PartedScores:
    """Part the scores of runs.

    Args:
        cube: The models of the runs, over the suite's tasks.
        suite: The suite.
        beside: Whether published scores are to stand beside them.
    """
    unlike = cube.unlike & np.isfinite(cube.mcc).any(axis=1)
    columns = np.flatnonzero(unlike.any(axis=0))
    if not len(columns):
        return PartedScores(cube, None, False, ())
    own_data = not np.isfinite(cube.only(~unlike).mcc).any()
    told = _sentence(cube, suite, columns.tolist())
    if not beside:
        return PartedScores(cube, None, own_data, (told,))
    if own_data:
        alone = "None of the runs' tasks is on the benchmark's data: no published model is shown."
        return PartedScores(cube, None, True, (told, alone))
    apart = cube.only(unlike).keep_tasks(unlike.any(axis=0))
    return PartedScores(cube.only(~unlike), apart, False, (told,))


def _sentence(cube: ScoreCube, suite: Suite, columns: list[int]) -> str:
    names = []
    for k in columns:
        rows, official = int(cube.test_rows[k]), official_test_rows(suite, cube.tasks[k])
        # Of several runs the count may be another's.
        known = rows and official and rows != official
        count = f" ({rows:,} test rows, not {official:,})" if known else ""
        names.append(f"{cube.tasks[k].task_id}{count}")
    return (
        f"Scored on data unlike the benchmark's, so never ranked beside published scores, "
        f"in no macro with them and in no submission ({len(names)}): {listed(names, 5)}."
    )
