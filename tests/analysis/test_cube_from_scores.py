"""Rows that are refused, left out or flagged, as docs/statistics.md says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geneb_jax.analysis import (
    ControlledPair,
    ProbeSetting,
    StatisticsOptions,
    aggregate,
    build_panel,
    chosen_setting,
    compute_statistics,
    cube_from_scores,
    settings_of,
)
from geneb_jax.benchmark import DatasetPin, load_suite
from geneb_jax.errors import DataError
from geneb_jax.results import (
    ModelFacts,
    RunScores,
    ScoreTable,
    TaskFacts,
    read_run_folder,
    read_scores,
    require_same_data,
    write_run_record,
    write_scores_csv,
)
from tests.run_records import run_record


def test_a_whole_run_becomes_means_over_seeds(make_suite, make_rows, tolerance) -> None:
    suite = make_suite()
    rows = make_rows(suite)
    cube, notices = cube_from_scores(rows, suite)
    assert notices == ()
    for r, regime in enumerate(suite.protocol.regimes):
        for t, task in enumerate(suite.tasks):
            values = [
                row.mcc for row in rows if (row.regime, row.task_id) == (regime.name, task.task_id)
            ]
            assert cube.mcc[0, r, t] == pytest.approx(
                np.mean(values), abs=tolerance("seed_mean", "float64")
            )
            if regime.seeded:
                assert cube.seed_sd[0, r, t] == pytest.approx(
                    np.std(values, ddof=1), rel=tolerance("summary", "float64")
                )
            else:
                assert np.isnan(cube.seed_sd[0, r, t])
    assert cube.test_rows.tolist() == [401] * len(suite.tasks)


@pytest.mark.parametrize("category", [0, 1, 2])
@pytest.mark.fault("F53")
def test_a_missing_task_withholds_its_category_and_every_aggregate(
    category, make_suite, make_rows
) -> None:
    suite = make_suite()
    gone = next(task for task in suite.tasks if task.category == f"Category {category}")
    rows = [r for r in make_rows(suite) if (r.task_id, r.regime) != (gone.task_id, "10shot")]
    cube, _ = cube_from_scores(rows, suite)
    means = aggregate(cube)
    place = cube.regime_index("10shot")
    assert np.isnan(means.macro[0, place]) and np.isnan(means.micro[0, place])
    assert np.isnan(means.category[0, place]).tolist() == [k == category for k in range(3)]
    assert means.scored[0].tolist() == [6, 5, 6]
    # The other regimes are untouched.
    assert np.isfinite(means.macro[0, [0, 2]]).all()
    panel = build_panel([RunScores(suite, rows, None)])
    assert panel.common is not None
    assert gone.task_id not in [task.task_id for task in panel.common.tasks]


def test_one_missing_seed_withholds_its_cell(make_suite, make_rows) -> None:
    suite = make_suite()
    rows = make_rows(suite)
    first = next(row for row in rows if row.regime == "1shot" and row.seed == 17)
    cube, notices = cube_from_scores([row for row in rows if row is not first], suite)
    assert np.isnan(cube.mcc[0, 2, 0])
    assert np.isfinite(cube.mcc[0, :2]).all()
    assert len(notices) == 1 and notices[0].startswith("1 scores lack some of the seeds")


def test_failed_rows_are_missing_and_counted(make_suite, make_rows, make_row) -> None:
    suite = make_suite()
    rows = make_rows(suite)
    failed = make_row(suite.tasks[0], "10shot", 13, None)
    rows = [failed if row.fit == failed.fit else row for row in rows]
    cube, notices = cube_from_scores(rows, suite)
    assert np.isnan(cube.mcc[0, 1, 0])
    assert any(text.startswith("1 fits failed") and "task-0-0" in text for text in notices)


def test_duplicate_rows_are_refused(make_suite, make_rows) -> None:
    suite = make_suite()
    rows = make_rows(suite)
    with pytest.raises(DataError, match=r"two rows for model 'mine', task 'task-0-0'"):
        cube_from_scores([*rows, replace(rows[0], mcc=0.9)], suite)


def test_duplicate_rows_of_a_file_are_refused_by_row(tmp_path, make_suite, make_rows) -> None:
    rows = make_rows(make_suite())
    path = write_scores_csv(tmp_path, rows)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[3]]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"scores.csv:{len(lines) + 1}: the same fit as row 4"):
        read_run_folder(tmp_path)


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "1e400", "1.5", "-1.01", "true", "0,5"])
def test_impossible_scores_of_a_file_are_refused_by_row(
    tmp_path, value, make_suite, make_rows
) -> None:
    path = write_scores_csv(tmp_path, make_rows(make_suite()))
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[5].split(",")
    cells[8] = f'"{value}"'
    lines[5] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"scores.csv:6: mcc"):
        read_scores(tmp_path)


def test_unknown_tasks_and_regimes_are_left_out_and_named(make_suite, make_rows, make_row) -> None:
    suite = make_suite()
    rows = make_rows(suite)
    strange = [
        make_row(replace(suite.tasks[0], task_id="elsewhere"), "full"),
        make_row(suite.tasks[0], "5shot"),
    ]
    cube, notices = cube_from_scores([*rows, *strange], suite)
    plain, _ = cube_from_scores(rows, suite)
    assert np.array_equal(cube.mcc, plain.mcc)
    assert any(
        "1 tasks are not of the suite 'toy'" in text and "elsewhere" in text for text in notices
    )
    assert any(
        "1 regimes are not of the suite 'toy'" in text and "5shot" in text for text in notices
    )


def test_a_category_that_contradicts_the_suite_is_refused(make_suite, make_rows) -> None:
    suite = make_suite()
    rows = make_rows(suite)
    with pytest.raises(DataError, match=r"filed under 'Other', but the suite 'toy'"):
        cube_from_scores([replace(rows[0], category="Other"), *rows[1:]], suite)


def test_settings_are_kept_apart_and_the_protocol_chosen(make_suite, make_rows) -> None:
    suite = make_suite()
    rows = make_rows(suite)
    others = [
        *make_rows(suite, level=0.1, C=10.0),
        *make_rows(suite, level=0.0, solver="exact"),
        *make_rows(suite, level=0.2, probe="mlp", solver="adam"),
    ]
    cube, _ = cube_from_scores([*others, *rows], suite)
    plain, _ = cube_from_scores(rows, suite)
    assert np.array_equal(cube.mcc, plain.mcc)
    assert cube.off_protocol == {}
    assert len(settings_of([*others, *rows])) == 4
    assert chosen_setting(others, suite).solver == "exact"
    panel = build_panel([RunScores(suite, [*others, *rows], None)])
    assert len(panel.settings) == 4


def test_what_another_setting_scored_is_said(make_suite, make_rows) -> None:
    suite = make_suite()
    rows = [*make_rows(suite, "a"), *make_rows(suite, "a", C=10.0), *make_rows(suite, "b", C=10.0)]
    cube, (notice,) = cube_from_scores(rows, suite)
    assert cube.model_ids == ("a",)
    assert "one probe setting (logistic, C = 1, reference solver)" in notice
    assert "logistic, C = 10, reference solver" in notice
    assert "b: not shown, having no score of that one" in notice
    # Each pair of settings is over the models of both: b alone lacks none of the others a pair.
    assert not any("agreement of settings lacks" in text for text in notices_of(suite, rows))
    apart = [*make_rows(suite, "a"), *make_rows(suite, "b", C=10.0)]
    assert any("agreement of settings lacks this pair" in text for text in notices_of(suite, apart))


def notices_of(suite, rows) -> tuple[str, ...]:
    return compute_statistics(build_panel([RunScores(suite, rows)])).notices


def test_what_a_statistic_leaves_out_is_said(make_suite, make_rows) -> None:
    suite = make_suite()
    rows = [
        *make_rows(suite, "whole"),
        *(row for row in make_rows(suite, "no full") if row.regime != "full"),
        *(row for row in make_rows(suite, "full only") if row.regime == "full"),
    ]
    texts = notices_of(suite, rows)
    assert any(text.startswith("no full: not ranked") for text in texts)
    assert any(text.startswith("full only: not in what compares regimes") for text in texts)
    assert any(text.startswith("whole, full only: of no known size") for text in texts)
    sized = run_record(ModelFacts("whole", params=5))
    panel = build_panel([RunScores(suite, make_rows(suite, "whole"), sized)])
    assert compute_statistics(panel).notices == ()


def test_a_pair_that_cannot_be_compared_is_said(make_rows) -> None:
    suite = load_suite("geneb")
    rows = [row for row in make_rows(suite) if row.task_id != suite.tasks[3].task_id]
    pairs = (ControlledPair("MutBERT", "mine", "x"), ControlledPair("MutBERT", "GROVER", "x"))
    panel = build_panel([RunScores(suite, rows)])
    found = compute_statistics(panel, StatisticsOptions(pairs=pairs))
    assert len(found.controlled_pairs) == 31
    (text,) = [text for text in found.notices if text.startswith("The pair")]
    assert text.startswith("The pair MutBERT, mine is not compared: mine has not every task")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"solver": "exact"}, "exact solver instead of reference (scikit-learn up to 1.8)"),
        ({"C": 0.1}, "C = 0.1 instead of 1"),
        ({"probe": "mlp", "solver": "adam"}, "probe mlp instead of logistic"),
    ],
)
def test_other_settings_are_not_ranked_with_the_published(changes, reason, make_rows) -> None:
    suite = load_suite("geneb")
    panel = build_panel([RunScores(suite, make_rows(suite, level=-0.9, **changes), None)])
    (mine,) = [model for model in panel.cube.models if model.source == "user"]
    assert panel.cube.off_protocol == {mine.label: (reason,)}
    assert len(panel.ranked.models) == 41
    assert any(reason in text and "not ranked" in text for text in panel.notices)


def test_other_seeds_are_not_ranked_with_the_published(make_rows) -> None:
    suite = load_suite("geneb")
    rows = [row for row in make_rows(suite, level=-0.9) if row.seed in (13, 17, 42)]
    panel = build_panel([RunScores(suite, rows, None)])
    (mine,) = [model for model in panel.cube.models if model.source == "user"]
    assert panel.cube.off_protocol[mine.label] == (
        "few-shot seeds 13, 17, 42 instead of the protocol's",
    )


def test_another_data_set_revision_is_not_ranked_with_the_published(make_rows) -> None:
    suite = load_suite("geneb")
    run = run_record(suite="geneb", dataset=replace(suite.dataset, revision="0" * 40))
    panel = build_panel([RunScores(suite, make_rows(suite, level=-0.9), run)])
    (mine,) = [model for model in panel.cube.models if model.source == "user"]
    assert "data set revision 000000000000 instead of" in panel.cube.off_protocol[mine.label][0]
    assert len(panel.ranked.models) == 41


def test_runs_on_two_revisions_are_refused(make_suite, make_rows) -> None:
    suite = make_suite()
    runs = [
        RunScores(suite, make_rows(suite, name), run_record(dataset=DatasetPin("x/y", letter * 40)))
        for name, letter in (("a", "1"), ("b", "2"))
    ]
    with pytest.raises(DataError, match="different data set revisions"):
        build_panel(runs)
    require_same_data([runs[0], replace(runs[1], record=runs[0].record)])


def test_runs_of_two_suites_are_refused(make_suite, make_rows) -> None:
    suites = [make_suite(), make_suite(name="other")]
    runs = [RunScores(suite, make_rows(suite), None) for suite in suites]
    with pytest.raises(DataError, match="different suites, 'toy' and 'other'"):
        build_panel(runs)


def test_runs_on_different_files_are_flagged(make_suite, make_rows) -> None:
    suite = make_suite()
    runs = [
        RunScores(
            suite,
            make_rows(suite, name),
            run_record(tasks={"task-0-0": TaskFacts(mark), "task-0-1": TaskFacts("same")}),
        )
        for name, mark in (("a", "x"), ("b", "y"))
    ]
    (notice,) = build_panel(runs).notices
    assert notice.startswith("1 tasks had different files") and "task-0-0" in notice


def test_a_run_folder_finds_its_suite(tmp_path, make_suite, make_rows) -> None:
    suite = make_suite()
    write_scores_csv(tmp_path, make_rows(suite))
    write_run_record(tmp_path, run_record(suite="toy"))
    with pytest.raises(DataError, match="not built in"):
        read_run_folder(tmp_path)
    with pytest.raises(DataError, match="the run is of the suite 'toy', not 'geneb'"):
        read_run_folder(tmp_path, "geneb")
    write_run_record(tmp_path, run_record(suite="demo"))
    assert read_run_folder(tmp_path).suite.simulated


def test_a_run_without_scores_of_the_suite_is_refused(make_suite, make_rows) -> None:
    with pytest.raises(DataError, match="no scores of the suite's tasks"):
        build_panel([RunScores(make_suite(), [], None)])


def test_cubes_of_one_table_are_those_of_tables_of_their_own(
    make_suite, make_row, make_rows, tolerance
) -> None:
    """Asked for in turn, by metric and by setting, of models with two, three and one seed."""
    suite = make_suite()
    generator = np.random.default_rng(5)
    rows = [
        make_row(task, regime.name, seed, mcc, model_id=name, C=C, auroc=0.5 + mcc / 2)
        for C in (1.0, 10.0)
        for name, seeds in (("two", (13, 17)), ("three", (1, 2, 3)), ("one", (4,)))
        for task in suite.tasks
        for regime in suite.protocol.regimes
        for seed in seeds
        for mcc in [float(generator.uniform(-0.9, 0.9))]
    ]
    rows[5] = make_row(suite.tasks[0], "1shot", 17, None, model_id="two")
    table = ScoreTable.of(rows)
    for C, metric in ((1.0, "mcc"), (10.0, "mcc"), (1.0, "auroc"), (10.0, "auroc")):
        setting = ProbeSetting("logistic", C, "reference")
        cube, notices = cube_from_scores(table, suite, setting=setting, metric=metric)
        alone, same = cube_from_scores(rows, suite, setting=setting, metric=metric)
        assert notices == same and cube.model_ids == ("two", "three", "one")
        assert cube.mcc.tobytes() == alone.mcc.tobytes()
        assert cube.seed_sd.tobytes() == alone.seed_sd.tobytes()
        for m, r, t in np.ndindex(cube.mcc.shape):
            values = [
                getattr(row, metric)
                for row in rows
                if (row.model_id, row.regime, row.task_id, row.C)
                == (cube.model_ids[m], cube.regimes[r], cube.tasks[t].task_id, C)
            ]
            mean, spread = cube.mcc[m, r, t], cube.seed_sd[m, r, t]
            if None in values:
                assert np.isnan(mean) and np.isnan(spread)
                continue
            assert mean == pytest.approx(np.mean(values), abs=tolerance("seed_mean", "float64"))
            if r == 0 or len(values) == 1:
                assert np.isnan(spread)
            else:
                expected = np.std(values, ddof=1)
                assert spread == pytest.approx(expected, rel=tolerance("summary", "float64"))
