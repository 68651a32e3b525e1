"""What a reader is told first: headlines, choices by category, what a score must beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geneb_jax.analysis import (
    StatisticsOptions,
    build_panel,
    compare_models,
    compute_statistics,
    pair_intervals,
    published_cube,
    recommend,
    reference_cube,
)
from geneb_jax.benchmark import load_suite
from geneb_jax.report import boards_of, choice_table, run_tables
from geneb_jax.report.answers import Answer, answers
from geneb_jax.results import ModelFacts, RunScores, read_scores
from tests.kept_runs import write_kept_run
from tests.run_records import run_record


def asked(panel) -> dict[str, Answer]:
    board = boards_of(panel)[0]
    statistics = compute_statistics(panel, StatisticsOptions(regime=board.regime))
    shared = panel.cube if panel.common is None else panel.common
    pairs = pair_intervals(shared, board.regime, predictions=panel.predictions)
    return {card.key: card for card in answers(board, panel, statistics, pairs)}


def test_the_published_report_answers_first() -> None:
    found = asked(build_panel([]))
    best, small = found["best"], found["small"]
    assert (best.name, best.value) == ("GENERator-Eukaryote-3B", "macro MCC 0.605")
    assert best.interval.startswith("95%: 0.5") and best.detail.endswith("with LucaOne.")
    assert (small.name, small.value) == ("SpliceBERT 1024nt", "macro MCC 0.568")
    assert small.detail.startswith("Rank 7 of 41 (")
    lead = compare_models(reference_cube(), "GENERator-eukaryote-3b-base", "LucaOne", "full")
    assert found["against"].name == "Cannot be told" and not lead.interval.excludes_zero
    assert found["against"].value == f"{lead.difference:+.3f}"
    assert found["few"].detail.endswith("full 0.49, 10shot 0.25, 1shot 0.11.")


def test_a_run_is_told_of_its_best_trained_model(geneb, make_rows) -> None:
    facts = (
        ModelFacts("mine", architecture="T-enc"),
        ModelFacts("mine-random", weights="random", architecture="T-enc"),
        ModelFacts("kmer", weights="none"),
    )
    rows = [
        *make_rows(geneb, "mine", level=0.6),
        *make_rows(geneb, "mine-random", level=0.7),
        *make_rows(geneb, "kmer", level=0.4),
    ]
    panel = build_panel([RunScores(geneb, rows, run_record(*facts))])
    found = asked(panel)
    # The control has the best score of all, and is nobody's model.
    assert (found["yours"].name, found["yours"].question) == ("mine", "Your trained model")
    difference = compare_models(panel.cube, "mine", "kmer", "full")
    assert found["against"].question == "Better than k-mers (kmer)?"
    assert found["against"].name == "Yes" and difference.interval.low > 0
    assert found["against"].value == f"{difference.difference:+.3f}"
    scores = panel.cube.in_regime("full")
    trained = [k for k, model in enumerate(panel.cube.models) if model.weights != "random"]
    mine = panel.cube.model_index("mine")
    behind = (scores[trained].max(axis=0) - scores[mine]).argmax()
    assert found["held"].name == panel.cube.tasks[behind].label
    without = [row for row in rows if row.model_id != "kmer"]
    alone = asked(build_panel([RunScores(geneb, without, run_record(*facts[:2]))]))
    assert alone["against"].name == "Not known" and "-m kmer-6 adds them" in alone["against"].detail


def test_choices_name_the_second_its_interval_and_your_place(geneb, make_rows) -> None:
    rows = [*make_rows(geneb, "mine", level=0.55), *make_rows(geneb, "control", level=0.9)]
    run = run_record(ModelFacts("control", weights="random"))
    cube = build_panel([RunScores(geneb, rows, run)]).cube
    table = choice_table(cube, "full")
    lines = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    for name, line in lines.items():
        answer = recommend(cube, () if name == "all categories" else (name,))
        best, second = answer.candidates[:2]
        assert (line["best"], line["second"]) == (best.model.display, second.model.display)
        assert line["margin"] == best.mcc - second.mcc
        if answer.tasks >= 5:
            assert (line["margin_low"], line["margin_high"]) == (
                second.behind.low,
                second.behind.high,
            )
            assert line["not_told_apart"] == sum(c.equal for c in answer.candidates[1:])
        else:
            assert line["margin_low"] is line["not_told_apart"] is None
        # An untrained control, first by far here, is never offered as the user's model.
        assert "control" not in [candidate.model.label for candidate in answer.candidates]
        assert [one.model.label for one in answer.baselines] == ["control"]
        assert line["baseline"] == line["not_beaten"] == "control"
        everyone = sorted((*answer.candidates, *answer.baselines), key=lambda one: -one.mcc)
        names = [candidate.model.label for candidate in everyone]
        assert (line["yours"], line["yours_rank"]) == ("mine", names.index("mine") + 1)
    published = choice_table(published_cube(), "full")
    assert "yours" not in published.columns and "margin_low" in published.columns


def test_a_score_stands_beside_what_it_must_beat(tmp_path) -> None:
    demo = load_suite("demo")
    demo = replace(demo, tasks=demo.tasks[:4])
    write_kept_run(tmp_path, demo, {"net": 0.8, "net-0": 0.1, "other-0": 0.3, "k4": 0.4, "k6": 0.5})
    run = run_record(
        ModelFacts("net", architecture="T-enc"),
        ModelFacts("net-0", weights="random", architecture="T-enc"),
        ModelFacts("other-0", weights="random", architecture="Mamba"),
        ModelFacts("k4", weights="none"),
        ModelFacts("k6", weights="none"),
    )
    panel = build_panel([RunScores(demo, read_scores(tmp_path), run, tmp_path)])
    statistics = compute_statistics(panel, StatisticsOptions())
    cube = panel.cube
    rows = {name: cube.in_regime("full")[cube.model_index(name)] for name in cube.model_ids}
    found = {(one.model_id, one.task_id): one for one in statistics.own_scores}
    assert len(found) == 5 * 4
    for k, task in enumerate(demo.tasks):
        one = found["net", task.task_id]
        assert one.mcc == rows["net"][k]
        assert one.untrained == rows["net-0"][k]  # of its own architecture
        assert one.composition == max(rows["k4"][k], rows["k6"][k])
        assert one.chance == pytest.approx(2 / np.sqrt(119))
        assert found["k6", task.task_id].untrained == max(rows["net-0"][k], rows["other-0"][k])
        assert found["k6", task.task_id].composition == rows["k4"][k]
        assert found["net-0", task.task_id].untrained is None
        assert one.clean_mcc < one.mcc and one.interval.low < one.mcc
    tables = {table.name: table for table in run_tables(statistics)}
    assert len(tables["own-scores"].rows) == 20
    assert {"low", "high", "chance", "untrained", "composition", "leaked", "mcc_without"} <= set(
        tables["own-scores"].columns
    )
    assert len(tables["leakage"].rows) == 5 * 3
