"""Later entries and other people's submissions beside the paper's models and one's own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from geneb_jax.analysis import aggregate, build_panel, compute_statistics, leaderboard, live_cube
from geneb_jax.analysis.published import published_cube, reference_cube
from geneb_jax.benchmark import load_suite
from geneb_jax.errors import DataError
from geneb_jax.resources import config_folder
from geneb_jax.results import RunScores, read_submissions, validate_submission

GENEB = load_suite("geneb")
LIVE = Path(str(config_folder() / "published" / "live" / "splicebert-1024nt.json"))


def document(model_id: str = "theirs", *, shift: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A submission with MutBERT's MCC, moved, and an accuracy and F1 of its own."""
    cube = published_cube()
    row = cube.model_index("MutBERT")
    results = {
        regime: {
            task.task_id: {
                "MCC": round(float(cube.mcc[row, r, t]) * (1 - shift), 6),
                "Acc": round(0.5 + t / 1000, 6),
                "F1": round(0.4 + t / 1000, 6),
            }
            for t, task in enumerate(cube.tasks)
        }
        for r, regime in enumerate(cube.regimes)
    }
    meta = {"display": "Theirs", "params": 5, "provenance": "self-reported"}
    head = {"schema_version": "1.0", "model_id": model_id, "harness_version": "GENEB-0.1.0"}
    return {**head, "meta": meta, "results": results, **changes}


def write(folder: Path, content: dict[str, Any], name: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name or content['model_id']}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def panel_of(*places: Path, metric: str = "mcc", runs=()):
    found, told = read_submissions(places, GENEB)
    return build_panel(runs, submissions=found, metric=metric), told


def test_the_41st_entry_has_its_published_macros() -> None:
    macro = aggregate(live_cube()).macro[0]
    assert [round(value, 6) for value in macro] == [0.567960, 0.340203, 0.154519]
    for metric in ("accuracy", "macro_f1"):
        assert (live_cube(metric).mcc > 0).all()


def test_it_is_seventh_of_41_and_in_no_statement_of_the_paper() -> None:
    statistics = compute_statistics(build_panel([]))
    assert len(statistics.leaderboard) == 41
    (row,) = [one for one in statistics.leaderboard if one.model.source == "live"]
    assert (row.model.label, row.rank) == ("splicebert-1024nt", 7)
    everyone = aggregate(reference_cube()).macro[:, 0]
    assert sorted(one.rank for one in statistics.leaderboard) == sorted(
        rankdata(-everyone, method="min").astype(int).tolist()
    )
    assert statistics.scaling.macro.count == 40
    assert "splicebert-1024nt" not in statistics.wins
    assert set(statistics.rank_ranges) == {one.model.label for one in statistics.leaderboard}


def test_extra_fields_and_a_later_version_are_read_with_a_word(tmp_path: Path) -> None:
    content = document(schema_version="3.1", new={"a": [1, 2]}, harness_version="GENEB-9")
    content["meta"]["licence"] = "MIT"
    for regime in content["results"].values():
        for cell in regime.values():
            cell |= {"AUROC": 0.5, "n": 7, "more": {"deep": []}}
    content["results"]["100shot"] = {}
    panel, told = panel_of(write(tmp_path / "s", content))
    (warning,) = told
    assert "schema version '3.1'" in warning
    mine = panel.cube.model_index("theirs")
    assert (panel.cube.mcc[mine] == panel.cube.mcc[panel.cube.model_index("MutBERT")]).all()
    assert panel.cube.models[mine].source == "submission"
    assert len(leaderboard(panel.cube, title="").rows) == 42


def test_the_file_of_an_entry_that_is_shown_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "submissions"
    write(folder, document("MutBERT"))
    write(folder, json.loads(LIVE.read_text(encoding="utf-8")))
    write(folder, document("GROVER"))  # the published model's name, other scores
    panel, _ = panel_of(folder)
    assert len(panel.cube.models) == 42
    assert panel.cube.model_ids[-1] == "GROVER (submission)"
    assert any("MutBERT, splicebert-1024nt" in text for text in panel.notices)
    assert panel.cube.models[-1].tokenization == "BPE"


