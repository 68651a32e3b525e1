"""Task files -> task tables, few-shot draws, distinct sequences. No JAX here."""

from __future__ import annotations

from geneb_jax.data.checks import FolderCheck, TaskCheck, check_folder
from geneb_jax.data.csv_columns import MAX_FILE_BYTES, MAX_SEQUENCE_BP
from geneb_jax.data.distinct import (
    DIGEST_BYTES,
    SequenceTable,
    distinct_sequences,
    sequence_digest,
)
from geneb_jax.data.fetched_files import PinnedFiles, fetched_data_folder, pinned_files
from geneb_jax.data.few_shot import few_shot_rows
from geneb_jax.data.found_leaks import kept_leaks
from geneb_jax.data.found_row import first_row_with
from geneb_jax.data.hub import FetchReport, fetch_suite
from geneb_jax.data.layouts.changed_sources import changed_since_import
from geneb_jax.data.leaks import LeakKind, TaskLeaks, find_leaks, leaks_across
from geneb_jax.data.named_sequences import SequenceList, list_sequences
from geneb_jax.data.notes import NOTES, SMALL_CLASS_ROWS
from geneb_jax.data.own_files import OwnFiles, look_at
from geneb_jax.data.sequence_files import COLUMN_ROLES, NamedSequence, read_sequences
from geneb_jax.data.sources import (
    FoundTasks,
    TaskFiles,
    TaskSource,
    find_task_files,
    task_fingerprint,
)
from geneb_jax.data.statistics import (
    LengthQuantiles,
    SuiteStats,
    TaskStats,
    suite_stats,
    task_stats,
)
from geneb_jax.data.tables import SPLITS, TaskTable, read_task, table_digest

__all__ = [
    "COLUMN_ROLES",
    "DIGEST_BYTES",
    "MAX_FILE_BYTES",
    "MAX_SEQUENCE_BP",
    "NOTES",
    "SMALL_CLASS_ROWS",
    "SPLITS",
    "FetchReport",
    "FolderCheck",
    "FoundTasks",
    "LeakKind",
    "LengthQuantiles",
    "NamedSequence",
    "OwnFiles",
    "PinnedFiles",
    "SequenceList",
    "SequenceTable",
    "SuiteStats",
    "TaskCheck",
    "TaskFiles",
    "TaskLeaks",
    "TaskSource",
    "TaskStats",
    "TaskTable",
    "changed_since_import",
    "check_folder",
    "distinct_sequences",
    "fetch_suite",
    "fetched_data_folder",
    "few_shot_rows",
    "find_leaks",
    "find_task_files",
    "first_row_with",
    "kept_leaks",
    "leaks_across",
    "list_sequences",
    "look_at",
    "pinned_files",
    "read_sequences",
    "read_task",
    "sequence_digest",
    "suite_stats",
    "table_digest",
    "task_fingerprint",
    "task_stats",
]
