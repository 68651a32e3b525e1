"""``--layers`` and lists of ``--pooling``: one forward, one call of the probes, a layer chosen."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, matthews_corrcoef
from sklearn.model_selection import PredefinedSplit, cross_val_score

import geneb_jax
from geneb_jax.analysis import layer_curves
from geneb_jax.benchmark import load_suite
from geneb_jax.embed import joint_check
from geneb_jax.errors import GenebError
from geneb_jax.models import load_encoder
from geneb_jax.report import layer_sentences
from geneb_jax.results import RunScores, read_scores
from geneb_jax.runs import embed_stage, encoder_source, probe_kinds, run
from geneb_jax.runs.execute import execute
from geneb_jax.runs.plan import plan_run
from geneb_jax.runs.request import request_from_mapping
from geneb_jax.runs.sweep_folds import fold_of_rows
from tests.report_pages import timeless
from tests.runs.test_execute import read_parts

MODEL = "tiny-nt-v2"
LAYERS, POOLINGS = 4, ("mean", "cls", "last")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Problems of every batched call of the probe."""
    kind, calls = probe_kinds.find_probe("logistic"), []

    def fit(problems: Any, *rest: Any) -> Any:
        calls.append(len(problems))
        return kind.fit(problems, *rest)

    changed = dataclasses.replace(kind, fit=fit)
    monkeypatch.setitem(probe_kinds._KINDS, "logistic", changed)
    return calls


def test_all_layers_and_poolings_of_three_tasks(
    suite_folder: Path, tmp_path: Path, counted: list[int], tolerance: Callable[..., float]
) -> None:
    places = {"store": tmp_path / "store", "suite": suite_folder, "regimes": ["full"]}
    asked = {"layers": "all", "pooling": ",".join(POOLINGS)}
    outcome = run(MODEL, out=tmp_path / "out", **asked, **places)
    assert outcome.complete
    variants = (LAYERS + 1) * len(POOLINGS)
    # One call for the scores of all, and one for those of the held-out rows.
    assert counted == [3 * variants, 3 * variants]
    rows = read_scores(outcome.out)
    assert len({(row.layer, row.pooling) for row in rows}) == variants
    assert {row.layer for row in rows} == {*range(LAYERS), -1}
    first = timeless(outcome.report.read_bytes())
    again = run(MODEL, out=tmp_path / "out", **asked, **places)
    assert len(counted) == 2 and timeless(again.report.read_bytes()) == first

    # The same as one layer and pooling alone, whose store is full already.
    alone = run(MODEL, out=tmp_path / "alone", layer=2, pooling="cls", **places)
    assert [one.embedding.embedded for one in alone.run.models.values()] == [0]
    wanted = [row for row in rows if (row.layer, row.pooling) == (2, "cls")]
    assert wanted == list(read_scores(alone.out))
    assert {row.model_id for row in wanted} == {f"{MODEL} @layer 2 cls"}

    # What is chosen is what scikit-learn's cross-validation says.
    model = geneb_jax.load_model(MODEL)
    held: dict[tuple[int, str], dict[str, float]] = {}
    for task in ("one", "two", "three"):
        texts, labels, _, _ = read_parts(suite_folder / f"{task}.csv")
        for key, X in model.embed_layers(texts, pooling=POOLINGS).items():
            scored = cross_val_score(
                LogisticRegression(max_iter=1000),
                X.astype(np.float64),
                labels,
                cv=PredefinedSplit(fold_of_rows(labels)),
                scoring=make_scorer(matthews_corrcoef),
            )
            held.setdefault(key, {})[task] = float(scored.mean())
    macro = {
        key: ((found["one"] + found["two"]) / 2 + found["three"]) / 2 for key, found in held.items()
    }
    suite = load_suite(str(suite_folder))
    (curves,) = layer_curves([RunScores(suite, outcome.rows, outcome.run, outcome.out)])
    ours = {
        (LAYERS if one.layer == -1 else one.layer, one.pooling): one.held_out
        for one in curves.scores
    }
    assert ours.keys() == macro.keys()
    for key, value in ours.items():
        assert abs(value - macro[key]) <= tolerance("metrics", "float64"), key
    assert curves.chosen.held_out == max(one.held_out for one in curves.scores)
    assert curves.price == max(one.test for one in curves.scores) - curves.chosen.test
    (sentence,) = layer_sentences([curves])
    assert "by held-out training rows" in sentence
    page = outcome.report.read_text(encoding="utf-8")
    assert "Score by layer: Tiny NT-v2 (untrained)" in page and "Score by layer and pooling" in page
    assert (outcome.out / "figures" / "figure-layers-1.svg").is_file()


