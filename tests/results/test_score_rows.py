"""A row that exists is well formed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from geneb_jax.results import SCORE_COLUMNS, ScoreRow


def test_the_columns_are_the_contract() -> None:
    assert SCORE_COLUMNS == (
        "model_id", "task_id", "category", "regime", "seed", "C", "probe", "solver", "mcc",
        "accuracy", "macro_f1", "auroc", "auprc", "brier", "n_train", "n_test", "n_classes",
        "n_iter", "grad_norm", "status", "identity", "weights", "layer", "pooling", "dtype",
        "error", "data", "cut_bp", "windows", "unknown_bp", "unknown_tokens", "empty",
    )  # fmt: skip


def test_array_scalars_become_plain_numbers_of_the_same_value(row: ScoreRow) -> None:
    made = replace(
        row, mcc=np.float32(0.1), accuracy=np.float64(0.3), n_iter=np.int32(5), seed=np.int64(17)
    )
    assert (type(made.mcc), type(made.accuracy), type(made.n_iter), type(made.seed)) == (
        float,
        float,
        int,
        int,
    )
    assert made.mcc == np.float32(0.1).item() != 0.1
    assert made.n_iter == 5


@pytest.mark.parametrize(
    "values",
    [
        {"mcc": math.nan},
        {"mcc": math.inf},
        {"mcc": 1.5},
        {"mcc": -1.001},
        {"mcc": None},
        {"mcc": True},
        {"mcc": "0.5"},
        {"accuracy": -0.01},
        {"macro_f1": 1.01},
        {"auroc": 1.01},
        {"auprc": math.nan},
        {"brier": 2.1},
        {"brier": "0.1"},
        {"grad_norm": math.nan},
        {"grad_norm": -1e-9},
        {"n_test": -1},
        {"n_test": 1.5},
        {"n_iter": None},
        {"n_train": True},
        {"identity": "0A1B2C3D"},
        {"identity": "0a1b2c3"},
        {"weights": " random:0"},
        {"layer": 1.5},
        {"pooling": "a\nb"},
        {"seed": "13"},
        {"seed": 13.0},
        {"C": 0.0},
        {"C": math.inf},
        {"model_id": ""},
        {"model_id": " kmer-4"},
        {"task_id": "a\nb"},
        {"category": "\x1b[31mred"},
        {"regime": None},
        {"status": ""},
        {"status": "Converged!"},
        {"error": None},
        {"status": "failed", "error": "why"},
        {"status": "failed", "error": "", "mcc": None, "accuracy": None, "macro_f1": None},
    ],
)
def test_what_is_not_a_score_is_refused(row: ScoreRow, values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values)) + "|failed"):
        replace(row, **values)


def test_rounding_beyond_a_range_is_taken_back_to_it(row: ScoreRow) -> None:
    assert replace(row, mcc=1.0000000000000002).mcc == 1.0
    assert replace(row, accuracy=-1e-17).accuracy == 0.0


@pytest.mark.fault("F20")
def test_f20_a_failed_fit_is_a_row_without_scores(row: ScoreRow, failed) -> None:
    made = replace(failed(row), n_train=None, n_test=None, n_classes=None, n_iter=None)
    assert made.failed
    assert made.mcc is None
    assert replace(made, grad_norm=None).fit == row.fit


@pytest.mark.fault("F16")
def test_f16_a_fit_that_did_not_converge_keeps_its_scores_and_says_so(row: ScoreRow) -> None:
    made = replace(row, status="max_iter", n_iter=1000, grad_norm=0.02)
    assert not made.failed
    assert made.mcc == row.mcc
