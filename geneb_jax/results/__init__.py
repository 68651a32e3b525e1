"""Records of finished work, and the tables and submissions made of them."""

from __future__ import annotations

from geneb_jax.results.answer_keys import AnswerKey, find_answer_key, keep_answer_key
from geneb_jax.results.file_names import safe_folder_name, submission_file_name
from geneb_jax.results.predictions import UnitPredictions
from geneb_jax.results.records import DamagedRecord, KeptUnit, Records
from geneb_jax.results.redaction import redacted, redacted_data
from geneb_jax.results.run_record import (
    RUN_FILE,
    installed_versions,
    read_run_json,
    utc_now,
    write_run_json,
)
from geneb_jax.results.score_rows import (
    FAILED,
    PROTOCOL_PROBE,
    PROTOCOL_SOLVER,
    SCORE_COLUMNS,
    ScoreRow,
)
from geneb_jax.results.score_tables import SCORES_FILE, csv_text, read_scores, write_scores_csv
from geneb_jax.results.submission import (
    SUBMISSION_FOLDER,
    SubmissionMeta,
    build_submission,
    submission_gaps,
    write_submission,
)
from geneb_jax.results.submission_check import validate_submission
from geneb_jax.results.summary import (
    SUMMARY_COLUMNS,
    SUMMARY_FILE,
    Setting,
    Spread,
    Summary,
    SummaryRow,
    summarise,
    write_summary_csv,
)
from geneb_jax.results.unit_keys import UnitKey, unit_digest

__all__ = [
    "FAILED",
    "PROTOCOL_PROBE",
    "PROTOCOL_SOLVER",
    "RUN_FILE",
    "SCORES_FILE",
    "SCORE_COLUMNS",
    "SUBMISSION_FOLDER",
    "SUMMARY_COLUMNS",
    "SUMMARY_FILE",
    "AnswerKey",
    "DamagedRecord",
    "KeptUnit",
    "Records",
    "ScoreRow",
    "Setting",
    "Spread",
    "SubmissionMeta",
    "Summary",
    "SummaryRow",
    "UnitKey",
    "UnitPredictions",
    "build_submission",
    "csv_text",
    "find_answer_key",
    "installed_versions",
    "keep_answer_key",
    "read_run_json",
    "read_scores",
    "redacted",
    "redacted_data",
    "safe_folder_name",
    "submission_file_name",
    "submission_gaps",
    "summarise",
    "unit_digest",
    "utc_now",
    "validate_submission",
    "write_run_json",
    "write_scores_csv",
    "write_submission",
    "write_summary_csv",
]
