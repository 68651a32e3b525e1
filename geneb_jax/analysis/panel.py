"""Who is compared with whom: a run's models, beside the published ones where that is fair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from geneb_jax.analysis.cube import ScoreCube, join_cubes
from geneb_jax.analysis.cube_from_scores import (
    ProbeSetting,
    chosen_setting,
    cube_from_scores,
    settings_of,
)
from geneb_jax.analysis.published import (
    SizeColumn,
    comparable_with_published,
    published_cube,
)
from geneb_jax.analysis.test_row_predictions import ModelPredictions, model_predictions
from geneb_jax.benchmark import Suite, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results import (
    ModelFacts,
    RunScores,
    changed_files,
    other_revision,
    require_same_data,
)

__all__ = ["Panel", "build_panel"]


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
        settings: The runs' models by probe setting, where there is more than one.
        predictions: Model id -> where the predictions of its test rows are, for models of a run
            that kept them; read when asked for.
    """

    suite: Suite
    cube: ScoreCube
    common: ScoreCube | None
    published: bool
    notices: tuple[str, ...]
    settings: Mapping[ProbeSetting, ScoreCube] = field(default_factory=dict)
    predictions: Mapping[str, ModelPredictions] = field(default_factory=dict)

    @property
    def ranked(self) -> ScoreCube:
        """The models statistics are over: those that keep to the protocol.

        Where none of them has every task in any regime, the tasks are the common ones instead.
        """
        cube = self.cube.select_models(self._fair)
        if self.common is not None and not any(cube.complete(name).any() for name in cube.regimes):
            return self.common.select_models(self._fair)
        return cube

    @property
    def comparable(self) -> ScoreCube:
        """The models that keep to the protocol, over the whole suite, gaps and all."""
        return self.cube.select_models(self._fair)

    @property
    def shown(self) -> ScoreCube:
        """The models that keep to the protocol, over the tasks on which all of them have scores."""
        return (self.cube if self.common is None else self.common).select_models(self._fair)

    @property
    def _fair(self) -> np.ndarray:
        return self.cube.on_protocol


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
    require_same_data(runs)
    suite = runs[0].suite
    beside = published and comparable_with_published(suite)
    reference = published_cube(sizes) if beside else None
    joined = _joined(runs, reference, setting)
    left_out = [sentence for run in runs for sentence in run.left_out]
    cube, notices = joined.cube, [*left_out, *changed_files(runs), *joined.notices]
    notices += _off_protocol_notices(cube, ranked=not beside)
    if not beside:
        # Among themselves the models of a run are comparable, however they were probed.
        cube = replace(cube, off_protocol={})
    common = _common_tasks(cube)
    if reference is not None:
        # The whole benchmark counts, also when a run chose some of its tasks.
        whole = load_suite("geneb").tasks
        finished = {suite.tasks[k].task_id for k in np.flatnonzero(common).tolist()}
        common = np.array([task.task_id in finished for task in whole], dtype=bool)
        suite = replace(suite, tasks=whole)
        cube = join_cubes(
            reference.keep_regimes([r for r in reference.regimes if r in cube.regimes]), cube
        )
    partial = bool(common.any()) and not common.all()
    kept = joined.predictions
    return Panel(
        suite=suite,
        cube=cube,
        common=cube.keep_tasks(common) if partial else None,
        published=beside,
        notices=tuple(notices),
        settings=_by_setting(runs),
        # The run's models come last, under the names that keep them apart.
        predictions={
            name: one
            for name, one in zip(cube.model_ids[-len(kept) :], kept, strict=True)
            if one is not None
        },
    )


@dataclass(frozen=True, eq=False)
class _Joined:
    """The models of all runs in one cube, with their predictions in the same order."""

    cube: ScoreCube
    notices: tuple[str, ...]
    predictions: tuple[ModelPredictions | None, ...]


def _joined(
    runs: Sequence[RunScores], reference: ScoreCube | None, setting: ProbeSetting | None
) -> _Joined:
    known = {model.name: model for model in reference.models} if reference else {}
    suite = runs[0].suite
    cube: ScoreCube | None = None
    notices: list[str] = []
    kept: list[ModelPredictions | None] = []
    for run in runs:
        mine, told = cube_from_scores(run.scores, suite, _facts(run, known), setting=setting)
        if reference is not None and (reason := other_revision(run)):
            off = {name: (reason, *mine.off_protocol.get(name, ())) for name in mine.model_ids}
            mine = replace(mine, off_protocol=off)
        notices += told
        kept += _predictions(run, suite, mine.model_ids, setting)
        cube = mine if cube is None else join_cubes(cube, mine)
    if cube is None or not cube.models:
        raise DataError(
            "the run has no scores of the suite's tasks",
            hint="run geneb-jax run first, or name another output folder",
        )
    return _Joined(cube, tuple(notices), tuple(kept))


def _facts(run: RunScores, known: Mapping[str, ModelFacts]) -> dict[str, ModelFacts]:
    """Label -> facts: what run.json says, and the published table where it is silent."""
    said = run.record.models if run.record else {}
    found = {}
    for label in dict.fromkeys(row.model_id for row in run.scores):
        facts = said.get(label, ModelFacts(label))
        published = known.get(facts.name)
        found[label] = facts if published is None else facts.filled_from(published)
    return found


def _predictions(
    run: RunScores, suite: Suite, model_ids: Sequence[str], setting: ProbeSetting | None
) -> list[ModelPredictions | None]:
    if run.folder is None:
        return [None] * len(model_ids)
    found = model_predictions(run.folder, run.scores, setting or chosen_setting(run.scores, suite))
    return [found.get(name) for name in model_ids]


def _by_setting(runs: Sequence[RunScores]) -> dict[ProbeSetting, ScoreCube]:
    found: dict[ProbeSetting, ScoreCube] = {}
    for run in runs:
        for setting in settings_of(run.scores):
            cube, _ = cube_from_scores(run.scores, run.suite, setting=setting)
            found[setting] = join_cubes(found[setting], cube) if setting in found else cube
    return found if len(found) > 1 else {}


def _common_tasks(cube: ScoreCube) -> np.ndarray:
    """Bool ``[task]``: scored by every model in every regime that the model ran at all."""
    scored = np.isfinite(cube.mcc)
    unused = ~scored.any(axis=2, keepdims=True)
    common: np.ndarray = (scored | unused).all(axis=(0, 1))
    return common


def _off_protocol_notices(cube: ScoreCube, *, ranked: bool) -> list[str]:
    reasons: dict[tuple[str, ...], list[str]] = {}
    for model in cube.models:
        if why := cube.off_protocol.get(model.label):
            reasons.setdefault(why, []).append(model.title)
    return [
        f"{', '.join(names[:5])}{' and others' if names[5:] else ''}: "
        f"{'ranked among themselves only' if ranked else 'not ranked'}, because the scores are "
        f"not the protocol's ({'; '.join(reason)})."
        for reason, names in reasons.items()
    ]
