"""Who stands beside whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geneb_jax.analysis import (
    aggregate,
    build_panel,
    comparable_with_published,
    cube_from_scores,
    join_cubes,
    leaderboard,
    published_cube,
    reference_cube,
)
from geneb_jax.benchmark import load_suite
from geneb_jax.errors import DataError, SelectionError
from geneb_jax.results import ModelFacts, RunScores
from tests.run_records import run_record


def test_the_published_models_alone() -> None:
    panel = build_panel([])
    assert len(panel.cube.models) == 41
    assert [model.label for model in panel.cube.models if model.source == "live"] == [
        "splicebert-1024nt"
    ]
    assert panel.common is None and panel.published
    with pytest.raises(DataError, match="there are no scores"):
        build_panel([], published=False)


def test_a_whole_run_is_ranked_among_the_published(make_rows) -> None:
    suite = load_suite("geneb")
    panel = build_panel([RunScores(suite, make_rows(suite, level=-0.9), run_record())])
    assert len(panel.ranked.models) == 42
    board = leaderboard(panel.cube, title="")
    (mine,) = [row for row in board.rows if row.model.source == "user"]
    assert mine.rank is not None
    above = aggregate(reference_cube()).macro[:, 0] > mine.macro["full"]
    assert mine.rank == int(above.sum()) + 1


def test_a_partial_run_is_compared_on_its_tasks_only(make_rows) -> None:
    suite = load_suite("geneb")
    chosen = replace(suite, tasks=suite.tasks[::3])
    panel = build_panel([RunScores(chosen, make_rows(chosen, level=-0.9), None)])
    assert len(panel.cube.tasks) == 100
    whole = leaderboard(panel.cube, title="").rows[-1]
    assert (whole.model.source, whole.rank, whole.macro["full"]) == ("user", None, None)
    assert whole.scored == {"full": 34, "10shot": 34, "1shot": 34}
    assert len(panel.common.tasks) == 34
    # On those tasks everyone's mean is over the same ones.
    again = aggregate(published_cube().keep_tasks(np.arange(100) % 3 == 0)).macro
    assert np.array_equal(aggregate(panel.common).macro[:40], again)


def test_simulated_data_never_stand_beside_the_published(make_rows) -> None:
    demo = load_suite("demo")
    assert not comparable_with_published(demo)
    panel = build_panel([RunScores(demo, make_rows(demo), None)])
    assert not panel.published and len(panel.cube.models) == 1
    geneb = load_suite("geneb")
    assert comparable_with_published(geneb)
    assert not comparable_with_published(replace(geneb, simulated=True))
    assert not comparable_with_published(replace(geneb, dataset=None))
    moved = (replace(geneb.tasks[0], category="Promoters"), *geneb.tasks[1:])
    assert not comparable_with_published(replace(geneb, tasks=moved))


def test_a_run_of_a_published_model_stands_beside_it(make_rows) -> None:
    suite = load_suite("geneb")
    rows = make_rows(suite, "MutBERT", level=-0.9)
    panel = build_panel([RunScores(suite, rows, run_record(ModelFacts("MutBERT")))])
    names = panel.cube.model_ids
    assert "MutBERT" in names and "MutBERT (run)" in names
    mine = panel.cube.models[names.index("MutBERT (run)")]
    assert (mine.params, mine.tokenization, mine.source) == (86_000_000, "SN", "user")


def test_two_runs_of_one_model_keep_apart(make_suite, make_rows) -> None:
    suite = make_suite()
    runs = [RunScores(suite, make_rows(suite, level=level), None) for level in (0.1, 0.2, 0.3)]
    cube = build_panel(runs).cube
    assert cube.model_ids == ("mine", "mine (run)", "mine (run 2)")
    assert cube.mcc[1, 0, 0] == pytest.approx(0.2) and cube.mcc[2, 0, 0] == pytest.approx(0.3)


def test_joining_fills_what_is_missing_with_nan(make_suite, make_rows) -> None:
    suite = make_suite()
    first, _ = cube_from_scores(make_rows(suite, "a"), suite)
    part = replace(suite, tasks=suite.tasks[2:5])
    second, _ = cube_from_scores(make_rows(part, "b"), part)
    both = join_cubes(first, second)
    assert np.isfinite(both.mcc[1]).sum(axis=1).tolist() == [3, 3, 3]
    assert np.array_equal(both.mcc[1, :, 2:5], second.mcc[0])
    assert np.array_equal(both.mcc[0], first.mcc[0])


def test_a_silent_run_takes_the_facts_of_the_published_model_of_that_name(
    make_rows,
) -> None:
    suite = load_suite("geneb")
    label = "MutBERT (untrained)"
    said = ModelFacts(label, name="MutBERT", variant=("untrained",), weights="random", params=7)
    panel = build_panel([RunScores(suite, make_rows(suite, label, level=-0.9), run_record(said))])
    (mine,) = [model for model in panel.cube.models if model.source == "user"]
    assert (mine.label, mine.title) == (label, label)
    assert (mine.params, mine.tokenization, mine.weights) == (7, "SN", "random")


def test_names_that_are_not_there_are_refused_with_near_matches() -> None:
    cube = published_cube()
    with pytest.raises(SelectionError, match="MutBERT"):
        cube.model_index("mutbert")
    with pytest.raises(SelectionError, match="TF Binding"):
        cube.category_index("TF bindng")
    with pytest.raises(SelectionError, match="full, 10shot, 1shot"):
        cube.in_regime("5shot")
    assert cube.category_index("tf binding") == cube.category_index("TF Binding")
    assert cube.model_index("Enformer") == cube.model_index("enformer-official-rough")
