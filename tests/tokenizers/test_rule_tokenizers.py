"""GENERator's, DNA-GPT's and the character tokenizers against plain restatements of their rules."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.errors import CheckpointError, ConfigError
from geneb_jax.tokenizers import (
    CharacterTokenizer,
    DnaGptTokenizer,
    GeneratorTokenizer,
    build_tokenizer,
    decoder_tokenizer,
    generator_vocabulary,
)

LETTERS = st.text(alphabet="ACGTNacgtRX<>MR+s/ ", max_size=60)

#: SHA-256 of published files: GENERator's vocab.txt (GenerTeam's hub repositories), BioFM's
#: tokenizer_config.json (m42-health/BioFM-265M).
GENERATOR_VOCABULARY = "068e0d76ca42ac672ade448afb2462ce4bd800a1fc1ad863d0b65992d90cf881"
BIOFM_CONFIG = "8429c2b5485bd51a010c0980d5871c11c6386e770886e9f87ab0d03dcd7700bb"
#: SHA-256 of tcztzy/evo.cpp's list of DNA-GPT's static vocabulary, one token a line.
DNA_GPT_STATIC = "28d9b726862117ec07f8505078e165b1ec94c1ff7c86d06ce9c0b95b976c4042"


@cache
def generator_table() -> dict[str, int]:
    return {token: index for index, token in enumerate(generator_vocabulary())}


def generator_ids(text: str) -> list[int]:
    """Tokens one by one: special tokens, runs of capitals in pieces of six, single characters."""
    vocabulary = generator_table()
    specials = [token for token in vocabulary if token.startswith("<")]
    text = text[: len(text) // 6 * 6]
    ids, place = [1, 1], 0
    while place < len(text):
        piece = next((token for token in specials if text.startswith(token, place)), None)
        if piece is None:
            run = re.match("[A-Z]{1,6}", text[place:])
            piece = run.group() if run else text[place]
        ids.append(vocabulary.get(piece, 0))
        place += len(piece)
    return ids


def dna_gpt_vocabulary(*, dynamic: bool) -> list[str]:
    reserved = [f"<{name}>" for name in "0123456789+-*/=&|!MBPRIKLOQSUVWYXZ"]
    lengths = range(1 if dynamic else 6, 7)
    return reserved + ["".join(p) for n in lengths for p in itertools.product("NAGCT", repeat=n)]


def dna_gpt_ids(text: str, vocabulary: dict[str, int]) -> list[int]:
    ids = [vocabulary["<R>"]]
    for part in filter(None, re.split("[<>]", text)):
        if f"<{part}>" in vocabulary:
            ids.append(vocabulary[f"<{part}>"])
        else:
            pieces = [part[start : start + 6] for start in range(0, len(part), 6)]
            ids += [vocabulary.get(piece, 0) for piece in pieces]
    return ids


def test_generator_vocabulary_is_the_published_file() -> None:
    lines = [f"{token} {index}\n" for index, token in enumerate(generator_vocabulary())]
    assert hashlib.sha256("".join(lines).encode("ascii")).hexdigest() == GENERATOR_VOCABULARY


@settings(max_examples=200, deadline=None)
@given(text=LETTERS | st.text(alphabet="ACGT", max_size=60) | st.just("ACGTAC<cds>T<mam>"))
def test_generator(text: str) -> None:
    assert GeneratorTokenizer(max_tokens=None).tokenize(text).ids.tolist() == generator_ids(text)


@pytest.mark.parametrize("text", ["ACGTTT" * 9, "ACGTTT" * 4 + "acgtac" * 5])
def test_generator_truncates(text: str) -> None:
    tokens = GeneratorTokenizer(max_tokens=7).tokenize(text + "ACG")
    assert tokens.ids.tolist() == generator_ids(text)[:7]
    assert tokens.dropped_bp == (24 if "a" not in text else 29)


def test_dna_gpt_static_vocabulary_is_the_published_list() -> None:
    text = "".join(f"{token}\n" for token in dna_gpt_vocabulary(dynamic=False))
    assert hashlib.sha256(text.encode("ascii")).hexdigest() == DNA_GPT_STATIC


@pytest.mark.parametrize(("dynamic", "size"), [(False, 15659), (True, 19564)])
def test_dna_gpt(dynamic: bool, size: int) -> None:
    tokenizer = DnaGptTokenizer(max_tokens=None, dynamic=dynamic)
    vocabulary = {t: i for i, t in enumerate(dna_gpt_vocabulary(dynamic=dynamic))}
    assert tokenizer.vocab_size == len(vocabulary) == size

    @settings(max_examples=200, deadline=None)
    @given(text=LETTERS | st.text(alphabet="NAGCT", max_size=40))
    def check(text: str) -> None:
        assert tokenizer.tokenize(text).ids.tolist() == dna_gpt_ids(text, vocabulary)

    check()


def test_dna_gpt_truncates() -> None:
    tokens = DnaGptTokenizer(max_tokens=4, dynamic=True).tokenize("ACGTAC" * 5 + "AC")
    assert len(tokens.ids) == 4
    assert tokens.ids[0] == 21
    assert tokens.dropped_bp == 14


def test_biofm() -> None:
    tokenizer = CharacterTokenizer("biofm", max_tokens=6)
    assert tokenizer.tokenize("AC GT").ids.tolist() == [6, 2, 5, 4, 3, 7]
    assert tokenizer.tokenize("aN").ids.tolist() == [6, 8, 1, 7]
    tokens = tokenizer.tokenize("ACGTTT")
    assert tokens.ids.tolist() == [6, 2, 5, 4, 3, 7]
    assert tokens.dropped_bp == 2


@pytest.mark.parametrize(
    "tokenizer",
    [
        GeneratorTokenizer(max_tokens=8),
        DnaGptTokenizer(max_tokens=8, dynamic=False),
        *(
            CharacterTokenizer(t, max_tokens=8)
            for t in ("biofm", "caduceus", "hyenadna", "lucaone")
        ),
    ],
    ids=lambda tokenizer: type(tokenizer).__name__,
)
def test_ids_have_rows_and_texts_of_any_kind_pass(tokenizer: CharacterTokenizer) -> None:
    for text in ("", "A", "N" * 50, "acgt" * 20, "ACGU*\n\tÄ€", "<R><cds>"):
        tokens = tokenizer.tokenize(text)
        assert tokens.ids.dtype == np.int32
        assert len(tokens.ids) <= 8
        assert ((tokens.ids >= 0) & (tokens.ids < tokenizer.vocab_size)).all()
        assert 0 <= tokens.dropped_bp <= len(text)


def test_digests_tell_definitions_apart() -> None:
    tokenizers = [
        GeneratorTokenizer(max_tokens=8),
        GeneratorTokenizer(max_tokens=9),
        GeneratorTokenizer(max_tokens=8, begin_count=1),
        DnaGptTokenizer(max_tokens=8, dynamic=False),
        DnaGptTokenizer(max_tokens=8, dynamic=True),
        CharacterTokenizer("caduceus", max_tokens=8),
        CharacterTokenizer("hyenadna", max_tokens=8),
    ]
    assert len({tokenizer.digest for tokenizer in tokenizers}) == len(tokenizers)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="room"):
        GeneratorTokenizer(max_tokens=1)
    with pytest.raises(ConfigError, match="room"):
        DnaGptTokenizer(max_tokens=0, dynamic=True)
    with pytest.raises(ConfigError, match="'<N>'"):
        DnaGptTokenizer(max_tokens=8, dynamic=True, prefix="<N>")
    with pytest.raises(ConfigError, match="unknown character table"):
        CharacterTokenizer("dna", max_tokens=8)
    with pytest.raises(ConfigError, match="room"):
        CharacterTokenizer("biofm", max_tokens=1)
    with pytest.raises(ConfigError, match="9 rows"):
        build_tokenizer(
            "characters", {"table": "biofm"}, limit=8, rows=9, find_file=lambda name: Path(name)
        )


def test_folders_tell_their_tokenizer(tmp_path: Path) -> None:
    config = tmp_path / "tokenizer_config.json"
    published = json.dumps(
        {"char_ords": [ord(letter) for letter in "DNATGC"], "model_max_length": 6144}, indent=4
    )
    assert hashlib.sha256(published.encode("ascii")).hexdigest() == BIOFM_CONFIG
    config.write_text(published, encoding="ascii")
    found = decoder_tokenizer(tmp_path, longest=32770, rows=512).tokenizer
    assert isinstance(found, CharacterTokenizer)
    assert found.max_tokens == 6144
    with pytest.raises(CheckpointError, match="8 rows"):
        decoder_tokenizer(tmp_path, longest=None, rows=8)

    config.write_text(
        json.dumps({"auto_map": {"AutoTokenizer": ["tokenizer.DNAKmerTokenizer", None]}, "k": 6}),
        encoding="utf-8",
    )
    found = decoder_tokenizer(tmp_path, longest=16384, rows=4128).tokenizer
    assert isinstance(found, GeneratorTokenizer)
    assert found.max_tokens == 16384

    config.write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        decoder_tokenizer(tmp_path, longest=None, rows=10)
