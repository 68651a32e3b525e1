"""Ids that become file names: hostile ones are refused, the benchmark's own are not."""

from __future__ import annotations

import re
import string
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.benchmark import (
    MAX_TASK_ID_LENGTH,
    load_suite,
    require_task_id,
    safe_file_name,
    task_id_problem,
)
from geneb_jax.errors import ConfigError

HOSTILE = [
    "", ".", "..", "../x", "..\\x", "a/../b", "a..b", "/etc/passwd", "\\\\server\\share", "C:\\x",
    "C:x", "a/b", "a\\b", "~", "~root", "-rf", "-", ".hidden", "_x", "a b", " a", "a ", "a\n",
    "a\0", "a\tb", "a\r", "con", "CON", "nul.csv", "Aux", "com1", "LPT9.x", "prn", "a.", "a*",
    "a?", "a|b", "a<b", "a>b", 'a"b', "a:b", "a;b", "a'b", "$HOME", "`id`", "%2e%2e", "\u0430",
    "\uff41", "é", "ab\u202e", "x" * (MAX_TASK_ID_LENGTH + 1), "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("task_id", HOSTILE)
@pytest.mark.fault("F33")
def test_hostile_ids_are_refused(task_id: str) -> None:
    with pytest.raises(ConfigError):
        require_task_id(task_id)


def test_the_benchmarks_ids_are_fine() -> None:
    for task in load_suite("geneb").tasks:
        assert require_task_id(task.task_id) == task.task_id


@given(st.text(alphabet=string.printable + "é\0\u2028/\\.", max_size=200))
@pytest.mark.fault("F33")
def test_accepted_ids_stay_inside_their_folder(task_id: str) -> None:
    if task_id_problem(task_id) is not None:
        return
    for flavour in (PurePosixPath, PureWindowsPath):
        path = flavour("folder") / f"{task_id}.csv.gz"
        assert path.parent == flavour("folder")
        assert not path.is_absolute()
    device = task_id.partition(".")[0].upper()
    assert not re.fullmatch("CON|PRN|AUX|NUL|(COM|LPT)[0-9]", device)
    assert len(f".{task_id}.csv.gz.12345678.tmp".encode()) <= 255
    assert task_id == Path(task_id).name


@given(st.text(max_size=60))
def test_model_ids_become_the_benchmarks_file_names(model_id: str) -> None:
    name = safe_file_name(model_id)
    assert re.fullmatch(r"[A-Za-z0-9._-]*", name)
    assert len(name) == len(model_id)
    # An oracle without regular expressions: the rule, character by character.
    allowed = set(string.ascii_letters + string.digits + "._-")
    assert name == "".join(letter if letter in allowed else "_" for letter in model_id)


def test_model_id_examples() -> None:
    assert safe_file_name("InstaDeepAI/nucleotide-transformer-v2-50m") == (
        "InstaDeepAI_nucleotide-transformer-v2-50m"
    )
    assert safe_file_name("../x") == ".._x"
