"""Statistics over scores: the paper's, recomputed, and what the paper lacks. No JAX here."""

from __future__ import annotations

from geneb_jax.analysis.aggregation import Aggregates, aggregate, category_means
from geneb_jax.analysis.agreement import (
    RegimeAgreement,
    SettingAgreement,
    SettingPair,
    micro_macro,
    regime_agreement,
    setting_agreement,
)
from geneb_jax.analysis.baselines import (
    Baseline,
    baselines,
    chance_bound,
    controls_of,
    tasks_at_chance,
)
from geneb_jax.analysis.bootstrap import (
    FEWEST_TASKS,
    Interval,
    TaskBootstrap,
    row_bootstrap,
    row_bootstrap_mcc,
    task_bootstrap,
)
from geneb_jax.analysis.critical_difference import CriticalDifference, critical_difference
from geneb_jax.analysis.cube import ScoreCube, join_cubes
from geneb_jax.analysis.cube_from_scores import (
    ProbeSetting,
    chosen_setting,
    cube_from_scores,
    rows_in,
    setting_of,
    settings_of,
)
from geneb_jax.analysis.few_shot import Degradation, few_shot_degradation, mean_macro, retention
from geneb_jax.analysis.input_counts import input_sentences
from geneb_jax.analysis.label_groups import LabelGroup, label_groups
from geneb_jax.analysis.layer_curves import LayerCurves, LayerScore, layer_curves
from geneb_jax.analysis.leaderboard import Leaderboard, LeaderboardRow, leaderboard
from geneb_jax.analysis.leakage import (
    CleanMacro,
    Leakage,
    ModelLeakage,
    clean_macros,
    leakage,
    leaked_rows,
)
from geneb_jax.analysis.one_class import one_class_sentences
from geneb_jax.analysis.own_scores import OwnScore, own_scores
from geneb_jax.analysis.pair_intervals import PairIntervals, pair_intervals
from geneb_jax.analysis.paired import (
    CategoryDifference,
    PairedComparison,
    compare_models,
    compare_predictions,
)
from geneb_jax.analysis.pairs import (
    Contrast,
    PairDifference,
    contrasts,
    pair_differences,
    read_pairs,
)
from geneb_jax.analysis.panel import Panel, build_panel
from geneb_jax.analysis.pareto import pareto_frontier
from geneb_jax.analysis.probe_stability import SettingMeans, Stability, probe_stability
from geneb_jax.analysis.published import (
    OUT_OF_DOMAIN_CORPORA,
    ControlledPair,
    ProbeSubset,
    SizeColumn,
    comparable_with_published,
    cube_of_submissions,
    live_cube,
    published_cube,
    published_pairs,
    published_probe_subset,
    reference_cube,
)
from geneb_jax.analysis.ranking import (
    OVER_ROWS,
    OVER_TASKS,
    Ranking,
    RankRange,
    rank_ranges,
    ranking,
    tie_groups,
)
from geneb_jax.analysis.recommend import CLOSE, Budget, Candidate, Recommendation, recommend
from geneb_jax.analysis.run_checks import RunCheck
from geneb_jax.analysis.scaling import (
    Correlation,
    Scaling,
    SizeGap,
    SizeTier,
    scaling,
    size_gap,
    size_tiers,
    spearman,
)
from geneb_jax.analysis.seed_spread import SeedSpread, seed_spread
from geneb_jax.analysis.size_inversions import (
    SizeInversion,
    SizeInversions,
    in_domain,
    size_inversions,
    smaller_beats_larger,
)
from geneb_jax.analysis.specialisation import Specialisation, specialisation
from geneb_jax.analysis.stability import LeftOut, leave_one_category_out
from geneb_jax.analysis.statistics import (
    ModelCoverage,
    Statistics,
    StatisticsOptions,
    compute_statistics,
)
from geneb_jax.analysis.statistics_document import statistics_document
from geneb_jax.analysis.summary import (
    SUMMARY_COLUMNS,
    SUMMARY_FILE,
    Spread,
    Summary,
    SummaryRow,
    SummarySetting,
    summarise,
    write_summary_csv,
    write_summary_of,
)
from geneb_jax.analysis.sweep import SweepLine, sweep_lines
from geneb_jax.analysis.test_row_comparison import RowComparison, TaskRowDifference, compare_rows
from geneb_jax.analysis.test_row_intervals import (
    RowSpread,
    ScoreInterval,
    row_spread,
    score_interval,
)
from geneb_jax.analysis.test_row_predictions import ModelPredictions, TaskRows, model_predictions
from geneb_jax.analysis.unlike_data import without_changed_files
from geneb_jax.analysis.variance import EndBands, TaskSpread, end_bands, task_spread
from geneb_jax.analysis.wins import TaskWinner, category_leaders, task_winners, win_counts

