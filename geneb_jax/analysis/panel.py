"""Who is compared with whom: a run's models, beside the published ones where that is fair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from geneb_jax.analysis.cube import ModelFacts, ScoreCube, join_cubes
from geneb_jax.analysis.published import (
    SizeColumn,
    comparable_with_published,
    published_cube,
)
from geneb_jax.analysis.records import ProbeSetting, cube_from_scores, settings_of
from geneb_jax.benchmark import Suite, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results import ScoreRow

__all__ = ["Panel", "RunScores", "build_panel", "model_facts", "require_same_data"]


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
        settings: The runs' models by probe setting, where there is more than one.
    """

    suite: Suite
    cube: ScoreCube
    common: ScoreCube | None
    published: bool
    notices: tuple[str, ...]
    settings: Mapping[ProbeSetting, ScoreCube] = field(default_factory=dict)

    @property
    def ranked(self) -> ScoreCube:
        """The models statistics are over: those that keep to the protocol.

        Where none of them has every task in any regime, the tasks are the common ones instead.
        """
        cube = self.cube.keep_models(self._fair)
        if self.common is not None and not any(cube.complete(name).any() for name in cube.regimes):
            return self.common.keep_models(self._fair)
        return cube

    @property
    def comparable(self) -> ScoreCube:
        """The models that keep to the protocol, over the whole suite, gaps and all."""
        return self.cube.keep_models(self._fair)

    @property
    def shown(self) -> ScoreCube:
        """The models that keep to the protocol, over the tasks on which all of them have scores."""
        return (self.cube if self.common is None else self.common).keep_models(self._fair)

    @property
    def _fair(self) -> np.ndarray:
        return np.array([not model.off_protocol for model in self.cube.models], dtype=bool)


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
    known = {model.model_id: model for model in published_cube(sizes).models} if beside else {}
    cube: ScoreCube | None = None
    notices = _changed_files(runs)
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
        settings=_by_setting(runs),
    )


def _by_setting(runs: Sequence[RunScores]) -> dict[ProbeSetting, ScoreCube]:
    found: dict[ProbeSetting, ScoreCube] = {}
    for run in runs:
        for setting in settings_of(run.scores):
            cube, _ = cube_from_scores(run.scores, run.suite, setting=setting)
            found[setting] = join_cubes(found[setting], cube) if setting in found else cube
    return found if len(found) > 1 else {}


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
            weights=_weights(entry) or base.weights,
            sequences_per_second=_positive(entry, "sequences_per_second"),
            tokens_per_second=_token_rate(entry),
        )
    return facts


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        return ""
    # Control characters and direction marks of a name must reach neither a terminal nor a page.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in value)


def _weights(entry: Mapping[str, Any]) -> str:
    """Which weights: "pretrained", "random" or "none", the model's identity deciding."""
    identity = entry.get("identity")
    said = _text(identity, "weights") if isinstance(identity, Mapping) else ""
    if said == "none" or said.startswith("random"):
        return said.split(":")[0]
    return _text(entry, "weights")


def _whole(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _positive(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if usable else None  # type: ignore[arg-type]


def _token_rate(entry: Mapping[str, Any]) -> float | None:
    """Tokens embedded per second, from the counts of the run's embedding."""
    embedding = entry.get("embedding")
    if not isinstance(embedding, Mapping):
        return None
    tokens, seconds = _positive(embedding, "tokens"), _positive(embedding, "seconds")
    return tokens / seconds if tokens and seconds else None


def require_same_data(runs: Sequence[RunScores]) -> None:
    """Refuse runs whose scores are not of the same data.

    Raises:
        DataError: for different suites or different revisions of the data set.
    """
    if not runs:
        return
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


def _changed_files(runs: Sequence[RunScores]) -> list[str]:
    """A notice where runs scored different files under the same task id."""
    seen: dict[str, set[str]] = {}
    for run in runs:
        tasks = run.run.get("tasks")
        for task_id, facts in (tasks if isinstance(tasks, Mapping) else {}).items():
            if isinstance(facts, Mapping) and isinstance(facts.get("fingerprint"), str):
                seen.setdefault(task_id, set()).add(facts["fingerprint"])
    changed = sorted(task_id for task_id, prints in seen.items() if len(prints) > 1)
    if not changed:
        return []
    shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if changed[3:] else "")
    return [
        f"{len(changed)} tasks had different files in the runs, which bars comparison: {shown}."
    ]


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
