"""Records of finished work, and the tables and submissions made of them."""

from __future__ import annotations

from geneb_jax.results.answer_keys import AnswerKey, find_answer_key, keep_answer_key
from geneb_jax.results.file_names import safe_folder_name, submission_file_name
from geneb_jax.results.folder_contents import FolderContents, read_contents
from geneb_jax.results.folder_lock import one_at_a_time
from geneb_jax.results.model_facts import (
    UNTRAINED,
    EmbeddingFacts,
    ModelFacts,
    weights_kind,
    with_variant,
)
from geneb_jax.results.name_lists import listed
from geneb_jax.results.predictions import UnitPredictions
from geneb_jax.results.records import DamagedRecord, KeptUnit, Records
from geneb_jax.results.redaction import redacted, redacted_data
from geneb_jax.results.repeat_files import find_repeats, keep_repeats
from geneb_jax.results.run_folder import read_run_folder
from geneb_jax.results.run_record import (
    RUN_FILE,
    RequestFacts,
    RunRecord,
    RunSettings,
    SuiteFacts,
    TaskFacts,
    installed_versions,
    read_run_record,
    utc_now,
    write_run_record,
)
from geneb_jax.results.run_scores import (
    RunScores,
    changed_files,
    other_revision,
    require_same_data,
)
from geneb_jax.results.score_columns import ScoreTable
from geneb_jax.results.score_rows import (
    DECISION_RANGES,
    FAILED,
    METRIC_RANGES,
    PROTOCOL_PROBE,
    PROTOCOL_SOLVER,
    SCORE_COLUMNS,
    SCORE_RANGES,
    ScoreRow,
    metric_of,
)
from geneb_jax.results.score_tables import SCORES_FILE, csv_text, read_scores, write_scores_csv
from geneb_jax.results.seed_means import (
    mean_over_seeds,
    means_over_seeds,
    rows_of_every_seed,
    sd_over_seeds,
    sds_over_seeds,
    seeds_of_the_mean,
)
from geneb_jax.results.submission import (
    SUBMISSION_FOLDER,
    UNLIKE_DATA,
    SubmissionMeta,
    build_submission,
    submission_gaps,
    submission_obstacles,
    way_to_submit,
    write_submission,
)
from geneb_jax.results.submission_check import SubmissionVerdict, validate_submission
from geneb_jax.results.submission_reading import (
    METRIC_NAMES,
    ReadSubmission,
    read_submission,
    read_submissions,
)
from geneb_jax.results.suite_record import claim_folder, require_no_suite, require_suite
from geneb_jax.results.unit_keys import UnitKey, unit_digest
from geneb_jax.results.written_submissions import note_submissions, remove_stale_submissions

__all__ = [
    "DECISION_RANGES",
    "FAILED",
    "METRIC_NAMES",
    "METRIC_RANGES",
    "PROTOCOL_PROBE",
    "PROTOCOL_SOLVER",
    "RUN_FILE",
    "SCORES_FILE",
    "SCORE_COLUMNS",
    "SCORE_RANGES",
    "SUBMISSION_FOLDER",
    "UNLIKE_DATA",
    "UNTRAINED",
    "AnswerKey",
    "DamagedRecord",
    "EmbeddingFacts",
    "FolderContents",
    "KeptUnit",
    "ModelFacts",
    "ReadSubmission",
    "Records",
    "RequestFacts",
    "RunRecord",
    "RunScores",
    "RunSettings",
    "ScoreRow",
    "ScoreTable",
    "SubmissionMeta",
    "SubmissionVerdict",
    "SuiteFacts",
    "TaskFacts",
    "UnitKey",
    "UnitPredictions",
    "build_submission",
    "changed_files",
    "claim_folder",
    "csv_text",
    "find_answer_key",
    "find_repeats",
    "installed_versions",
    "keep_answer_key",
    "keep_repeats",
    "listed",
    "mean_over_seeds",
    "means_over_seeds",
    "metric_of",
    "note_submissions",
    "one_at_a_time",
    "other_revision",
    "read_contents",
    "read_run_folder",
    "read_run_record",
    "read_scores",
    "read_submission",
    "read_submissions",
    "redacted",
    "redacted_data",
    "remove_stale_submissions",
    "require_no_suite",
    "require_same_data",
    "require_suite",
    "rows_of_every_seed",
    "safe_folder_name",
    "sd_over_seeds",
    "sds_over_seeds",
    "seeds_of_the_mean",
    "submission_file_name",
    "submission_gaps",
    "submission_obstacles",
    "unit_digest",
    "utc_now",
    "validate_submission",
    "way_to_submit",
    "weights_kind",
    "with_variant",
    "write_run_record",
    "write_scores_csv",
    "write_submission",
]
