"""tokenizer.json files against transformers' fast tokenizer, which truncates and pads by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from geneb_jax.errors import CheckpointError, ConfigError
from geneb_jax.tokenizers import BpeTokenizer

SPECIALS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
LIMIT = 16


def dna(count: int, seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [
        "".join(generator.choice(list("ACGTN"), generator.integers(1, 120), p=[0.24] * 4 + [0.04]))
        for _ in range(count)
    ]


def trained(*, kind: str) -> Library:
    """A BPE of 80 tokens over DNA: with both special tokens, a closing one, or bytes and none."""
    library = Library(models.BPE(unk_token=None if kind == "bytes" else "[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    if kind == "bytes":
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.post_processor = processors.ByteLevel(trim_offsets=False)
    if kind == "closing":
        library.normalizer = normalizers.Prepend("_")
    alphabet = pre_tokenizers.ByteLevel.alphabet() if kind == "bytes" else list("ACGT_")
    library.train_from_iterator(
        dna(200, 0),
        trainers.BpeTrainer(
            vocab_size=len(alphabet) + 60,
            special_tokens=SPECIALS,
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
        ),
    )
    template = {"both": "[CLS] $A [SEP]", "closing": "$A [SEP]"}
    if kind in template:
        library.post_processor = processors.TemplateProcessing(
            single=template[kind], special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    return library


Pair = tuple[Callable[[str], list[int]], BpeTokenizer]


@pytest.fixture(scope="module", params=["both", "closing", "bytes"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    library = trained(kind=request.param)
    # State of training code that a published file may hold, and that no call of ours wants.
    library.enable_truncation(5)
    library.enable_padding(length=40, pad_id=3, pad_token="[PAD]")
    file = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    library.save(str(file))
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(file), model_max_length=LIMIT)
    return (
        lambda text: theirs(text, truncation=True, padding=False)["input_ids"],
        BpeTokenizer(file, max_tokens=LIMIT),
    )


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="ACGTNacgtn-R \n", max_size=80))
def test_any_text(pair: Pair, text: str) -> None:
    theirs, ours = pair
    tokens = ours.tokenize(text)
    assert tokens.ids.tolist() == theirs(text)
    assert len(tokens.ids) <= LIMIT
    assert tokens.ids.dtype == np.int32


def test_many_at_once(pair: Pair) -> None:
    theirs, ours = pair
    texts = [*dna(40, 1), "", "N"]
    assert [part.ids.tolist() for part in ours.tokenize_many(texts)] == [theirs(t) for t in texts]
    batch = ours.tokenize_batch(texts)
    assert np.split(batch.ids, batch.starts[1:-1])[7].tolist() == theirs(texts[7])


def test_bases_beyond_the_limit_are_counted(pair: Pair) -> None:
    _, ours = pair
    text = "ACGT" * 50
    tokens = ours.tokenize(text)
    seen = text[: len(text) - tokens.dropped_bp]
    assert tokens.dropped_bp > 0
    np.testing.assert_array_equal(ours.tokenize(seen).ids, tokens.ids)
    assert ours.tokenize(seen).dropped_bp == 0


def saved(folder: Path) -> Path:
    file = folder / "tokenizer.json"
    trained(kind="both").save(str(file))
    return file


def test_letter_policy(tmp_path: Path) -> None:
    file = saved(tmp_path)
    plain = BpeTokenizer(file, max_tokens=None)
    strict = BpeTokenizer(file, max_tokens=None, upper_case=True, other_letters="N")
    np.testing.assert_array_equal(
        strict.tokenize("acgtRyU-acGT").ids, plain.tokenize("ACGTNNNNACGT").ids
    )
    assert plain.tokenize("ACGTNacgt").unknown_bp == 5
    assert strict.tokenize("ACGTNacgt").unknown_bp == 1
    assert strict.digest != plain.digest


def test_tokens_put_around_by_hand(tmp_path: Path) -> None:
    file = saved(tmp_path)
    bare = BpeTokenizer(file, max_tokens=None, special_tokens=False)
    framed = BpeTokenizer(
        file, max_tokens=6, special_tokens=False, prefix=("[CLS]", "[SEP]"), suffix=("[MASK]",)
    )
    ids = framed.tokenize("ACGTTGCA" * 20).ids.tolist()
    assert ids == [1, 2, *bare.tokenize("ACGTTGCA" * 20).ids[:3].tolist(), 4]
    assert framed.tokenize("").ids.tolist() == [1, 2, 4]


def test_refusals(tmp_path: Path) -> None:
    file = saved(tmp_path)
    with pytest.raises(ConfigError, match=r"\[BOS\]"):
        BpeTokenizer(file, max_tokens=None, prefix=("[BOS]",))
    with pytest.raises(ConfigError, match="no room"):
        BpeTokenizer(file, max_tokens=1)
    with pytest.raises(CheckpointError, match="10 rows"):
        BpeTokenizer(file, max_tokens=None, rows=10)
    with pytest.raises(CheckpointError, match="missing"):
        BpeTokenizer(tmp_path / "absent.json", max_tokens=None)
    file.write_text('{"version": "1.0"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="not a tokenizer file"):
        BpeTokenizer(file, max_tokens=None)