def test_layers_join_what_was_run_alone(
    suite_folder: Path, tmp_path: Path, counted: list[int]
) -> None:
    places = {"store": tmp_path / "s", "suite": suite_folder, "out": tmp_path / "out"}
    run(MODEL, layer=1, regimes=["full"], **places)
    assert counted == [3]
    outcome = run(MODEL, layers=[1, -1], name="mine", regimes=["full"], **places)
    # The layer that was run alone has no scores on held-out rows yet: it is fitted once more.
    assert counted == [3, 6, 6]
    labels = {facts.label for facts in outcome.run.models.values()}
    assert labels == {"mine", "mine @layer 1"}
    suite = load_suite(str(suite_folder))
    (curves,) = layer_curves([RunScores(suite, outcome.rows, outcome.run, outcome.out)])
    assert (curves.model_id, curves.layers) == ("mine", (1, -1)) and curves.chosen is not None


def test_a_layer_run_alone_is_no_choice(suite_folder: Path, tmp_path: Path) -> None:
    places = {"store": tmp_path / "s", "suite": suite_folder, "out": tmp_path / "out"}
    run(MODEL, layer=1, regimes=["full"], tasks=["one"], **places)
    outcome = run(MODEL, regimes=["full"], tasks=["one"], **places)
    suite = load_suite(str(suite_folder))
    (curves,) = layer_curves([RunScores(suite, outcome.rows, outcome.run, outcome.out)])
    assert curves.chosen is None and curves.price is None
    assert layer_sentences([curves]) == []


def test_a_plan_counts_one_forward(suite_folder: Path, tmp_path: Path) -> None:
    request = request_from_mapping(
        {
            "model": [MODEL],
            "suite": str(suite_folder),
            "layers": "0,1",
            "store": str(tmp_path / "s"),
            "out": str(tmp_path / "o"),
        }
    )
    plan = plan_run(request, measure=False)
    assert [one.model_id for one in plan.models] == [f"{MODEL} @layer 0", f"{MODEL} @layer 1"]
    assert [one.units for one in plan.models] == [9, 9]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": "0,x"}, "names no layers"),
        ({"layers": "1,1"}, "a layer is given twice"),
        ({"layers": [0, 9]}, "there is no hidden state 9"),
        ({"layers": "0,1", "layer": 1}, "give one of them"),
        ({"pooling": "mean,,cls"}, "an empty name"),
        ({"pooling": "mean,mean"}, "a pooling is given twice"),
        ({"pooling": "mean,avg"}, "unknown pooling 'avg'"),
        ({"models": "kmer-2", "layers": "all"}, "in a way of its own"),
        ({"models": "kmer-2", "pooling": "mean,cls"}, "nothing that --pooling could set"),
    ],
)
def test_what_means_nothing_is_refused(
    options: dict[str, Any], said: str, suite_folder: Path, tmp_path: Path
) -> None:
    named = options.pop("models", MODEL)
    with pytest.raises(GenebError, match=said):
        run(named, suite=suite_folder, out=tmp_path / "out", store=tmp_path / "s", **options)
    assert not (tmp_path / "out").exists()


def test_a_device_on_which_the_bits_differ_embeds_layers_one_by_one(
    suite_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def differ(joint: Any, members: Any, *rest: Any, **more: Any) -> bool:
        asked.append(len(members))
        return False

    monkeypatch.setattr(embed_stage, "alike_alone", differ)
    values = {"layers": "0,1", "regimes": ["full"], "tasks": ["one"]}
    outcome = run(MODEL, suite=suite_folder, out=tmp_path / "o", store=tmp_path / "s", **values)
    assert outcome.complete and asked == [2]
    done = [one.embedding for one in outcome.run.models.values()]
    assert len({one.embedded for one in done}) == 1 and done[0].embedded > 0


def test_bits_are_compared_where_a_compiler_is_unknown() -> None:
    encoder = load_encoder(MODEL)
    members = [encoder.variant(layer, "cls") for layer in (0, 1)]
    joint = encoder.joined(members)
    texts = ["ACGTTGCAACGT" * 4] * 2
    assert joint_check.alike_alone(joint, members[::-1], texts)  # on CPU it is not looked at
    assert joint_check.alike_alone(joint, members, texts, platform="gpu")
    assert not joint_check.alike_alone(joint, members[::-1], texts, platform="gpu")


class Elsewhere:
    """Every piece of work in a process that has loaded nothing yet, or as good as that."""

    def map(self, function: Any, items: Any) -> Iterator[Any]:
        for item in items:
            encoder_source._loaded.clear()
            yield pickle.loads(pickle.dumps(function))(pickle.loads(pickle.dumps(item)))


def test_another_process_makes_the_same_layers(suite_folder: Path, tmp_path: Path) -> None:
    values = {
        "model": [MODEL],
        "suite": str(suite_folder),
        "task": ["one"],
        "regime": ["full"],
        "layers": "1,-1",
    }
    found = []
    for name, executor in (("here", None), ("there", Elsewhere())):
        places = {"out": str(tmp_path / name), "store": str(tmp_path / f"store {name}")}
        request = request_from_mapping(values | places)
        found.append(execute(request, executor=executor).rows)
    assert found[0] == found[1] and len(found[0]) == 10
