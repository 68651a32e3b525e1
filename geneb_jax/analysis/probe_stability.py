"""Does the ranking depend on the probe: linear against MLP, and one C against another.

The paper's appendix on probe stability (Tables 7-13) for any models and tasks: the agreement of a
linear and an MLP probe on all training rows, and of five values of C in each regime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import mean_of
from geneb_jax.analysis.agreement import SettingAgreement, setting_agreement
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.cube_from_scores import ProbeSetting, cube_from_scores, settings_of
from geneb_jax.benchmark import Suite
from geneb_jax.results import PROTOCOL_PROBE, ScoreRow

__all__ = ["SettingMeans", "Stability", "probe_stability"]


@dataclass(frozen=True, slots=True)
class SettingMeans:
    """Means of each model in several settings, over cells that all of them have.

    Attributes:
        settings: The settings.
        models: The models, best first in the setting ``by``.
        tasks: Ids of the tasks.
        means: float64 ``[model, setting]``.
    """

    settings: tuple[ProbeSetting, ...]
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    means: np.ndarray


@dataclass(frozen=True, slots=True)
class Stability:
    """How a ranking moves with the probe.

    Attributes:
        regime: The regime of all training rows, in which the probes are compared.
        probes: Linear (at the protocol's C) against MLP; None where they share no cell.
        probe_means: Each model's mean under both.
        strengths: Regime -> the values of C against each other.
        strength_means: Regime -> each model's mean at every C.
    """

    regime: str
    probes: SettingAgreement | None
    probe_means: SettingMeans | None
    strengths: Mapping[str, SettingAgreement]
    strength_means: Mapping[str, SettingMeans]


def probe_stability(
    rows: Sequence[ScoreRow], suite: Suite, models: Sequence[str], tasks: Sequence[str]
) -> Stability:
    """Compare the probe settings of some rows.

    Args:
        rows: Scores: a linear probe at some values of C in every regime, and an MLP on all rows.
        suite: Their suite.
        models: Labels of the models that count.
        tasks: Ids of the tasks that count.
    """
    chosen = [row for row in rows if row.model_id in set(models) and row.task_id in set(tasks)]
    cubes = {
        setting: cube_from_scores(chosen, suite, setting=setting)[0]
        for setting in settings_of(chosen)
    }
    linear = {own: cube for own, cube in cubes.items() if own.probe == PROTOCOL_PROBE}
    base = {own: cube for own, cube in linear.items() if own.C == suite.protocol.C}
    full = next(regime.name for regime in suite.protocol.regimes if not regime.seeded)
    both = base | {own: cube for own, cube in cubes.items() if own.probe == "mlp"}
    first = next(iter(base), None)
    found = {
        regime.name: (setting_agreement(linear, regime.name), _means(linear, regime.name, first))
        for regime in suite.protocol.regimes
    }
    return Stability(
        regime=full,
        probes=setting_agreement(both, full),
        probe_means=_means(both, full, first),
        strengths={name: pairs for name, (pairs, _) in found.items() if pairs is not None},
        strength_means={name: means for name, (_, means) in found.items() if means is not None},
    )


def _means(
    cubes: Mapping[ProbeSetting, ScoreCube], regime: str, by: ProbeSetting | None
) -> SettingMeans | None:
    """Means over the cells that every setting has; None below two settings or without a cell."""
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
    scores = np.stack(
        [
            cubes[own].in_regime(regime)[[cubes[own].model_index(name) for name in shared]]
            for own in settings
        ],
        axis=1,
    )
    whole = np.isfinite(scores).all(axis=(0, 1))
    if not whole.any():
        return None
    means = mean_of(scores[:, :, whole])
    order = np.argsort(-means[:, settings.index(by) if by in settings else 0], kind="stable")
    tasks = [task.task_id for task in cubes[settings[0]].tasks]
    return SettingMeans(
        tuple(settings),
        tuple(shared[row] for row in order.tolist()),
        tuple(name for name, there in zip(tasks, whole.tolist(), strict=True) if there),
        means[order],
    )
