"""Worked examples of the BERT-like models' tokenizers, and the files that ship with the package."""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from geneb_jax.errors import CheckpointError
from geneb_jax.models import registry
from geneb_jax.places import cache_folder
from geneb_jax.resources import config_folder
from geneb_jax.tokenizers import BpeTokenizer, Tokenizer, build_tokenizer, shipped_file

FIXTURES = Path(__file__).parent / "fixtures"
EXAMPLES = [
    json.loads(line)
    for line in (FIXTURES / "bert_token_ids.jsonl").read_text(encoding="utf-8").splitlines()
]


@cache
def tokenizer_of(model_id: str, folder: Path) -> Tokenizer:
    spec = registry()[model_id]

    def find_file(name: str) -> Path:
        (pin,) = (file for file in spec.tokenizer.files if file.name == name)
        shipped = shipped_file(pin.sha256)
        if shipped is not None:
            return shipped
        content = gzip.decompress((FIXTURES / f"{model_id.lower()}.{name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == pin.sha256
        (folder / name).write_bytes(content)
        return folder / name

    return build_tokenizer(
        spec.tokenizer.kind,
        spec.tokenizer.options,
        limit=spec.context.limit,
        rows=spec.config["vocab_size"],
        find_file=find_file,
    )


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: f"{row['model_id']}-{row['origin']}")
@pytest.mark.fault("F57", "F58")
def test_worked_examples(row: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizer = tokenizer_of(row["model_id"], tmp_path_factory.getbasetemp())
    assert tokenizer.tokenize(row["sequence"]).ids.tolist() == row["token_ids"]


@pytest.mark.parametrize("model_id", sorted({row["model_id"] for row in EXAMPLES}))
def test_limits_and_closing_tokens(model_id: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizer = tokenizer_of(model_id, tmp_path_factory.getbasetemp())
    short = tokenizer.tokenize("ACGT").ids.tolist()
    tokens = tokenizer.tokenize("ACGTNTTGCA" * 6000)
    assert len(tokens.ids) == registry()[model_id].context.limit
    assert tokens.ids[0] == short[0]
    if model_id != "deepgene":  # which has no closing token
        assert tokens.ids[-1] == short[-1]
    assert 0 < tokens.dropped_bp < 60_000
    assert tokens.unknown_bp == 6000


def test_genomics_fm_cleans_as_its_extractor(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("genomics-fm", tmp_path)
    assert (
        tokenizer.tokenize(" \nacgtRY\t").ids.tolist() == tokenizer.tokenize("ACGTNN").ids.tolist()
    )


PACKED = sorted(
    item.name for item in (config_folder() / "tokenizers").iterdir() if item.name.endswith(".gz")
)


@pytest.mark.parametrize("name", PACKED)
def test_shipped_files_are_named_by_what_they_hold(name: str) -> None:
    content = gzip.decompress((config_folder() / "tokenizers" / name).read_bytes())
    digest = hashlib.sha256(content).hexdigest()
    assert name == f"{digest[:16]}.json.gz"
    pins = [file.sha256 for spec in registry().values() for file in spec.tokenizer.files]
    assert digest in pins
    assert digest[:16] in (config_folder() / "tokenizers" / "SOURCES.txt").read_text()


@pytest.mark.fault("F58")
def test_a_damaged_copy_in_the_cache_is_replaced() -> None:
    digest = registry()["MutBERT"].tokenizer.files[0].sha256
    file = shipped_file(digest)
    assert file is not None
    assert file.is_relative_to(cache_folder())
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    assert shipped_file(digest) == file
    assert file.read_bytes() == whole
    assert shipped_file("0" * 64) is None


def test_ids_without_a_row_are_refused() -> None:
    digest = registry()["MutBERT"].tokenizer.files[0].sha256
    file = shipped_file(digest)
    assert file is not None
    with pytest.raises(CheckpointError, match="ids up to 8, the model has 8 rows"):
        BpeTokenizer(file, max_tokens=None, rows=8)
