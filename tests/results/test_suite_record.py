"""An output folder belongs to one suite, and a change of it is met before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from geneb_jax.benchmark import Suite, Task
from geneb_jax.errors import ConfigError
from geneb_jax.results import claim_folder
from geneb_jax.results.suite_record import read_suite_record, suite_record, suite_record_path


def test_the_first_suite_takes_the_folder_and_keeps_it(tmp_path: Path, small_suite: Suite) -> None:
    assert read_suite_record(tmp_path) is None
    assert claim_folder(tmp_path, small_suite) == ()
    before = suite_record_path(tmp_path).read_bytes()
    assert claim_folder(tmp_path, small_suite) == ()
    assert suite_record_path(tmp_path).read_bytes() == before
    assert read_suite_record(tmp_path) == suite_record(small_suite)


def test_another_suite_is_refused_even_with_update(
    tmp_path: Path, small_suite: Suite, geneb: Suite
) -> None:
    claim_folder(tmp_path, small_suite)
    for update in (False, True):
        with pytest.raises(ConfigError, match=r"'small'.*'geneb'.*--out"):
            claim_folder(tmp_path, geneb, update=update)
    assert read_suite_record(tmp_path) == suite_record(small_suite)


def _changed(suite: Suite, change: str) -> Suite:
    first, *others = suite.tasks
    if change == "renamed":
        return replace(suite, tasks=(replace(first, category="New"), *others))
    if change == "removed":
        return replace(suite, tasks=tuple(others))
    if change == "added":
        return replace(suite, tasks=(*suite.tasks, Task("task-z", "z", "Two")))
    if change == "order":
        return replace(suite, tasks=tuple(reversed(suite.tasks)))
    if change == "C":
        return replace(suite, protocol=replace(suite.protocol, C=2.0))
    return replace(suite, simulated=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("renamed", "task task-a is in the category 'New', was in 'One'"),
        ("removed", "task task-a removed"),
        ("added", "task task-z added"),
        ("order", "another order"),
        ("C", r"C of the protocol is 2.0, was 1.0"),
        ("simulated", "simulated"),
    ],
)
def test_a_changed_suite_is_said_and_can_be_taken_over(
    tmp_path: Path, small_suite: Suite, change: str, said: str
) -> None:
    claim_folder(tmp_path, small_suite)
    changed = _changed(small_suite, change)
    with pytest.raises(ConfigError, match=said) as caught:
        claim_folder(tmp_path, changed)
    assert "--update-suite" in caught.value.message
    (told,) = claim_folder(tmp_path, changed, update=True)
    assert said.split(".")[0] in told
    assert claim_folder(tmp_path, changed) == ()


@pytest.mark.fault("F65")
def test_f65_an_edited_record_is_not_believed(tmp_path: Path, small_suite: Suite) -> None:
    claim_folder(tmp_path, small_suite)
    path = suite_record_path(tmp_path)
    path.write_text(path.read_text("utf-8").replace('"One"', '"Two"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="checksum"):
        claim_folder(tmp_path, small_suite)


def test_a_table_without_records_is_not_replaced(tmp_path: Path, small_suite: Suite) -> None:
    (tmp_path / "scores.csv").write_text("of the user's own arrays\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"scores\.csv without the records"):
        claim_folder(tmp_path, small_suite)
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").startswith("of the user")
