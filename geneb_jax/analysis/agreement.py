"""Do rankings agree: micro with macro, one regime with another, one probe or C with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Two probe settings over the cells both scored.

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
    """Compare probe settings (values of C, probes, solvers) over the models and tasks of all.

    Args:
        cubes: A cube a setting, over the same suite.
        regime: The regime.

    Returns:
        The comparison, or None where fewer than two settings share a model and a task. Cells that
        any of the settings lacks count in none.
    """
    settings = sorted(cubes)
    if len(settings) < 2:
        return None
    shared = [
        name
        for name in cubes[settings[0]].model_ids
        if all(name in cubes[setting].model_ids for setting in settings)
    ]
    if not shared:
        return None
    scores = np.stack([_rows(cubes[setting], shared, regime) for setting in settings])
    tasks = np.isfinite(scores).all(axis=(0, 1))
    if not tasks.any():
        return None
    scores = scores[:, :, tasks]
    names = [
        task.task_id for task, keep in zip(cubes[settings[0]].tasks, tasks, strict=True) if keep
    ]
    means = mean_of(scores)
    pairs = tuple(
        _setting_pair(settings[a], settings[b], scores[a], scores[b], names)
        for a, b in combinations(range(len(settings)), 2)
    )
    rhos = [pair.models.rho for pair in pairs if pair.models is not None]
    return SettingAgreement(
        regime=regime,
        pairs=pairs,
        mean=float(np.mean(rhos)) if rhos else None,
        lowest=min(rhos, default=None),
        highest=max(rhos, default=None),
        ranges=dict(zip(shared, np.ptp(means, axis=0).tolist(), strict=True)),
    )


def _rows(cube: ScoreCube, models: Sequence[str], regime: str) -> np.ndarray:
    rows: np.ndarray = cube.in_regime(regime)[[cube.model_index(name) for name in models]]
    return rows


def _setting_pair(
    first: ProbeSetting,
    second: ProbeSetting,
    one: np.ndarray,
    two: np.ndarray,
    tasks: Sequence[str],
) -> SettingPair:
    means = mean_of(one), mean_of(two)
    change = means[1] - means[0]
    return SettingPair(
        first=first,
        second=second,
        cells=spearman(one.ravel(), two.ravel()),
        models=spearman(*means),
        top3=_shared_top(*means, 3),
        top5=_shared_top(*means, 5),
        tasks={name: spearman(one[:, k], two[:, k]) for k, name in enumerate(tasks)},
        mean_change=float((two - one).mean()),
        largest_change=float(change[np.argmax(np.abs(change))]),
    )


def _shared_top(one: np.ndarray, two: np.ndarray, count: int) -> int:
    top = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (one, two)]
    return len(top[0] & top[1])
