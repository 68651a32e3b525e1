"""From the files to the last table: what is said of data, and what stands beside what."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from geneb_jax.analysis import build_panel
from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import command
from geneb_jax.errors import DataError, SelectionError
from geneb_jax.results import read_run_folder
from tests.hub_server import Hub, serve

GENEB = load_suite("geneb")
PIN = GENEB.dataset
IDS = ("leannmlindsey_GUE_human_tf_0", "leannmlindsey_GUE_mouse_2")
#: Rows of the second one's official test set.
OFFICIAL = next(task.test_rows for task in GENEB.tasks if task.task_id == IDS[1])


def rows(seed: int, count: int) -> list[tuple[str, int]]:
    random = np.random.RandomState(seed)
    return [
        ("".join(random.choice(list("ACGT" + "GC" * (2 * (k % 2))), size=30)), k % 2)
        for k in range(count)
    ]


def csv_of(lines: list[tuple[str, int]]) -> bytes:
    return ("text,label\n" + "".join(f"{text},{label}\n" for text, label in lines)).encode()


def write_task(folder: Path, task_id: str, train: int, test: int, seed: int = 0) -> None:
    place = folder / task_id
    place.mkdir(parents=True)
    (place / "train.csv").write_bytes(csv_of(rows(seed, train)))
    (place / "test.csv").write_bytes(csv_of(rows(seed + 1, test)))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], catch_exceptions=False)


def run(folder: Path, out: Path, *more: object) -> dict:
    store = out.parent / "store"
    result = call(
        "run", "-m", "kmer-2", "--data-dir", folder, "--out", out, "--store", store, "--json", *more
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def column(path: Path, name: str) -> dict[str, set[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        found: dict[str, set[str]] = {}
        for row in csv.DictReader(file):
            found.setdefault(row["task_id"], set()).add(row[name])
    return found


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The benchmark's data set at its pinned commit, with two small tasks."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("GENEB_JAX_CACHE", str(tmp_path / "cache"))
    files = {}
    for seed, task_id in enumerate(IDS):
        files[f"tasks/{task_id}/train.csv"] = csv_of(rows(10 + seed, 24))
        files[f"tasks/{task_id}/test.csv"] = csv_of(rows(20 + seed, 12))
    name = f"datasets/{PIN.repository}"
    with serve(Hub({name: files}, commits={name: PIN.revision})) as state:
        yield state


def test_random_strings_under_a_name_of_the_benchmark_are_not_ranked(tmp_path: Path) -> None:
    task = next(task for task in GENEB.tasks if task.task_id == IDS[0])
    write_task(tmp_path / "data", IDS[0], 40, 20)
    write_task(tmp_path / "data", IDS[1], 40, OFFICIAL)
    document = run(tmp_path / "data", tmp_path / "out")
    words = column(tmp_path / "out" / "scores.csv", "data")
    assert words == {IDS[0]: {"unlike"}, IDS[1]: {"size alike"}}
    assert column(tmp_path / "out" / "summary.csv", "data")[IDS[0]] == {"unlike"}
    told = " ".join(document["notes"])
    assert f"{IDS[0]} (20 test rows, not {task.test_rows:,})" in told
    # The ranking beside the published models is over the other task alone.
    (mine,) = [row for row in document["leaderboard"] if row["source"] == "user"]
    assert len(document["leaderboard"]) == 42 and mine["rank"] is not None
    assert mine["tasks_scored"] == {"full": 1, "10shot": 1, "1shot": 1}
    panel = build_panel([read_run_folder(tmp_path / "out")])
    assert [task.task_id for task in panel.common.tasks] == [IDS[1]]
    column_of = [task.task_id for task in panel.cube.tasks].index(IDS[0])
    user = panel.cube.of_user
    assert np.isnan(panel.cube.mcc[user][:, :, column_of]).all()
    assert np.isfinite(panel.unlike.mcc).all()
    # Scored and marked: the report has the score and the word.
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The 1 tasks on data unlike the benchmark" in page or "unlike" in page
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["suite"]["dataset"] is None
    assert {one["verified_as"] for one in record["tasks"].values()} == {""}
    assert record["tasks"][IDS[0]]["test_rows"] == 20


def test_sixty_random_strings_alone_stand_alone(tmp_path: Path) -> None:
    write_task(tmp_path / "data", IDS[0], 40, 20)
    document = run(tmp_path / "data", tmp_path / "out")
    assert [row["source"] for row in document["leaderboard"]] == ["user"]
    assert "no published model is shown" in " ".join(document["notes"])
    assert document["submissions"] == []
    told = json.loads(call("stats", tmp_path / "out", "--json").stdout)
    assert told["published"] is False and len(told["leaderboard"]) == 1
    assert {one["data"] for one in told["own_scores"]} == {"unlike"}
    with pytest.raises(SelectionError, match="no scores of a model 'MutBERT'"):
        call("compare", "kmer-2", "MutBERT", "--run", tmp_path / "out")


def test_fetched_files_are_verified_until_one_byte_is_edited(hub: Hub, tmp_path: Path) -> None:
    data = tmp_path / "data"
    chosen = [word for task_id in IDS for word in ("-t", task_id)]
    fetched = call("data", "fetch", "--data-dir", data, "--endpoint", hub.url, *chosen)
    assert fetched.exit_code == 0, fetched.output
    checked = json.loads(call("data", "check", data, "--json").stdout)["tasks"]
    assert [one["data"] for one in checked] == ["verified", "verified"]
    run(data, tmp_path / "out")
    assert column(tmp_path / "out" / "scores.csv", "data") == {name: {"verified"} for name in IDS}
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["suite"]["dataset"]["revision"] == PIN.revision
    said = f"{PIN.repository}@{PIN.revision} from {hub.url}"
    assert {one["verified_as"] for one in record["tasks"].values()} == {said}

    place = data / "tasks" / IDS[0] / "test.csv"
    content = bytearray(place.read_bytes())
    content[-2] ^= 1  # a label
    place.write_bytes(content)
    run(data, tmp_path / "out")
    words = column(tmp_path / "out" / "scores.csv", "data")
    assert words == {IDS[0]: {"unlike"}, IDS[1]: {"verified"}}
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["suite"]["dataset"] is None


def test_a_table_alone_cannot_say_verified(tmp_path: Path) -> None:
    write_task(tmp_path / "data", IDS[0], 40, 20)
    run(tmp_path / "data", tmp_path / "out")
    text = (tmp_path / "out" / "scores.csv").read_text(encoding="utf-8")
    copied = tmp_path / "copied"
    copied.mkdir()
    (copied / "scores.csv").write_text(text.replace(",unlike\n", ",verified\n"), encoding="utf-8")
    assert {row.data for row in read_run_folder(copied).scores} == {"unlike"}


def test_files_of_ones_own_lead_to_a_suite_not_to_a_name(tmp_path: Path) -> None:
    write_task(tmp_path / "data", "my_promoters", 40, 20)
    for arguments in (
        ("run", "-m", "kmer-2", "--data-dir", tmp_path / "data", "--out", tmp_path / "out"),
        ("data", "check", tmp_path / "data", "-t", "category:Promoters"),
    ):
        with pytest.raises(DataError) as caught:
            call(*arguments)
        told = caught.value.message
        assert "suite.toml" in told and "--suite FOLDER" in told and "rename" not in told


@pytest.mark.parametrize("verb", ["report", "stats", "compare"])
def test_a_cut_run_json_is_said_and_done_without(tmp_path: Path, verb: str) -> None:
    write_task(tmp_path / "data", IDS[1], 40, OFFICIAL)
    run(tmp_path / "data", tmp_path / "out", "-m", "kmer-1")
    path = tmp_path / "out" / "run.json"
    path.write_text(path.read_text(encoding="utf-8")[:200], encoding="utf-8")
    arguments = {
        "report": ["report", tmp_path / "out"],
        "stats": ["stats", tmp_path / "out", "--json"],
        "compare": ["compare", "kmer-2", "kmer-1", "--run", tmp_path / "out"],
    }[verb]
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert "run.json: not used" in result.output and "read from the records" in result.output
