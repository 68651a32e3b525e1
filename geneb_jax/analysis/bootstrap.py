"""Bootstrap over tasks, stratified by category, and intervals from its draws.

The question an interval answers: had each category's tasks been other tasks of the same kind, how
far could a macro mean, or the difference of two, have come out elsewhere?

A plain stratified bootstrap is far too narrow here: GENEB's macro gives a category of one task the
weight of one of thirty, a category of one never varies under resampling, and one of two shows half
its variance. So, for a category of n tasks:

1. Each of its n slots draws one residual (task minus category mean) scaled by sqrt(n / (n - 1)),
   which makes the variance unbiased (Rao and Wu, JASA 1988, with n draws).
2. With probability 1 / n the residual comes from a donor instead: a category of two or more tasks
   chosen evenly, then one of its tasks. A lone task thus borrows the others' spread wholly, a
   category of thirty hardly at all.
3. The percentile interval is widened by t / z, since the spread itself is estimated. The degrees of
   freedom are Satterthwaite's of the design, each category counting n + 1/2 (between the n - 1 of
   its own and what it borrows, chosen by the simulation below); up to twenty tasks, if fewer, those
   of the spreads that were found (not below 1.5), since one category may carry most of it all.
4. With few tasks a skewed population leaves the interval too short on its long side. That side is
   moved by the skewness term of the studentised mean's expansion (Hall, The Bootstrap and Edgeworth
   Expansion, 1992, section 3.4), doubled up to ten tasks, since so few show half of their skewness,
   and fading beyond. A side is never pulled in.
5. A score cannot leave the range of its metric, so neither does an interval.

Below five tasks there is no interval over tasks: four residuals say nothing about a tail. Where
predictions are kept, the rows of the test sets are resampled instead.

Draws are linear in the scores, so one weight matrix serves all models and keeps them paired: the
leaderboard's intervals, its tie groups and rank ranges, and paired comparisons are all of it.
Coverage of nominal 95% intervals is simulated in tests/analysis/test_bootstrap.py and stated in
docs/statistics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from geneb_jax_probes.metrics import mcc_of_counts

__all__ = [
    "DRAWS",
    "FEWEST_TASKS",
    "Interval",
    "TaskBootstrap",
    "difference_limits",
    "macro_weights",
    "row_bootstrap",
    "row_bootstrap_mcc",
    "task_bootstrap",
]

#: Bootstrap draws; the Monte Carlo error of a 2.5% quantile is then about 0.35 percentage points.
DRAWS = 2000
#: Tasks from which on an interval over tasks says something.
FEWEST_TASKS = 5
#: Up to so many tasks the spreads that were found count in the degrees of freedom. Beyond, the
#: chance spread of one category of two tasks would decide the width, and the design alone covers.
_FEW_TASKS = 20
#: Fewest degrees of freedom that spreads can leave: one alone widens more than sixfold, and made
#: the intervals of two pairs and a lone task too wide by simulation.
_LEAST_DEGREES = 1.5
UNLIMITED = (-np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval around an estimate, at a stated level."""

    estimate: float
    low: float
    high: float
    level: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True, eq=False)
