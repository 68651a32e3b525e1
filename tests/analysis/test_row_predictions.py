"""What kept predictions give: leakage-free scores, intervals over rows, comparison row by row."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import matthews_corrcoef

from geneb_jax.analysis import (
    Panel,
    StatisticsOptions,
    build_panel,
    clean_macros,
    compare_models,
    compare_predictions,
    compute_statistics,
    score_interval,
    statistics_document,
)
from geneb_jax.analysis.test_row_predictions import TaskRows, as_codes
from geneb_jax.cli.main import command
from geneb_jax.data import LeakKind
from geneb_jax.results import (
    RunScores,
    answer_keys,
    find_answer_key,
    keep_repeats,
    read_run_folder,
    read_run_record,
    read_scores,
    write_scores_csv,
)
from tests.analysis.row_populations import RowPopulation
from tests.kept_runs import fingerprint, write_kept_run


def document_of(panel: Panel, options: StatisticsOptions | None = None) -> dict:
    """What ``stats --json`` prints."""
    return statistics_document(compute_statistics(panel, options))


SKILLS = {"good": 0.8, "fair": 0.6}


@pytest.fixture(scope="module")
def kept(tmp_path_factory, make_suite):
    """A folder of two models on three tasks of two categories, and what they guessed."""
    out = tmp_path_factory.mktemp("kept")
    suite = make_suite([2, 1])
    return out, suite, write_kept_run(out, suite, SKILLS, classes=3)


@pytest.fixture(scope="module")
def panel(kept):
    return build_panel([run_of(kept)])


def run_of(kept):
    out, suite, _ = kept
    return RunScores(suite, read_scores(out), read_run_record(out), out)


def test_predictions_are_those_of_the_scores(kept, panel, tolerance) -> None:
    _, suite, guesses = kept
    assert set(panel.predictions) == set(SKILLS)
    for (model_id, regime, task_id), expected in guesses.items():
        found = panel.predictions[model_id].task(regime, task_id)
        assert np.array_equal(found.guesses, expected)
        assert found.leaked.sum() == 10
        place = panel.cube.model_index(model_id), panel.cube.regime_index(regime)
        task = [task.task_id for task in suite.tasks].index(task_id)
        assert found.mcc().mean() == pytest.approx(
            panel.cube.mcc[*place, task], abs=tolerance("statistic", "float64")
        )
    assert panel.predictions["good"].task("full", "no-such-task") is None


def test_leakage_is_scikit_learns_score_of_the_other_rows(kept, panel, tolerance) -> None:
    out, suite, guesses = kept
    statistics = document_of(panel, StatisticsOptions())
    entries = {(e["model_id"], e["regime"], e["task_id"]): e for e in statistics["leakage"]}
    assert entries.keys() == guesses.keys()
    clean = {}
    for unit, labels in guesses.items():
        answers = find_answer_key(out, unit[2], fingerprint(unit[2]))
        rest = ~answers.in_training
        truth = answers.labels
        clean[unit] = np.mean([matthews_corrcoef(truth[rest], fit[rest]) for fit in labels])
        assert entries[unit]["clean_mcc"] == pytest.approx(
            clean[unit], abs=tolerance("statistic", "float64")
        )
        assert entries[unit]["mcc"] == pytest.approx(
            np.mean([matthews_corrcoef(truth, fit) for fit in labels]),
            abs=tolerance("statistic", "float64"),
        )
        assert (entries[unit]["leaked"], entries[unit]["test_rows"]) == (10, 120)
    for entry in statistics["leakage_free"]:
        # Categories of two tasks and of one.
        a, b, c = (clean[entry["model_id"], entry["regime"], task.task_id] for task in suite.tasks)
        assert entry["clean_macro"] == pytest.approx(
            ((a + b) / 2 + c) / 2, abs=tolerance("rounded_statistic", "float64")
        )
        assert entry["clean_macro"] < entry["macro"]  # a leaked row is always right
        assert (entry["affected"], entry["leaked"]) == (3, 30)
    assert len(statistics["leakage_free"]) == 6


def test_scores_without_near_repeats_are_scikit_learns(kept, tmp_path, tolerance) -> None:
    out, suite, guesses = kept
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    kinds = np.zeros(120, np.uint8)
    kinds[:10], kinds[10:25], kinds[60:90] = LeakKind.EXACT, LeakKind.REVERSE_COMPLEMENT, 1
    for task in suite.tasks:
        keep_repeats(copy, task.task_id, fingerprint(task.task_id), kinds)
    rest = kinds == 0
    document = document_of(build_panel([run_of((copy, suite, guesses))]))
    found = {}
    for entry in document["leakage"]:
        unit = entry["model_id"], entry["regime"], entry["task_id"]
        truth = find_answer_key(copy, unit[2], fingerprint(unit[2])).labels
        found[unit] = np.mean([matthews_corrcoef(truth[rest], fit[rest]) for fit in guesses[unit]])
        assert entry["distinct_mcc"] == pytest.approx(
            found[unit], abs=tolerance("statistic", "float64")
        )
        assert (entry["leaked"], entry["reverse_complements"], entry["near_repeats"]) == (
            10,
            15,
            30,
        )
    for entry in document["leakage_free"]:
        a, b, c = (found[entry["model_id"], entry["regime"], task.task_id] for task in suite.tasks)
        assert entry["resembling"] == 3 * 55
        assert entry["distinct_macro"] == pytest.approx(
            ((a + b) / 2 + c) / 2, abs=tolerance("rounded_statistic", "float64")
        )
    own = {(one["model_id"], one["task_id"]): one for one in document["own_scores"]}
    for (model_id, task_id), one in own.items():
        assert one["distinct_mcc"] == pytest.approx(
            found[model_id, document["regime"], task_id], abs=tolerance("statistic", "float64")
        )
    # Without the files, or with one of another length, nothing is said of near repeats.
    keep_repeats(copy, suite.tasks[0].task_id, fingerprint(suite.tasks[0].task_id), kinds[1:])
    again = document_of(build_panel([run_of((copy, suite, guesses))]))
    assert {entry["resembling"] for entry in again["leakage_free"]} == {None}


def test_macro_without_leaked_rows_needs_every_task(panel) -> None:
    from geneb_jax.analysis import Leakage, ModelLeakage

    first, second, third = (task.task_id for task in panel.cube.tasks)

    def entry(task_id: str, clean: float | None) -> ModelLeakage:
        return ModelLeakage("good", "full", Leakage(task_id, 9, 4, 0.5, clean))

    assert clean_macros(panel.cube, [entry(first, 0.4), entry(second, 0.2)]) == ()
    (found,) = clean_macros(panel.cube, [entry(first, 0.4), entry(second, None), entry(third, 0.1)])
    assert (found.macro, found.clean_macro) == (0.5, None)


def test_intervals_over_rows_in_the_document(kept, panel) -> None:
    statistics = document_of(panel, StatisticsOptions(regime="10shot"))
    found = {(e["model_id"], e["task_id"]): e for e in statistics["own_scores"]}
    assert len(found) == 6 and {e["regime"] for e in found.values()} == {"10shot"}
    errors = []
    for (model_id, task_id), entry in found.items():
        rows = panel.predictions[model_id].task("10shot", task_id)
        expected = score_interval(model_id, "10shot", task_id, rows)
        assert entry["interval"] == [expected.interval.low, expected.interval.high]
        assert expected.interval.low < entry["mcc"] < expected.interval.high
        assert (entry["test_rows"], entry["leaked"]) == (120, 10)
        errors += [expected.error] if model_id == "good" else []
    spread = statistics["row_spread"][0]
    assert spread["typical"] == pytest.approx(np.mean(errors))
    assert spread["macro_error"] == pytest.approx(
        np.sqrt(errors[0] ** 2 / 16 + errors[1] ** 2 / 16 + errors[2] ** 2 / 4)
    )
    assert (spread["tasks"], spread["test_rows"]) == (3, 360)


def coverage_of_one_score(repeats: int, seed: int, rows: int = 300) -> float:
    """How often the interval of a mean over two fits holds the population's."""
    rng = np.random.default_rng(seed)
    population = RowPopulation([0.36, 0.06, 0.05, 0.08, 0.04, 0.05, 0.10, 0.26])
    truth = (population.mcc(1) + population.mcc(2)) / 2
    held = 0
    for _ in range(repeats):
        y, *guesses = population.draw(rows, rng)
        both = TaskRows("", y, np.zeros(rows, bool), np.stack(guesses))
        found = score_interval("m", "1shot", "t", both).interval
        held += found.low <= truth <= found.high
    return held / repeats


