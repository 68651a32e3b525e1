"""A model that cannot tell sequences apart is said to be one, with the likely cause."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from geneb_jax import load_model
from geneb_jax.embed import Forward, embed_shard
from geneb_jax.embed.first_look import look_at_rows, look_at_tokens, unknown_share
from geneb_jax.embed.shard_work import ShardWork
from geneb_jax.models.encoder import TokenEncoder
from geneb_jax.tokenizers import TokenizedSequence
from geneb_jax.tokenizers.library_tokenizer import LibraryTokenizer

RNG = np.random.RandomState(0)
DNA = ["".join(RNG.choice(list("ACGT"), 30)) for _ in range(20)]


def _words(k: int) -> LibraryTokenizer:
    """BERT's tokenizer over all k-mers, as DNABERT's folders have it."""
    pieces = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", *map("".join, product("ACGT", repeat=k))]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    library = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return LibraryTokenizer(library, where="folder", source={}, max_tokens=None)


class _Reader(TokenEncoder):
    """Only reads: the tokens of a tokenizer under a name."""

    def __init__(self, tokenizer: LibraryTokenizer) -> None:
        self.tokenizer = tokenizer
        self.unknown_id = tokenizer.unknown_id

    @property
    def identity(self) -> Any:
        return load_model("kmer-1").encoder.identity

    @property
    def width(self) -> int:
        return 4

    def tokenize(self, sequence: str) -> TokenizedSequence:
        return self.tokenizer.tokenize(sequence)

    def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("encoder", "texts", "said"),
    [
        (_Reader(_words(3)), DNA, ("all 20", "unknown", "words of 3 letters, to be parted by")),
        (_Reader(_words(3)), [*DNA[:19], "ACG"], ("19 of 20", "words of 3 letters")),
        (_Reader(_words(3)), [" ".join(text[k : k + 3] for k in range(28)) for text in DNA], ()),
        (load_model("tiny-nt-v1").encoder, DNA, ()),
        (load_model("kmer-2").encoder, DNA, ()),
        (load_model("kmer-2").encoder, ["NNNN", "NNNNN"], ("all 2", "unknown")),
        (load_model("kmer-2").encoder, ["MKVLF", "WYDEF"], ("all 2", "look like proteins")),
    ],
)
def test_unknown_letters_and_equal_tokens_are_seen(
    encoder: TokenEncoder, texts: Sequence[str], said: tuple[str, ...]
) -> None:
    sentence = look_at_tokens(encoder, texts)
    assert (sentence is None) == (not said), sentence
    for words in said:
        assert words in str(sentence)


@pytest.mark.fault("F13")
def test_equal_vectors_are_seen() -> None:
    encoder = load_model("kmer-1").encoder
    rows = np.ones((5, 4), np.float32)
    assert "all 5 sequences" in str(look_at_rows(encoder, rows))
    rows[2, 1] += 1e-6
    assert look_at_rows(encoder, rows) is None
    assert look_at_rows(encoder, rows[:1]) is None


def test_unknown_tokens_are_counted_as_tokens() -> None:
    encoder = load_model("kmer-1").encoder
    texts = ("ACGTNN", "NNA")
    work = ShardWork(np.arange(2), np.zeros((2, 16), np.uint8), texts)
    read = embed_shard(Forward(encoder), work).read
    assert read is not None and read.unknown_tokens is not None
    assert read.unknown_tokens.tolist() == [2, 2]
    sentence = unknown_share(int(read.tokens.sum()), int(read.unknown_tokens.sum()), "kmer-1")
    assert sentence == "kmer-1: 4 of 9 tokens (44%) are unknown to its vocabulary"
    assert unknown_share(1000, 9, "m") is None and unknown_share(1000, None, "m") is None
