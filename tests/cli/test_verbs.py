"""The halves of run, plan, list and doctor, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

from geneb_jax.cli.main import VERBS
from geneb_jax.runs.sweep_folds import FOLDS, fold_of_rows


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "suite.toml").write_text(
        'name = "toy"\ntitle = "Toy"\nsimulated = true\n'
        'tasks = [{ id = "only", category = "One" }]\n',
        encoding="utf-8",
    )
    generator = np.random.RandomState(3)
    lines = ["text,label,split"]
    for row in range(40):
        text = "".join(generator.choice(list("ACGT" + "A" * (row % 2)), size=40))
        lines.append(f"{text},{row % 2},{'train' if row < 28 else 'test'}")
    (folder / "only.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_embed_then_probe_is_run(geneb, suite: Path, tmp_path: Path) -> None:
    store = ("--store", tmp_path / "store")
    too_early = geneb("probe", "-m", "kmer-1", "--suite", suite, *store, "--out", tmp_path / "a")
    assert too_early.code == 2
    assert "geneb-jax embed" in too_early.err
    embedded = geneb("embed", "-m", "kmer-1", "--suite", suite, *store, "--json")
    assert embedded.code == 0, embedded.err
    assert json.loads(embedded.out)["models"]["kmer-1"]["embedded"] == 40
    for verb, out in (("probe", "a"), ("run", "b")):
        answer = geneb(verb, "-m", "kmer-1", "--suite", suite, *store, "--out", tmp_path / out)
        assert answer.code == 0, answer.err
    assert (tmp_path / "a/scores.csv").read_bytes() == (tmp_path / "b/scores.csv").read_bytes()


def test_run_prints_the_leaderboard_and_where_the_report_is(
    geneb, suite: Path, tmp_path: Path
) -> None:
    places = ("--store", tmp_path / "store", "--out", tmp_path / "out")
    answer = geneb("run", "-m", "kmer-1", "--suite", suite, *places)
    assert answer.code == 0
    assert "macro full" in answer.out
    assert f"report: {tmp_path / 'out' / 'report.html'}" in answer.out
    assert "simulated" in answer.err
    as_json = geneb("run", "-m", "kmer-1", "--suite", suite, *places, "--json")
    document = json.loads(as_json.out)
    assert document["simulated"] is True
    assert document["leaderboard"][0]["model_id"] == "kmer-1"


def test_plan_counts_and_writes_nothing(geneb, suite: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    places = ("--store", tmp_path / "store", "--out", tmp_path / "out")
    answer = geneb("plan", "-m", "kmer-2", "--suite", suite, *places, "--json")
    assert answer.code == 0, answer.err
    (model,) = json.loads(answer.out)["models"]
    assert (model["missing"], model["units"], model["store_bytes"]) == (40, 3, 40 * 16 * 4)
    # Twelve test rows: one fit in the full regime, five in each few-shot one.
    assert model["predictions_bytes"] == 12 * (1 + 5 + 5)
    assert sorted(tmp_path.rglob("*")) == before


def test_probe_takes_the_users_own_arrays(geneb, tmp_path: Path, tolerance) -> None:
    X, y = make_classification(n_samples=300, n_features=12, random_state=0)
    labels = np.array(["no", "yes"])[y]
    path = tmp_path / "mine.npz"
    arrays = {
        "X_train": X[:200],
        "y_train": labels[:200],
        "X_test": X[200:],
        "y_test": labels[200:],
    }
    np.savez(path, **arrays)
    answer = geneb("probe", path, "--regime", "full", "--C", "0.1,1", "--json")
    assert answer.code == 0, answer.err
    rows = {(row["C"], row["seed"]): row for row in json.loads(answer.out)["scores"]}
    for C in (0.1, 1.0):
        probe = LogisticRegression(C=C, max_iter=1000).fit(X[:200], labels[:200])
        expected = matthews_corrcoef(labels[200:], probe.predict(X[200:]))
        limit = tolerance("metrics", "float64")
        assert rows[C, 13]["mcc"] == pytest.approx(expected, abs=limit)
        assert rows[C, 13]["n_iter"] == probe.n_iter_.max()


def test_a_sweep_of_arrays_has_the_answer_of_a_run(geneb, tmp_path: Path, tolerance) -> None:
    """The C of the best mean MCC over scikit-learn's fits on the same folds of training rows."""
    X, y = make_classification(n_samples=240, n_features=30, n_informative=3, random_state=1)
    path, out = tmp_path / "mine.npz", tmp_path / "out"
    np.savez(path, X_train=X[:180], y_train=y[:180], X_test=X[180:], y_test=y[180:])
    strengths = (0.001, 0.1, 10.0)
    sweep = ("--regime", "full", "--C", ",".join(map(str, strengths)), "--seed", "13")
    answer = geneb("probe", path, *sweep, "--json", "--out", out)
    assert answer.code == 0, answer.err
    (line,) = json.loads(answer.out)["sweep"]
    fold = fold_of_rows(y[:180])
    held_out = {}
    for C in strengths:
        found = []
        for k in range(FOLDS):
            inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            probe = LogisticRegression(C=C, max_iter=1000).fit(X[inside], y[inside])
            found.append(matthews_corrcoef(y[outside], probe.predict(X[outside])))
        held_out[C] = float(np.mean(found))
        limit = tolerance("metrics", "float64")
        assert line["by_C"][f"{C:g}"]["held_out"] == pytest.approx(held_out[C], abs=limit)
    assert line["chosen_C"] == max(held_out, key=lambda C: (held_out[C], -C))
    assert json.loads((out / "sweep.json").read_text()) == [line]
    table = geneb("probe", path, *sweep).out
    assert "C = 0.001\tC = 0.1\tC = 10\tchosen C" in table
    assert f"arrays: mine: C = {line['chosen_C']:g} by held-out training rows" in table
    assert json.loads(geneb("probe", path, *sweep[:2], "--json").out)["sweep"] == []


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"X_train": np.ones((3, 2))}, "no array y_train, X_test, y_test"),
        (
            {
                "X_train": np.ones((3, 2)),
                "y_train": np.ones(4, int),
                "X_test": np.ones((1, 2)),
                "y_test": np.ones(1, int),
            },
            "same, non-zero number of rows",
        ),
        (
            {
                "X_train": np.ones((2, 2)),
                "y_train": np.array([0, {}], dtype=object),
                "X_test": np.ones((1, 2)),
                "y_test": np.ones(1, int),
            },
            "plain arrays",
        ),
    ],
)
def test_unusable_arrays_are_refused(
    geneb, tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    answer = geneb("probe", path)
    assert answer.code == 2
    assert said in answer.err


def test_list_models_has_the_forty_and_the_built_in(geneb) -> None:
    models = json.loads(geneb("list", "models", "--json").out)
    published = [model for model in models if model["published"]]
    assert len(published) == 41, "the paper's 40 and SpliceBERT"
    for model in published:
        assert model["native"] is True
        assert model["family"] and model["tokenizer"] and model["pooling"]
        assert model["parameters"] > 10**6
        assert {"context", "licence", "oracle_available"} <= set(model)
    assert sum(model["oracle_available"] for model in published) == 38
    assert {f"kmer-{k}" for k in range(1, 7)} <= {m["model_id"] for m in models if m["native"]}


def test_list_tasks_categories_probes(geneb) -> None:
    tasks = json.loads(geneb("list", "tasks", "--json").out)
    categories = json.loads(geneb("list", "categories", "--json").out)
    assert len(tasks) == 100
    assert len(categories) == 13
    assert sum(category["tasks"] for category in categories) == 100
    assert "reference" in geneb("list", "probes").out


def test_doctor_names_devices_versions_and_places(geneb) -> None:
    facts = json.loads(geneb("doctor", "--json").out)
    assert [device["platform"] for device in facts["devices"]] == ["cpu", "cpu"]
    assert facts["libraries"]["jax"]
    assert facts["store"]["folder"].startswith(facts["cache"]["folder"])
    assert set(facts["missing_extras"]) <= {
        "torch", "export", "formats", "cluster", "cuda", "tpu",
    }  # fmt: skip
    assert facts["accelerators"]


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_explains_itself(geneb, verb: str) -> None:
    answer = geneb(verb, "--help")
    assert answer.code == 0
    assert "Usage: geneb-jax" in answer.out


@pytest.mark.parametrize("side", ["train", "test"])
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.where(np.arange(60) == 30, np.nan, 1.0), "NaN or infinity in row 30"),
        (np.linspace(0, 1, 60), "continuous"),
        (np.array(["a", "b"] * 30), "text and numbers"),
        (np.arange(60).astype("datetime64[D]"), "labels are numbers or text"),
    ],
    ids=["NaN", "continuous", "text", "dates"],
)
def test_labels_of_either_side_are_refused(
    geneb, tmp_path: Path, side: str, labels: np.ndarray, said: str
) -> None:
    arrays = {"X_train": np.eye(60, 4), "X_test": np.eye(60, 4)}
    good = np.arange(60) % 2
    arrays |= {f"y_{one}": labels if one == side else good for one in ("train", "test")}
    np.savez(tmp_path / "mine.npz", **arrays)
    answer = geneb("probe", tmp_path / "mine.npz", "--regime", "full")
    told = answer.out + answer.err
    if said == "text and numbers" and side == "test":
        said = "numbers and text"
    assert answer.code in (1, 2) and said in told, told
    assert "Traceback" not in told


@pytest.mark.parametrize("content", ["one array", "text", "nothing", "half"])
@pytest.mark.fault("F75")
def test_a_file_that_is_no_archive_is_one_message(geneb, tmp_path: Path, content: str) -> None:
    path = tmp_path / ("X.npy" if content == "one array" else "mine.npz")
    if content == "one array":
        np.save(path, np.zeros((4, 2)))
    elif content == "half":
        np.savez(path, X_train=np.zeros((40, 20)))
        path.write_bytes(path.read_bytes()[:900])
    else:
        path.write_text("hello" if content == "text" else "", encoding="utf-8")
    answer = geneb("probe", path)
    assert answer.code == 2 and answer.out == ""
    assert path.name in answer.err and ".npz" in answer.err and "Traceback" not in answer.err
    assert answer.err.count("\n") == 1
