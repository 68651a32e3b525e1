"""Who is compared with whom: a run's models, beside the published ones where that is fair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geneb_jax.analysis.cube import ModelFacts, ScoreCube, join_cubes
from geneb_jax.analysis.published import (
    SizeColumn,
    comparable_with_published,
    published_cube,
)
from geneb_jax.analysis.records import ProbeSetting, cube_from_scores
from geneb_jax.benchmark import Suite, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results import ScoreRow

__all__ = ["Panel", "RunScores", "build_panel", "model_facts"]


@dataclass(frozen=True, slots=True)
class RunScores:
    """One run: its suite, its rows and its run.json."""

    suite: Suite
    scores: Sequence[ScoreRow]
    run: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Panel:
    """All models of a report over one set of tasks.

    Attributes:
        suite: The suite whose tasks and categories count.
        cube: Every model over every task of the suite; NaN where a run lacks one.
        common: The same models over the tasks that every model of the runs finished in every
            regime it ran; None when that is all tasks, or none.
        published: Whether the published models are in.
        notices: What a reader must know, as sentences.
    """

    suite: Suite
    cube: ScoreCube
    common: ScoreCube | None
    published: bool
    notices: tuple[str, ...]

    @property
    def ranked(self) -> ScoreCube:
        """The models statistics are over: those that keep to the protocol.

        Where none of them has every task in any regime, the tasks are the common ones instead.
        """
        fair = np.array([not model.off_protocol for model in self.cube.models], dtype=bool)
        cube = self.cube.keep_models(fair)
        if self.common is not None and not any(cube.complete(name).any() for name in cube.regimes):
            return self.common.keep_models(fair)
        return cube


def build_panel(
    runs: Sequence[RunScores],
    *,
    published: bool = True,
    sizes: SizeColumn = "best",
    setting: ProbeSetting | None = None,
) -> Panel:
    """Put the models of runs side by side, with the published ones where the tasks are theirs.

    Args:
        runs: The runs; none means the published scores alone.
        published: Whether to add the published models where :func:`comparable_with_published`.
        sizes: The size column of the published models.
        setting: The probe setting to compare; the one nearest the protocol's by default.

    Raises:
        DataError: if the runs are of different suites or data set revisions, or have no rows.
    """
    if not runs:
        if not published:
            raise DataError("there are no scores: neither a run nor the published models")
        return Panel(load_suite("geneb"), published_cube(sizes), None, True, ())
    _refuse_mixture(runs)
    suite = runs[0].suite
    beside = published and comparable_with_published(suite)
    known = {model.model_id: model for model in published_cube(sizes).models} if beside else {}
    cube: ScoreCube | None = None
    notices: list[str] = []
    for run in runs:
        facts = model_facts(run.run, known)
        mine, told = cube_from_scores(run.scores, suite, facts, setting=setting)
        notices += told
        cube = mine if cube is None else join_cubes(cube, mine)
    if cube is None or not cube.models:
        raise DataError(
            "the run has no scores of the suite's tasks",
            hint="run geneb-jax run first, or name another output folder",
        )
    notices += _off_protocol_notices(cube, ranked=not beside)
    if not beside:
        # Among themselves the models of a run are comparable, however they were probed.
        cube = replace(cube, models=tuple(replace(m, off_protocol=()) for m in cube.models))
    common_tasks = _common_tasks(cube)
    if beside:
        # The whole benchmark counts, also when a run chose some of its tasks.
        whole = load_suite("geneb")
        if len(whole.tasks) != len(suite.tasks):
            names = {task.task_id for task in suite.tasks}
            chosen = np.array([task.task_id in names for task in whole.tasks])
            filled = np.zeros(len(whole.tasks), dtype=bool)
            order = {task.task_id: k for k, task in enumerate(suite.tasks)}
            filled[chosen] = [
                common_tasks[order[t.task_id]] for t in whole.tasks if t.task_id in names
            ]
            common_tasks, suite = filled, replace(suite, tasks=whole.tasks)
        reference = published_cube(sizes).keep_regimes(
            [name for name in published_cube(sizes).regimes if name in cube.regimes]
        )
        cube = join_cubes(reference, cube)
    partial = bool(common_tasks.any()) and not common_tasks.all()
    return Panel(
        suite=suite,
        cube=cube,
        common=cube.keep_tasks(common_tasks) if partial else None,
        published=beside,
        notices=tuple(notices),
    )


def model_facts(
    run: Mapping[str, Any], known: Mapping[str, ModelFacts] | None = None
) -> dict[str, ModelFacts]:
    """What run.json and the published table say of a run's models.

    Args:
        run: run.json; ``models`` is a list of mappings with ``model_id`` and, where known,
            ``display``, ``params``, ``architecture``, ``tokenization``, ``corpus``, ``weights`` and
            ``sequences_per_second``.
        known: Facts of models by id, used where run.json is silent.
    """
    entries = run.get("models", [])
    if isinstance(entries, Mapping):
        entries = [{"model_id": name, **(entry or {})} for name, entry in entries.items()]
    facts: dict[str, ModelFacts] = {}
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("model_id"), str):
            continue
        name = entry["model_id"]
        base = replace((known or {}).get(name, ModelFacts(name, name)), source="user")
        facts[name] = replace(
            base,
            display=_text(entry, "display") or base.display,
            params=_whole(entry, "params") or base.params,
            architecture=_text(entry, "architecture") or base.architecture,
            tokenization=_text(entry, "tokenization") or base.tokenization,
            corpus=_text(entry, "corpus") or base.corpus,
            weights=_text(entry, "weights") or base.weights,
            sequences_per_second=_positive(entry, "sequences_per_second"),
        )
    return facts


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _whole(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _positive(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if usable else None  # type: ignore[arg-type]


def _refuse_mixture(runs: Sequence[RunScores]) -> None:
    first = runs[0]
    for other in runs[1:]:
        if (other.suite.name, other.suite.simulated) != (first.suite.name, first.suite.simulated):
            raise DataError(
                f"the runs are of different suites, {first.suite.name!r} and {other.suite.name!r}",
                hint="report them one by one",
            )
    revisions = {revision for run in runs if (revision := _revision(run)) is not None}
    if len(revisions) > 1:
        raise DataError(
            f"the runs were made on different data set revisions: {', '.join(sorted(revisions))}",
            hint="run the older one again at the pinned revision",
        )


def _revision(run: RunScores) -> str | None:
    dataset = run.run.get("dataset")
    value = dataset.get("revision") if isinstance(dataset, Mapping) else None
    return value if isinstance(value, str) else None


def _common_tasks(cube: ScoreCube) -> np.ndarray:
    """Bool ``[task]``: scored by every model in every regime that the model ran at all."""
    scored = np.isfinite(cube.mcc)
    unused = ~scored.any(axis=2, keepdims=True)
    common: np.ndarray = (scored | unused).all(axis=(0, 1))
    return common


def _off_protocol_notices(cube: ScoreCube, *, ranked: bool) -> list[str]:
    reasons: dict[tuple[str, ...], list[str]] = {}
    for model in cube.models:
        if model.off_protocol:
            reasons.setdefault(model.off_protocol, []).append(model.display)
    return [
        f"{', '.join(names[:5])}{' and others' if names[5:] else ''}: "
        f"{'ranked among themselves only' if ranked else 'not ranked'}, because the scores are "
        f"not the protocol's ({'; '.join(reason)})."
        for reason, names in reasons.items()
    ]
