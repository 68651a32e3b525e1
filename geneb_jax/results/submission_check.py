"""Tell apart what the GENEB benchmark refuses of a submission and what we would rather see.

Errors are the benchmark's own: with one of them its check fails, and without any it passes. That
check looks at the file name, the names and ranges of the scores, and five fields of ``meta``; it
reads past anything else. Warnings are ours: a file with them is accepted, but something in it is
unusual enough that its author should know (names that nobody reads, names that occur twice,
booleans as numbers, another schema or harness version, texts that cannot be shown).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geneb_jax.benchmark.definition import Suite
from geneb_jax.plain_files import NotTheFileError, read_plain
from geneb_jax.results.file_names import submission_file_name
from geneb_jax.strict_json import nesting

__all__ = ["SubmissionVerdict", "check_submission", "read_submission_json", "validate_submission"]

SCHEMA_VERSION = "1.0"

_LARGEST_BYTES = 64 * 2**20
_USUAL_BYTES = 8 * 2**20
_DEEPEST = 100
_USUAL_DEPTH = 8
_LONGEST_TEXT = 10_000  # characters
_LONGEST_FILE_NAME = 255  # bytes, the limit of common file systems
_RANGES = {"MCC": (-1.0, 1.0), "Acc": (0.0, 1.0), "F1": (0.0, 1.0)}
_SLACK = 1e-6  # the benchmark's own allowance at the ends of a range
_PROVENANCE = ("official", "verified", "reproduced", "self-reported")
_TEXTS = ("display", "url", "training_data", "provenance", "submitted_by")
_META = {*_TEXTS, "params", "zero_shot"}
_TOP = {"schema_version", "model_id", "harness_version", "meta", "results"}
_LARGEST_PARAMS = 10**18


@dataclass(slots=True)
class SubmissionVerdict:
    """What is wrong with a submission.

    Attributes:
        errors: What the benchmark refuses; empty for a file that it accepts.
        warnings: What it accepts and we would rather not see.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether the benchmark takes the file."""
        return not self.errors


def validate_submission(
    path: Path, suite: Suite, *, official_ids: Iterable[str] = ()
) -> SubmissionVerdict:
    """Check a submission file.

    Args:
        path: The file; its name is part of what is checked.
        suite: The benchmark it submits to.
        official_ids: Models that may claim the provenance ``official``.
    """
    try:
        content, odd = read_submission_json(path)
    except OSError as error:
        return SubmissionVerdict([f"cannot be read ({error.strerror})"])
    except NotTheFileError as error:
        return SubmissionVerdict([f"cannot be read ({error})"])
    except (ValueError, RecursionError) as error:
        return SubmissionVerdict([str(error)])
    verdict = check_submission(content, path.name, suite, official_ids=official_ids)
    verdict.warnings[:0] = odd
    return verdict


def read_submission_json(path: Path) -> tuple[Any, list[str]]:
    """Parse a file as the benchmark does, and say what is unusual in it as a file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not JSON in UTF-8, or too large or too deep to be looked at.
    """
    raw = read_plain(path, largest_bytes=_LARGEST_BYTES)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error
    odd: list[str] = []
    depth = nesting(text, enough=_DEEPEST)
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST} levels")
    if depth > _USUAL_DEPTH:
        odd.append(f"nested deeper than {_USUAL_DEPTH} levels")
    if len(raw) > _USUAL_BYTES:
        odd.append(f"the file is larger than {_USUAL_BYTES} bytes")

    def last_of_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = next(name for name, count in counts.items() if count > 1)
            odd.append(f"the name {_shown(twice)} occurs twice in one object; the last one counts")
        return content

    try:
        return json.loads(text, object_pairs_hook=last_of_repeats), odd
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON ({error.msg}, line {error.lineno}, column {error.colno})"
        ) from error


def check_submission(
    content: Any, file_name: str, suite: Suite, *, official_ids: Iterable[str] = ()
) -> SubmissionVerdict:
    """Check the parsed content of a submission file of that name."""
    verdict = SubmissionVerdict()
    if not isinstance(content, dict):
        verdict.errors.append("not a JSON object")
        return verdict
    if suite.harness_version is None:
        verdict.errors.append(f"the suite {suite.name} takes no submissions")
    _names(verdict, "the submission", content, _TOP, needed={"model_id", "harness_version"})
    version = content.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        verdict.warnings.append(f"schema_version is {_shown(version)}, not '1.0'")
    if "model_id" in content:
        _model_id(verdict, content["model_id"], file_name)
    if "harness_version" in content and suite.harness_version is not None:
        _harness(verdict, content["harness_version"], suite.harness_version)
    _meta(verdict, content.get("meta"), content.get("model_id"), frozenset(official_ids))
    _results(verdict, content.get("results"), suite)
    return verdict


def _names(
    verdict: SubmissionVerdict,
    where: str,
    content: Mapping[str, Any],
    expected: Iterable[str],
    *,
    needed: Iterable[str] = (),
    unknown_refused: bool = False,
) -> None:
    """Names that are missing (an error if needed) or unknown."""
    expected, needed = set(expected), set(needed)
    missing = expected - set(content)
    found = (
        ("lacks", missing & needed, verdict.errors),
        ("lacks", missing - needed, verdict.warnings),
        (
            "has unknown",
            set(content) - expected,
            verdict.errors if unknown_refused else verdict.warnings,
        ),
    )
    for word, names, said in found:
        if names:
            first = sorted(names)
            more = f" and {len(first) - 3} more" if len(first) > 3 else ""
            said.append(f"{where} {word} {', '.join(map(_shown, first[:3]))}{more}")


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


def _model_id(verdict: SubmissionVerdict, model_id: Any, file_name: str) -> None:
    problem = _text_problem(model_id, empty=False)
    if problem and (not isinstance(model_id, str) or not model_id):
        verdict.errors.append(f"model_id {problem}")
        return
    if problem:
        verdict.warnings.append(f"model_id {problem}")
    expected = submission_file_name(model_id)
    if len(expected) > _LONGEST_FILE_NAME:
        verdict.errors.append(f"model_id has {len(model_id)} characters, too long for a file name")
    elif file_name != expected:
        verdict.errors.append(f"the file must be named {expected}")


def _harness(verdict: SubmissionVerdict, version: Any, expected: str) -> None:
    if not version:
        verdict.errors.append(f"harness_version is {_shown(version)}")
    # The published files spell it in lower case, the runner in upper case.
    elif not isinstance(version, str) or version.lower() != expected.lower():
        verdict.warnings.append(f"harness_version is {_shown(version)}, not {expected!r}")


def _meta(
    verdict: SubmissionVerdict, meta: Any, model_id: Any, official_ids: frozenset[str]
) -> None:
    if not isinstance(meta, dict):
        what = f"meta is {_shown(meta)}, not an object"
        verdict.errors.append("the submission lacks 'meta'" if meta is None else what)
        return
    _names(verdict, "meta", meta, _META, needed={"display", "params"})
    for name in (name for name in _TEXTS if name in meta):
        problem = _text_problem(meta[name], empty=name != "display")
        if problem:
            refused = name == "display" and not meta[name]
            (verdict.errors if refused else verdict.warnings).append(f"meta.{name} {problem}")
    if "params" in meta:
        params = meta["params"]
        if not isinstance(params, int) or params < 0:
            verdict.errors.append(
                f"meta.params is {_shown(params)}, not a whole number of parameters"
            )
        elif isinstance(params, bool):
            verdict.warnings.append(f"meta.params is {_shown(params)}, not a number")
        elif params >= _LARGEST_PARAMS:
            verdict.warnings.append("meta.params is more than any model has")
    if not isinstance(meta.get("zero_shot", False), bool):
        verdict.errors.append(f"meta.zero_shot is {_shown(meta['zero_shot'])}, not true or false")
    provenance = meta.get("provenance", "self-reported")
    if provenance not in _PROVENANCE:
        verdict.errors.append(
            f"meta.provenance is {_shown(provenance)}, not one of {', '.join(_PROVENANCE)}"
        )
    elif provenance == "official" and model_id not in official_ids:
        verdict.errors.append(
            "meta.provenance 'official' is for the benchmark's authors' own models"
        )


def _results(verdict: SubmissionVerdict, results: Any, suite: Suite) -> None:
    if not isinstance(results, dict):
        what = "the submission lacks 'results'" if results is None else "results is not an object"
        verdict.errors.append(what)
        return
    regimes = [regime.name for regime in suite.protocol.regimes]
    tasks = [task.task_id for task in suite.tasks]
    _names(verdict, "results", results, regimes, needed=regimes)
    for regime in (name for name in regimes if name in results):
        scores = results[regime]
        if not isinstance(scores, dict):
            verdict.errors.append(f"results.{regime} is {_shown(scores)}, not an object")
            continue
        _names(verdict, f"results.{regime}", scores, tasks, needed=tasks, unknown_refused=True)
        for task in tasks:
            if task in scores:
                _metrics(verdict, f"results.{regime}.{task}", scores[task])


def _metrics(verdict: SubmissionVerdict, where: str, metrics: Any) -> None:
    if not isinstance(metrics, dict):
        verdict.errors.append(f"{where} is {_shown(metrics)}, not an object")
        return
    _names(verdict, where, metrics, _RANGES, needed=_RANGES)
    for name, (low, high) in _RANGES.items():
        if name not in metrics:
            continue
        value = metrics[name]
        if not isinstance(value, int | float):
            verdict.errors.append(f"{where}.{name} is {_shown(value)}, not a number")
        elif isinstance(value, float) and not math.isfinite(value):
            verdict.errors.append(f"{where}.{name} is {value}, outside [{low:g}, {high:g}]")
        elif not low - _SLACK <= value <= high + _SLACK:
            verdict.errors.append(f"{where}.{name} is {_shown(value)}, outside [{low:g}, {high:g}]")
        elif isinstance(value, bool):
            verdict.warnings.append(f"{where}.{name} is {_shown(value)}, not a number")
