"""SpliceBERT as registered: its letters, and the mean over windows, against transformers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from geneb_jax.embed import load_model
from geneb_jax.models import LoadOptions, load_encoder, registry
from geneb_jax.models.encoder import TokenEncoder
from geneb_jax.models.registry import find_spec
from tests.models.small_registration import register
from tests.tolerance import Tolerance, relative_error

NAME = "splicebert-1024nt"
#: The published model, narrower: config.json of SpliceBERT.1024nt but for three sizes.
NARROW = BertConfig(
    vocab_size=10,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=48,
    max_position_embeddings=1026,
    type_vocab_size=2,
    layer_norm_eps=1e-12,
    pad_token_id=0,
)
#: Ids of the published tokenizer.json.
PUBLISHED_IDS = {"[CLS]": 2, "[SEP]": 3, "N": 5, "A": 6, "C": 7, "G": 8, "T": 9}


def letters(count: int, seed: int) -> str:
    drawn = np.random.default_rng(seed).integers(0, 4, count)
    return "".join(np.array(list("ACGT"))[drawn])


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[BertForMaskedLM, Path]:
    """A narrow SpliceBERT in torch, registered under its id, and the folder of its weights."""
    torch.manual_seed(0)
    model = BertForMaskedLM(NARROW).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    sizes = {"hidden_size": 32, "layer_count": 2, "head_count": 2, "inner_size": 48}
    content = (tmp_path / "model.safetensors").read_bytes()
    register(registry()[NAME], content, sizes, monkeypatch)
    return model, tmp_path


def by_transformers(model: BertForMaskedLM, sequence: str) -> np.ndarray:
    """The published extractor's rule, a window at a time: equal weights, the last at the end."""
    iupac = str.maketrans("URYSWKMBDHV", "TNNNNNNNNNN")
    text = sequence.upper().translate(iupac)
    last = max(0, len(text) - 1024)
    starts = sorted({*range(0, last + 1, 512), last})
    rows = []
    for start in starts:
        ids = [2, *(PUBLISHED_IDS[letter] for letter in text[start : start + 1024]), 3]
        with torch.no_grad():
            hidden = model.bert(input_ids=torch.tensor([ids])).last_hidden_state
        rows.append(hidden[0].mean(0).numpy().astype(np.float64))
    return np.mean(rows, axis=0)


def test_the_mean_over_windows_is_the_published_one(
    narrow: tuple[BertForMaskedLM, Path], tolerance: Tolerance
) -> None:
    model, folder = narrow
    texts = [
        letters(40, 1),
        letters(1024, 2),
        letters(1025, 3),
        letters(1536, 4),
        letters(2600, 5),
        letters(700, 6).lower() + "NRYUacgn" + letters(900, 7),
        "",
    ]
    encoder = load_encoder(NAME, LoadOptions(path=folder))
    assert encoder.identity.overlong == "windows:1024:512"
    rows = load_model(NAME, path=folder).embed(texts)
    expected = np.stack([by_transformers(model, text) for text in texts])
    assert relative_error(rows, expected) <= tolerance("pooled_embedding", "float32")
    cut = load_model(NAME, path=folder, overlong="truncate").embed(texts)
    np.testing.assert_array_equal(cut[:2], rows[:2])
    assert relative_error(cut[4], expected[4]) > 100 * tolerance("pooled_embedding", "float32")
    assert relative_error(cut[4], by_transformers(model, texts[4][:1024])) <= tolerance(
        "pooled_embedding", "float32"
    )


def test_letters_beyond_the_published_alphabet_are_the_unknown_token() -> None:
    encoder = load_encoder(NAME, LoadOptions(weights="random"))
    assert isinstance(encoder, TokenEncoder)
    assert encoder.tokenize("aCgUnR-*").ids.tolist() == [2, 6, 7, 8, 9, 5, 5, 1, 1, 3]
    counts = encoder.counts_of(["ACGT", "AXN"])
    assert counts.unknown_tokens is not None
    assert counts.unknown_tokens.tolist() == [0, 1]
    assert counts.tokens.tolist() == [6, 5]


def test_windows_alone_are_what_it_was_published_with() -> None:
    own = load_encoder(NAME, LoadOptions(weights="random"))
    for asked in ("windows", "windows:1024", "windows:1024:512"):
        again = load_encoder(NAME, LoadOptions(weights="random", overlong=asked))
        assert again.identity == own.identity
    plain = load_encoder(NAME, LoadOptions(weights="random", overlong="truncate"))
    assert plain.identity == replace(own.identity, overlong="")


def test_it_is_found_by_its_names() -> None:
    for name in ("splicebert-1024nt", "SpliceBERT-1024nt", "SpliceBERT 1024nt"):
        assert find_spec(name).model_id == NAME