def test_coverage_of_a_scores_interval_over_rows() -> None:
    # 500 repeats: the simulation's own standard error is one percentage point.
    assert 0.93 - 0.02 <= coverage_of_one_score(500, 3) <= 0.97 + 0.02


@pytest.mark.sweep
def test_coverage_of_a_scores_interval_over_rows_at_length() -> None:
    assert 0.93 <= coverage_of_one_score(10_000, 5) <= 0.97


def test_two_models_of_a_run_are_compared_row_by_row(kept, panel, tolerance) -> None:
    out, suite, guesses = kept
    found = compare_models(panel.cube, "good", "fair", "full", predictions=panel.predictions)
    assert [one.task_id for one in found.rows.tasks] == [task.task_id for task in suite.tasks]
    assert found.rows.test_rows == 360
    assert found.rows.interval.estimate == pytest.approx(
        found.difference, abs=tolerance("rounded_statistic", "float64")
    )
    for one in found.rows.tasks:
        truth = find_answer_key(out, one.task_id, fingerprint(one.task_id)).labels
        a, b = (guesses[name, "full", one.task_id][0] for name in ("good", "fair"))
        # One seed a task, whatever stands beside it.
        seed = zlib.crc32(one.task_id.encode())
        assert one.interval == compare_predictions(truth, a, b, seed=seed)
    clear = [one.interval.low > 0 for one in found.rows.tasks]
    assert found.rows.clearly_ahead == sum(clear) >= 1 and found.rows.clearly_behind == 0
    # Rows are resampled task by task, so the macro's variance is the weighted sum of theirs.
    half = [(one.interval.high - one.interval.low) / 2 for one in found.rows.tasks]
    expected = np.sqrt(half[0] ** 2 / 16 + half[1] ** 2 / 16 + half[2] ** 2 / 4)
    whole = found.rows.interval
    assert (whole.high - whole.low) / 2 == pytest.approx(
        expected, rel=tolerance("row_interval", "half_width")
    )
    turned = compare_models(panel.cube, "fair", "good", "full", predictions=panel.predictions).rows
    assert (turned.clearly_behind, turned.clearly_ahead) == (sum(clear), 0)
    few = compare_models(panel.cube, "good", "fair", "1shot", predictions=panel.predictions).rows
    assert few.interval.low < few.interval.estimate < few.interval.high
    assert compare_models(panel.cube, "good", "fair", "full").rows is None


