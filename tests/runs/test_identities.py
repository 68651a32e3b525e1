"""A row is filed under what made it: variants of a model stand beside each other in one folder."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

import geneb_jax
from geneb_jax.analysis import build_panel, own_scores
from geneb_jax.errors import ConfigError
from geneb_jax.results import RunScores, ScoreRow, read_scores
from geneb_jax.runs import run
from tests.models.esm_checkpoints import FORMS, esm_model, save
from tests.tolerance import Tolerance

SMALL = FORMS["rotary"] | {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two different networks in folders of the same name."""
    root = tmp_path_factory.mktemp("checkpoints")
    first, second = esm_model(**SMALL), esm_model(**SMALL)
    for parameter in second.parameters():
        parameter.data.mul_(1.25)
    return (
        save(first, root / "run-a" / "checkpoint-500"),
        save(second, root / "run-b" / "checkpoint-500"),
    )


#: What is typed beside the first checkpoint -> what the label says of it.
VARIANTS = {
    (): "",
    (("weights", "random"),): " (untrained)",
    (("layer", 0),): " @layer 0",
    (("pooling", "cls"),): " cls",
    (("dtype", "bfloat16"),): " bf16",
}


@pytest.mark.parametrize("backwards", [False, pytest.param(True, marks=pytest.mark.sweep)])
def test_six_identities_in_one_folder_in_any_order(
    suite_folder: Path,
    checkpoints: tuple[Path, Path],
    tmp_path: Path,
    backwards: bool,
    tolerance: Tolerance,
) -> None:
    first, second = checkpoints
    commands = [(first, dict(options)) for options in VARIANTS] + [(second, {})]
    seen: set[str] = set()
    for model, options in reversed(commands) if backwards else commands:
        outcome = run(
            model,
            suite=suite_folder,
            regimes=["full"],
            out=tmp_path / "out",
            store=tmp_path / "store",
            **options,
        )
        assert outcome.complete and outcome.left_out == ()
        identities = {row.identity for row in outcome.rows}
        assert seen < identities, "a row of an earlier command has left the table"
        seen = identities
    rows = read_scores(tmp_path / "out")
    labels = {row.model_id for row in rows}
    assert len(labels) == len(seen) == 6
    plain = {label for label in labels if label.startswith("checkpoint-500 #")}
    assert len(plain) == 2
    assert labels - plain == {f"checkpoint-500{label}" for label in VARIANTS.values() if label}
    for label in labels:
        own = [row for row in rows if row.model_id == label]
        assert len(own) == 3 * 5 and len({row.identity for row in own}) == 1
        weights, layer, pooling, dtype = next(
            iter({(row.weights, row.layer, row.pooling, row.dtype) for row in own})
        )
        assert weights == ("random:0" if "untrained" in label else "pretrained")
        assert layer == (0 if "@layer 0" in label else -1)
        assert pooling == ("cls" if " cls" in label else "mean")
        assert dtype == ("bfloat16" if "bf16" in label else "float32")
    panel = build_panel([RunScores(outcome.suite, rows, outcome.run, outcome.out)])
    trained = [one for one in own_scores(panel.cube, "full", {}, {}) if one.model_id in plain]
    assert trained and all(one.untrained is not None for one in trained)
    if not backwards:
        limit = tolerance("metrics", "float64")
        _as_scikit_learn_has_it(rows, suite_folder, checkpoints, limit)


def _as_scikit_learn_has_it(
    rows: list[ScoreRow], suite_folder: Path, checkpoints: tuple[Path, Path], limit: float
) -> None:
    """The rows under each label are those of the very vectors that its columns name."""
    lines = [
        line.split(",")
        for line in (suite_folder / "one.csv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    y = np.array([int(line[1]) for line in lines])
    train = np.array([line[2] == "train" for line in lines])
    for path, weights in itertools.product(checkpoints, ("pretrained", "random")):
        model = geneb_jax.load_model(path, weights=weights)
        X = model.embed([line[0] for line in lines]).astype(np.float64)
        probe = LogisticRegression(max_iter=1000).fit(X[train], y[train])
        mcc = matthews_corrcoef(y[~train], probe.predict(X[~train]))
        short = model.encoder.identity.short
        found = [row.mcc for row in rows if row.identity == short and row.task_id == "one"]
        assert found == pytest.approx([mcc] * len(found), abs=limit)
    assert len({row.identity for row in rows}) == 6


def test_a_model_can_be_named(suite_folder: Path, tmp_path: Path) -> None:
    places = {"suite": suite_folder, "out": tmp_path / "out", "store": tmp_path / "store"}
    run("kmer-1", name="words of one", **places)
    both = run("kmer-2", **places)
    assert {row.model_id for row in both.rows} == {"words of one", "kmer-2"}
    renamed = run("kmer-1", name="letters", **places)
    assert {row.model_id for row in renamed.rows} == {"letters", "kmer-2"}
    with pytest.raises(ConfigError, match="--name"):
        run(["kmer-1", "kmer-2"], name="both", **places)


def test_two_models_under_one_name_are_told_apart(suite_folder: Path, tmp_path: Path) -> None:
    places = {"suite": suite_folder, "out": tmp_path / "out", "store": tmp_path / "store"}
    run("kmer-1", name="mine", **places)
    outcome = run("kmer-2", name="mine", **places)
    labels = {row.model_id for row in outcome.rows}
    assert len(labels) == 2 and all(label.startswith("mine #") for label in labels)


def test_what_is_lost_of_a_model_is_said(suite_folder: Path, tmp_path: Path) -> None:
    places = {"suite": suite_folder, "out": tmp_path / "out", "store": tmp_path / "store"}
    run("kmer-1", name="mine", **places)
    (facts,) = (tmp_path / "out" / "records").glob("kmer-1-*/model.json")
    facts.unlink()
    outcome = run("kmer-2", **places)
    (sentence,) = outcome.left_out
    assert str(facts) in sentence and "until it is run again" in sentence
    assert {row.model_id for row in outcome.rows} == {"kmer-1", "kmer-2"}
