"""Every target of the fuzzer, by name."""

from __future__ import annotations

from tests.fuzz import data_files, model_files, result_files
from tests.fuzz.target import Target

__all__ = ["TARGETS"]

TARGETS: dict[str, Target] = data_files.TARGETS | result_files.TARGETS | model_files.TARGETS
