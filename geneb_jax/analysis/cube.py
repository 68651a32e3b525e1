"""The score cube: MCC by model, regime and task, with what is missing in plain sight.

Every statistic of this room starts from a :class:`ScoreCube`. A cell that was not scored is NaN,
and a mean over tasks of which one is NaN is NaN: nothing is ever averaged over a partial set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from geneb_jax.benchmark import DataStanding, Task, near_matches
from geneb_jax.errors import SelectionError
from geneb_jax.results import METRIC_RANGES, ModelFacts, listed, with_variant

__all__ = ["ScoreCube", "join_cubes"]

#: What tells a second model of one label from the first: whose scores it has.
_WORDS = {"user": "run", "submission": "submission"}
_SUFFIX = re.compile(r" \((?:run|submission)(?: \d+)?\)$")


@dataclass(frozen=True, eq=False)
class ScoreCube:
    """Scores of models in regimes on tasks: MCC, unless ``metric`` says another.

    Attributes:
        models: One entry a label; labels are unique.
        regimes: Regime names.
        tasks: Tasks in the suite's order.
        mcc: float64 ``[model, regime, task]``, mean over seeds; NaN where not scored. It holds the
            scores of ``metric``, which is MCC in everything that the paper states.
        seed_sd: float64 ``[model, regime, task]``, standard deviation over seeds (n - 1); NaN where
            fewer than two seeds were scored or the source keeps no seeds.
        test_rows: int64 ``[task]``, rows of the test set; 0 where unknown.
        off_protocol: Label -> why the scores are not comparable with the published ones; a model
            that is not in it keeps to the protocol.
        data: Label -> task id -> how near the data are to the benchmark's
            (:class:`geneb_jax.benchmark.DataStanding`), where that is known.
        metric: A key of :data:`geneb_jax.results.METRIC_RANGES`.
    """

    models: tuple[ModelFacts, ...]
    regimes: tuple[str, ...]
    tasks: tuple[Task, ...]
    mcc: np.ndarray
    seed_sd: np.ndarray
    test_rows: np.ndarray
    off_protocol: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    metric: str = "mcc"

    def __post_init__(self) -> None:
        shape = (len(self.models), len(self.regimes), len(self.tasks))
        if self.mcc.shape != shape or self.seed_sd.shape != shape:
            raise ValueError(f"scores {self.mcc.shape}, spread {self.seed_sd.shape}, not {shape}")
        if self.test_rows.shape != (len(self.tasks),):
            raise ValueError(f"test_rows {self.test_rows.shape}, not {(len(self.tasks),)}")
        if len({model.label for model in self.models}) < len(self.models):
            raise ValueError("a label appears twice in a cube")

    @cached_property
    def model_ids(self) -> tuple[str, ...]:
        """The models' labels in the cube's order: the ``model_id`` of every table."""
        return tuple(model.label for model in self.models)

    @property
    def on_protocol(self) -> np.ndarray:
        """Bool ``[model]``: whether the scores are comparable with the published ones."""
        return np.array([not self.off_protocol.get(name) for name in self.model_ids], dtype=bool)

    @property
    def of_user(self) -> np.ndarray:
        """Bool ``[model]``: whether the model is the user's and not a published one."""
        return np.array([model.source == "user" for model in self.models], dtype=bool)

    @property
    def of_paper(self) -> np.ndarray:
        """Bool ``[model]``: whether statements of the paper are over it: not the later entries."""
        return np.array([model.source != "live" for model in self.models], dtype=bool)

    @property
    def score_range(self) -> tuple[float, float]:
        """Lowest and highest value that the metric can have."""
        return METRIC_RANGES[self.metric]

    @property
    def unlike(self) -> np.ndarray:
        """Bool ``[model, task]``: scored on data unlike the benchmark's."""
        return np.array(
            [
                [found.get(task.task_id) == DataStanding.UNLIKE for task in self.tasks]
                for found in (self.data.get(name, {}) for name in self.model_ids)
            ],
            dtype=bool,
        ).reshape(len(self.models), len(self.tasks))

    def only(self, cells: np.ndarray) -> ScoreCube:
        """The cube with no other scores than those of some cells, bool ``[model, task]``."""
        keep = cells[:, None, :]
        return replace(
            self,
            mcc=np.where(keep, self.mcc, np.nan),
            seed_sd=np.where(keep, self.seed_sd, np.nan),
        )

    @property
    def categories(self) -> tuple[str, ...]:
        """Category names in order of first appearance."""
        return tuple(dict.fromkeys(task.category for task in self.tasks))

    @property
    def category_of_task(self) -> np.ndarray:
        """int64 ``[task]``: the index of each task's category in :attr:`categories`."""
        index = {name: place for place, name in enumerate(self.categories)}
        return np.array([index[task.category] for task in self.tasks], dtype=np.int64)

    @property
    def params(self) -> np.ndarray:
        """float64 ``[model]``: parameters, NaN where unknown."""
        return np.array(
            [np.nan if m.params is None else float(m.params) for m in self.models], dtype=np.float64
        )

    def labels(self, attribute: str) -> np.ndarray:
        """Object array ``[model]`` of a field of :class:`ModelFacts`, such as "architecture"."""
        return np.array([getattr(model, attribute) for model in self.models], dtype=object)

    def model_index(self, model_id: str) -> int:
        """The position of a model, by label or displayed name.

        Raises:
            SelectionError: if no model has that name, with near matches, or several have it.
        """
        for names in self._names():
            if names.count(model_id) > 1:
                those = [one.label for one in self.models if one.title == model_id]
                raise SelectionError(
                    f"several models are called {model_id!r}", hint=f"name one of {listed(those)}"
                )
            if model_id in names:
                return names.index(model_id)
        near = near_matches(model_id, self.model_ids)
        raise SelectionError(
            f"no scores of a model {model_id!r}",
            hint=f"did you mean {', '.join(near)}?"
            if near
            else f"there are scores of {listed(self.model_ids, 5)}",
        )

    def _names(self) -> Iterator[tuple[str, ...]]:
        """What models go by: labels, then titles, which are made only if somebody asks."""
        yield self.model_ids
        yield tuple(model.title for model in self.models)

    def regime_index(self, regime: str) -> int:
        """The position of a regime.

        Raises:
            SelectionError: if the cube has no such regime.
        """
        if regime not in self.regimes:
            raise SelectionError(
                f"no scores of a regime {regime!r}", hint=f"there are {', '.join(self.regimes)}"
            )
        return self.regimes.index(regime)

    def category_index(self, category: str) -> int:
        """The position of a category; case is ignored.

        Raises:
            SelectionError: if the cube has no such category, with near matches.
        """
        folded = [name.casefold() for name in self.categories]
        if category.casefold() in folded:
            return folded.index(category.casefold())
        near = near_matches(category, self.categories)
        raise SelectionError(
            f"unknown category {category!r}",
            hint=f"did you mean {', '.join(near)}?"
            if near
            else f"the categories are {', '.join(self.categories)}",
        )

    def in_regime(self, regime: str) -> np.ndarray:
        """float64 ``[model, task]``: the scores of one regime."""
        scores: np.ndarray = self.mcc[:, self.regime_index(regime)]
        return scores

    def coverage(self) -> np.ndarray:
        """int64 ``[model, regime]``: how many of the tasks were scored."""
        counts: np.ndarray = np.isfinite(self.mcc).sum(axis=2)
        return counts

    def complete(self, regime: str) -> np.ndarray:
        """Bool ``[model]``: whether every task was scored in the regime."""
        whole: np.ndarray = np.isfinite(self.in_regime(regime)).all(axis=1)
        return whole

    def select_models(self, keep: np.ndarray | Sequence[int]) -> ScoreCube:
        """The cube of some models, by boolean mask or positions."""
        rows = np.flatnonzero(keep) if np.asarray(keep).dtype == bool else np.asarray(keep, int)
        return replace(
            self,
            models=tuple(self.models[row] for row in rows),
            mcc=self.mcc[rows],
            seed_sd=self.seed_sd[rows],
        )

    def keep_tasks(self, keep: np.ndarray) -> ScoreCube:
        """The cube of some tasks, by boolean mask ``[task]``."""
        columns = np.flatnonzero(keep)
        return replace(
            self,
            tasks=tuple(self.tasks[column] for column in columns),
            mcc=self.mcc[:, :, columns],
            seed_sd=self.seed_sd[:, :, columns],
            test_rows=self.test_rows[columns],
        )

    def keep_regimes(self, regimes: Sequence[str]) -> ScoreCube:
        """The cube of some regimes, in the order named."""
        places = [self.regime_index(regime) for regime in regimes]
        return replace(
            self,
            regimes=tuple(regimes),
            mcc=self.mcc[:, places],
            seed_sd=self.seed_sd[:, places],
        )


