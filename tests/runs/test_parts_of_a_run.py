"""``run --part``: who ends last probes, and the scores are those of one process."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from click.testing import CliRunner

from geneb_jax.cli.main import command
from geneb_jax.data.distinct import sequence_digest
from geneb_jax.embed import embed_into, open_store
from geneb_jax.models import LoadOptions
from geneb_jax.models.loading import load_encoder
from geneb_jax.store.claims import Claims
from tests.runs.test_execute import read_parts


def run(
    suite: Path, out: Path, store: Path, *options: str
) -> tuple[int, list[dict[str, str]], str]:
    arguments = ["run", "--suite", str(suite), "-m", "kmer-3", "--out", str(out)]
    arguments += ["--store", str(store), *options, "--json"]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.exception is None, result.exception
    json.loads(result.stdout)
    with (out / "scores.csv").open(encoding="utf-8") as lines:
        return result.return_value, list(csv.DictReader(lines)), result.stderr


def test_a_part_that_ends_last_probes_and_another_does_not(
    suite_folder: Path, tmp_path: Path
) -> None:
    code, alone, _ = run(suite_folder, tmp_path / "alone", tmp_path / "other")
    assert code == 0 and alone
    encoder = load_encoder("kmer-3", LoadOptions())
    store = open_store(str(tmp_path / "store"), encoder)
    train, *_ = read_parts(suite_folder / "one.csv")
    texts = tuple(dict.fromkeys(train[:5]))
    digests = np.frombuffer(b"".join(map(sequence_digest, texts)), np.uint8).reshape(-1, 16)
    table = SimpleNamespace(sequences=texts, digests=digests)
    claims = Claims(store._folder, lease_seconds=60.0)
    with claims:
        holder = claims._holder
        claims._holder = type(holder)("another machine", holder.pid, holder.started, holder.token)
        assert claims.take(table.digests) is not None
        code, rows, said = run(
            suite_folder, tmp_path / "parts", tmp_path / "store", "--part", "1/2"
        )
        assert (code, rows) == (0, [])
        assert f"{len(table.digests)} sequences are in the hands of other parts" in said
    embed_into(store, encoder, table)
    code, rows, said = run(suite_folder, tmp_path / "parts", tmp_path / "store", "--part", "2/2")
    assert (code, rows) == (0, alone)
    assert "other parts" not in said
