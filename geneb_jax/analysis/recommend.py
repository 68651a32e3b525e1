"""Which model for this kind of task, within a budget: the best, its margin, and cheaper equals.

Who asks wants a trained model. K-mer counts and untrained controls are no answer, also where chance
or the task lets one of them win: they stand apart, and whether the answer beats them is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import category_means, mean_of
from geneb_jax.analysis.bootstrap import (
    Interval,
    TaskBootstrap,
    difference_limits,
    task_bootstrap,
)
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.errors import SelectionError
from geneb_jax.results import ModelFacts

__all__ = ["CLOSE", "Budget", "Candidate", "Recommendation", "recommend"]

#: A difference of MCC that few uses would notice.
CLOSE = 0.02


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits a model must keep to (None: no limit); a model of unknown figures is left out."""

    max_params: float | None = None
    min_sequences_per_second: float | None = None
    min_tokens_per_second: float | None = None

    def admits(self, model: ModelFacts) -> bool:
        """Whether a model is known to keep to every limit."""
        if self.lacks_figures(model):
            return False
        return (
            (self.max_params is None or (model.params or 0) <= self.max_params)
            and (model.sequences_per_second or 0.0) >= (self.min_sequences_per_second or 0.0)
            and (model.tokens_per_second or 0.0) >= (self.min_tokens_per_second or 0.0)
        )

    def lacks_figures(self, model: ModelFacts) -> bool:
        """Whether a figure that a limit needs is not known of a model."""
        figures = (
            # Counts of words have no parameters and keep to any size.
            (self.max_params, 0 if model.weights == "none" else model.params),
            (self.min_sequences_per_second, model.sequences_per_second),
            (self.min_tokens_per_second, model.tokens_per_second),
        )
        return any(limit is not None and figure is None for limit, figure in figures)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model within the budget and how far it lies behind the best one.

    ``behind`` is the paired interval of best - this over the tasks that count, None below five
    tasks or for the best itself; ``equal`` says that it includes zero. A baseline may be ahead: its
    ``behind`` is then negative.
    """

    model: ModelFacts
    mcc: float
    behind: Interval | None
    equal: bool


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The answer for one category (or several, weighted alike).

    Attributes:
        categories: What the score is the mean of.
        regime: The regime.
        tasks: How many tasks that is; with few, margins mean little.
        best: The best trained model within the budget; the best baseline where none is trained.
        margin: Its score minus the runner-up's of the candidates; None if it is alone.
        smallest_equal: The smallest model that cannot be told from the best and lies no more than
            ``close`` behind it, where sizes are known; with few tasks hardly anything can be told
            apart, so the first condition alone would recommend too small.
        unlimited: The best without the budget, to show what it costs; like ``best`` a trained model
            where there is one within it.
        candidates: The trained models within the budget, best first; all where none is trained.
        baselines: K-mer counts and untrained controls within the budget, best first; empty where
            they are the candidates.
        left_out: Models of which a needed figure or score is not known.
    """

    categories: tuple[str, ...]
    regime: str
    tasks: int
    best: Candidate
    margin: float | None
    smallest_equal: Candidate | None
    unlimited: ModelFacts
    unlimited_mcc: float
    candidates: tuple[Candidate, ...]
    baselines: tuple[Candidate, ...]
    left_out: tuple[str, ...]

    @property
    def not_beaten(self) -> tuple[Candidate, ...]:
        """The baselines that the best model is not shown to beat: ahead of it, or not told from it.

        Below five tasks nothing is shown, and only those are named that score as high.
        """
        return tuple(one for one in self.baselines if one.equal or one.mcc >= self.best.mcc)


def recommend(
    cube: ScoreCube,
    categories: Sequence[str] = (),
    *,
    regime: str = "full",
    budget: Budget | None = None,
    close: float = CLOSE,
) -> Recommendation:
    """Recommend a model for categories under a budget.

    Args:
        cube: Scores; a model that lacks a task of the categories in the regime is left out.
        categories: Category names, case ignored; none means all (the macro mean).
        regime: The regime that resembles the user's amount of labels.
        budget: Limits.
        close: How far behind the best the smallest equal may lie, in MCC.

    Raises:
        SelectionError: for an unknown category or regime, or if no model keeps to the budget.
    """
    budget = budget or Budget()
    places = [cube.category_index(name) for name in categories] or list(range(len(cube.categories)))
    names = tuple(cube.categories[k] for k in places)
    part = cube.keep_tasks(np.isin(cube.category_of_task, places))
    means = mean_of(category_means(part.in_regime(regime), part.category_of_task))
    whole = np.isfinite(means)
    if not whole.any():
        raise SelectionError(
            f"no model has every task of {', '.join(names)} in {regime}",
            hint="name the categories that a run has whole, with --category",
        )
    admitted = np.array([budget.admits(model) for model in cube.models], dtype=bool)
    unknown = np.array([budget.lacks_figures(model) for model in cube.models], dtype=bool)
    if not (whole & admitted).any():
        raise SelectionError(
            "no model with known figures keeps to the budget",
            hint="raise the limit, or run the models here to learn their throughput",
        )
    trained = np.array([not model.baseline for model in cube.models], dtype=bool)
    fits = whole & admitted
    asked = trained if (fits & trained).any() else np.ones_like(trained)
    candidates, baselines = _candidates(part, regime, means, fits & asked, fits & ~asked)
    best = candidates[0]
    top = int(np.argmax(np.where(whole & asked, means, -np.inf)))
    return Recommendation(
        categories=names,
        regime=regime,
        tasks=len(part.tasks),
        best=best,
        margin=best.mcc - candidates[1].mcc if len(candidates) > 1 else None,
        smallest_equal=_smallest(
            [entry for entry in candidates if entry.equal and best.mcc - entry.mcc <= close]
        ),
        unlimited=cube.models[top],
        unlimited_mcc=float(means[top]),
        candidates=candidates,
        baselines=baselines,
        left_out=tuple(cube.model_ids[k] for k in np.flatnonzero(~whole | unknown).tolist()),
    )


def _candidates(
    cube: ScoreCube, regime: str, means: np.ndarray, chosen: np.ndarray, beside: np.ndarray
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
    """The chosen models and those beside them, each best first.

    Each is paired with the best of the chosen over the cube's tasks.
    """
    scores = cube.in_regime(regime)
    order = np.argsort(-means, kind="stable").tolist()
    resampling = task_bootstrap(cube.category_of_task)
    best = scores[next(k for k in order if chosen[k])]
    limits = difference_limits(cube.score_range)
    first, second = (
        tuple(
            _candidate(cube.models[k], float(means[k]), best - scores[k], resampling, limits)
            for k in order
            if wanted[k]
        )
        for wanted in (chosen, beside)
    )
    return first, second


def _smallest(candidates: Sequence[Candidate]) -> Candidate | None:
    sized = [entry for entry in candidates if entry.model.params is not None]
    return min(sized, key=lambda entry: entry.model.params or 0, default=None)


def _candidate(
    model: ModelFacts,
    mcc: float,
    behind: np.ndarray,
    resampling: TaskBootstrap | None,
    limits: tuple[float, float],
) -> Candidate:
    same = not behind.any()
    if same or resampling is None:
        return Candidate(model, mcc, None, same)
    interval = resampling.interval(behind, limits=limits)
    return Candidate(model, mcc, interval, not interval.excludes_zero)
