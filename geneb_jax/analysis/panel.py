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
    rows_in,
    settings_of,
)
from geneb_jax.analysis.elsewhere import gather_elsewhere
from geneb_jax.analysis.input_counts import input_sentences
from geneb_jax.analysis.layer_curves import LayerCurves, layer_curves
from geneb_jax.analysis.metric_means import MetricMeans, metric_means
from geneb_jax.analysis.one_class import one_class_sentences
from geneb_jax.analysis.published import SizeColumn, comparable_with_published
from geneb_jax.analysis.run_checks import RunCheck
from geneb_jax.analysis.sweep import SweepLine, sweep_lines
from geneb_jax.analysis.test_row_predictions import ModelPredictions, model_predictions
from geneb_jax.analysis.unlike_data import part_unlike, without_changed_files
from geneb_jax.benchmark import Suite, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results import (
    SCORE_RANGES,
    ModelFacts,
    ReadSubmission,
    RunRecord,
    RunScores,
    ScoreTable,
    listed,
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
        unlike: The runs' scores on data unlike the benchmark's, where ``cube`` has published scores
            beside which they may not stand; None where there are none.
        left_out: Sentences on the scores that no ranking of ``cube`` counts; also in ``notices``.
        own_data: Whether no score of the runs is on the benchmark's data, so that they stand alone.
        versions: Package -> version, where the runs agree.
        metric_means: Every score of the runs' models side by side.
        sweep: The runs' models that were probed with several C, whatever the metric by MCC.
        layers: The runs' models of which several layers or poolings were scored, likewise.
        records: run.json of each run that has one: when, on which devices, for how long.
        checks: What was looked at in the runs and what was found; its sentences are in ``notices``.
    """

    suite: Suite
    cube: ScoreCube
    common: ScoreCube | None
    published: bool
    notices: tuple[str, ...]
    settings: Mapping[ProbeSetting, ScoreCube] = field(default_factory=dict)
    predictions: Mapping[str, ModelPredictions] = field(default_factory=dict)

    unlike: ScoreCube | None = None
    left_out: tuple[str, ...] = ()
    own_data: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    metric_means: tuple[MetricMeans, ...] = ()
    sweep: tuple[SweepLine, ...] = ()
    layers: tuple[LayerCurves, ...] = ()
    records: tuple[RunRecord, ...] = ()
    checks: tuple[RunCheck, ...] = ()

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
    submissions: Sequence[ReadSubmission] = (),
    metric: str = "mcc",
) -> Panel:
    """Put the models of runs side by side, with the published ones where the tasks are theirs.

    Args:
        runs: The runs; none means the scores from elsewhere alone.
        published: Whether to add the published models where :func:`comparable_with_published`.
        sizes: The size column of the published models.
        setting: The probe setting to compare; the one nearest the protocol's by default.
        submissions: Other people's results, which stand where the published ones do.
        metric: A key of :data:`geneb_jax.results.METRIC_RANGES`.

    Raises:
        DataError: if the runs are of different suites or data set revisions, or have no rows; if
            submissions are to stand beside runs of another suite.
    """
    if not runs:
        elsewhere = gather_elsewhere(published, sizes, submissions, metric)
        if elsewhere is None and metric not in SCORE_RANGES:
            raise DataError(
                f"nobody published {metric}, and no run is named",
                hint="name the output folder of a run; its scores have it",
            )
        if elsewhere is None:
            raise DataError("there are no scores: neither a run nor the published models")
        return Panel(load_suite("geneb"), elsewhere.cube, None, published, elsewhere.notices)
    require_same_data(runs)
    runs = [replace(run, scores=ScoreTable.of(run.scores)) for run in runs]
    suite = runs[0].suite
    fair = comparable_with_published(suite)
    if submissions and not fair:
        raise DataError(
            f"the submissions are of the benchmark, the runs of the suite {suite.name}",
            hint="report them apart: scores of two suites never share a table",
        )
    elsewhere = gather_elsewhere(published, sizes, submissions, metric) if fair else None
    joined = _joined(runs, elsewhere.cube if elsewhere else None, setting, metric)
    if metric not in SCORE_RANGES and not np.isfinite(joined.cube.mcc).any():
        raise DataError(
            f"no score of the runs has {metric}",
            cause="they were recorded by a release without it",
            hint="run them again with --fresh: embeddings are kept, probes are fitted anew",
        )
    notices = [sentence for run in runs for sentence in run.left_out]
    compared, changed = without_changed_files(joined.cube, runs)
    notices += [*joined.notices, *(elsewhere.notices if elsewhere else ())]
    if fair and metric not in SCORE_RANGES and (published or submissions):
        notices.append(f"Nobody published {metric}: the models of the runs stand alone.")
    if changed and not np.isfinite(compared.mcc).any():
        raise DataError(
            "the runs scored different files under every task id: none of their scores compare",
            hint="report them one by one, or run the models on the same files",
        )
    inputs: list[str] = []
    silent: list[str] = []
    names = {model.label: model.title for model in joined.cube.models}
    for run in runs:
        shown = setting or chosen_setting(run.scores, run.suite)
        rows = rows_in(run.scores, shown)
        inputs += input_sentences(rows, run.suite, titles=names)
        silent += one_class_sentences(rows, run.suite, titles=names)
    notices += [*inputs, *silent]
    split = part_unlike(compared, suite, beside=elsewhere is not None)
    cube, beside = split.cube, elsewhere is not None and not split.own_data
    off_protocol = _off_protocol_notices(cube, ranked=not beside)
    notices += off_protocol
    if not beside:
        # Among themselves the models of a run are comparable, however they were probed.
        cube = replace(cube, off_protocol={})
    common = _common_tasks(cube)
    uncounted = _not_common(cube, common)
    left_out = (*changed, *split.notices, *uncounted)
    if beside and elsewhere is not None:
        # The whole benchmark counts, also when a run chose some of its tasks.
        whole = load_suite("geneb").tasks
        finished = {suite.tasks[k].task_id for k in np.flatnonzero(common).tolist()}
        common = np.array([task.task_id in finished for task in whole], dtype=bool)
        suite = replace(suite, tasks=whole)
        kept_regimes = [r for r in elsewhere.cube.regimes if r in cube.regimes]
        cube = join_cubes(elsewhere.cube.keep_regimes(kept_regimes), cube)
    partial = bool(common.any()) and not common.all()
    # The run's models come last, under the names that keep them apart.
    own = cube.select_models(range(len(cube.models) - len(joined.predictions), len(cube.models)))
    return Panel(
        suite=suite,
        cube=cube,
        common=cube.keep_tasks(common) if partial else None,
        published=beside and published,
        notices=(*notices, *left_out),
        settings=_by_setting(runs, metric),
        predictions={
            name: one
            for name, one in zip(own.model_ids, joined.predictions, strict=True)
            if one is not None
        },
        unlike=None
        if split.unlike is None
        else replace(split.unlike, models=own.models, data=own.data),
        left_out=left_out,
        own_data=split.own_data,
        versions=_versions(runs),
        metric_means=metric_means(runs, setting),
        sweep=sweep_lines(runs),
        layers=layer_curves(runs),
        records=tuple(run.record for run in runs if run.record is not None),
        checks=(
            RunCheck("data", (*changed, *split.notices)),
            RunCheck(
                "coverage",
                (*(one for run in runs for one in run.left_out), *joined.notices, *uncounted),
            ),
            RunCheck("inputs", tuple(inputs)),
            RunCheck("one class", tuple(silent)),
            RunCheck("protocol", tuple(off_protocol)),
        ),
    )


def _versions(runs: Sequence[RunScores]) -> dict[str, str]:
    """Package -> version where all runs say the same, or the versions side by side."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for package, version in run.versions.items():
            found.setdefault(package, {})[version] = None
    return {package: " and ".join(versions) for package, versions in found.items()}


@dataclass(frozen=True, eq=False)
class _Joined:
    """The models of all runs in one cube, with their predictions in the same order."""

    cube: ScoreCube
    notices: tuple[str, ...]
    predictions: tuple[ModelPredictions | None, ...]


def _joined(
    runs: Sequence[RunScores],
    reference: ScoreCube | None,
    setting: ProbeSetting | None,
    metric: str,
) -> _Joined:
    known = {model.name: model for model in reference.models} if reference else {}
    suite = runs[0].suite
    cube: ScoreCube | None = None
    notices: list[str] = []
    kept: list[ModelPredictions | None] = []
    for run in runs:
        facts = _facts(run, known)
        mine, told = cube_from_scores(run.scores, suite, facts, setting=setting, metric=metric)
        if reference is not None and (reason := other_revision(run)):
            off = {name: (reason, *mine.off_protocol.get(name, ())) for name in mine.model_ids}
            mine = replace(mine, off_protocol=off)
        notices += told
        kept += _predictions(run, suite, mine.model_ids, setting, metric)
        cube = mine if cube is None else join_cubes(cube, mine)
    if cube is None or not cube.models:
        raise DataError(
            "the run has no scores of the suite's tasks",
            hint="run geneb-jax run first, or name another output folder",
        )
    return _Joined(cube, tuple(notices), tuple(kept))


def _facts(run: RunScores, known: Mapping[str, ModelFacts]) -> dict[str, ModelFacts]:
    """Label -> facts: what run.json says, and the published table where it is silent."""
    said = run.model_facts
    found = {}
    table = ScoreTable.of(run.scores)
    for label in table.values("model_id", table.group("model_id")[1]):
        facts = said.get(label, ModelFacts(label))
        published = known.get(facts.name)
        found[label] = facts if published is None else facts.filled_from(published)
    return found


def _predictions(
    run: RunScores,
    suite: Suite,
    model_ids: Sequence[str],
    setting: ProbeSetting | None,
    metric: str,
) -> list[ModelPredictions | None]:
    # Predicted labels are kept, decision values are not: rows cannot be drawn for the latter.
    if run.folder is None or metric not in SCORE_RANGES:
        return [None] * len(model_ids)
    found = model_predictions(run.folder, run.scores, setting or chosen_setting(run.scores, suite))
    return [found.get(name) for name in model_ids]


def _by_setting(runs: Sequence[RunScores], metric: str) -> dict[ProbeSetting, ScoreCube]:
    found: dict[ProbeSetting, ScoreCube] = {}
    for run in runs:
        for setting in settings_of(run.scores):
            cube, _ = cube_from_scores(run.scores, run.suite, setting=setting, metric=metric)
            found[setting] = join_cubes(found[setting], cube) if setting in found else cube
    return found if len(found) > 1 else {}


def _common_tasks(cube: ScoreCube) -> np.ndarray:
    """Bool ``[task]``: scored by every model in every regime that the model ran at all."""
    scored = np.isfinite(cube.mcc)
    unused = ~scored.any(axis=2, keepdims=True)
    common: np.ndarray = (scored | unused).all(axis=(0, 1))
    return common


def _not_common(cube: ScoreCube, common: np.ndarray) -> list[str]:
    """A sentence on the tasks that some model has and the common ranking does not count."""
    scored = np.isfinite(cube.mcc).any(axis=1)
    uncounted = np.flatnonzero(scored.any(axis=0) & ~common).tolist()
    if not uncounted or not common.any():
        return []
    lacking = ~scored[:, uncounted].all(axis=1) & scored.any(axis=1)
    models = [cube.models[row].title for row in np.flatnonzero(lacking).tolist()]
    names = listed([cube.tasks[k].task_id for k in uncounted], 5)
    why = f"{listed(models)} lack some of them" if models else "some regimes lack them"
    return [
        f"{len(uncounted)} scored tasks are not in the ranking over common tasks, because not "
        f"every model of the runs has them in every regime that it ran ({why}): {names}."
    ]


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
