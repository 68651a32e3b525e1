"""How near data are to the benchmark's: by digest, by size, or not."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from geneb_jax.benchmark import (
    DatasetPin,
    DataStanding,
    data_standing,
    load_suite,
    official_test_rows,
    pin_name,
)
from geneb_jax.data import check_folder
from geneb_jax.errors import ConfigError

GENEB = load_suite("geneb")


def standing(task_id: str, rows: int | None, verified_as: str = "") -> DataStanding:
    (task,) = [task for task in GENEB.tasks if task.task_id == task_id]
    return data_standing(GENEB, task, test_rows=rows, verified_as=verified_as)


def test_every_task_of_the_benchmark_has_an_official_size() -> None:
    assert all((official_test_rows(GENEB, task) or 0) > 100 for task in GENEB.tasks)


def test_the_four_words() -> None:
    task = GENEB.tasks[0]
    pin = pin_name(GENEB.dataset)
    assert standing(task.task_id, task.test_rows) == "size alike"
    assert standing(task.task_id, 60) == "unlike"
    assert standing(task.task_id, None) == ""
    # A digest says more than a size; another revision's digest says nothing.
    assert standing(task.task_id, 60, pin) == "verified"
    assert standing(task.task_id, 60, f"{pin} from http://127.0.0.1:1") == "verified"
    assert standing(task.task_id, 60, pin[:-1] + "0") == "unlike"


def test_a_suite_of_ones_own_claims_nothing() -> None:
    own = replace(GENEB, name="own", dataset=None)
    assert data_standing(own, own.tasks[0], test_rows=60) == ""
    other = replace(GENEB, name="other", dataset=DatasetPin("me/data", "a" * 40))
    bare = replace(other.tasks[0], test_rows=None)
    assert data_standing(other, bare, test_rows=60) == ""
    assert data_standing(other, replace(bare, test_rows=60), test_rows=60) == "size alike"


def test_whoever_pins_the_benchmarks_data_has_its_sizes() -> None:
    """A suite file cannot state sizes of its own beside the benchmark's pin."""
    mine = replace(GENEB, name="mine", tasks=(replace(GENEB.tasks[0], test_rows=60),))
    assert data_standing(mine, mine.tasks[0], test_rows=60) == "unlike"


def test_a_size_in_a_suite_file_is_a_whole_number(tmp_path: Path) -> None:
    text = 'name = "t"\ntitle = "T"\ntasks = [{ id = "a", category = "c", test_rows = %s }]\n'
    (tmp_path / "suite.toml").write_text(text % 7, encoding="utf-8")
    assert load_suite(tmp_path).tasks[0].test_rows == 7
    for bad in ("0", "1.5", '"7"'):
        (tmp_path / "suite.toml").write_text(text % bad, encoding="utf-8")
        with pytest.raises(ConfigError, match="test_rows"):
            load_suite(tmp_path)


def real_folder() -> Path:
    folder = Path(os.environ.get("GENEB_JAX_TASKS", ""))
    if not (folder.parent / "MANIFEST.csv").is_file():
        pytest.skip("real task files are not at hand")
    return folder


def test_of_the_33_real_files_at_hand_25_are_size_alike_and_8_unlike() -> None:
    with (real_folder().parent / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["exactness"] != "toy"]
    sizes = {row["task_id"]: int(row["n_test"]) for row in rows}
    found = Counter(standing(task_id, rows).value for task_id, rows in sizes.items())
    assert found == {"size alike": 25, "unlike": 8}


@pytest.mark.sweep
def test_the_files_themselves_are_called_what_their_sizes_say() -> None:
    folder = real_folder()
    with (folder.parent / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        sizes = {row["task_id"]: int(row["n_test"]) for row in csv.DictReader(file)}
    checked = check_folder(GENEB, folder).checks
    assert len(checked) >= 33
    for one in checked:
        assert one.standing == standing(one.task_id, sizes[one.task_id])
