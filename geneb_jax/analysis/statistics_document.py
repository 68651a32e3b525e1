"""The statistics as plain data: what ``geneb-jax stats --json`` prints.

The keys are a contract (docs/statistics.md): they are added to, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from geneb_jax.analysis.agreement import SettingAgreement, SettingPair
from geneb_jax.analysis.bootstrap import Interval
from geneb_jax.analysis.layer_curves import layers_document
from geneb_jax.analysis.pairs import Contrast, PairDifference
from geneb_jax.analysis.scaling import Correlation, SizeTier
from geneb_jax.analysis.size_inversions import SizeInversions
from geneb_jax.analysis.statistics import Statistics

__all__ = ["statistics_document"]

_SCHEMA_VERSION = 1


def statistics_document(s: Statistics) -> dict[str, Any]:
    """Plain data, ready for :func:`json.dumps`."""
    return {
        "schema_version": _SCHEMA_VERSION,
        "suite": s.suite,
        "simulated": s.simulated,
        "published": s.published,
        "metric": s.metric,
        "regime": s.regime,
        "regimes": list(s.regimes),
        "tasks": s.tasks,
        "categories": list(s.categories),
        "notices": list(s.notices),
        "models": {
            label: {
                "display": model.facts.title,
                "source": model.facts.source,
                "params": model.facts.params,
                "weights": model.facts.weights,
                "scored": dict(model.scored),
                "off_protocol": list(model.off_protocol),
                "ranked": model.ranked,
            }
            for label, model in s.models.items()
        },
        "leaderboard": _leaderboard(s),
        "sweep": [
            {
                "model_id": one.model_id,
                "regime": one.regime,
                "probe": one.probe,
                "solver": one.solver,
                "tasks": one.tasks,
                "chosen_C": one.chosen,
                "by_C": [
                    {"C": C, "test": value, "held_out": one.held_out.get(C)}
                    for C, value in one.test.items()
                ],
            }
            for one in s.sweep
        ],
        "layers": layers_document(s.layers),
        "metric_means": [
            {"model_id": one.model_id, "regime": one.regime, "tasks": one.tasks, **one.scores}
            for one in s.metric_means
        ],
        "mean_macro": dict(s.mean_macro),
        "micro_macro_rho": s.micro_macro_rho,
        "micro_macro_gap": s.micro_macro_gap,
        "regime_agreement": {
            entry.regime: {
                "macro": _correlation(entry.macro),
                "categories": _correlations(entry.categories),
                "new_leaders": list(entry.new_leaders),
            }
            for entry in s.regime_agreement
        },
        "scaling": _scaling(s),
        "high_variance_tasks": [task.task_id for task in s.high_variance],
        "high_variance": {
            "threshold": s.options.spread,
            "slots": s.end_bands["corpus"].slots,
            **{
                label: {"top": dict(band.top), "bottom": dict(band.bottom)}
                for label, band in s.end_bands.items()
            },
        },
        "task_spread": {task.task_id: {"mean": task.mean, "sd": task.sd} for task in s.task_spread},
        "hard_tasks": [task.task_id for task in s.hard_tasks],
        "wins": dict(s.wins),
        "category_leaders": {
            regime: {name: list(leaders) for name, leaders in found.items()}
            for regime, found in s.category_leaders.items()
        },
        "smaller_beats_larger": _inversions(s.smaller_beats_larger),
        "retention": {name: dict(kept) for name, kept in s.retention.items()},
        "few_shot": {
            regime: {
                loss.model_id: {"absolute": loss.absolute, "relative": loss.relative}
                for loss in losses
            }
            for regime, losses in s.few_shot.items()
        },
        "controlled_pairs": [_pair(entry) for entry in s.controlled_pairs],
        "contrasts": [_contrast(entry) for entry in s.contrasts],
        "label_groups": {
            label: [
                {
                    "label": group.label,
                    "models": group.count,
                    "macro": dict(group.macro),
                    "category": dict(group.category),
                }
                for group in groups
            ]
            for label, groups in s.label_groups.items()
        },
        "specialisation": [asdict(entry) for entry in s.specialisation],
        "pareto": {name: list(labels) for name, labels in s.pareto.items()},
        **_robustness(s),
        **_of_runs(s),
    }


def _correlation(found: Correlation | None) -> dict[str, Any]:
    if found is None:
        return {"rho": None, "p": None, "models": 0}
    return {"rho": found.rho, "p": found.p, "models": found.count}


def _correlations(found: Mapping[str, Correlation | None]) -> dict[str, Any]:
    return {name: _correlation(one) for name, one in found.items()}


def _interval(found: Interval | None) -> list[float] | None:
    return None if found is None else [found.low, found.high]


def _rho(found: Correlation | None) -> float | None:
    return None if found is None else found.rho


def _leaderboard(s: Statistics) -> list[dict[str, Any]]:
    spans = s.rank_ranges
    return [
        {
            "model_id": (label := row.model.label),
            "rank": row.rank,
            "tie_group": row.tie_group,
            "macro": dict(row.macro),
            "micro": dict(row.micro),
            "source": row.model.source,
            "interval": None if row.interval is None else list(row.interval),
            "interval_over": row.interval_over or None,
            "rank_range": [spans[label].low, spans[label].high] if label in spans else None,
            "category": dict(row.category),
        }
        for row in s.leaderboard
    ]


def _scaling(s: Statistics) -> dict[str, Any]:
    everyone, rest = s.scaling, s.scaling_without
    return {
        "macro": _correlation(everyone.macro),
        "macro_without": {**_correlation(rest.macro), "left_out": list(rest.left_out)},
        "categories": _correlations(everyone.categories),
        "categories_without": _correlations(rest.categories),
        "size_tiers": [_tier(tier) for tier in s.size_tiers],
        "size_gap": asdict(s.size_gap),
    }


def _tier(tier: SizeTier) -> dict[str, Any]:
    high = int(tier.high) if np.isfinite(tier.high) else None
    return {"low": int(tier.low), "high": high, "models": tier.count, "mean": tier.mean}


def _inversions(found: SizeInversions) -> dict[str, Any]:
    return {
        "count": len(found.pairs),
        "factor": found.factor,
        "models": found.models,
        "left_out_corpora": list(found.left_out_corpora),
        "count_all_models": found.count_all_models,
        "count_by_category": dict(found.count_by_category),
        "pairs": [asdict(pair) for pair in found.pairs],
    }


def _pair(entry: PairDifference) -> dict[str, Any]:
    return {
        "model_a": entry.pair.model_a,
        "model_b": entry.pair.model_b,
        "factor": entry.pair.factor,
        "label_a": entry.label_a,
        "label_b": entry.label_b,
        "delta": entry.macro,
        "interval": _interval(entry.interval),
        "stated": entry.pair.stated,
    }


def _contrast(entry: Contrast) -> dict[str, Any]:
    return {
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


def _robustness(s: Statistics) -> dict[str, Any]:
    ranks = s.critical_difference
    return {
        "leave_one_category_out": {
            entry.category: {
                **_correlation(entry.agreement),
                "leader": entry.leader,
                "largest_move": dict(zip(("model_id", "places"), entry.largest_move, strict=True)),
            }
            for entry in s.leave_one_category_out
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


def _of_runs(s: Statistics) -> dict[str, Any]:
    """What only a run of the user's can fill."""
    return {
        "seed_spread": _plain(s.seed_spread),
        "baselines": _plain(s.baselines),
        "tasks_at_chance": dict(s.tasks_at_chance),
        "leakage": [
            {"model_id": entry.model_id, "regime": entry.regime, **asdict(entry.task)}
            for entry in s.leakage
        ],
        "leakage_free": _plain(s.leakage_free),
        "own_scores": [asdict(one) | {"interval": _interval(one.interval)} for one in s.own_scores],
        "row_spread": _plain(s.row_spread),
        "settings": [_agreement(found) for found in s.settings],
    }


def _plain(entries: Sequence[Any]) -> list[dict[str, Any]]:
    return [asdict(entry) for entry in entries]


def _agreement(found: SettingAgreement) -> dict[str, Any]:
    return {
        "regime": found.regime,
        "mean": found.mean,
        "lowest": found.lowest,
        "highest": found.highest,
        "ranges": dict(found.ranges),
        "pairs": [_setting_pair(pair) for pair in found.pairs],
    }


def _setting_pair(pair: SettingPair) -> dict[str, Any]:
    return {
        "first": str(pair.first),
        "second": str(pair.second),
        "models": pair.shared_models,
        "shared_tasks": pair.shared_tasks,
        "cells_rho": _rho(pair.cells),
        "models_rho": _rho(pair.models),
        "top3": pair.top3,
        "top5": pair.top5,
        "mean_change": pair.mean_change,
        "largest_change": pair.largest_change,
        "tasks": {name: _rho(one) for name, one in pair.tasks.items()},
    }
