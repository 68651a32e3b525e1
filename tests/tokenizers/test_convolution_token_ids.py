"""Worked tokenisation examples of HyenaDNA, Evo-1, Enformer and SPACE."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geneb_jax.models import registry
from geneb_jax.tokenizers import build_tokenizer

EXAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parent / "fixtures" / "convolution_token_ids.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: f"{row['model_id']}-{row['sequence']}")
def test_worked_example(row: dict[str, object]) -> None:
    spec = registry()[str(row["model_id"])]
    tokenizer = build_tokenizer(
        spec.tokenizer.kind,
        spec.tokenizer.options,
        limit=spec.context.limit,
        rows=512,
        find_file=Path,
    )
    assert tokenizer.tokenize(str(row["sequence"])).ids.tolist() == row["token_ids"]
