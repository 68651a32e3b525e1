"""All statistics of a panel in one typed value: what tables, the report and ``stats`` read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.agreement import (
    RegimeAgreement,
    SettingAgreement,
    micro_macro,
    regime_agreement,
    setting_agreement,
)
from geneb_jax.analysis.baselines import Baseline, baselines, tasks_at_chance
from geneb_jax.analysis.critical_difference import CriticalDifference, critical_difference
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.few_shot import Degradation, few_shot_degradation, mean_macro, retention
from geneb_jax.analysis.label_groups import LabelGroup, label_groups
from geneb_jax.analysis.layer_curves import LayerCurves
from geneb_jax.analysis.leaderboard import LeaderboardRow, leaderboard
from geneb_jax.analysis.leakage import CleanMacro, ModelLeakage, clean_macros, leakage
from geneb_jax.analysis.left_out import left_out_notes
from geneb_jax.analysis.metric_means import MetricMeans
from geneb_jax.analysis.own_scores import OwnScore, own_scores
from geneb_jax.analysis.pairs import Contrast, PairDifference, contrasts, pair_differences
from geneb_jax.analysis.panel import Panel
from geneb_jax.analysis.pareto import pareto_frontier
from geneb_jax.analysis.published import ControlledPair, published_pairs
from geneb_jax.analysis.ranking import RankRange
from geneb_jax.analysis.scaling import Scaling, SizeGap, SizeTier, scaling, size_gap, size_tiers
from geneb_jax.analysis.seed_spread import SeedSpread, seed_spread
from geneb_jax.analysis.size_inversions import SizeInversions, size_inversions
from geneb_jax.analysis.specialisation import Specialisation, specialisation
from geneb_jax.analysis.stability import LeftOut, leave_one_category_out
from geneb_jax.analysis.sweep import SweepLine
from geneb_jax.analysis.test_row_intervals import (
    RowSpread,
    ScoreInterval,
    row_spread,
    score_interval,
)
from geneb_jax.analysis.variance import EndBands, TaskSpread, end_bands, task_spread
from geneb_jax.analysis.wins import category_leaders, win_counts
from geneb_jax.results import ModelFacts

__all__ = ["ModelCoverage", "Statistics", "StatisticsOptions", "compute_statistics"]

#: Labels that models are grouped by.
_LABELS = ("architecture", "tokenization", "corpus")
#: Specialists that are kept, of models times categories.
_SPECIALISTS = 20


@dataclass(frozen=True, slots=True)
class StatisticsOptions:
    """What a reader may vary.

    Attributes:
        regime: Regime of every statistic that is of one regime.
        without: Models left out of ``scaling_without``; unknown ones are ignored.
        factor: Size factor of "smaller beats larger".
        spread: Spread over models above which a task is of high variance.
        hard: Mean MCC below which a task is hard.
        pairs: Pairs of the user's, in addition to the published ones.
    """

    regime: str = "full"
    without: tuple[str, ...] = ("evo-1-131k-base",)
    factor: float = 5.0
    spread: float = 0.12
    hard: float = 0.35
    pairs: tuple[ControlledPair, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCoverage:
    """A model of the panel and how much of the suite its statistics rest on.

    Attributes:
        facts: The model.
        scored: Regime -> tasks scored.
        off_protocol: Why its scores are not comparable with the published ones; empty if they are.
        ranked: Whether it is in the statistics.
    """

    facts: ModelFacts
    scored: Mapping[str, int]
    off_protocol: tuple[str, ...]
    ranked: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """Every statistic; None stands for "withheld" and "not defined for so few models".

    The leaderboard, its rank ranges and what says how firm they are have every ranked model; the
    statements of the paper are over its 40 models and the user's own, not over later entries.
    Attributes are in the order of ``stats --json`` (docs/statistics.md defines them). Those that
    are not a number of the paper: ``notices`` says what a reader must know and what was left out of
    what, ``options`` what was chosen, ``scaling_without`` is ``scaling`` without
    ``options.without``, and what follows ``critical_difference`` only a run of the user's can fill.
    """

    suite: str
    simulated: bool
    published: bool
    metric: str
    options: StatisticsOptions
    regimes: tuple[str, ...]
    tasks: int
    categories: tuple[str, ...]
    notices: tuple[str, ...]
    models: Mapping[str, ModelCoverage]
    leaderboard: tuple[LeaderboardRow, ...]
    rank_ranges: Mapping[str, RankRange]
    mean_macro: Mapping[str, float | None]
    micro_macro_rho: float | None
    micro_macro_gap: float | None
    regime_agreement: tuple[RegimeAgreement, ...]
    scaling: Scaling
    scaling_without: Scaling
    size_tiers: tuple[SizeTier, ...]
    size_gap: SizeGap
    task_spread: tuple[TaskSpread, ...]
    end_bands: Mapping[str, EndBands]
    wins: Mapping[str, int]
    category_leaders: Mapping[str, Mapping[str, tuple[str, ...]]]
    smaller_beats_larger: SizeInversions
    retention: Mapping[str, Mapping[str, float | None]]
    few_shot: Mapping[str, tuple[Degradation, ...]]
    controlled_pairs: tuple[PairDifference, ...]
    contrasts: tuple[Contrast, ...]
    label_groups: Mapping[str, tuple[LabelGroup, ...]]
    specialisation: tuple[Specialisation, ...]
    pareto: Mapping[str, tuple[str, ...]]
    leave_one_category_out: tuple[LeftOut, ...]
    critical_difference: CriticalDifference | None
    seed_spread: tuple[SeedSpread, ...]
    baselines: tuple[Baseline, ...]
    tasks_at_chance: Mapping[str, int | None]
    leakage: tuple[ModelLeakage, ...]
    leakage_free: tuple[CleanMacro, ...]
    row_spread: tuple[RowSpread, ...]
    own_scores: tuple[OwnScore, ...]
    settings: tuple[SettingAgreement, ...]
    metric_means: tuple[MetricMeans, ...]
    sweep: tuple[SweepLine, ...]
    layers: tuple[LayerCurves, ...]

    @property
    def regime(self) -> str:
        """The regime of every statistic that is of one regime."""
        return self.options.regime

    @property
    def high_variance(self) -> tuple[TaskSpread, ...]:
        """Tasks on which the models differ much, the most first."""
        return tuple(task for task in self.task_spread if task.sd > self.options.spread)

    @property
    def hard_tasks(self) -> tuple[TaskSpread, ...]:
        """Tasks with a low mean over models."""
        return tuple(task for task in self.task_spread if task.mean < self.options.hard)


def compute_statistics(panel: Panel, options: StatisticsOptions | None = None) -> Statistics:
    """Compute everything.

    Raises:
        SelectionError: if there is no such regime.
    """
    options = options or StatisticsOptions()
    regime = options.regime
    everyone, shared = panel.ranked, panel.cube if panel.common is None else panel.common
    everyone.regime_index(regime)
    # Statements of the paper are over its models and the user's, not over later entries.
    cube = everyone.select_models(everyone.of_paper)
    board = leaderboard(everyone, title="", regime=regime, predictions=panel.predictions).rows
    own = shared.select_models(shared.of_user)
    few_shot = "full" in cube.regimes
    without = tuple(name for name in options.without if name in cube.model_ids)
    rho, gap = micro_macro(cube, regime)
    pairs = pair_differences(cube, (*published_pairs(), *options.pairs), regime)
    leaks, intervals, unbelieved = _of_test_rows(panel, regime)
    settings = (setting_agreement(panel.settings, name) for name in panel.cube.regimes)
    return Statistics(
        suite=panel.suite.name,
        simulated=panel.suite.simulated,
        published=panel.published,
        metric=everyone.metric,
        options=options,
        regimes=everyone.regimes,
        tasks=len(everyone.tasks),
        categories=everyone.categories,
        notices=(
            *panel.notices,
            *left_out_notes(everyone, regime, options.pairs, unbelieved, panel.settings),
        ),
        models=_coverage(panel.cube, everyone),
        leaderboard=board,
        rank_ranges={
            line.model.label: line.rank_range for line in board if line.rank_range is not None
        },
        mean_macro=mean_macro(cube),
        micro_macro_rho=None if rho is None else rho.rho,
        micro_macro_gap=gap,
        regime_agreement=regime_agreement(cube) if few_shot else (),
        scaling=scaling(cube, regime),
        scaling_without=scaling(cube, regime, without=without),
        size_tiers=size_tiers(cube, regime),
        size_gap=size_gap(cube, regime),
        task_spread=task_spread(cube, regime),
        end_bands={
            label: end_bands(cube, regime, label, threshold=options.spread)
            for label in ("corpus", "architecture")
        },
        wins=win_counts(cube, regime),
        category_leaders={name: category_leaders(cube, name) for name in cube.regimes},
        smaller_beats_larger=size_inversions(cube, regime, factor=options.factor),
        retention=retention(cube) if few_shot else {},
        few_shot=few_shot_degradation(cube) if few_shot else {},
        controlled_pairs=pairs,
        contrasts=contrasts(cube, pairs),
        label_groups={label: label_groups(cube, label, regime=regime) for label in _LABELS},
        specialisation=specialisation(cube, regime)[:_SPECIALISTS],
        pareto=_pareto(cube, regime),
        leave_one_category_out=leave_one_category_out(everyone, regime),
        critical_difference=critical_difference(everyone, regime),
        seed_spread=seed_spread(own, len(panel.suite.protocol.seeds)),
        baselines=baselines(own, regime),
        tasks_at_chance=tasks_at_chance(own, regime) if own.metric == "mcc" else {},
        leakage=leaks,
        leakage_free=clean_macros(shared, leaks),
        row_spread=row_spread(shared, intervals),
        own_scores=_own_scores(panel, regime, intervals, leaks),
        settings=tuple(found for found in settings if found is not None),
        metric_means=panel.metric_means,
        sweep=panel.sweep,
        layers=panel.layers,
    )


def _own_scores(
    panel: Panel,
    regime: str,
    intervals: Sequence[ScoreInterval],
    leaks: Sequence[ModelLeakage],
) -> tuple[OwnScore, ...]:
    """The user's scores that stand beside others, then those on data unlike the benchmark's."""
    by_task = {(one.model_id, one.task_id): one for one in intervals}
    clean = {(e.model_id, e.task.task_id): e.task for e in leaks if e.regime == regime}
    cubes = [panel.cube] if panel.unlike is None else [panel.cube, panel.unlike]
    return tuple(one for cube in cubes for one in own_scores(cube, regime, by_task, clean))


def _coverage(everyone: ScoreCube, ranked: ScoreCube) -> dict[str, ModelCoverage]:
    counted = set(ranked.model_ids)
    return {
        model.label: ModelCoverage(
            facts=model,
            scored=dict(zip(everyone.regimes, scored.tolist(), strict=True)),
            off_protocol=everyone.off_protocol.get(model.label, ()),
            ranked=model.label in counted,
        )
        for model, scored in zip(everyone.models, everyone.coverage(), strict=True)
    }


def _pareto(cube: ScoreCube, regime: str) -> dict[str, tuple[str, ...]]:
    """Macro, and each category: labels of the models on the frontier, smallest first."""
    means = aggregate(cube)
    place = cube.regime_index(regime)
    scores = {"macro": means.macro[:, place]}
    scores |= {name: means.category[:, place, k] for k, name in enumerate(means.categories)}
    return {
        name: tuple(cube.model_ids[row] for row in pareto_frontier(cube.params, column).tolist())
        for name, column in scores.items()
    }


def _of_test_rows(
    panel: Panel, regime: str
) -> tuple[tuple[ModelLeakage, ...], tuple[ScoreInterval, ...], Mapping[str, int]]:
    """What kept predictions say of every score; each file of predictions is read once.

    Returns:
        Scores without leaked rows, in every regime; intervals, in one; and label -> scores whose
        predictions were not kept, or do not give the score.
    """
    leaks: list[ModelLeakage] = []
    intervals: list[ScoreInterval] = []
    unbelieved: dict[str, int] = {}
    cube = panel.cube
    for label, kept in panel.predictions.items():
        scored = np.isfinite(cube.mcc[cube.model_index(label)])
        for r, name in enumerate(cube.regimes):
            for t, task in enumerate(cube.tasks):
                rows = kept.task(name, task.task_id)
                if rows is None:
                    if scored[r, t]:
                        unbelieved[label] = unbelieved.get(label, 0) + 1
                    continue
                if cube.metric == "mcc":
                    entry = leakage(task.task_id, rows.truth, rows.guesses, rows.leaked, rows.kinds)
                    leaks.append(ModelLeakage(label, name, entry))
                if name == regime:
                    intervals.append(
                        score_interval(label, name, task.task_id, rows, metric=cube.metric)
                    )
    return tuple(leaks), tuple(intervals), unbelieved
