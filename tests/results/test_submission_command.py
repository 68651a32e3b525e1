"""``geneb-jax submission``: exit codes, messages, and what is said of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from geneb_jax.benchmark import Suite
from geneb_jax.cli.main import main
from geneb_jax.results import ModelFacts, write_run_record, write_scores_csv
from tests.run_records import run_record

Outcome = tuple[int, str, str]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(["submission", *map(str, arguments)])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def out(tmp_path: Path, geneb: Suite, score_all: Callable) -> Path:
    """A run with a complete model, and one without its last task."""
    folder = tmp_path / "out"
    rows = [*score_all(geneb, model_id="kmer-4"), *score_all(geneb, model_id="kmer-6")[:-15]]
    write_scores_csv(folder, rows)
    facts = ModelFacts("kmer-4", "4-mer frequencies", params=0)
    write_run_record(folder, run_record(facts, suite="geneb"))
    return folder


def test_a_written_file_is_valid_and_says_what_was_stated(call: Callable, out: Path) -> None:
    code, printed, told = call(
        "write", "--out", out, "--model", "kmer-4", "--display", "Mine", "--params", 256,
        "--url", "https://example.org", "--zero-shot", "--training-data", "nothing",
        "--submitted-by", "Ada L.",
    )  # fmt: skip
    path = out / "submissions" / "kmer-4.json"
    assert (code, printed, told) == (0, f"{path}\n", "")
    meta = json.loads(path.read_text(encoding="utf-8"))["meta"]
    assert meta == {
        "display": "Mine",
        "params": 256,
        "url": "https://example.org",
        "zero_shot": True,
        "training_data": "nothing",
        "provenance": "self-reported",
        "submitted_by": "Ada L.",
    }
    assert call("validate", path) == (0, f"{path}: ok\n", "")


def test_what_is_not_stated_is_taken_from_the_run_and_named(call: Callable, out: Path) -> None:
    code, _, told = call("write", "--out", out, "--model", "kmer-4", "--no-zero-shot")
    assert code == 0
    assert "display='4-mer frequencies'" in told
    assert "params=0" in told
    assert "zero_shot" not in told


def test_incomplete_models_are_named_and_the_others_written(call: Callable, out: Path) -> None:
    code, printed, told = call("write", "--out", out, "--json")
    assert code == 1
    document = json.loads(printed)
    assert list(document["written"]) == ["kmer-4"]
    assert list(document["incomplete"]) == ["kmer-6"]
    assert "kmer-6 is not written: full iDHS-EL_DNase_I has no score (and 2 more)" in told


def test_nothing_to_write_is_an_error(call: Callable, out: Path, tmp_path: Path) -> None:
    code, printed, told = call("write", "--out", out, "--model", "kmer-6")
    assert (code, printed) == (2, "")
    assert "iDHS-EL_DNase_I has no score" in told
    code, _, told = call("write", "--out", out, "--model", "kmer-5")
    assert code == 2
    assert "kmer-4, kmer-6" in told
    code, _, told = call("write", "--out", tmp_path / "none")
    assert code == 2
    assert "cannot be read" in told
    code, _, told = call("write", "--out", out, "--display", "Both")
    assert code == 2
    assert "--model" in told
    assert not (out / "submissions").exists()


def test_an_untrained_control_is_no_submission(call: Callable, out: Path) -> None:
    write_run_record(out, run_record(ModelFacts("kmer-4", weights="random"), suite="geneb"))
    code, _, told = call("write", "--out", out, "--model", "kmer-4")
    assert code == 2
    assert "random" in told


def test_two_labels_never_share_a_file(
    call: Callable, tmp_path: Path, geneb: Suite, score_all: Callable
) -> None:
    labels = ("net cls", "net_cls", "NET_cls", "net (untrained)")
    folder = tmp_path / "run"
    write_scores_csv(folder, [row for name in labels for row in score_all(geneb, model_id=name)])
    facts = [
        ModelFacts("net cls", "Net", name="net", variant=("cls",)),
        *map(ModelFacts, labels[1:3]),
        ModelFacts(labels[3], name="net", variant=("untrained",), weights="random"),
    ]
    write_run_record(folder, run_record(*facts, suite="geneb"))
    code, printed, told = call("write", "--out", folder, "--json")
    assert code == 1
    document = json.loads(printed)
    assert list(document["written"]) == ["net cls"]
    assert "its file would be net_cls.json, as that of net cls is" in told
    assert document["incomplete"].keys() == set(labels[1:])
    (path,) = (folder / "submissions").iterdir()
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["model_id"], content["meta"]["display"]) == ("net cls", "Net cls")
    assert call("validate", path)[0] == 0


def test_a_simulated_run_gives_no_submission(call: Callable, out: Path) -> None:
    write_run_record(out, run_record(suite="demo"))
    code, _, told = call("write", "--out", out, "--model", "kmer-4")
    assert code == 2
    assert "takes no submissions" in told and "run its tasks, without --suite" in told


def test_one_bad_file_among_good_ones_is_refused(call: Callable, out: Path, tmp_path: Path) -> None:
    call("write", "--out", out)
    good = out / "submissions" / "kmer-4.json"
    bad = tmp_path / "kmer-4.json"
    text = good.read_text(encoding="utf-8")
    bad.write_text(text.replace('"MCC":', '"mcc":', 1), encoding="utf-8")
    code, printed, _ = call("validate", good, bad, tmp_path / "none.json", "--json")
    assert code == 2
    verdicts = json.loads(printed)
    assert [verdict["valid"] for verdict in verdicts] == [True, False, False]
    assert "lacks 'MCC'" in verdicts[1]["problems"][0]
    code, printed, _ = call("validate", good, bad)
    assert code == 2
    assert f"{good}: ok" in printed
    assert call("validate")[0] == 2


@pytest.mark.fault("F39")
def test_f39_names_cannot_drive_the_terminal(call: Callable, tmp_path: Path) -> None:
    path = tmp_path / "x\x1b[31m.json"
    path.write_text('{"\\u001b[31m": 1}', encoding="utf-8")
    code, printed, _ = call("validate", path)
    assert code == 2
    assert "\x1b" not in printed