__all__ = [
    "CLOSE",
    "FEWEST_TASKS",
    "OUT_OF_DOMAIN_CORPORA",
    "OVER_ROWS",
    "OVER_TASKS",
    "SUMMARY_COLUMNS",
    "SUMMARY_FILE",
    "Aggregates",
    "Baseline",
    "Budget",
    "Candidate",
    "CategoryDifference",
    "CleanMacro",
    "Contrast",
    "ControlledPair",
    "Correlation",
    "CriticalDifference",
    "Degradation",
    "EndBands",
    "Interval",
    "LabelGroup",
    "LayerCurves",
    "LayerScore",
    "Leaderboard",
    "LeaderboardRow",
    "Leakage",
    "LeftOut",
    "ModelCoverage",
    "ModelLeakage",
    "ModelPredictions",
    "OwnScore",
    "PairDifference",
    "PairIntervals",
    "PairedComparison",
    "Panel",
    "ProbeSetting",
    "ProbeSubset",
    "RankRange",
    "Ranking",
    "Recommendation",
    "RegimeAgreement",
    "RowComparison",
    "RowSpread",
    "RunCheck",
    "Scaling",
    "ScoreCube",
    "ScoreInterval",
    "SeedSpread",
    "SettingAgreement",
    "SettingMeans",
    "SettingPair",
    "SizeColumn",
    "SizeGap",
    "SizeInversion",
    "SizeInversions",
    "SizeTier",
    "Specialisation",
    "Spread",
    "Stability",
    "Statistics",
    "StatisticsOptions",
    "Summary",
    "SummaryRow",
    "SummarySetting",
    "SweepLine",
    "TaskBootstrap",
    "TaskRowDifference",
    "TaskRows",
    "TaskSpread",
    "TaskWinner",
    "aggregate",
    "baselines",
    "build_panel",
    "category_leaders",
    "category_means",
    "chance_bound",
    "chosen_setting",
    "clean_macros",
    "comparable_with_published",
    "compare_models",
    "compare_predictions",
    "compare_rows",
    "compute_statistics",
    "contrasts",
    "controls_of",
    "critical_difference",
    "cube_from_scores",
    "cube_of_submissions",
    "end_bands",
    "few_shot_degradation",
    "in_domain",
    "input_sentences",
    "join_cubes",
    "label_groups",
    "layer_curves",
    "leaderboard",
    "leakage",
    "leaked_rows",
    "leave_one_category_out",
    "live_cube",
    "mean_macro",
    "micro_macro",
    "model_predictions",
    "one_class_sentences",
    "own_scores",
    "pair_differences",
    "pair_intervals",
    "pareto_frontier",
    "probe_stability",
    "published_cube",
    "published_pairs",
    "published_probe_subset",
    "rank_ranges",
    "ranking",
    "read_pairs",
    "recommend",
    "reference_cube",
    "regime_agreement",
    "retention",
    "row_bootstrap",
    "row_bootstrap_mcc",
    "row_spread",
    "rows_in",
    "scaling",
    "score_interval",
    "seed_spread",
    "setting_agreement",
    "setting_of",
    "settings_of",
    "size_gap",
    "size_inversions",
    "size_tiers",
    "smaller_beats_larger",
    "spearman",
    "specialisation",
    "statistics_document",
    "summarise",
    "sweep_lines",
    "task_bootstrap",
    "task_spread",
    "task_winners",
    "tasks_at_chance",
    "tie_groups",
    "win_counts",
    "without_changed_files",
    "write_summary_csv",
    "write_summary_of",
]
