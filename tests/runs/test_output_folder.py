"""Tables come from checksummed records; a folder belongs to a suite; nothing leaves unsaid."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import geneb_jax_probes
from geneb_jax.analysis import build_panel
from geneb_jax.benchmark import load_suite
from geneb_jax.errors import ConfigError, DataError, GenebError
from geneb_jax.results import one_at_a_time, read_contents, read_run_folder, read_scores
from geneb_jax.runs import run
from geneb_jax.runs.execute import execute
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import request_from_mapping
from geneb_jax_probes import CODE_VERSION


class Notes(RunObserver):
    """Keeps every sentence."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def places(suite_folder: Path, tmp_path: Path) -> dict[str, Path]:
    return {"suite": suite_folder, "out": tmp_path / "out", "store": tmp_path / "store"}


def _written(out: Path) -> dict[str, bytes]:
    """What a later run could be misled by: tables byte for byte, run.json but for the moment."""
    found = {name: (out / name).read_bytes() for name in ("scores.csv", "summary.csv")}
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    for name in ("written_utc", "seconds", "request"):  # request: of the last run into it
        record.pop(name)
    for facts in record["models"].values():
        for name in ("embedding", "probing_seconds", "units_reused"):
            facts.pop(name)
    return found | {"run.json": json.dumps(record, sort_keys=True).encode()}


@pytest.mark.fault("F65")
def test_f65_edited_tables_never_change_what_a_later_run_writes(places: dict[str, Path]) -> None:
    run("kmer-1", **places)
    run("kmer-2", **places)
    expected = _written(places["out"])
    random = np.random.RandomState(0)
    for name in ("scores.csv", "summary.csv", "run.json"):
        path = places["out"] / name
        whole = path.read_bytes()
        for _ in range(2):
            content = bytearray(whole)
            digits = [at for at, byte in enumerate(content) if chr(byte).isdigit()]
            content[random.choice(digits)] = ord("0") + random.randint(10)
            path.write_bytes(bytes(content))
            run("kmer-2", **places)
            assert _written(places["out"]) == expected
        path.unlink()
        run("kmer-1", **places)
        assert _written(places["out"]) == expected


@pytest.mark.fault("F65")
def test_f65_an_edited_record_is_computed_again(places: dict[str, Path]) -> None:
    run("kmer-1", **places)
    expected = _written(places["out"])
    units = sorted((places["out"] / "records").glob("kmer-1-*/*/full-*.json"))
    for path in units:
        before = path.read_text("utf-8")
        edited = re.sub(r'"mcc": (-?)\d', r'"mcc": \g<1>7', before)
        assert edited != before
        path.write_text(edited, encoding="utf-8")
    notes = Notes()
    outcome = run("kmer-1", observer=notes, **places)
    assert outcome.complete
    for path in units:
        assert any(str(path) in text and "not believed" in text for text in notes.said)
    assert _written(places["out"]) == expected