def join_cubes(first: ScoreCube, second: ScoreCube) -> ScoreCube:
    """Both cubes' models over the regimes and tasks of ``first``, in their order.

    A model of ``second`` whose label is taken is filed as ``label (run)``, or ``(submission)``, so
    that a published model and the user's own run of it stand side by side. Tasks and regimes of
    ``second`` that ``first`` lacks are dropped; those it lacks are NaN.
    """
    task_place = {task.task_id: place for place, task in enumerate(second.tasks)}
    shape = (len(second.models), len(first.regimes), len(first.tasks))
    mcc = np.full(shape, np.nan)
    seed_sd = np.full(shape, np.nan)
    pairs = [
        (column, task_place[task.task_id])
        for column, task in enumerate(first.tasks)
        if task.task_id in task_place
    ]
    columns = np.array([pair[0] for pair in pairs], dtype=np.int64)
    origins = np.array([pair[1] for pair in pairs], dtype=np.int64)
    for place, regime in enumerate(first.regimes):
        if regime in second.regimes:
            source = second.regimes.index(regime)
            mcc[:, place, columns] = second.mcc[:, source, origins]
            seed_sd[:, place, columns] = second.seed_sd[:, source, origins]
    test_rows = first.test_rows.copy()
    test_rows[columns] = np.where(
        test_rows[columns] > 0, test_rows[columns], second.test_rows[origins]
    )
    renamed = _renamed(second.models, taken=set(first.model_ids))
    return replace(
        first,
        models=first.models + renamed,
        mcc=np.concatenate([first.mcc, mcc]),
        seed_sd=np.concatenate([first.seed_sd, seed_sd]),
        test_rows=test_rows,
        off_protocol={
            **first.off_protocol,
            **{
                new.label: second.off_protocol[old.label]
                for old, new in zip(second.models, renamed, strict=True)
                if old.label in second.off_protocol
            },
        },
        data={
            **first.data,
            **{
                new.label: second.data[old.label]
                for old, new in zip(second.models, renamed, strict=True)
                if old.label in second.data
            },
        },
    )


def _renamed(models: Sequence[ModelFacts], *, taken: set[str]) -> tuple[ModelFacts, ...]:
    renamed = []
    for model in models:
        # Runs that were joined before may carry a suffix already.
        bare = _SUFFIX.sub("", model.label)
        usual = tuple(w for w in model.variant if w.split(" ")[0] not in _WORDS.values())
        label, variant, count = model.label, model.variant, 1
        own = _WORDS.get(model.source, "run")
        while label in taken:
            word = own if count == 1 else f"{own} {count}"
            label, variant, count = with_variant(bare, (word,)), (*usual, word), count + 1
        taken.add(label)
        renamed.append(replace(model, label=label, variant=variant))
    return tuple(renamed)
