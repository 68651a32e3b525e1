"""Statistics over scores: the paper's, recomputed, and what the paper lacks. No JAX here."""

from __future__ import annotations

from geneb_jax.analysis.aggregation import Aggregates, aggregate, category_means
from geneb_jax.analysis.bootstrap import Interval, TaskBootstrap, row_bootstrap_mcc, task_bootstrap
from geneb_jax.analysis.cube import ModelFacts, ScoreCube, join_cubes
from geneb_jax.analysis.leaderboard import Leaderboard, LeaderboardRow, leaderboard, tie_groups
from geneb_jax.analysis.panel import Panel, RunScores, build_panel, model_facts
from geneb_jax.analysis.published import (
    OUT_OF_DOMAIN_CORPORA,
    ControlledPair,
    ProbeSubset,
    SizeColumn,
    comparable_with_published,
    published_cube,
    published_pairs,
    published_probe_subset,
)
from geneb_jax.analysis.records import (
    ProbeSetting,
    chosen_setting,
    cube_from_scores,
    settings_of,
)

__all__ = [
    "OUT_OF_DOMAIN_CORPORA",
    "Aggregates",
    "ControlledPair",
    "Interval",
    "Leaderboard",
    "LeaderboardRow",
    "ModelFacts",
    "Panel",
    "ProbeSetting",
    "ProbeSubset",
    "RunScores",
    "ScoreCube",
    "SizeColumn",
    "TaskBootstrap",
    "aggregate",
    "build_panel",
    "category_means",
    "chosen_setting",
    "comparable_with_published",
    "cube_from_scores",
    "join_cubes",
    "leaderboard",
    "model_facts",
    "published_cube",
    "published_pairs",
    "published_probe_subset",
    "row_bootstrap_mcc",
    "settings_of",
    "task_bootstrap",
    "tie_groups",
]
