"""All statistics as one document of plain data: what ``geneb-jax stats --json`` prints.

The keys are a contract (docs/statistics.md): they are added to, never renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.agreement import (
    micro_macro,
    regime_agreement,
)
from geneb_jax.analysis.bootstrap import Interval
from geneb_jax.analysis.critical_difference import critical_difference
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.few_shot import few_shot_degradation, mean_macro, retention
from geneb_jax.analysis.label_groups import label_groups
from geneb_jax.analysis.leaderboard import leaderboard
from geneb_jax.analysis.pairs import contrasts, pair_differences
from geneb_jax.analysis.panel import Panel
from geneb_jax.analysis.pareto import pareto_frontier
from geneb_jax.analysis.published import (
    OUT_OF_DOMAIN_CORPORA,
    ControlledPair,
    published_pairs,
)
from geneb_jax.analysis.run_overview import run_overview
from geneb_jax.analysis.scaling import Correlation, scaling, size_gap, size_tiers
from geneb_jax.analysis.size_inversions import in_domain, smaller_beats_larger
from geneb_jax.analysis.specialisation import specialisation
from geneb_jax.analysis.stability import leave_one_category_out, rank_ranges
from geneb_jax.analysis.variance import end_bands, task_spread
from geneb_jax.analysis.wins import category_leaders, win_counts

__all__ = ["OverviewOptions", "overview"]

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class OverviewOptions:
    """What a reader may vary.

    Attributes:
        regime: Regime of every statistic that is of one regime.
        without: Models left out of ``scaling.macro_without``; unknown ones are ignored.
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


def overview(panel: Panel, options: OverviewOptions | None = None) -> dict[str, Any]:
    """Compute everything; None stands for "withheld" and "not defined for so few models"."""
    options = options or OverviewOptions()
    cube = panel.ranked
    regime = options.regime
    cube.regime_index(regime)
    return {
        "schema_version": _SCHEMA_VERSION,
        "suite": panel.suite.name,
        "simulated": panel.suite.simulated,
        "published": panel.published,
        "regime": regime,
        "regimes": list(cube.regimes),
        "tasks": len(cube.tasks),
        "categories": list(cube.categories),
        "notices": list(panel.notices),
        "models": _models(panel.cube, cube),
        "leaderboard": _leaderboard(cube, regime),
        "mean_macro": dict(mean_macro(cube)),
        **_agreement(cube, regime),
        "scaling": _scaling(cube, options),
        **_tasks(cube, options),
        "wins": dict(win_counts(cube, regime)),
        "category_leaders": {
            name: {k: list(v) for k, v in category_leaders(cube, name).items()}
            for name in cube.regimes
        },
        "smaller_beats_larger": _inversions(cube, options),
        **_few_shot(cube),
        **_pairs(cube, options),
        "label_groups": {
            label: _groups(cube, label, regime)
            for label in ("architecture", "tokenization", "corpus")
        },
        "specialisation": [
            {"model_id": s.model_id, "category": s.category, "gain": s.gain, "tasks": s.tasks}
            for s in specialisation(cube, regime)[:20]
        ],
        "pareto": _pareto(cube, regime),
        **_robustness(cube, regime),
        **run_overview(panel, regime),
    }


def _correlation(found: Correlation | None) -> dict[str, Any]:
    if found is None:
        return {"rho": None, "p": None, "models": 0}
    return {"rho": found.rho, "p": found.p, "models": found.count}


def _interval(found: Interval | None) -> list[float] | None:
    return None if found is None else [found.low, found.high]


def _models(everyone: ScoreCube, ranked: ScoreCube) -> dict[str, Any]:
    counted = set(ranked.model_ids)
    scored = everyone.coverage()
    return {
        model.label: {
            "display": model.title,
            "source": model.source,
            "params": model.params,
            "weights": model.weights,
            "scored": dict(zip(everyone.regimes, scored[k].tolist(), strict=True)),
            "off_protocol": list(everyone.off_protocol.get(model.label, ())),
            "ranked": model.label in counted,
        }
        for k, model in enumerate(everyone.models)
    }


def _leaderboard(cube: ScoreCube, regime: str) -> list[dict[str, Any]]:
    ranges = rank_ranges(cube, regime)
    rows = []
    for row in leaderboard(cube, title="", regime=regime).rows:
        span = ranges.get(row.model.label)
        rows.append(
            {
                "model_id": row.model.label,
                "rank": row.rank,
                "tie_group": row.tie_group,
                "macro": dict(row.macro),
                "micro": dict(row.micro),
                "interval": None if row.interval is None else list(row.interval),
                "rank_range": None if span is None else [span.low, span.high],
                "category": dict(row.category),
            }
        )
    return rows


def _agreement(cube: ScoreCube, regime: str) -> dict[str, Any]:
    correlation, gap = micro_macro(cube, regime)
    others = regime_agreement(cube) if "full" in cube.regimes else ()
    return {
        "micro_macro_rho": None if correlation is None else correlation.rho,
        "micro_macro_gap": gap,
        "regime_agreement": {
            entry.regime: {
                "macro": _correlation(entry.macro),
                "categories": {k: _correlation(v) for k, v in entry.categories.items()},
                "new_leaders": list(entry.new_leaders),
            }
            for entry in others
        },
    }


