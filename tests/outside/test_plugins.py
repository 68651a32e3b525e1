"""Packages of others: found by their metadata, imported when named, told by name when broken."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import geneb_jax
from geneb_jax import plugins
from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import command
from geneb_jax.errors import ConfigError, GenebError, SelectionError
from geneb_jax.runs.execute import execute
from geneb_jax.runs.probe_kinds import find_probe
from geneb_jax.runs.request import request_from_mapping
from geneb_jax_probes.solvers import choice

PACKAGES = Path(__file__).parent / "packages"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages on the path, as an installation would have them."""
    monkeypatch.syspath_prepend(PACKAGES)
    monkeypatch.setattr(choice, "SOLVERS", dict(choice.SOLVERS))
    monkeypatch.setattr("geneb_jax.runs.probe_kinds.SOLVERS", choice.SOLVERS)
    importlib.invalidate_caches()
    plugins.plug_ins.cache_clear()
    yield
    plugins.plug_ins.cache_clear()
    for name in [name for name in sys.modules if name.startswith("geneb_friend")]:
        del sys.modules[name]


def _request(tmp_path: Path, **values: object):
    places = {"out": str(tmp_path / "out"), "store": str(tmp_path / "store")}
    return request_from_mapping({"suite": "friend-tasks", "regime": ["full"], **places, **values})


def test_listing_and_help_import_nothing_of_them() -> None:
    for words in (["list", "plugins"], ["list", "probes"], ["run", "--help"], ["list", "models"]):
        answer = CliRunner().invoke(command, words)
        assert answer.exit_code == 0, answer.output
        if words == ["list", "plugins"]:
            assert "friend-network\tgeneb-friend 0.1\tgeneb_friend.models:make_network" in (
                answer.output
            )
        if words == ["list", "probes"]:
            assert "friend-centroid\tof geneb-friend 0.1" in answer.output
            assert "friend-solver\tof geneb-friend 0.1" in answer.output
    assert not [name for name in sys.modules if name.startswith("geneb_friend")]


def test_model_suite_probe_and_solver_of_a_package_make_a_run(tmp_path: Path) -> None:
    models = ["friend-counts", "friend-network", "kmer-1"]
    plugged = execute(_request(tmp_path, model=models, solver="friend-solver"), report=False)
    assert plugged.complete, plugged.problems
    assert {row.model_id for row in plugged.rows} == set(models)
    rows = {row.model_id: row for row in plugged.rows}
    # Counting letters is what 1-mers do, and theirs is our solver under another name.
    assert rows["friend-counts"].mcc == pytest.approx(rows["kmer-1"].mcc)
    facts = plugged.run.models["friend-counts"].identity
    assert facts is not None
    assert facts.revision == "geneb-friend==0.1"
    assert plugged.run.settings.code.endswith("+geneb-friend==0.1")
    probed = execute(
        _request(tmp_path, model=["friend-counts"], probe="friend-centroid"), report=False
    )
    assert {row.probe for row in probed.rows} >= {"friend-centroid"}
    again = execute(_request(tmp_path, model=models, solver="friend-solver"), report=False)
    assert [again.run.models[name].units_reused for name in models] == [1, 1, 1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model": ["broken-import"]}, "libmissing"),
        ({"model": ["broken-call"]}, "no licence file"),
        ({"model": ["broken-kind"]}, "has none of extract_embeddings"),
        ({"model": ["kmer-1"], "suite": "broken-suite"}, "gave int, not a folder"),
        ({"model": ["kmer-1"], "solver": "broken-solver"}, "libmissing"),
        ({"model": ["kmer-1"], "probe": "broken-probe"}, "libmissing"),
    ],
)
def test_a_broken_package_is_one_message_that_names_it(
    values: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(GenebError, match=said) as caught:
        execute(_request(tmp_path, **values))
    assert "geneb-broken 2.0" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_the_rest_works_beside_a_broken_one(tmp_path: Path) -> None:
    outcome = execute(_request(tmp_path, model=["broken-import", "kmer-1"]), report=False)
    assert "geneb-broken 2.0" in outcome.problems["broken-import"]
    assert {row.model_id for row in outcome.rows} == {"kmer-1"}


def test_names_of_ours_stay_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rival = tmp_path / "rival-1.dist-info"
    rival.mkdir()
    (rival / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1\n")
    (rival / "entry_points.txt").write_text(
        "[geneb_jax.models]\nkmer-4 = geneb_broken:make\nfriend-counts = geneb_broken:make\n"
        "[geneb_jax.suites]\ngeneb = geneb_broken:FOLDER\n"
        "[geneb_jax.probes]\nlogistic = geneb_broken:KIND\n"
        "[geneb_jax.solvers]\nexact = geneb_broken:SOLVER\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins.plug_ins.cache_clear()
    assert geneb_jax.load_model("kmer-4").width == 256
    assert load_suite("geneb").dataset is not None
    assert find_probe("logistic").dtype("exact", "cpu") == "float32"
    with pytest.raises(ConfigError, match="geneb-friend and rival"):
        geneb_jax.load_model("friend-counts")


def test_a_package_s_model_takes_no_options_of_ours() -> None:
    with pytest.raises(SelectionError, match="decides weights by itself"):
        geneb_jax.load_model("friend-counts", weights="random")


def test_unknown_names_are_refused_as_before() -> None:
    answer = CliRunner().invoke(command, ["run", "-m", "kmer-1", "--probe", "friend-centroids"])
    assert isinstance(answer.exception, SelectionError)
    assert "did you mean 'friend-centroid'" in answer.exception.message


def test_a_network_of_a_package_is_ours_to_batch() -> None:
    model = geneb_jax.load_model("friend-network")
    texts = ["ACGT", "GATTACAGATTACA", "C"]
    alone = np.concatenate([model.embed([text]) for text in texts])
    np.testing.assert_array_equal(model.embed(texts), alone)