class TaskBootstrap:
    """Weights that turn task scores into bootstrap draws of the macro mean.

    Attributes:
        weights: float64 ``[draw, task]``; ``weights @ scores`` are draws of the macro mean.
        exact: float64 ``[task]``; ``exact @ scores`` is the macro mean itself.
        degrees: Degrees of freedom of the spread that the design alone gives.
        category_of_task: int64 ``[task]``: the categories whose residuals are resampled.
    """

    weights: np.ndarray
    exact: np.ndarray
    degrees: float
    category_of_task: np.ndarray

    def draws(self, scores: np.ndarray) -> np.ndarray:
        """float64 ``[draw, ...]`` from scores ``[..., task]``."""
        drawn: np.ndarray = np.moveaxis(np.asarray(scores) @ self.weights.T, -1, 0)
        return drawn

    def interval(
        self, scores: np.ndarray, level: float = 0.95, *, limits: tuple[float, float] = UNLIMITED
    ) -> Interval:
        """Interval of the macro mean of ``scores`` ``[task]`` (or of a difference of scores)."""
        low, high = self.bounds(np.asarray(scores)[None], level, limits=limits)
        return Interval(float(self.exact @ scores), float(low[0]), float(high[0]), level)

    def bounds(
        self, scores: np.ndarray, level: float = 0.95, *, limits: tuple[float, float] = UNLIMITED
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds ``[model]`` for scores ``[model, task]``.

        Args:
            scores: The scores.
            level: Confidence level.
            limits: Lowest and highest value of the mean; see :func:`difference_limits`.
        """
        return self.bounds_of_draws(self.draws(scores), scores, level, limits=limits)

    def bounds_of_draws(
        self,
        drawn: np.ndarray,
        scores: np.ndarray,
        level: float = 0.95,
        *,
        limits: tuple[float, float] = UNLIMITED,
    ) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`bounds` where the draws are there: those of a difference are differences of draws.

        Args:
            drawn: float64 ``[draw, model]``, what :meth:`draws` makes of the scores.
            scores: float64 ``[model, task]``.
            level: Confidence level.
            limits: Lowest and highest value of the mean.
        """
        estimate = scores @ self.exact
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(drawn, [tail, 1.0 - tail], axis=0)
        z = stats.norm.ppf(1.0 - tail)
        widen = stats.t.ppf(1.0 - tail, self._degrees(scores)) / z
        low, high = estimate + (low - estimate) * widen, estimate + (high - estimate) * widen
        centred = drawn - drawn.mean(axis=0)
        spread = centred.std(axis=0)
        cubes = centred * centred * centred  # many times as fast as NumPy's power
        skewness = cubes.mean(axis=0) / np.where(spread > 0.0, spread, 1.0) ** 3
        shown = min(2.0, 20.0 / len(self.exact))
        moved = shown * spread * skewness / 6.0 * (2.0 * z * z + 1.0)
        low = np.minimum(np.minimum(low, low + moved), estimate)
        high = np.maximum(np.maximum(high, high + moved), estimate)
        return np.clip(low, *limits), np.clip(high, *limits)

    def _degrees(self, scores: np.ndarray) -> np.ndarray:
        """float64 ``[model]``: Satterthwaite's degrees of freedom, by design and by spreads."""
        if len(self.exact) > _FEW_TASKS:
            return np.full(len(scores), self.degrees)
        sizes = np.bincount(self.category_of_task)
        several = np.flatnonzero(sizes >= 2)
        n = sizes[several]
        variance = np.stack(
            [scores[:, self.category_of_task == k].var(axis=1, ddof=1) for k in several], axis=-1
        )
        borrowed = (1.0 / sizes**2).sum() / len(several)
        parts = ((1.0 - 1.0 / n) / n + borrowed) * variance
        own = (parts**2 / (n - 1)).sum(axis=-1)
        found = parts.sum(axis=-1) ** 2 / np.where(own > 0.0, own, 1.0)
        least = min(_LEAST_DEGREES, max(self.degrees, 1.0))
        degrees: np.ndarray = np.clip(
            np.where(own > 0.0, found, self.degrees), least, max(self.degrees, 1.0)
        )
        return degrees


def difference_limits(score_range: tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest difference of two scores of a range."""
    low, high = score_range
    return low - high, high - low


def macro_weights(category_of_task: np.ndarray) -> np.ndarray:
    """float64 ``[task]``: what each task counts in the macro mean; they add up to 1.

    Args:
        category_of_task: int64 ``[task]``, 0-based and dense.
    """
    sizes = np.bincount(category_of_task)
    weights: np.ndarray = 1.0 / (len(sizes) * sizes[category_of_task])
    return weights


def task_bootstrap(
    category_of_task: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> TaskBootstrap | None:
    """Draw the weights for tasks in categories.

    Args:
        category_of_task: int64 ``[task]``, 0-based and dense.
        draws: Number of draws.
        seed: Seed of the draws; the same seed gives the same weights.

    Returns:
        The weights, or None for fewer than :data:`FEWEST_TASKS` tasks. Where every category has
        one task the categories are ignored, which leaves the macro mean as it is.
    """
    tasks = len(category_of_task)
    if tasks < FEWEST_TASKS:
        return None
    if len(set(category_of_task.tolist())) == tasks:
        category_of_task = np.zeros(tasks, dtype=np.int64)
    sizes = np.bincount(category_of_task)
    count = len(sizes)
    slot_size = sizes[category_of_task]
    exact = macro_weights(category_of_task)
    rng = np.random.default_rng(seed)
    donors = np.flatnonzero(sizes >= 2)
    own = rng.random((draws, tasks)) * slot_size >= 1.0
    origin = np.where(own, category_of_task, rng.choice(donors, (draws, tasks)))
    place = (rng.random((draws, tasks)) * sizes[origin]).astype(np.int64)
    # Positions of a category's tasks, found through a sort: tasks need not be contiguous.
    by_category = np.argsort(category_of_task, kind="stable")
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    drawn = by_category[first[origin] + place]
    scale = np.sqrt(sizes / np.maximum(sizes - 1, 1))[origin] * exact
    row = np.arange(draws)[:, None]
    residual = np.bincount((row * tasks + drawn).ravel(), scale.ravel(), draws * tasks)
    centre = np.bincount((row * count + origin).ravel(), scale.ravel(), draws * count)
    weights = (
        exact
        + residual.reshape(draws, tasks)
        - (centre.reshape(draws, count) / sizes)[:, category_of_task]
    )
    share = 1.0 / sizes
    design = share.sum() ** 2 / (share**2 / (sizes + 0.5)).sum()
    return TaskBootstrap(weights, exact, float(min(design, tasks - count)), category_of_task)


def row_bootstrap_mcc(
    y_true: np.ndarray,
    predictions: np.ndarray,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """:func:`row_bootstrap` of MCC."""
    return row_bootstrap(y_true, predictions, metric="mcc", draws=draws, seed=seed)


def row_bootstrap(
    y_true: np.ndarray,
    predictions: np.ndarray,
    *,
    metric: str = "mcc",
    draws: int = DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """Bootstrap a score over test rows, all models on the same resampled rows.

    Args:
        y_true: int64 ``[row]``, labels 0 ... K - 1.
        predictions: int64 ``[model, row]`` in the same labels.
        metric: ``mcc``, ``accuracy`` or ``macro_f1``, as scikit-learn defines them.
        draws: Number of draws; 0 gives one row, the scores on the rows as they are.
        seed: Seed of the draws.

    Returns:
        float64 ``[draw, model]``: the score of each model on each draw (MCC is 0 where it is
        undefined, as in scikit-learn). Rows with the same label and predictions are drawn
        together: one multinomial over distinct rows instead of an index per row.
    """
    table = np.concatenate([y_true[None], predictions]).T
    classes = int(table.max()) + 1
    kinds, counts = _distinct_rows(table, classes)
    rows = len(y_true)
    if draws:
        drawn = np.random.default_rng(seed).multinomial(rows, counts / rows, size=draws)
    else:
        drawn = counts[None]
    one_hot = np.eye(classes)
    truth = one_hot[kinds[:, 0]]
    true_count = drawn @ truth
    found = np.empty((len(drawn), len(predictions)))
    for model in range(len(predictions)):
        guess = one_hot[kinds[:, model + 1]]
        hits = drawn @ (truth * guess)  # right guesses, by class
        found[:, model] = _SCORES[metric](hits, true_count, drawn @ guess)
    return found


def _mcc(hits: np.ndarray, true_count: np.ndarray, guess_count: np.ndarray) -> np.ndarray:
    return mcc_of_counts(hits.sum(axis=-1), true_count, guess_count)


def _accuracy(hits: np.ndarray, true_count: np.ndarray, guess_count: np.ndarray) -> np.ndarray:
    share: np.ndarray = hits.sum(axis=-1) / true_count.sum(axis=-1)
    return share


def _macro_f1(hits: np.ndarray, true_count: np.ndarray, guess_count: np.ndarray) -> np.ndarray:
    """Mean over the classes that occur in truth or guesses of the draw, as scikit-learn has it."""
    both = true_count + guess_count
    there = both > 0
    f1: np.ndarray = (2.0 * hits / np.where(there, both, 1.0)).sum(axis=-1) / there.sum(axis=-1)
    return f1


#: Metric -> score from right guesses, true counts and guess counts, each ``[..., class]``.
_SCORES = {"mcc": _mcc, "accuracy": _accuracy, "macro_f1": _macro_f1}


def _distinct_rows(table: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of labels 0 ... classes - 1 in lexicographic order, and how often each is."""
    columns = table.shape[1]
    if classes**columns >= 2**62:
        kinds, counts = np.unique(table, axis=0, return_counts=True)
        return kinds, counts
    # A row is a number in base ``classes``: sorting numbers is far quicker than sorting rows.
    places = classes ** np.arange(columns - 1, -1, -1, dtype=np.int64)
    numbers, counts = np.unique(table @ places, return_counts=True)
    return numbers[:, None] // places % classes, counts
