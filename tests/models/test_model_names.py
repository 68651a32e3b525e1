"""One model under all its names; paths that are none; the hub's cache; what a use downloads."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib
import json
import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from geneb_jax.cli.main import command
from geneb_jax.embed import load_model
from geneb_jax.errors import DownloadError, SelectionError
from geneb_jax.models import find_spec, load_encoder, registry
from geneb_jax.resources import config_folder
from geneb_jax.runs.encoder_facts import require_known_models
from tests.models.esm_checkpoints import SMALL_ESM, esm_model, save


@pytest.mark.parametrize("change", [str, str.lower, str.upper])
def test_every_name_in_every_case(change: type[str]) -> None:
    table = (config_folder() / "published" / "models.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == 40
    for row in rows:
        hub_id = registry()[row["model_id"]].source.hub_id
        names = [row["model_id"], row["display"], row["paper_name"]]
        for name in [*names, *([hub_id] if hub_id else [])]:
            assert find_spec(change(name)).model_id == row["model_id"], name


@pytest.mark.parametrize(
    "name", ["DNABERT-2", "zhihan1996/DNABERT-2-117M", "dnabert2-no-flashattention", "dnabert2"]
)
def test_dnabert_2_is_one_model(name: str) -> None:
    encoder = load_model(name, weights="random", offline=True).encoder
    assert encoder.identity.model_id == "dnabert2-no-flashattention"


def test_a_built_in_model_in_another_case() -> None:
    assert load_model("KMER-2").encoder.identity.model_id == "kmer-2"


def test_a_name_of_several_models_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = {"twin": frozenset({"GROVER", "MutBERT"})}
    module = importlib.import_module("geneb_jax.models.registry")
    monkeypatch.setattr(module, "_names", lambda: twins)
    with pytest.raises(SelectionError, match=r"2 models are called 'Twin'.*GROVER, MutBERT"):
        find_spec("Twin")


def test_near_matches_are_of_all_names() -> None:
    with pytest.raises(SelectionError, match="dnabert2-no-flashattention"):
        find_spec("DNABERT2-117M")


def test_a_folder_named_as_a_model_of_the_paper_is_not_that_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(esm_model(**SMALL_ESM), tmp_path / "dnabert-2")
    monkeypatch.chdir(tmp_path)
    model = load_model("dnabert-2")
    assert model.spec.family == "esm"
    assert model.spec.display == "dnabert-2"


@pytest.mark.parametrize("path", ["./none", "~/none-at-all", "/none/x", "a/b/c", "here/none"])
def test_a_mistyped_path_is_no_hub_id(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "nine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SelectionError, match="there is no folder"):
        load_encoder(path)
    if path == "here/none":
        with pytest.raises(SelectionError, match="did you mean here/nine"):
            load_encoder(path)


def test_a_name_taken_for_a_hub_id_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DownloadError, match="no folder nosuch/folder here, and as a hub id"):
        load_model("nosuch/folder", offline=True)


@pytest.fixture
def cache_root(tmp_path: Path) -> Path:
    """A repository as the hub's cache keeps it: two snapshots, and what main means."""
    root = tmp_path / "models--org--small"
    first, second = root / "snapshots" / ("a" * 40), root / "snapshots" / ("b" * 40)
    save(esm_model(**SMALL_ESM), second)
    shutil.copytree(second, first)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("b" * 40)
    return root


def test_a_repository_of_the_cache_leads_to_its_snapshot(cache_root: Path) -> None:
    identity = load_encoder(cache_root).identity
    assert (identity.model_id, identity.revision) == ("org/small", "b" * 40)
    assert identity == load_encoder(cache_root / "snapshots" / ("b" * 40)).identity
    identity = load_model(str(cache_root), revision="a" * 40).encoder.identity
    assert identity.revision == "a" * 40


def test_a_revision_behind_a_repository_of_the_cache(cache_root: Path) -> None:
    identity = load_model(f"{cache_root}@{'a' * 40}").encoder.identity
    assert identity.revision == "a" * 40
    with pytest.raises(SelectionError, match="without a snapshot none"):
        load_model(f"{cache_root}@none")
    with pytest.raises(SelectionError, match="beside it 'main' is asked for"):
        load_model(f"{cache_root}@{'a' * 40}", revision="main")


def test_a_folder_called_as_a_revision_is_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(esm_model(**SMALL_ESM), tmp_path / "small@main")
    monkeypatch.chdir(tmp_path)
    assert load_model("./small@main").encoder.identity.model_id == "small@main"
    with pytest.raises(SelectionError, match=r"no folder \./small@main@x"):
        load_model("./small@main@x")