def test_rows_of_two_runs_pair_only_where_the_files_are_the_same(
    tmp_path, kept, make_suite, monkeypatch
) -> None:
    suite = kept[1]
    write_kept_run(tmp_path / "other", suite, {"rival": 0.7}, classes=3, seed=1)
    # One task's files differ: the same id, other content.
    first = suite.tasks[0].task_id
    monkeypatch.setattr(
        "tests.kept_runs.fingerprint", lambda t: "e" * 64 if t == first else fingerprint(t)
    )
    write_kept_run(tmp_path / "changed", suite, {"rival": 0.7}, classes=3, seed=1)
    for folder, tasks in (("other", 3), ("changed", 2)):
        both = build_panel([run_of(kept), run_of((tmp_path / folder, suite, None))])
        found = compare_models(both.cube, "good", "rival", "full", predictions=both.predictions)
        assert (found.tasks, len(found.rows.tasks)) == (3, tasks)


def test_predictions_that_do_not_give_the_score_are_not_believed(tmp_path, kept) -> None:
    out, suite, _ = kept
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    task = suite.tasks[0].task_id
    path = answer_keys.answer_key_path(copy, task, fingerprint(task))
    path.write_bytes(
        answer_keys.answer_key_path(
            out, suite.tasks[1].task_id, fingerprint(suite.tasks[1].task_id)
        ).read_bytes()
    )
    found = build_panel([run_of((copy, suite, None))]).predictions["good"]
    assert found.task("full", task) is None  # another task's answers: another MCC
    assert found.task("full", suite.tasks[1].task_id) is not None
    path.unlink()
    assert found.task("full", task) is None
    rows = read_scores(copy)
    write_scores_csv(copy, [row for row in rows if row.model_id == "fair"])
    assert set(build_panel([run_of((copy, suite, None))]).predictions) == {"fair"}


