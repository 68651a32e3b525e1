"""``stability``: the tables against scikit-learn, scipy and the MLP's NumPy replay."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

import geneb_jax
from geneb_jax.cli.main import command
from geneb_jax.results import read_scores
from geneb_jax_probes import MLPRecipe
from tests.probes.test_mlp_replay import replayed_guesses
from tests.runs.test_execute import read_parts

MODELS = ("kmer-1", "kmer-2", "kmer-3")
TASKS = ("one", "two", "three")
STRENGTHS = (0.1, 1.0, 100.0)


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.sweep
def test_tables_are_those_of_other_libraries(suite_folder: Path, tmp_path: Path, tolerance) -> None:
    out = tmp_path / "out"
    arguments = ["stability", "--suite", str(suite_folder), "--out", str(out), "--C", "0.1,1,100"]
    arguments += ["--store", str(tmp_path / "store"), "--json", "--seed", "13,17"]
    for model in MODELS:
        arguments += ["-m", model]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.exception is None, result.exception
    assert result.return_value == 0
    document = json.loads(result.stdout)
    assert set(document["tasks"]) == set(TASKS)
    # Full data: scikit-learn at every C, and the MLP's recipe written out in NumPy.
    linear = np.empty((len(STRENGTHS), len(MODELS), len(TASKS)))
    mlp = np.empty(linear.shape[1:])
    for m, name in enumerate(MODELS):
        model = geneb_jax.load_model(name)
        for t, task in enumerate(TASKS):
            train, y_train, test, y_test = read_parts(suite_folder / f"{task}.csv")
            X, X_test = model.embed(train), model.embed(test)
            for c, C in enumerate(STRENGTHS):
                fit = LogisticRegression(C=C, max_iter=1000).fit(X.astype(np.float64), y_train)
                linear[c, m, t] = matthews_corrcoef(y_test, fit.predict(X_test.astype(np.float64)))
            classes, codes = np.unique(y_train, return_inverse=True)
            guesses = replayed_guesses(X, codes, len(classes), X_test, 13, MLPRecipe())
            mlp[m, t] = matthews_corrcoef(y_test, classes[guesses])
    close = tolerance("statistic", "float64")
    folder = out / "stability"
    means = {row["model_id"]: row for row in table(folder, "stability-C-means-full")}
    for m, name in enumerate(MODELS):
        found = [float(means[name][f"logistic C={C:g}"]) for C in STRENGTHS]
        np.testing.assert_allclose(found, linear[:, m].mean(axis=1), rtol=0, atol=close)
        assert float(means[name]["range"]) == pytest.approx(np.ptp(found))
    pairs = table(folder, "stability-C-full")
    assert len(pairs) == 3
    for row, (a, b) in zip(pairs, ((0, 1), (0, 2), (1, 2)), strict=True):
        cells = spearmanr(linear[a].ravel(), linear[b].ravel()).statistic
        assert float(row["rho_cells"]) == pytest.approx(cells, abs=close)
        models = spearmanr(linear[a].mean(axis=1), linear[b].mean(axis=1)).statistic
        assert float(row["rho_models"]) == pytest.approx(models, abs=close)
        change = (linear[b] - linear[a]).mean()
        assert float(row["mean_change"]) == pytest.approx(change, abs=close)
    both = {row["model_id"]: row for row in table(folder, "stability-probe-means")}
    for m, name in enumerate(MODELS):
        assert float(both[name]["logistic C=1"]) == pytest.approx(linear[1, m].mean(), abs=close)
        assert float(both[name]["mlp"]) == pytest.approx(mlp[m].mean(), abs=close)
    (row,) = table(folder, "stability-probes")
    rho = spearmanr(linear[1].ravel(), mlp.ravel()).statistic
    assert float(row["rho_cells"]) == pytest.approx(rho, abs=close)
    # Few-shot means are over the seeds that were asked for.
    rows = [r for r in read_scores(out) if (r.regime, r.C, r.model_id) == ("1shot", 1.0, "kmer-2")]
    assert {r.seed for r in rows} == {13, 17}
    few = {row["model_id"]: row for row in table(folder, "stability-C-means-1shot")}
    assert float(few["kmer-2"]["logistic C=1"]) == pytest.approx(np.mean([r.mcc for r in rows]))
    assert json.dumps(document["tables"]["stability-probes"])


def test_help_and_absent_tasks_are_said(tmp_path: Path, real_tasks: Path) -> None:
    result = CliRunner().invoke(command, ["stability", "--help"])
    assert "Tables 7-13" in result.output
    missing = CliRunner().invoke(
        command,
        ["stability", "-m", "no-such-model", "--data-dir", str(real_tasks), "--out",
         str(tmp_path / "out")],
        standalone_mode=False,
    )  # fmt: skip
    assert "7 of the paper's 13 tasks have no file here" in missing.stderr
    assert "no-such-model" in str(missing.exception)