def test_three_metrics(tmp_path: Path, make_rows) -> None:
    place = write(tmp_path / "s", document())
    rows = make_rows(GENEB, level=0.1)
    for metric, expected in (("accuracy", 0.5), ("macro_f1", 0.4)):
        panel, _ = panel_of(place, metric=metric, runs=[RunScores(GENEB, rows)])
        # The 40 are known by MCC alone: they are not shown with holes.
        assert [model.source for model in panel.cube.models] == ["live", "submission", "user"]
        assert any("MCC alone" in text for text in panel.notices)
        theirs = panel.cube.mcc[1, 0]
        assert theirs.tolist() == [round(expected + t / 1000, 6) for t in range(100)]
        statistics = compute_statistics(panel)
        assert statistics.metric == metric
        assert all(
            0.0 <= one.interval[0] <= one.interval[1] <= 1.0 for one in statistics.leaderboard
        )
        assert all(one.chance is None for one in statistics.own_scores)


def test_a_missing_task_is_missing_and_a_bad_score_refuses_the_file(tmp_path: Path) -> None:
    content = document()
    gone = GENEB.tasks[3].task_id
    del content["results"]["full"][gone]
    panel, _ = panel_of(write(tmp_path / "s", content))
    (row,) = [one for one in leaderboard(panel.cube, title="").rows if one.model.label == "theirs"]
    assert row.rank is None and row.scored["full"] == 99
    for value in (float("nan"), 1.5, "0.5", None, True):
        content["results"]["full"][gone] = {"MCC": value}
        with pytest.raises(DataError, match=f"results.full.{gone}.MCC"):
            panel_of(write(tmp_path / "s", content))


def test_a_folder_names_what_it_leaves_out_and_a_file_must_be_good(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write(folder, document())
    bad = folder / "notes.json"
    bad.write_text('{"a": 1}', encoding="utf-8")
    found, told = read_submissions([folder], GENEB)
    assert [one.facts.label for one in found] == ["theirs"]
    assert any("notes.json" in text and "no results" in text for text in told)
    for place in (bad, tmp_path / "none.json"):
        with pytest.raises(DataError):
            read_submissions([place], GENEB)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there is no submission file"):
        read_submissions([tmp_path / "empty"], GENEB)


def test_what_a_file_says_is_of_other_data_is_left_out(tmp_path: Path) -> None:
    gone = GENEB.tasks[0].task_id
    panel, _ = panel_of(write(tmp_path / "s", document(unverified={"unlike_data": [gone]})))
    (row,) = [one for one in leaderboard(panel.cube, title="").rows if one.model.label == "theirs"]
    assert row.rank is None and row.scored["full"] == 99


@pytest.mark.parametrize(
    "said",
    [True, "yes", [], {}, {"unlike_data": None}, {"unlike_data": "all"}, {"tasks": []},
     {"unlike_data": {GENEB.tasks[0].task_id: 1}}, {"unlike_data": ["no-such-task"]}],
    ids=str,
)  # fmt: skip
def test_other_data_in_unknown_words_are_all_of_the_file(tmp_path: Path, said: Any) -> None:
    panel, told = panel_of(write(tmp_path, document(shift=0.1, unverified=said)))
    row = panel.cube.model_index("theirs")
    assert not np.isfinite(panel.cube.mcc[row]).any()
    assert any("every score of the file counts as of other data" in text for text in told)
    board = leaderboard(panel.cube, title="", regime="full")
    (theirs,) = [one for one in board.rows if one.model.label == "theirs"]
    assert theirs.rank is None


def test_a_size_that_no_number_holds_is_not_known(tmp_path: Path) -> None:
    content = document()
    content["meta"]["params"] = 10**400
    path = write(tmp_path, content)
    panel, _ = panel_of(path)
    (facts,) = [model for model in panel.cube.models if model.label == "theirs"]
    assert facts.params is None and np.isnan(panel.cube.params[-1])
    verdict = validate_submission(path, GENEB)
    assert verdict.accepted and any("params" in text for text in verdict.warnings)


def test_submissions_do_not_stand_beside_another_suite(
    tmp_path: Path, make_suite, make_rows
) -> None:
    suite = make_suite()
    place = write(tmp_path / "s", document())
    with pytest.raises(DataError, match="the submissions are of the benchmark"):
        panel_of(place, runs=[RunScores(suite, make_rows(suite))])


def test_the_shipped_entry_is_the_published_table() -> None:
    text = (config_folder() / "published" / "scores.csv").read_text(encoding="utf-8")
    names = {row["task_id"] for row in csv.DictReader(text.splitlines())}
    content = json.loads(LIVE.read_text(encoding="utf-8"))
    assert all(set(scores) == names for scores in content["results"].values())