def test_predictions_follow_a_model_through_its_names(tmp_path) -> None:
    from geneb_jax.benchmark import load_suite

    geneb = load_suite("geneb")
    some = replace(geneb, tasks=geneb.tasks[:2])
    runs = []
    for number, skill in enumerate((0.9, 0.5)):
        out = tmp_path / str(number)
        write_kept_run(out, some, {"MutBERT": skill}, seed=number)
        runs.append(RunScores(some, read_scores(out), None, out))
    panel = build_panel(runs)
    assert list(panel.predictions) == ["MutBERT (run)", "MutBERT (run 2)"]
    for name, found in panel.predictions.items():
        score = panel.cube.mcc[panel.cube.model_index(name), 0, 0]
        assert found.task("full", some.tasks[0].task_id).mcc()[0] == pytest.approx(score)
    own = document_of(panel, StatisticsOptions())["own_scores"]
    assert len(own) == 4 and all(one["interval"] for one in own)


@pytest.mark.parametrize(
    "labels", [[3, -1, 3], [2**62, -(2**62), 0], ["b", "a", "b"], [0.5, 2.0, 0.5], []]
)
def test_codes_are_the_places_among_the_sorted_labels(labels) -> None:
    expected = np.unique(np.array(labels), return_inverse=True)[1]
    assert np.array_equal(as_codes(np.array(labels)), expected)


def test_a_sweep_keeps_the_predictions_of_every_strength(tmp_path, make_suite, tolerance) -> None:
    from geneb_jax.analysis import ProbeSetting

    suite = make_suite([1])
    write_kept_run(tmp_path, suite, {"m": 0.7}, C=(0.1, 1.0, 10.0))
    run = RunScores(suite, read_scores(tmp_path), None, tmp_path)
    seen = set()
    for strength in (0.1, 1.0, 10.0):
        setting = ProbeSetting("logistic", strength, "reference")
        found = build_panel([run], setting=setting).predictions["m"].task("1shot", "task-0-0")
        mean = np.mean([r.mcc for r in run.scores if (r.C, r.regime) == (strength, "1shot")])
        assert found.mcc().mean() == pytest.approx(mean, abs=tolerance("statistic", "float64"))
        seen.add(found.guesses.tobytes())
    assert len(seen) == 3


def test_compare_says_tasks_and_rows(tmp_path: Path) -> None:
    from geneb_jax.benchmark import load_suite

    demo = load_suite("demo")
    write_kept_run(tmp_path, demo, SKILLS)
    write_kept_run(tmp_path / "again", demo, {"good": 0.5}, seed=1)
    arguments = ["compare", "good", "fair", "--run", str(tmp_path)]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.exception is None
    assert f"compared row by row on 13 of 13 tasks, {13 * 120:,} test rows" in result.stderr
    assert "by test rows: ahead / not told apart / behind" in result.stdout
    assert "the table has the 12 largest differences" in result.stderr
    (document,) = json.loads(
        CliRunner().invoke(command, [*arguments, "--json"], standalone_mode=False).stdout
    )
    assert len(document["rows"]["tasks"]) == 13
    assert document["rows"]["interval"]["estimate"] == pytest.approx(document["difference"])
    assert read_run_folder(tmp_path).folder == tmp_path
    # A folder with a folder: the same model twice, its second self under another name.
    folders = ["compare", str(tmp_path), str(tmp_path / "again"), "--json"]
    (both,) = json.loads(
        CliRunner().invoke(command, folders, standalone_mode=False, catch_exceptions=False).stdout
    )
    assert (both["model_a"], both["model_b"]) == ("good", "good (run)")
    assert both["rows"]["interval"]["estimate"] == pytest.approx(both["difference"])
    assert both["rows"]["interval"]["low"] > 0
