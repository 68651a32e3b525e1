"""``geneb-jax store``: list, verify and prune from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from geneb_jax.cli.store import command
from geneb_jax.embed import embed_into, open_store
from geneb_jax.errors import SelectionError
from geneb_jax.models.families.kmer import build_kmer_encoder
from geneb_jax.store import EmbeddingStore, folder_name

Call = Callable[..., Result]


@pytest.fixture
def call() -> Call:
    def run(*arguments: object) -> Result:
        return CliRunner().invoke(command, list(map(str, arguments)), standalone_mode=False)

    return run


@pytest.fixture
def root(tmp_path: Path, identity: Any, make_rows: Callable[..., Any]) -> Path:
    """A store of 20 rows, six wide, in shards of eight."""
    store = EmbeddingStore.open(tmp_path, identity, 6, rows_per_shard=8)
    store.commit(*make_rows(20))
    return tmp_path


def document(result: Result) -> Any:
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_list_names_what_is_stored(call: Call, root: Path, identity: Any) -> None:
    (root / "not-a-store").mkdir()
    found = document(call("list", "--store", root, "--json"))
    (fact,) = found["stores"]
    assert (fact["model_id"], fact["rows"], fact["width"]) == (identity.model_id, 20, 6)
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert fact["bytes"] == size and fact["problem"] == ""
    assert identity.model_id in call("list", "--store", root).stdout
    for verb in ("list", "verify", "prune"):
        result = call(verb, "--store", root / "nowhere")
        assert isinstance(result.exception, SelectionError)
        assert "no such folder" in result.exception.message


def test_verify_finds_damage_and_says_so_with_its_exit_code(
    call: Call, root: Path, identity: Any
) -> None:
    assert call("verify", "--store", root).return_value == 0
    shard = root / folder_name(identity, 6) / "array/c/0/1/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    result = call("verify", "--store", root, "--json")
    assert result.return_value == 1
    (row,) = document(result)
    assert row["rows"] == 12 and "shard 1, 8 rows" in row["outcome"]
    assert call("verify", "--store", root).return_value == 0  # it is in quarantine now


def test_prune_deletes_remnants_and_nothing_else(
    call: Call, root: Path, identity: Any, make_rows: Callable[..., Any]
) -> None:
    folder = root / folder_name(identity, 6)
    kept = sorted(path for path in folder.rglob("*") if path.is_file())
    (folder / ".manifest.json.x.tmp").write_bytes(b"half")
    (folder / "rows" / "000000" / "000000009.rows").write_bytes(b"half")
    would = document(call("prune", "--store", root, "--dry-run", "--json"))
    assert {gone["deleted"] for gone in would["gone"]} == {
        ".manifest.json.x.tmp",
        "rows/000000/000000009.rows",
    }
    assert (folder / "rows" / "000000" / "000000009.rows").exists()
    call("prune", "--store", root)
    left = sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path for path in left if path.name != ".claims.lock"] == kept
    digests, rows = make_rows(20)
    store = EmbeddingStore.open(root, identity, 6)
    assert store.read(digests).tobytes() == rows.tobytes()


def test_prune_deletes_whole_stores_only_by_name_or_when_unreadable(
    call: Call, root: Path, identity: Any
) -> None:
    folder = root / folder_name(identity, 6)
    outcome = call("prune", "--store", root, "-m", "other-*")
    assert isinstance(outcome.exception, SelectionError) and folder.exists()
    (folder / "manifest.json").write_bytes(b"{}")
    call("prune", "--store", root)
    assert folder.exists()
    call("prune", "--store", root, "--damaged")
    assert not folder.exists()
    EmbeddingStore.open(root, identity, 6)
    call("prune", "--store", root, "-m", "org/some*")
    assert not folder.exists()


def test_a_store_that_cannot_be_read_is_an_exit_code_and_a_cause(
    call: Call, root: Path, identity: Any
) -> None:
    for verb in ("list", "compact"):
        assert call(verb, "--store", root).return_value == 0
    (root / folder_name(identity, 6) / "manifest.json").write_bytes(b"{}")
    for verb in ("list", "compact"):
        result = call(verb, "--store", root, "--json")
        assert result.return_value == 1 and "manifest" in result.stdout
    error = call("export", "--store", root, "-m", identity.model_id, "--export", "x.npz").exception
    assert isinstance(error, SelectionError)
    assert "1 of 1 stores there cannot be read" in error.message and "manifest" in error.message


@pytest.mark.fault("F30")
def test_a_sample_is_embedded_again_and_compared(call: Call, tmp_path: Path, table: Any) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(row) for row in np.array(list("ACGT"))[rng.integers(0, 4, (40, 30))]]
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "suite.toml").write_text(
        'name = "toy"\ntitle = "Toy"\ntasks = [{ id = "one", category = "Only" }]\n'
    )
    lines = [f"{text},{at % 2},{'train' if at < 30 else 'test'}" for at, text in enumerate(texts)]
    (suite / "one.csv").write_text("\n".join(["text,label,split", *lines]) + "\n")
    encoder = build_kmer_encoder(2)
    options = ("--store", tmp_path / "store", "--suite", suite, "-m", "kmer-2", "--sample", 10)
    store = open_store(tmp_path / "store", encoder)
    assert "nothing of these tasks is stored" in call("verify", *options).stdout
    embed_into(store, encoder, table(texts))
    result = call("verify", *options, "--json")
    assert result.return_value == 0
    assert document(result)[-1]["outcome"].startswith("ok, embedded again")

    wrong = tmp_path / "wrong"
    other = EmbeddingStore.open(wrong, encoder.identity, encoder.width)
    rows = store.read(table(texts).digests)
    other.commit(table(texts).digests, rows[::-1].copy())
    result = call("verify", "--store", wrong, *options[2:])
    assert result.return_value == 1 and "relative error" in result.stdout
