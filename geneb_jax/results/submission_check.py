"""Refuse whatever the GENEB benchmark would refuse of a submission, and more.

Accepted: the schema-1.0 files of the benchmark's own runner and its 40 published submissions.
Refused beyond the benchmark's own check: booleans as numbers, repeated names, NaN and infinities in
any spelling, missing or unknown names at any level, another harness version, texts with control
characters, files that are not UTF-8, too large or nested too deep.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from geneb_jax.benchmark.definition import Suite
from geneb_jax.results.file_names import submission_file_name
from geneb_jax.strict_json import read_json

__all__ = ["submission_problems", "validate_submission"]

SCHEMA_VERSION = "1.0"

_LARGEST_BYTES = 8 * 2**20
_DEEPEST = 8
_LONGEST_TEXT = 10_000  # characters
_LONGEST_FILE_NAME = 255  # bytes, the limit of common file systems
_RANGES = {"MCC": (-1.0, 1.0), "Acc": (0.0, 1.0), "F1": (0.0, 1.0)}
_SLACK = 1e-6  # the benchmark's own allowance at the ends of a range
_PROVENANCE = ("official", "verified", "reproduced", "self-reported")
_TEXTS = ("display", "url", "training_data", "provenance", "submitted_by")
_META = {*_TEXTS, "params", "zero_shot"}
_TOP = {"schema_version", "model_id", "harness_version", "meta", "results"}


def validate_submission(path: Path, suite: Suite, *, official_ids: Iterable[str] = ()) -> list[str]:
    """List what is wrong with a submission file; an empty list means that it is accepted.

    Args:
        path: The file; its name is part of what is checked.
        suite: The benchmark it submits to.
        official_ids: Models that may claim the provenance ``official``.
    """
    try:
        content = read_json(path, largest_bytes=_LARGEST_BYTES, deepest=_DEEPEST)
    except OSError as error:
        return [f"cannot be read ({error.strerror})"]
    except (ValueError, RecursionError) as error:
        return [str(error)]
    return submission_problems(content, path.name, suite, official_ids=official_ids)


def submission_problems(
    content: Any, file_name: str, suite: Suite, *, official_ids: Iterable[str] = ()
) -> list[str]:
    """List what is wrong with the parsed content of a submission file of that name."""
    if not isinstance(content, dict):
        return ["not a JSON object"]
    problems = _names("the submission", content, _TOP)
    if "schema_version" in content and content["schema_version"] != SCHEMA_VERSION:
        problems.append(f"schema_version is {_shown(content['schema_version'])}, not '1.0'")
    if "model_id" in content:
        problems += _model_id(content["model_id"], file_name)
    if suite.harness_version is None:
        problems.append(f"the suite {suite.name} takes no submissions")
    elif "harness_version" in content:
        problems += _harness(content["harness_version"], suite.harness_version)
    if "meta" in content:
        problems += _meta(content["meta"], content.get("model_id"), frozenset(official_ids))
    if "results" in content:
        problems += _results(content["results"], suite)
    return problems


def _names(where: str, content: Mapping[str, Any], expected: Iterable[str]) -> list[str]:
    expected = set(expected)
    missing, unknown = sorted(expected - set(content)), sorted(set(content) - expected)
    problems = []
    for word, names in (("lacks", missing), ("has unknown", unknown)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            problems.append(f"{where} {word} {', '.join(map(_shown, names[:3]))}{more}")
    return problems


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _text_problem(value: Any, *, empty: bool) -> str | None:
    if not isinstance(value, str):
        return f"is {_shown(value)}, not a text"
    if not empty and not value.strip():
        return "is empty"
    if len(value) > _LONGEST_TEXT:
        return f"has {len(value)} characters"
    if not all(letter.isprintable() or letter in "\n\t" for letter in value):
        return "has control characters or others that cannot be shown"
    return None


def _model_id(model_id: Any, file_name: str) -> list[str]:
    problem = _text_problem(model_id, empty=False)
    if problem:
        return [f"model_id {problem}"]
    expected = submission_file_name(model_id)
    if len(expected) > _LONGEST_FILE_NAME:
        return [f"model_id has {len(model_id)} characters, too long for a file name"]
    if file_name != expected:
        return [f"the file must be named {expected}"]
    return []


def _harness(version: Any, expected: str) -> list[str]:
    # The published files spell it in lower case, the runner in upper case.
    if not isinstance(version, str) or version.lower() != expected.lower():
        return [f"harness_version is {_shown(version)}, not {expected!r}"]
    return []


def _meta(meta: Any, model_id: Any, official_ids: frozenset[str]) -> list[str]:
    if not isinstance(meta, dict):
        return [f"meta is {_shown(meta)}, not an object"]
    problems = _names("meta", meta, _META)
    for name in _TEXTS:
        if name in meta:
            problem = _text_problem(meta[name], empty=name != "display")
            if problem:
                problems.append(f"meta.{name} {problem}")
    if "params" in meta:
        params = meta["params"]
        if isinstance(params, bool) or not isinstance(params, int) or params < 0:
            problems.append(f"meta.params is {_shown(params)}, not a whole number of parameters")
    if "zero_shot" in meta and not isinstance(meta["zero_shot"], bool):
        problems.append(f"meta.zero_shot is {_shown(meta['zero_shot'])}, not true or false")
    provenance = meta.get("provenance")
    if isinstance(provenance, str) and provenance not in _PROVENANCE:
        problems.append(f"meta.provenance is {_shown(provenance)}, not one of {_PROVENANCE}")
    if provenance == "official" and model_id not in official_ids:
        problems.append("meta.provenance 'official' is for the benchmark's authors' own models")
    return problems


def _results(results: Any, suite: Suite) -> list[str]:
    if not isinstance(results, dict):
        return [f"results is {_shown(results)}, not an object"]
    regimes = [regime.name for regime in suite.protocol.regimes]
    tasks = [task.task_id for task in suite.tasks]
    problems = _names("results", results, regimes)
    for regime in regimes:
        if regime not in results:
            continue
        scores = results[regime]
        if not isinstance(scores, dict):
            problems.append(f"results.{regime} is {_shown(scores)}, not an object")
            continue
        problems += _names(f"results.{regime}", scores, tasks)
        for task in tasks:
            if task in scores:
                problems += _metrics(f"results.{regime}.{task}", scores[task])
    return problems


def _metrics(where: str, metrics: Any) -> list[str]:
    if not isinstance(metrics, dict):
        return [f"{where} is {_shown(metrics)}, not an object"]
    problems = _names(where, metrics, _RANGES)
    for name, (low, high) in _RANGES.items():
        if name not in metrics:
            continue
        value = metrics[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            problems.append(f"{where}.{name} is {_shown(value)}, not a number")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{where}.{name} is {value}")
        elif not low - _SLACK <= value <= high + _SLACK:
            problems.append(f"{where}.{name} is {_shown(value)}, outside [{low:g}, {high:g}]")
    return problems
