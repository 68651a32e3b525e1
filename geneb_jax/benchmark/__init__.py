"""The benchmark's definition: tasks, categories, regimes, protocol, suites. No JAX here."""

from __future__ import annotations

from geneb_jax.benchmark.data_standing import (
    DataStanding,
    data_standing,
    official_test_rows,
    pin_name,
)
from geneb_jax.benchmark.definition import DatasetPin, Protocol, Regime, Suite, Task
from geneb_jax.benchmark.identifiers import (
    MAX_TASK_ID_LENGTH,
    require_task_id,
    safe_file_name,
    task_id_problem,
)
from geneb_jax.benchmark.selection import near_matches, select_regimes, select_tasks
from geneb_jax.benchmark.suites import SUITE_FILE, builtin_suites, load_suite

__all__ = [
    "MAX_TASK_ID_LENGTH",
    "SUITE_FILE",
    "DataStanding",
    "DatasetPin",
    "Protocol",
    "Regime",
    "Suite",
    "Task",
    "builtin_suites",
    "data_standing",
    "load_suite",
    "near_matches",
    "official_test_rows",
    "pin_name",
    "require_task_id",
    "safe_file_name",
    "select_regimes",
    "select_tasks",
    "task_id_problem",
]
