"""The first screen where an untrained control, or k-mer counts, come out ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geneb_jax.analysis import build_panel, compare_models, compute_statistics, pair_intervals
from geneb_jax.benchmark import load_suite
from geneb_jax.report.answers import answers
from geneb_jax.report.boards import boards_of
from geneb_jax.results import ModelFacts, RunScores
from tests.run_records import run_record


@pytest.fixture
def first_screen(make_rows):
    """Cards by key, and the panel, of models (label, weights, level, parameters)."""

    demo = load_suite("demo")

    def made(*models: tuple[str, str, float, int | None]):
        rows = []
        for label, _, level, _ in models:
            # The same tasks are hard for everybody, so that models can be told apart.
            rows += [
                replace(row, model_id=label, mcc=float(np.clip(row.mcc + level, -1, 1)))
                for row in make_rows(demo, "field", level=0.0)
            ]
        facts = [ModelFacts(name, name, weights=w, params=size) for name, w, _, size in models]
        panel = build_panel([RunScores(demo, rows, run_record(*facts, suite=demo.name), None)])
        board = boards_of(panel)[0]
        pairs = pair_intervals(panel.cube, board.regime)
        found = answers(board, panel, compute_statistics(panel), pairs)
        return {card.key: card for card in found}, panel

    return made


def test_a_control_that_is_told_to_be_better_is_said(first_screen) -> None:
    cards, panel = first_screen(
        ("big", "random", 0.6, 10**9), ("counts", "none", 0.3, None), ("few", "none", 0.1, None)
    )
    assert compare_models(panel.cube, "big", "counts", "full").interval.low > 0
    best = cards["best"]
    assert best.name == "counts"
    assert best.question.startswith("Best trained of 3")
    assert "An untrained control ranks above it, told to be better." in best.detail
    assert "Every other model is told to be worse" not in best.detail


def test_without_such_a_control_every_other_is_worse(first_screen) -> None:
    cards, _ = first_screen(("counts", "none", 0.6, None), ("big", "random", 0.1, 10**9))
    assert cards["best"].question.startswith("Best of 2")
    assert "Every other model is told to be worse." in cards["best"].detail


def test_no_control_is_the_best_small_model(first_screen) -> None:
    cards, _ = first_screen(("counts", "none", 0.6, None), ("small", "random", 0.1, 10**6))
    assert "small" not in cards


def test_the_best_of_yours_is_the_best_of_what_is_named(first_screen) -> None:
    cards, _ = first_screen(("counts", "none", 0.6, None), ("mine", "pretrained", 0.3, 10**9))
    assert cards["yours"].name == "mine"
    assert cards["yours"].question == "Your trained model"
    assert cards["yours"].detail.startswith("Rank 2 of 2")
    cards, _ = first_screen(
        ("counts", "none", 0.6, None),
        ("mine", "pretrained", 0.3, 10**9),
        ("other", "pretrained", 0.1, 10**9),
    )
    assert cards["yours"].question == "Best of your 2 trained models"
