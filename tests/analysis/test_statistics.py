"""The statistics document: its keys are a contract, and it is made for every kind of suite."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from geneb_jax.analysis import (
    ControlledPair,
    Panel,
    StatisticsOptions,
    build_panel,
    compute_statistics,
    published_cube,
    statistics_document,
)
from geneb_jax.benchmark import load_suite
from geneb_jax.errors import SelectionError
from geneb_jax.results import ModelFacts, RunScores
from tests.run_records import run_record


def document_of(panel: Panel, options: StatisticsOptions | None = None) -> dict:
    """What ``stats --json`` prints."""
    return statistics_document(compute_statistics(panel, options))


#: Every key of the document; adding one is a change of the contract, removing one a break of it.
KEYS = {
    "schema_version",
    "suite",
    "simulated",
    "published",
    "metric",
    "regime",
    "regimes",
    "tasks",
    "categories",
    "notices",
    "models",
    "leaderboard",
    "mean_macro",
    "micro_macro_rho",
    "micro_macro_gap",
    "regime_agreement",
    "scaling",
    "high_variance_tasks",
    "high_variance",
    "task_spread",
    "hard_tasks",
    "wins",
    "category_leaders",
    "smaller_beats_larger",
    "retention",
    "few_shot",
    "controlled_pairs",
    "contrasts",
    "label_groups",
    "specialisation",
    "pareto",
    "leave_one_category_out",
    "critical_difference",
    "seed_spread",
    "baselines",
    "tasks_at_chance",
    "leakage",
    "leakage_free",
    "row_spread",
    "own_scores",
    "settings",
    "metric_means",
    "sweep",
    "layers",
}


@pytest.fixture(scope="module")
def document() -> dict:
    return document_of(build_panel([]))


def test_the_keys_that_acceptance_reads(document, tolerance) -> None:
    assert set(document) == KEYS
    assert round(document["scaling"]["macro"]["rho"], 4) == 0.5648
    assert document["scaling"]["macro"]["p"] == pytest.approx(
        1.5e-4, rel=tolerance("published_p", "relative")
    )
    assert round(document["scaling"]["macro_without"]["rho"], 4) == 0.6852
    assert document["scaling"]["macro_without"]["left_out"] == ["evo-1-131k-base"]
    assert set(document["scaling"]["categories"]) == set(published_cube().categories)
    assert all({"rho", "p"} <= set(c) for c in document["scaling"]["categories"].values())
    assert round(document["micro_macro_rho"], 4) == 0.9882
    assert {k: round(v, 4) for k, v in document["mean_macro"].items()} == {
        "full": 0.4881,
        "10shot": 0.2526,
        "1shot": 0.1062,
    }
    assert len(document["high_variance_tasks"]) == 13
    assert document["wins"]["LucaOne-default-step36M"] == 20
    assert document["smaller_beats_larger"]["count"] == 31
    assert len(document["smaller_beats_larger"]["pairs"]) == 31
    assert round(document["retention"]["Promoters"]["1shot"], 3) == 0.388
    assert round(document["retention"]["Species Clf."]["1shot"], 3) == 0.301
    assert len(document["controlled_pairs"]) == 30


def test_it_is_plain_json_and_the_same_each_time(document) -> None:
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text) == document
    assert json.dumps(document_of(build_panel([])), allow_nan=False) == text


def test_options_reach_the_numbers(document) -> None:
    panel = build_panel([])
    pair = ControlledPair("MutBERT", "GROVER", "mine")
    options = StatisticsOptions(
        regime="10shot", factor=20.0, spread=0.0, without=("MutBERT",), pairs=(pair,)
    )
    other = document_of(panel, options)
    assert other["regime"] == "10shot"
    assert other["smaller_beats_larger"]["factor"] == 20.0
    assert len(other["high_variance_tasks"]) == 100
    assert other["scaling"]["macro_without"]["left_out"] == ["MutBERT"]
    assert len(other["controlled_pairs"]) == 31
    assert other["controlled_pairs"][-1]["stated"] is None
    with pytest.raises(SelectionError, match="5shot"):
        document_of(panel, StatisticsOptions(regime="5shot"))


def test_a_users_model_enters_the_statistics(make_rows, document) -> None:
    suite = load_suite("geneb")
    rows = make_rows(suite, level=-0.9)
    run = run_record(ModelFacts("mine", params=5_000_000))
    found = document_of(build_panel([RunScores(suite, rows, run)]))
    assert found["scaling"]["macro"]["models"] == 41
    assert found["scaling"]["macro"]["rho"] != document["scaling"]["macro"]["rho"]
    assert found["models"]["mine"]["ranked"]
    assert [s["regime"] for s in found["seed_spread"]] == ["10shot", "1shot"]
    assert found["tasks_at_chance"] == {"mine": 100}


def test_a_partial_model_does_not(make_rows, document) -> None:
    suite = load_suite("geneb")
    rows = [row for row in make_rows(suite, level=-0.9) if row.task_id != suite.tasks[50].task_id]
    found = document_of(build_panel([RunScores(suite, rows, None)]))
    assert found["models"]["mine"]["scored"] == {"full": 99, "10shot": 99, "1shot": 99}
    for key in ("scaling", "wins", "mean_macro", "retention", "micro_macro_rho", "pareto"):
        assert found[key] == document[key]
    (line,) = [row for row in found["leaderboard"] if row["model_id"] == "mine"]
    assert line["rank"] is None and line["macro"]["full"] is None


@pytest.mark.parametrize("models", [1, 2, 4])
def test_small_simulated_suites(make_rows, models) -> None:
    demo = load_suite("demo")
    rows = [row for k in range(models) for row in make_rows(demo, f"m{k}", level=0.1 * k)]
    found = document_of(build_panel([RunScores(demo, rows, None)]))
    json.dumps(found, allow_nan=False)
    assert found["simulated"] and not found["published"]
    assert [row["rank"] for row in found["leaderboard"]] == list(range(1, models + 1))
    assert found["scaling"]["macro"]["rho"] is None
    assert found["controlled_pairs"] == []


def test_one_category_one_regime_one_task(make_suite, make_rows) -> None:
    suite = make_suite([1])
    suite = replace(suite, protocol=replace(suite.protocol, regimes=suite.protocol.regimes[1:2]))
    found = document_of(
        build_panel([RunScores(suite, make_rows(suite), None)]), StatisticsOptions(regime="10shot")
    )
    json.dumps(found, allow_nan=False)
    assert found["leaderboard"][0]["interval"] is None
    assert found["retention"] == {} and found["few_shot"] == {}
