"""Do rankings agree: micro with macro, one regime with another, one probe or C with another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from geneb_jax.analysis.aggregation import aggregate, mean_of
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.cube_from_scores import ProbeSetting
from geneb_jax.analysis.scaling import Correlation, spearman
from geneb_jax.analysis.wins import category_leaders

__all__ = [
    "RegimeAgreement",
    "SettingAgreement",
    "SettingPair",
    "micro_macro",
    "regime_agreement",
    "setting_agreement",
    "settings_apart",
]


@dataclass(frozen=True, slots=True)
class RegimeAgreement:
    """How a few-shot regime's ranking agrees with the full one's.

    ``new_leaders`` names the categories whose first-ranked model differs.
    """

    regime: str
    macro: Correlation | None
    categories: Mapping[str, Correlation | None]
    new_leaders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettingPair:
    """Two probe settings over the models of both and the tasks that these have in both.

    Attributes:
        first: One setting.
        second: The other.
        cells: Rank correlation over (model, task) cells.
        models: Rank correlation over the models' means.
        top3: Models among the first three by mean under both.
        top5: Likewise for five.
        tasks: Task id -> rank correlation over models.
        mean_change: Mean of second - first over cells.
        largest_change: The change of a model's mean that is largest in absolute value.
        shared_models: Models that both have.
        shared_tasks: Tasks that all of these have in both.
    """

    first: ProbeSetting
    second: ProbeSetting
    cells: Correlation | None
    models: Correlation | None
    top3: int
    top5: int
    tasks: Mapping[str, Correlation | None]
    mean_change: float
    largest_change: float
    shared_models: int = 0
    shared_tasks: int = 0


@dataclass(frozen=True, slots=True)
class SettingAgreement:
    """All pairs of settings in one regime; ``ranges`` is each model's largest minus smallest mean.

    ``mean``, ``lowest`` and ``highest`` are of the pairs' correlations over models (Tables 11-13).
    """

    regime: str
    pairs: tuple[SettingPair, ...]
    mean: float | None
    lowest: float | None
    highest: float | None
    ranges: Mapping[str, float]


def micro_macro(cube: ScoreCube, regime: str) -> tuple[Correlation | None, float | None]:
    """Rank correlation of micro with macro means, and the mean absolute macro - micro."""
    means = aggregate(cube)
    place = cube.regime_index(regime)
    macro, micro = means.macro[:, place], means.micro[:, place]
    known = np.isfinite(macro) & np.isfinite(micro)
    gap = float(np.abs(macro - micro)[known].mean()) if known.any() else None
    return spearman(micro, macro), gap


def regime_agreement(cube: ScoreCube, *, full: str = "full") -> tuple[RegimeAgreement, ...]:
    """Every few-shot regime against the full one, over models complete in all regimes."""
    cube = cube.select_models(np.isfinite(cube.mcc).all(axis=(1, 2)))
    means = aggregate(cube)
    base = cube.regime_index(full)
    leaders = category_leaders(cube, full)
    found = []
    for place, regime in enumerate(cube.regimes):
        if place == base:
            continue
        others = category_leaders(cube, regime)
        found.append(
            RegimeAgreement(
                regime=regime,
                macro=spearman(means.macro[:, base], means.macro[:, place]),
                categories={
                    name: spearman(means.category[:, base, k], means.category[:, place, k])
                    for k, name in enumerate(means.categories)
                },
                new_leaders=tuple(
                    name for name in leaders if not set(leaders[name]) & set(others[name])
                ),
            )
        )
    return tuple(found)


def setting_agreement(
    cubes: Mapping[ProbeSetting, ScoreCube], regime: str
) -> SettingAgreement | None:
    """Compare probe settings (values of C, probes, solvers), each pair over what both have.

    A model or task that one setting lacks is missing from the pairs of that setting alone.

    Args:
        cubes: A cube a setting, over the same suite.
        regime: The regime.

    Returns:
        The comparison, or None where no two settings share a model with a common task.
    """
    settings = sorted(cubes)
    pairs = tuple(
        pair
        for one, two in combinations(settings, 2)
        if (pair := _setting_pair(one, two, cubes[one], cubes[two], regime)) is not None
    )
    if not pairs:
        return None
    rhos = [pair.models.rho for pair in pairs if pair.models is not None]
    return SettingAgreement(
        regime=regime,
        pairs=pairs,
        mean=float(np.mean(rhos)) if rhos else None,
        lowest=min(rhos, default=None),
        highest=max(rhos, default=None),
        ranges=_ranges(cubes, regime),
    )


def _ranges(cubes: Mapping[ProbeSetting, ScoreCube], regime: str) -> dict[str, float]:
    """Label -> largest minus smallest mean over its settings, on the tasks that all of them have.

    Only models of two or more settings with such a task.
    """
    rows: dict[str, list[np.ndarray]] = {}
    for setting in sorted(cubes):
        cube = cubes[setting]
        for label, scores in zip(cube.model_ids, cube.in_regime(regime), strict=True):
            if np.isfinite(scores).any():
                rows.setdefault(label, []).append(scores)
    found = {}
    for label, scores in rows.items():
        stacked = np.stack(scores)
        whole = np.isfinite(stacked).all(axis=0)
        if len(scores) > 1 and whole.any():
            found[label] = float(np.ptp(mean_of(stacked[:, whole])))
    return found


def _shared(
    one: ScoreCube, two: ScoreCube, regime: str
) -> tuple[np.ndarray, np.ndarray, list[str]] | None:
    """Scores ``[model, task]`` of both settings and the ids of the tasks.

    The models are those of both that share a task, the tasks those that all of these have in both.
    """
    names = [name for name in one.model_ids if name in two.model_ids]
    if not names:
        return None
    first, second = (
        cube.in_regime(regime)[[cube.model_ids.index(name) for name in names]]
        for cube in (one, two)
    )
    both = np.isfinite(first) & np.isfinite(second)
    present = both.any(axis=1)
    tasks = both[present].all(axis=0)
    if not present.any() or not tasks.any():
        return None
    ids = [task.task_id for task, keep in zip(one.tasks, tasks, strict=True) if keep]
    return first[present][:, tasks], second[present][:, tasks], ids


def _setting_pair(
    first: ProbeSetting,
    second: ProbeSetting,
    first_cube: ScoreCube,
    second_cube: ScoreCube,
    regime: str,
) -> SettingPair | None:
    shared = _shared(first_cube, second_cube, regime)
    if shared is None:
        return None
    one, two, tasks = shared
    means = mean_of(one), mean_of(two)
    change = means[1] - means[0]
    return SettingPair(
        first=first,
        second=second,
        cells=spearman(one.ravel(), two.ravel()),
        models=spearman(*means),
        top3=_shared_top(*means, 3),
        top5=_shared_top(*means, 5),
        tasks=_TaskCorrelations(tasks, one, two),
        mean_change=float((two - one).mean()),
        largest_change=float(change[np.argmax(np.abs(change))]),
        shared_models=len(one),
        shared_tasks=len(tasks),
    )


class _TaskCorrelations(Mapping[str, Correlation | None]):
    """Task id -> rank correlation over models, computed when asked for: few tables show it."""

    def __init__(self, tasks: Sequence[str], one: np.ndarray, two: np.ndarray) -> None:
        self._places = {name: k for k, name in enumerate(tasks)}
        self._one, self._two = one, two
        self._known: dict[str, Correlation | None] = {}

    def __getitem__(self, task_id: str) -> Correlation | None:
        if task_id not in self._known:
            k = self._places[task_id]
            self._known[task_id] = spearman(self._one[:, k], self._two[:, k])
        return self._known[task_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return repr(dict(self))


def settings_apart(
    cubes: Mapping[ProbeSetting, ScoreCube], regime: str
) -> tuple[tuple[ProbeSetting, ProbeSetting], ...]:
    """Pairs of settings without a model that has a common task: they have no agreement."""
    return tuple(
        (one, two)
        for one, two in combinations(sorted(cubes), 2)
        if _shared(cubes[one], cubes[two], regime) is None
    )


def _shared_top(one: np.ndarray, two: np.ndarray, count: int) -> int:
    top = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (one, two)]
    return len(top[0] & top[1])
