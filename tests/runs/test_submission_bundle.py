"""The bundle in a checkout-shaped folder, run by a stand-in of the benchmark's harness."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import command
from geneb_jax.errors import SubmissionError
from geneb_jax.results import validate_submission
from geneb_jax.runs import run

TASKS = [task.task_id for task in load_suite("geneb").tasks]


def write_tasks(folder: Path) -> None:
    random = np.random.RandomState(1)
    folder.mkdir()
    for task_id in TASKS:
        lines = ["text,label,split"]
        for row in range(36):
            letters = list("ACGT" + "GC" * (2 * (row % 2)))
            text = "".join(random.choice(letters, size=30))
            lines.append(f"{text},{row % 2},{'train' if row < 24 else 'test'}")
        (folder / f"{task_id}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def harness(checkout: Path, module: str, name: str, tasks: list[str], data: Path) -> dict:
    """What the benchmark's harness does in the full regime, written apart from it."""
    sys.path.insert(0, str(checkout / "harness"))
    try:
        extractor = getattr(importlib.import_module(f"extractors.{module}"), name)(
            name_model="kmer-2", device="cpu"
        )
    finally:
        sys.path.pop(0)
    found = {}
    for task_id in tasks:
        lines = [line.split(",") for line in (data / f"{task_id}.csv").read_text().split()[1:]]
        parts = {
            split: (
                [x for x, _, s in lines if s == split],
                [int(y) for _, y, s in lines if s == split],
            )
            for split in ("train", "test")
        }
        x, y = ({s: extractor.extract_embeddings(p[0], 8) for s, p in parts.items()}, parts)
        assert x["train"].shape == (len(y["train"][0]), x["test"].shape[1])
        probe = LogisticRegression(max_iter=1000, random_state=13).fit(x["train"], y["train"][1])
        guess, truth = probe.predict(x["test"]), y["test"][1]
        found[task_id] = {
            "MCC": round(float(matthews_corrcoef(truth, guess)), 4),
            "Acc": round(float(accuracy_score(truth, guess)), 4),
            "F1": round(float(f1_score(truth, guess, average="macro")), 4),
        }
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("bundle")
    write_tasks(folder / "data")
    outcome = run("kmer-2", data_dir=folder / "data", out=folder / "out", store=folder / "store")
    assert outcome.complete and outcome.submissions == ()  # the data are not the benchmark's
    return folder / "data", folder / "out"


def test_the_bundle_reproduces_its_own_submission(finished, tmp_path, monkeypatch) -> None:
    data, out = finished
    checkout = tmp_path / "checkout"
    (checkout / "harness" / "extractors").mkdir(parents=True)
    (checkout / "harness" / "extractors" / "__init__.py").touch()
    result = CliRunner().invoke(
        command,
        ["submission", "bundle", str(out), "--out", str(checkout), "--unverified", "--json",
         "--submitted-by", "Ada L."],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    paths = json.loads(result.stdout)
    submission = Path(paths["submission"])
    assert submission == checkout / "submissions" / "kmer-2.json"
    content = json.loads(submission.read_text(encoding="utf-8"))
    # The file says what it is made of.
    assert content["unverified"] == {"unlike_data": TASKS}
    verdict = validate_submission(submission, load_suite("geneb"))
    assert verdict.accepted and "unverified" in verdict.warnings[0]
    module = Path(paths["extractor"])
    assert module.parent == checkout / "harness" / "extractors"
    chosen = [TASKS[k] for k in (0, 41, 99)]
    found = harness(checkout, module.stem, "Kmer2Extractor", chosen, data)
    stated = content["results"]["full"]
    for task_id in chosen:
        assert found[task_id] == {name: round(v, 4) for name, v in stated[task_id].items()}

    card = Path(paths["model_card"]).read_text(encoding="utf-8")
    assert Path(paths["model_card"]) == checkout / "model_cards" / "kmer-2.md"
    assert "Data unlike: 100 tasks." in card and "Ada L." in card
    assert "| Where it is | not stated |" in card
    macro = f"{np.mean([one['MCC'] for one in stated.values()]):.4f}"
    assert "| full | MCC | " in card and macro in card  # micro is the plain mean

    # Another model under the extractor's name is refused.
    loaded = sys.modules[f"extractors.{module.stem}"]
    with pytest.raises(ValueError, match="is not what was scored"):
        loaded.Kmer2Extractor(name_model="kmer-3")


def test_without_the_flag_there_is_no_bundle_of_other_data(finished, tmp_path) -> None:
    _, out = finished
    with pytest.raises(SubmissionError, match="data unlike the benchmark's"):
        CliRunner().invoke(
            command,
            ["submission", "bundle", str(out), "--out", str(tmp_path / "b")],
            catch_exceptions=False,
        )
    assert not (tmp_path / "b").exists()


def test_a_stale_submission_is_removed_and_a_strangers_is_left(finished) -> None:
    data, out = finished
    invoke = CliRunner().invoke
    wrote = invoke(command, ["submission", "write", "--out", str(out), "--unverified"])
    assert wrote.exit_code == 0, wrote.output
    ours = out / "submissions" / "kmer-2.json"
    theirs = out / "submissions" / "other.json"
    theirs.write_text(ours.read_text(encoding="utf-8"), encoding="utf-8")
    again = run("kmer-2", data_dir=data, out=out, store=out.parent / "store")
    assert again.submissions == ()
    assert not ours.exists() and theirs.exists()