@pytest.mark.fault("F63")
def test_f63_a_task_file_that_changes_while_it_is_read_fails_and_leaves_no_row(
    places: dict[str, Path], suite_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geneb_jax.runs import task_choice

    honest = task_choice.task_fingerprint
    path = suite_folder / "one.csv"
    first = path.read_text(encoding="utf-8")

    def then_someone_writes(task, source):
        found = honest(task, source)
        if task.task_id == "one":
            path.write_text(first.replace(",0,train", ",1,train", 5), encoding="utf-8")
        return found

    monkeypatch.setattr(task_choice, "task_fingerprint", then_someone_writes)
    outcome = run("kmer-1", **places)
    assert "were changed while the run was reading them" in outcome.problems["one"]
    assert all(row.failed for row in outcome.rows if row.task_id == "one")
    monkeypatch.undo()
    again = run("kmer-1", **places)
    assert again.complete
    alone = run("kmer-1", **(places | {"out": places["out"].parent / "other"}))
    assert again.rows == alone.rows


def test_another_suite_is_met_before_any_work(places: dict[str, Path]) -> None:
    run("kmer-1", **places)
    with pytest.raises(ConfigError, match=r"'toy'.*'demo'"):
        run("kmer-1", suite="demo", out=places["out"], store=places["out"].parent / "unused")
    assert not (places["out"].parent / "unused").exists()


def test_a_renamed_category_is_taken_over_with_every_score(
    places: dict[str, Path], suite_folder: Path
) -> None:
    before = run("kmer-1", **places)
    toml = suite_folder / "suite.toml"
    toml.write_text(toml.read_text("utf-8").replace('"Right"', '"Starboard"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="--update-suite"):
        run("kmer-1", **places)
    after = run("kmer-1", update_suite=True, **places)
    assert after.run.models["kmer-1"].units_reused == 9
    assert {row.category for row in after.rows if row.task_id == "three"} == {"Starboard"}
    assert [row.mcc for row in after.rows] == [row.mcc for row in before.rows]


def test_a_removed_task_leaves_with_a_line_that_says_so(
    places: dict[str, Path], suite_folder: Path
) -> None:
    run("kmer-1", **places)
    toml = suite_folder / "suite.toml"
    toml.write_text(
        toml.read_text("utf-8").replace('  { id = "two", category = "Left" },\n', ""),
        encoding="utf-8",
    )
    notes = Notes()
    outcome = run("kmer-1", update_suite=True, observer=notes, **places)
    assert {row.task_id for row in outcome.rows} == {"one", "three"}
    (sentence,) = outcome.left_out
    assert "kmer-1" in sentence and "two" in sentence and "no such task" in sentence
    assert sentence in notes.said
    assert any("task two removed" in text for text in notes.said)


@pytest.mark.fault("F43")
def test_rows_on_other_files_leave_with_a_line_that_says_so(
    places: dict[str, Path], suite_folder: Path
) -> None:
    run("kmer-1", **places)
    path = suite_folder / "one.csv"
    path.write_text(path.read_text("utf-8").replace("\nA", "\nC", 1), encoding="utf-8")
    outcome = run("kmer-2", **places)
    assert {row.task_id for row in outcome.rows if row.model_id == "kmer-1"} == {"two", "three"}
    (sentence,) = outcome.left_out
    assert "kmer-1 on one" in sentence and "run the model again" in sentence
    assert run("kmer-1", **places).left_out == ()
    assert len(read_scores(places["out"])) == 2 * 9 * 5


def test_rows_of_another_c_or_seed_do_not_leave_behind_those_made_anew(
    places: dict[str, Path], suite_folder: Path
) -> None:
    run("kmer-1", C=[1.0, 10.0], regimes=["full"], **places)
    path = suite_folder / "one.csv"
    path.write_text(path.read_text("utf-8").replace("\nA", "\nC", 1), encoding="utf-8")
    outcome = run("kmer-1", regimes=["full"], **places)
    assert {row.C for row in outcome.rows if row.task_id == "one"} == {1.0}
    (sentence,) = outcome.left_out
    assert "kmer-1 on one" in sentence and "run the model again" in sentence
    assert run("kmer-1", C=[1.0, 10.0], regimes=["full"], **places).left_out == ()


def test_a_control_without_its_facts_is_still_called_untrained(places: dict[str, Path]) -> None:
    options = {"weights": "random", "regimes": ["full"], "tasks": ["one"]}
    out = run("tiny-nt-v2", **options, **places).out
    (facts,) = out.glob("records/*/model.json")
    facts.unlink()
    assert {row.model_id for row in read_run_folder(out, places["suite"]).scores} == {
        "tiny-nt-v2 (untrained)"
    }


def test_whoever_reads_a_folder_is_told_what_no_table_shows(places: dict[str, Path]) -> None:
    out = run(["kmer-1", "kmer-2"], regimes=["full"], **places).out
    assert build_panel([read_run_folder(out, places["suite"])]).notices == ()
    (unit,) = out.glob("records/kmer-1-*/one/*.json")
    unit.write_text(unit.read_text("utf-8").replace('"n_test": 40', '"n_test": 41'), "utf-8")
    (out / "records/tasks/two.json").unlink()
    notices = build_panel([read_run_folder(out, places["suite"])]).notices
    assert any(str(unit) in text and "not believed" in text for text in notices)
    assert any("kmer-2 on two" in text for text in notices)


def test_a_task_that_failed_is_in_the_table_of_every_later_run(
    places: dict[str, Path], suite_folder: Path
) -> None:
    good = (suite_folder / "two.csv").read_text("utf-8")
    (suite_folder / "two.csv").write_text(good + "ACGT,x,test\n", encoding="utf-8")
    first = run("kmer-1", **places)
    later = run("kmer-2", tasks=["one"], **places)
    failed = [row for row in later.rows if row.model_id == "kmer-1" and row.task_id == "two"]
    assert failed == [row for row in first.rows if row.task_id == "two"]
    assert "two.csv:102" in failed[0].error
    (suite_folder / "two.csv").write_text(good, encoding="utf-8")
    assert run("kmer-1", **places).complete


def test_a_folder_tells_its_own_suite(places: dict[str, Path], suite_folder: Path) -> None:
    toml = suite_folder / "suite.toml"
    text = toml.read_text("utf-8")
    toml.write_text(
        text.replace('category = "Right"', 'category = "Right", label = "III"'), "utf-8"
    )
    outcome = run("kmer-1", regimes=["full"], **places)
    read = read_run_folder(outcome.out)
    assert tuple(read.scores) == outcome.rows
    assert read.suite == replace(load_suite(suite_folder), folder=None)
    assert [task.label for task in read.suite.tasks] == ["one", "two", "III"]


def test_a_suite_that_changed_since_is_not_put_over_the_scores(
    places: dict[str, Path], suite_folder: Path
) -> None:
    outcome = run("kmer-1", regimes=["full"], **places)
    toml = suite_folder / "suite.toml"
    toml.write_text(toml.read_text("utf-8").replace('"Right"', '"Starboard"'), encoding="utf-8")
    with pytest.raises(DataError, match=r"'Starboard', was in 'Right'.*--update-suite"):
        read_run_folder(outcome.out, suite_folder)
    assert tuple(read_run_folder(outcome.out).scores) == outcome.rows


def test_without_the_record_of_its_suite_a_folder_is_still_read_from_records(
    places: dict[str, Path], suite_folder: Path
) -> None:
    outcome = run("kmer-1", regimes=["full"], **places)
    (outcome.out / "records/suite.json").unlink()
    table = outcome.out / "scores.csv"
    table.write_text(table.read_text("utf-8").replace(",0.", ",1."), encoding="utf-8")
    with pytest.raises(DataError, match=r"'toy'.*--suite"):
        read_run_folder(outcome.out)
    assert tuple(read_run_folder(outcome.out, suite_folder).scores) == outcome.rows
    again = run("kmer-1", regimes=["full"], **places)
    assert again.rows == outcome.rows
    assert again.run.models["kmer-1"].units_reused == 3
    (outcome.out / "records/suite.json").unlink()
    toml = suite_folder / "suite.toml"
    toml.write_text(toml.read_text("utf-8").replace('"Right"', '"Starboard"'), encoding="utf-8")
    with pytest.raises(DataError, match="no longer what it was"):
        read_run_folder(outcome.out, suite_folder)


@pytest.mark.parametrize("stored_only", [True, False])
def test_what_is_refused_leaves_no_folder(
    places: dict[str, Path], tmp_path: Path, stored_only: bool
) -> None:
    values = {"model": ["kmer-1"], "suite": str(places["suite"]), "out": str(tmp_path / "new")}
    blocked = tmp_path / "file"
    blocked.write_text("no folder", encoding="utf-8")
    store = tmp_path / "empty" if stored_only else blocked
    request = request_from_mapping(values | {"store": str(store)})
    with pytest.raises(GenebError):
        execute(request, stored_only=stored_only)
    assert not (tmp_path / "new").exists()


def test_a_file_that_is_missing_for_a_while_takes_no_ones_rows_away(
    places: dict[str, Path], suite_folder: Path
) -> None:
    asked = {"regimes": ["full"], "tasks": ["one", "two", "three"], **places}
    before = run("kmer-1", **asked)
    (suite_folder / "two.csv").rename(suite_folder / "away")
    during = run("kmer-2", **asked)
    assert not during.complete
    assert {row.task_id for row in during.rows if row.model_id == "kmer-1"} == {
        "one",
        "two",
        "three",
    }
    assert [row for row in during.rows if row.model_id == "kmer-1"] == list(before.rows)
    (suite_folder / "away").rename(suite_folder / "two.csv")
    assert run("kmer-2", **asked).complete


def test_a_run_is_complete_whatever_failed_for_another_model(
    places: dict[str, Path], suite_folder: Path
) -> None:
    asked = {"regimes": ["full"], "tasks": ["one", "two", "three"], **places}
    (suite_folder / "two.csv").rename(suite_folder / "away")
    assert not run("kmer-1", **asked).complete
    (suite_folder / "away").rename(suite_folder / "two.csv")
    outcome = run("kmer-2", **asked)
    assert outcome.complete
    assert any(row.failed and row.model_id == "kmer-1" for row in outcome.rows)


def test_rows_of_older_code_are_said(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = run("kmer-1", regimes=["full"], **places).out
    suite = load_suite(places["suite"])
    assert read_contents(out, suite, code=CODE_VERSION).left_out == ()
    (sentence,) = read_contents(out, suite, code="probes-99").left_out
    assert "kmer-1 on one, three, two" in sentence and CODE_VERSION in sentence
    monkeypatch.setattr(geneb_jax_probes, "CODE_VERSION", "probes-99")
    again = run("kmer-1", regimes=["full"], tasks=["one"], **places)
    (sentence,) = again.left_out
    assert "kmer-1 on three, two" in sentence


def test_a_name_and_a_cost_stay_with_the_model(places: dict[str, Path]) -> None:
    first = run("kmer-1", regimes=["full"], name="mine", **places)
    again = run("kmer-1", **places)
    assert {row.model_id for row in again.rows} == {"mine"}
    cost = first.run.models["mine"].embedding
    assert cost is not None and cost.embedded
    assert again.run.models["mine"].embedding == cost
    assert run("kmer-1", regimes=["full"], **places).run.models["mine"].embedding == cost


@pytest.mark.fault("F40")
def test_tables_are_made_by_one_run_at_a_time(places: dict[str, Path]) -> None:
    run("kmer-1", regimes=["full"], **places)
    table = places["out"] / "scores.csv"
    before = table.read_bytes()
    other = threading.Thread(target=lambda: run("kmer-2", regimes=["full"], **places))
    with one_at_a_time(places["out"]):
        other.start()
        other.join(timeout=2)
        assert other.is_alive() and table.read_bytes() == before
    other.join(timeout=60)
    assert b"kmer-2" in table.read_bytes()


def test_a_run_says_which_test_rows_training_rows_resemble(
    suite_folder: Path, tmp_path: Path
) -> None:
    from geneb_jax.analysis import build_panel, compute_statistics
    from geneb_jax.data import LeakKind
    from geneb_jax.results import find_repeats, read_run_folder

    file = suite_folder / "three.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    text = next(line for line in lines if line.endswith("train")).split(",")[0]
    other = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    changed = ("C" if text[20] == "A" else "A").join((text[:20], text[21:]))
    lines += [f"{other},0,test", f"{changed},1,test"]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    outcome = run("kmer-2", suite=suite_folder, out=tmp_path / "out", store=tmp_path / "store")
    fingerprint = outcome.run.tasks["three"].fingerprint
    kinds = find_repeats(outcome.out, "three", fingerprint)
    assert kinds[-2:].tolist() == [LeakKind.REVERSE_COMPLEMENT, LeakKind.NEAR]
    assert not kinds[:-2].any()
    statistics = compute_statistics(build_panel([read_run_folder(outcome.out)]))
    found = {one.task_id: one for one in statistics.own_scores}
    assert (found["three"].reverse_complements, found["three"].near_repeats) == (1, 1)
    assert (found["two"].leaked, found["two"].near_repeats) == (5, 0)
    assert found["two"].distinct_mcc == found["two"].clean_mcc
    assert "near_repeats" in (outcome.out / "report.html").read_text(encoding="utf-8")
