"""The first screen where an untrained control, or k-mer counts, come out ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geneb_jax.analysis import build_panel, compare_models, compute_statistics, pair_intervals
from geneb_jax.benchmark import load_suite
from geneb_jax.report.answers import answers
from geneb_jax.report.boards import boards_of
from geneb_jax.report.first_screen import uses_of
from geneb_jax.report.headlines import result_sentence
from geneb_jax.report.result_tables import category_answers
from geneb_jax.results import ModelFacts, RunScores
from tests.run_records import run_record


@pytest.fixture
def first_screen(make_rows):
    """Cards by key, and the panel, of models (label, weights, level, parameters)."""

    demo = load_suite("demo")

    def made(*models: tuple[str, str, float, int | None], alike: bool = True):
        rows = []
        for label, _, level, _ in models:
            # The same tasks are hard for everybody, so that models can be told apart.
            rows += [
                replace(row, model_id=label, mcc=float(np.clip(row.mcc + level, -1, 1)))
                for row in make_rows(demo, "field" if alike else label, level=0.0)
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
    assert best.question.startswith("Best k-mer counts of 3")
    assert "An untrained control ranks above it, told to be better." in best.detail
    assert "Every other model is told to be worse" not in best.detail


def test_without_such_a_control_every_other_is_worse(first_screen) -> None:
    cards, _ = first_screen(("counts", "none", 0.6, None), ("big", "random", 0.1, 10**9))
    assert cards["best"].question.startswith("Best of 2")
    assert "Every other model is told to be worse." in cards["best"].detail
    assert cards["best"].detail.endswith("Tie group 1, alone: big, the next, is told from it.")


def test_no_control_is_the_best_small_model(first_screen) -> None:
    cards, _ = first_screen(("counts", "none", 0.6, None), ("small", "random", 0.1, 10**6))
    assert "small" not in cards


def test_the_best_is_a_trained_model_and_baselines_ahead_are_said(first_screen) -> None:
    cards, panel = first_screen(("counts", "none", 0.6, None), ("mine", "pretrained", 0.3, 10**9))
    best = cards["best"]
    assert (best.name, best.question) == ("mine", "Best trained of 2 on 13 tasks")
    assert compare_models(panel.cube, "counts", "mine", "full").interval.low > 0
    assert best.detail.startswith("counts (a baseline) ranks above it, told to be better.")
    assert "yours" not in cards  # it would say the same again
    assert cards["against"].name == "No, worse"
    cards, _ = first_screen(
        ("counts", "none", 0.6, None),
        ("big", "random", 0.5, 10**9),
        ("mine", "pretrained", 0.3, 10**9),
        ("other", "pretrained", 0.1, 10**9),
    )
    assert cards["best"].question == "Best trained of 4 on 13 tasks"
    assert cards["best"].detail.startswith("2 baselines rank above it, ")


def test_a_baseline_that_the_best_is_not_told_from_is_said(first_screen) -> None:
    cards, panel = first_screen(
        ("mine", "pretrained", 0.4, 10**9), ("counts", "none", 0.39, None), alike=False
    )
    assert not compare_models(panel.cube, "mine", "counts", "full").interval.excludes_zero
    assert cards["best"].question == "Best of 2 on 13 tasks"
    assert "cannot be told from it, counts (a baseline) among them." in cards["best"].detail


def test_what_to_use_is_trained_in_every_category(first_screen) -> None:
    _, panel = first_screen(
        ("counts", "none", 0.6, None),
        ("big", "random", 0.5, 10**7),
        ("mine", "pretrained", 0.3, 10**9),
        ("other", "pretrained", 0.1, 10**9),
    )
    found, _ = category_answers(panel.cube, "full")
    lines = uses_of(found)
    assert len(lines) == 14
    assert {line.best for line in lines} == {"mine"}
    assert {line.small for line in lines} == {""}
    assert lines[0].sure == "baseline ahead"
    assert all(line.sure.endswith("baseline ahead") for line in lines[1:])
    assert lines[0].sure_tip.startswith("Not shown to beat counts (")
    assert {(line.yours, line.yours_rank) for line in lines} == {("mine", 3)}


def test_the_sentence_of_a_run_is_of_its_trained_model(first_screen) -> None:
    models = (("counts", "none", 0.6, None), ("mine", "pretrained", 0.3, 10**9))
    _, panel = first_screen(*models)
    board = boards_of(panel)[0]
    macro = {row.model.label: row.macro["full"] for row in board.rows}
    said = result_sentence(board, ["counts", "mine"])
    assert said.startswith(f"result: mine: macro MCC {macro['mine']:.2f} ")
    assert said.endswith(f"; the baseline counts has {macro['counts']:.2f}.")
    assert result_sentence(board, ["counts"]).startswith("result: counts: macro MCC ")
    _, panel = first_screen(("counts", "none", 0.1, None), *models[1:])
    assert "baseline" not in result_sentence(boards_of(panel)[0], ["counts", "mine"])