def _scaling(cube: ScoreCube, options: OverviewOptions) -> dict[str, Any]:
    known = [name for name in options.without if name in cube.model_ids]
    everyone = scaling(cube, options.regime)
    rest = scaling(cube, options.regime, without=known)
    gap = size_gap(cube, options.regime)
    return {
        "macro": _correlation(everyone.macro),
        "macro_without": {**_correlation(rest.macro), "left_out": known},
        "categories": {name: _correlation(c) for name, c in everyone.categories.items()},
        "categories_without": {name: _correlation(c) for name, c in rest.categories.items()},
        "size_tiers": [
            {
                "low": int(tier.low),
                "high": int(tier.high) if np.isfinite(tier.high) else None,
                "models": tier.count,
                "mean": tier.mean,
            }
            for tier in size_tiers(cube, options.regime)
        ],
        "size_gap": {"large": gap.large, "small": gap.small, "gap": gap.gap},
    }


def _tasks(cube: ScoreCube, options: OverviewOptions) -> dict[str, Any]:
    spread = task_spread(cube, options.regime)
    bands = {
        label: end_bands(cube, options.regime, label, threshold=options.spread)
        for label in ("corpus", "architecture")
    }
    return {
        "high_variance_tasks": [task.task_id for task in spread if task.sd > options.spread],
        "high_variance": {
            "threshold": options.spread,
            "slots": bands["corpus"].slots,
            **{
                label: {"top": dict(band.top), "bottom": dict(band.bottom)}
                for label, band in bands.items()
            },
        },
        "task_spread": {task.task_id: {"mean": task.mean, "sd": task.sd} for task in spread},
        "hard_tasks": [task.task_id for task in spread if task.mean < options.hard],
    }


def _inversions(cube: ScoreCube, options: OverviewOptions) -> dict[str, Any]:
    inside = in_domain(cube, OUT_OF_DOMAIN_CORPORA)
    found = smaller_beats_larger(inside, options.regime, factor=options.factor)
    return {
        "count": len(found),
        "factor": options.factor,
        "models": len(inside.models),
        "left_out_corpora": sorted(OUT_OF_DOMAIN_CORPORA),
        "count_all_models": len(smaller_beats_larger(cube, options.regime, factor=options.factor)),
        "count_by_category": {
            name: len(
                smaller_beats_larger(cube, options.regime, factor=options.factor, aggregate_by=name)
            )
            for name in cube.categories
        },
        "pairs": [
            {"smaller": p.smaller, "larger": p.larger, "ratio": p.ratio, "gap": p.gap}
            for p in found
        ],
    }


def _few_shot(cube: ScoreCube) -> dict[str, Any]:
    if "full" not in cube.regimes:
        return {"retention": {}, "few_shot": {}}
    return {
        "retention": {name: dict(kept) for name, kept in retention(cube).items()},
        "few_shot": {
            regime: {
                loss.model_id: {"absolute": loss.absolute, "relative": loss.relative}
                for loss in losses
            }
            for regime, losses in few_shot_degradation(cube).items()
        },
    }


def _pairs(cube: ScoreCube, options: OverviewOptions) -> dict[str, Any]:
    found = pair_differences(cube, (*published_pairs(), *options.pairs), options.regime)
    return {
        "controlled_pairs": [
            {
                "model_a": entry.pair.model_a,
                "model_b": entry.pair.model_b,
                "factor": entry.pair.factor,
                "label_a": entry.label_a,
                "label_b": entry.label_b,
                "delta": entry.macro,
                "interval": _interval(entry.interval),
                "stated": entry.pair.stated,
            }
            for entry in found
        ],
        "contrasts": [
            {
                "factor": entry.factor,
                "label_a": entry.label_a,
                "label_b": entry.label_b,
                "pairs": entry.pairs,
                "delta": entry.macro,
                "positive": entry.macro_positive,
                "categories": {
                    name: {"delta": delta, "positive": entry.category_positive[name]}
                    for name, delta in entry.category.items()
                },
            }
            for entry in contrasts(cube, found)
        ],
    }


def _groups(cube: ScoreCube, label: str, regime: str) -> list[dict[str, Any]]:
    return [
        {
            "label": group.label,
            "models": group.count,
            "macro": dict(group.macro),
            "category": dict(group.category),
        }
        for group in label_groups(cube, label, regime=regime)
    ]


def _pareto(cube: ScoreCube, regime: str) -> dict[str, list[str]]:
    means = aggregate(cube)
    place = cube.regime_index(regime)
    scores = {"macro": means.macro[:, place]}
    scores |= {name: means.category[:, place, k] for k, name in enumerate(means.categories)}
    return {
        name: [cube.model_ids[row] for row in pareto_frontier(cube.params, column).tolist()]
        for name, column in scores.items()
    }


def _robustness(cube: ScoreCube, regime: str) -> dict[str, Any]:
    ranks = critical_difference(cube, regime)
    return {
        "leave_one_category_out": {
            entry.category: {
                **_correlation(entry.agreement),
                "leader": entry.leader,
                "largest_move": {
                    "model_id": entry.largest_move[0],
                    "places": entry.largest_move[1],
                },
            }
            for entry in leave_one_category_out(cube, regime)
        },
        "critical_difference": None
        if ranks is None
        else {
            "critical": ranks.critical,
            "friedman_p": ranks.friedman_p,
            "alpha": ranks.alpha,
            "mean_ranks": dict(zip(ranks.models, ranks.mean_ranks, strict=True)),
            "cliques": [[ranks.models[first], ranks.models[last]] for first, last in ranks.cliques],
        },
    }
