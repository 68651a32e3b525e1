"""Worked tokenisation examples of the 13 decoders, through the same door as a model's TOML."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from geneb_jax.models import registry
from geneb_jax.tokenizers import Tokenizer, build_tokenizer, shipped_file

EXAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parent / "fixtures" / "decoder_token_ids.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
#: Their tokenizer.json neither ships nor follows from a rule: it comes from the hub or a folder.
NOT_AT_HAND = {
    "GenomeOcean-4B",
    "GenomeOcean-500M",
    "OmniNA-220m",
    "gpt2_gene_v1",
    "gpt2_gene_multi_v2_ft",
}


def tokenizer_of(model_id: str) -> Tokenizer:
    spec = registry()[model_id]

    def find_file(name: str) -> Path:
        pins = [file for file in spec.tokenizer.files if file.name == name]
        found = shipped_file(pins[0].sha256)
        assert found is not None, f"{name} of {model_id} does not ship"
        return found

    return build_tokenizer(
        spec.tokenizer.kind,
        spec.tokenizer.options,
        limit=spec.context.limit,
        rows=spec.config["vocab_size"],
        find_file=find_file,
    )


@pytest.mark.parametrize(
    "row",
    [row for row in EXAMPLES if row["model_id"] not in NOT_AT_HAND],
    ids=lambda row: f"{row['model_id']}-{row['sequence'][:16]}-{len(row['sequence'])}",
)
def test_worked_example(row: dict[str, object]) -> None:
    tokens = tokenizer_of(str(row["model_id"])).tokenize(str(row["sequence"]))
    assert tokens.ids.tolist() == row["token_ids"]


def test_every_model_has_an_example_or_is_named() -> None:
    counts = Counter(row["model_id"] for row in EXAMPLES)
    assert len(counts) == 13
    assert set(counts) >= NOT_AT_HAND
    for model_id in NOT_AT_HAND:
        pins = registry()[model_id].tokenizer.files
        assert shipped_file(pins[0].sha256) is None, f"{model_id} can be tested now"


def test_truncation_keeps_the_closing_token_and_counts_what_is_lost() -> None:
    tokens = tokenizer_of("METAGENE-1").tokenize("N" * 2048)
    assert len(tokens.ids) == 512
    assert tokens.ids[-1] == 4
    assert tokens.dropped_bp == 2048 - 510  # "_" in front and [EOS] behind take two of the 512
    assert tokens.unknown_bp == 2048