@pytest.mark.parametrize("name", ["kmer-4@main", "tiny-nt-v2@main"])
def test_what_is_in_no_repository_has_no_revision(name: str) -> None:
    with pytest.raises(SelectionError, match="has no revisions"):
        load_model(name, offline=True)


def test_a_misspelt_name_before_a_revision_is_refused_before_anything_is_read() -> None:
    require_known_models(["DNABERT-S@main"])
    with pytest.raises(SelectionError, match="unknown model 'DNABERT-Q'"):
        require_known_models(["DNABERT-Q@main"])


def test_a_repository_whose_snapshot_is_not_told(cache_root: Path) -> None:
    (cache_root / "refs" / "main").unlink()
    with pytest.raises(SelectionError, match=f"snapshots are {'a' * 40}, {'b' * 40}; name one"):
        load_encoder(cache_root)
    shutil.rmtree(cache_root / "snapshots" / ("a" * 40))
    assert load_encoder(cache_root).identity.revision == "b" * 40


def test_a_folder_of_checkpoints_names_them(tmp_path: Path) -> None:
    save(esm_model(**SMALL_ESM), tmp_path / "run" / "checkpoint-100")
    with pytest.raises(SelectionError, match=r"folders in it do: .*checkpoint-100"):
        load_encoder(tmp_path / "run")


def test_the_list_says_what_is_fetched() -> None:
    result = CliRunner().invoke(command, ["list", "models", "--json"])
    entries = {entry["model_id"]: entry for entry in json.loads(result.stdout)}
    shipped = {
        hashlib.sha256(gzip.decompress(file.read_bytes())).hexdigest()
        for file in (config_folder() / "tokenizers").iterdir()
        if file.name.endswith(".json.gz")
    }
    fetching = {
        model_id
        for model_id, spec in registry().items()
        if any(file.sha256 not in shipped for file in spec.tokenizer.files)
    }
    assert fetching == {
        model_id for model_id, entry in entries.items() if entry["random_download_bytes"]
    }
    for model_id in registry():
        entry = entries[model_id]
        assert entry["download_bytes"] > entry["random_download_bytes"] >= 0
        assert entry["hub_id"] == registry()[model_id].source.hub_id
    assert entries["dnabert2-no-flashattention"]["paper_name"] == "DNABERT-2"
    assert entries["kmer-4"]["download_bytes"] == 0


def test_the_list_within_a_size() -> None:
    result = CliRunner().invoke(command, ["list", "models", "--max-params", "86M", "--json"])
    listed = {entry["model_id"] for entry in json.loads(result.stdout)}
    table = (config_folder() / "published" / "models.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines())
    small = {row["model_id"] for row in rows if int(row["params_meta"]) <= 86e6}
    assert "mutbert" in {name.lower() for name in small}  # of 86M exactly
    assert listed & registry().keys() == small | {"splicebert-1024nt"}
    assert listed - registry().keys() >= {"kmer-1", "kmer-6"}


def test_the_table_shows_all_names() -> None:
    text = CliRunner().invoke(command, ["list", "models"]).stdout
    line = next(line for line in text.splitlines() if line.startswith("dnabert2-no-flash"))
    assert "dnabert2 (DNABERT-2)" in line
    assert "zhihan1996/DNABERT-2-117M" in line
    assert "468 MB" in line
    assert "no download" in line


@pytest.mark.parametrize("prefix", ["", "torch:"])
@pytest.mark.parametrize("name", ["~nobody-of-this-name/model", "x" * 5000, "org/" + "y" * 5000])
def test_names_that_no_system_has_are_one_message(prefix: str, name: str) -> None:
    with pytest.raises(SelectionError, match=r"no folder|no name of a model"):
        load_model(prefix + name, offline=True)


def test_torch_takes_a_repository_of_the_cache(cache_root: Path) -> None:
    folder = cache_root / "snapshots" / ("b" * 40)
    (folder / "vocab.txt").write_text("\n".join(["<cls>", "<pad>", "<eos>", "<unk>", *"ACGTN"]))
    by_root = load_encoder(f"torch:{cache_root}").identity
    assert by_root == load_encoder(f"torch:{folder}").identity
    assert by_root == load_encoder(f"torch:{cache_root}@{'b' * 40}").identity
    with pytest.raises(SelectionError, match="without a snapshot none"):
        load_encoder(f"torch:{cache_root}@none")
