"""Scores that no run of the user's made: published ones, later entries, files of submissions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from geneb_jax.analysis.cube import ScoreCube, join_cubes
from geneb_jax.analysis.published import (
    SizeColumn,
    cube_of_submissions,
    published_cube,
    reference_cube,
)
from geneb_jax.benchmark import load_suite
from geneb_jax.results import SCORE_RANGES, ReadSubmission, listed

__all__ = ["Elsewhere", "gather_elsewhere"]

#: Published scores have four decimals: an entry's own file may differ by half of the last one.
_SAME = 6e-5


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Models from elsewhere and what a reader must know about them."""

    cube: ScoreCube
    notices: tuple[str, ...]


def gather_elsewhere(
    published: bool,
    sizes: SizeColumn,
    submissions: Sequence[ReadSubmission],
    metric: str,
) -> Elsewhere | None:
    """The models that may stand beside runs of the benchmark.

    A submission that is the file of an entry shown already is counted once. Scores that a file
    itself says were made on other data are left out of it.

    Args:
        published: Whether the published models and later entries are among them.
        sizes: Size column of the published models.
        submissions: Files that the user gave.
        metric: The metric.

    Returns:
        None where there is nothing: nobody published scores of decision values.
    """
    if metric not in SCORE_RANGES:
        return None
    reference = reference_cube(sizes, metric) if published else None
    notices: list[str] = []
    if published and metric != "mcc":
        notices.append(
            f"The paper's 40 models were published here with MCC alone: {metric} is of the later "
            "entries, of submissions and of your runs."
        )
    if not submissions:
        return None if reference is None else Elsewhere(reference, tuple(notices))
    given = _with_known_facts(cube_of_submissions(submissions, load_suite("geneb"), metric), sizes)
    unlike = given.unlike
    if unlike.any():
        names = [given.models[k].title for k in np.flatnonzero(unlike.any(axis=1)).tolist()]
        notices.append(
            f"{listed(names)}: tasks that the file says were scored on other data are left out."
        )
        given = given.only(~unlike)
    if reference is None:
        return Elsewhere(given, tuple(notices))
    same = np.array([_same_entry(given, k, reference) for k in range(len(given.models))])
    if same.any():
        names = [given.model_ids[k] for k in np.flatnonzero(same).tolist()]
        notices.append(f"{listed(names, 5)}: the file of an entry that is shown; counted once.")
    rest = given.select_models(~same)
    return Elsewhere(join_cubes(reference, rest), tuple(notices))


def _with_known_facts(cube: ScoreCube, sizes: SizeColumn) -> ScoreCube:
    """A file says little of its model; of a published one the paper's table says more."""
    known = {model.label: model for model in published_cube(sizes).models}
    models = tuple(
        model.filled_from(known[model.label]) if model.label in known else model
        for model in cube.models
    )
    return replace(cube, models=models)


def _same_entry(given: ScoreCube, row: int, reference: ScoreCube) -> bool:
    label = given.model_ids[row]
    if label not in reference.model_ids:
        return False
    one, two = given.mcc[row], reference.mcc[reference.model_ids.index(label)]
    return bool((np.abs(one - two) <= _SAME).all())
