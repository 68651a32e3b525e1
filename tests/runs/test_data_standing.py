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
from geneb_jax.report.boards import boards_of
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


@pytest.mark.fault("F67")
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


@pytest.mark.fault("F67")
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


@pytest.mark.fault("F67")
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


@pytest.mark.fault("F67")
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


def test_a_folder_of_unlike_data_is_compared_with_nothing_published(tmp_path: Path) -> None:
    write_task(tmp_path / "data", IDS[0], 40, 20)
    write_task(tmp_path / "data", IDS[1], 40, OFFICIAL)
    run(tmp_path / "data", tmp_path / "out")
    (found,) = json.loads(call("compare", tmp_path / "out", "MutBERT", "--json").stdout)
    assert found["task_ids"] == [IDS[1]] and found["tasks"] == 1
    (turned,) = json.loads(call("compare", "MutBERT", tmp_path / "out", "--json").stdout)
    assert turned["difference"] == -found["difference"]
    # Among one's own runs the same files compare, whatever they are.
    (own,) = json.loads(call("compare", tmp_path / "out", tmp_path / "out", "--json").stdout)
    assert set(own["task_ids"]) == set(IDS)

    alone = tmp_path / "alone"
    run(tmp_path / "data", alone, "-t", IDS[0])
    with pytest.raises(DataError, match="only tasks scored on data unlike the benchmark's"):
        call("compare", alone, "MutBERT")


def test_a_title_says_that_some_data_are_unlike(tmp_path: Path) -> None:
    write_task(tmp_path / "data", IDS[0], 40, 20)
    write_task(tmp_path / "data", IDS[1], 40, OFFICIAL)
    run(tmp_path / "data", tmp_path / "out")
    runs = [read_run_folder(tmp_path / "out")]
    titles = [board.title for board in boards_of(build_panel(runs, published=False))]
    assert titles and all("some data unlike the benchmark's" in title for title in titles)
    assert not any("some data" in board.title for board in boards_of(build_panel(runs)))


def test_runs_on_different_files_share_no_number(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 7)):
        write_task(tmp_path / name, IDS[0], 40, 20)
        write_task(tmp_path / name, IDS[1], 40, OFFICIAL, seed=seed)
        run(tmp_path / name, tmp_path / f"out-{name}")
    outs = [tmp_path / "out-one", tmp_path / "out-two"]
    result = call("compare", *outs, "--json")
    (found,) = json.loads(result.stdout)
    assert found["task_ids"] == [IDS[0]]  # the same bytes in both
    assert IDS[1] in result.stderr and "different files" in result.stderr
    panel = build_panel([read_run_folder(out) for out in outs])
    place = [task.task_id for task in panel.cube.tasks].index(IDS[1])
    assert np.isnan(panel.cube.mcc[panel.cube.of_user][:, :, place]).all()
    assert any(IDS[1] in sentence for sentence in panel.left_out)
    for name in ("one", "two"):
        run(tmp_path / name, tmp_path / f"only-{name}", "-t", IDS[1])
    only = [tmp_path / "only-one", tmp_path / "only-two"]
    with pytest.raises(DataError, match="different files under every task id"):
        call("report", *only, "--out", tmp_path / "report")
    with pytest.raises(DataError, match="share no task"):
        call("compare", *only)


def test_two_folders_are_paired_by_identity_and_then_by_name(tmp_path: Path) -> None:
    write_task(tmp_path / "data", IDS[1], 40, OFFICIAL)

    def one(out: str, model: str, name: str) -> None:
        result = call("run", "-m", model, "--name", name, "--data-dir", tmp_path / "data",
                      "--out", tmp_path / out, "--store", tmp_path / "store")  # fmt: skip
        assert result.exit_code == 0, result.output

    one("first", "kmer-2", "checkpoint-500")
    one("second", "kmer-3", "checkpoint-500")
    one("second", "kmer-2", "checkpoint-400")
    one("third", "kmer-3", "checkpoint-500")
    one("third", "kmer-1", "other")
    # The same model under two names.
    result = call("compare", tmp_path / "first", tmp_path / "second", "--json")
    (found,) = json.loads(result.stdout)
    assert (found["model_a"], found["model_b"]) == ("checkpoint-500", "checkpoint-400")
    assert found["difference"] == 0.0 and "two different models" not in result.stderr
    assert "in one of the two runs only, so not compared: checkpoint-500" in result.stderr
    # Two models under one name.
    result = call("compare", tmp_path / "first", tmp_path / "third", "--json")
    (found,) = json.loads(result.stdout)
    assert found["model_a"] == "checkpoint-500" and found["difference"] != 0.0
    identities = [
        next(
            row.identity
            for row in read_run_folder(tmp_path / out).scores
            if row.model_id == "checkpoint-500"
        )
        for out in ("first", "third")
    ]
    assert f"two different models (identities {' and '.join(identities)})" in result.stderr
    assert "compared by name" in result.stderr
