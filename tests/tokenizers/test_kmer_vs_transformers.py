"""Greedy k-mer tokens against transformers' EsmTokenizer, published hashes and worked examples."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import EsmTokenizer

from geneb_jax.errors import CheckpointError, ConfigError
from geneb_jax.tokenizers import (
    KmerTokenizer,
    build_tokenizer,
    built_in_vocabulary,
    vocabulary_for_size,
    vocabulary_tokenizer,
)

EXAMPLES = Path(__file__).parent / "fixtures" / "nt_token_ids.jsonl"
LIMIT = 24

#: SHA-256 of the published vocab.txt files (hub repositories of InstaDeepAI).
PUBLISHED = {
    ("nt-v1", 6): "f1b544e27897936b50bbd925850fa8a08b421c33bb9c26e3711c140c061d0d4c",
    ("nt-v2", 6): "c00e0ad166d6ab3f7540ebc92270392e581bb3106763412f29034b49323e1052",
    ("nt-v2", 3): "0976e2b4722307d16c669e2daa57f5912fc7f62e08389540751b5474c93dcfd0",
}


def no_files(name: str) -> Path:
    raise AssertionError(f"asked for {name}")


@cache
def pair(name: str, k: int, eos: str | None, folder: str) -> tuple[EsmTokenizer, KmerTokenizer]:
    vocabulary = built_in_vocabulary(name, k=k)
    file = Path(folder) / f"{name}-{k}.txt"
    file.write_text(vocabulary.text, encoding="utf-8")
    theirs = EsmTokenizer(str(file), eos_token=eos, model_max_length=LIMIT)
    return theirs, KmerTokenizer(vocabulary, max_tokens=LIMIT, suffix=eos)


@pytest.mark.parametrize(("name", "k"), PUBLISHED)
def test_vocabularies_are_the_published_files(name: str, k: int) -> None:
    text = built_in_vocabulary(name, k=k).text
    assert hashlib.sha256(text.encode("ascii")).hexdigest() == PUBLISHED[name, k]


@pytest.mark.parametrize("line", EXAMPLES.read_text(encoding="utf-8").splitlines())
def test_worked_examples(line: str) -> None:
    row = json.loads(line)
    version_two = "-v2-" in row["model_id"]
    tokenizer = build_tokenizer(
        "greedy-kmer",
        {
            "vocabulary": "nt-v2" if version_two else "nt-v1",
            "k": 3 if "3mer" in row["model_id"] else 6,
            "cls_token": "<cls>",
        },
        limit=None,
        rows=4107,
        find_file=no_files,
    )
    assert tokenizer.tokenize(row["sequence"]).ids.tolist() == row["token_ids"]


dna = st.text(alphabet="ACGT", max_size=200)
mixed = st.text(alphabet="ACGTNacgtnRYUWé\u00a0 \t\n<>-", max_size=80)
specials = st.lists(st.sampled_from(["<cls>", "<mask>", "<pad>", "ACG", "N", "x", " "])).map(
    "".join
)


@pytest.mark.parametrize(("name", "k"), PUBLISHED)
@pytest.mark.parametrize("eos", [None, "<eos>"])
@settings(max_examples=60, deadline=None)
@given(sequences=st.lists(dna | mixed | specials, min_size=1, max_size=6))
@example(sequences=[""])
@example(sequences=["", "A", "", "N"])
@example(sequences=["A" * 500, "ACGTAN" * 50, "a" * 300, "N" * 300])
@example(sequences=["A\nC", "ACGT", "<eos>A", "\n"])
def test_ids_limits_and_counts(
    name: str,
    k: int,
    eos: str | None,
    sequences: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    theirs, ours = pair(name, k, eos, str(tmp_path_factory.getbasetemp()))
    batch = ours.tokenize_batch(sequences)
    assert batch.starts[-1] == len(batch.ids)
    for index, sequence in enumerate(sequences):
        whole = theirs(sequence, verbose=False)["input_ids"]
        expected = theirs(sequence, truncation=True)["input_ids"]
        one = ours.tokenize(sequence)
        assert one.ids.dtype == np.int32
        assert one.ids.tolist() == expected
        assert batch.ids[batch.starts[index] : batch.starts[index + 1]].tolist() == expected
        assert one.unknown_bp == sum(letter not in "ACGT" for letter in sequence)
        assert (one.dropped_bp > 0) == (len(whole) > LIMIT)
        assert (one.dropped_bp, one.unknown_bp) == (
            batch.dropped_bp[index],
            batch.unknown_bp[index],
        )


def test_dropped_bases_are_those_after_the_last_kept_token() -> None:
    tokenizer = KmerTokenizer(built_in_vocabulary("nt-v2"), max_tokens=4)
    # Kept: <cls>, two 6-mers and N; dropped: the 5 letters after it.
    assert tokenizer.tokenize("ACGTAC" * 2 + "N" + "ACGTA").dropped_bp == 5
    assert tokenizer.tokenize("ACGTAC" * 2 + "N").dropped_bp == 0


def test_a_million_bases() -> None:
    letters = np.frombuffer(b"ACGTN", np.uint8)
    drawn = np.random.default_rng(0).choice(letters, size=1_000_000, p=[0.245] * 4 + [0.02])
    sequence = drawn.tobytes().decode("ascii")
    result = KmerTokenizer(built_in_vocabulary("nt-v1")).tokenize(sequence)
    tokens = built_in_vocabulary("nt-v1").tokens
    assert "".join(tokens[index] for index in result.ids[1:]) == sequence


@pytest.mark.fault("F58")
def test_digest_covers_what_decides_ids() -> None:
    vocabulary = built_in_vocabulary("nt-v2")
    variants = [
        KmerTokenizer(vocabulary),
        KmerTokenizer(vocabulary, max_tokens=100),
        KmerTokenizer(vocabulary, suffix="<eos>"),
        KmerTokenizer(vocabulary, upper_case=True),
        KmerTokenizer(built_in_vocabulary("nt-v1")),
    ]
    assert len({tokenizer.digest for tokenizer in variants}) == len(variants)
    assert KmerTokenizer(vocabulary).digest == variants[0].digest


def test_letters_are_raised_only_when_asked() -> None:
    vocabulary = built_in_vocabulary("nt-v2")
    raised = KmerTokenizer(vocabulary, upper_case=True).tokenize("acgtacgt").ids
    assert raised.tolist() == KmerTokenizer(vocabulary).tokenize("ACGTACGT").ids.tolist()
    assert KmerTokenizer(vocabulary).tokenize("acgtacgt").ids.tolist() == [3, 0]


@pytest.mark.parametrize(
    ("rows", "name", "k"), [(4105, "nt-v1", 6), (4107, "nt-v2", 6), (75, "nt-v2", 3)]
)
def test_rows_tell_the_vocabulary(rows: int, name: str, k: int) -> None:
    found = vocabulary_for_size(rows)
    assert found is not None
    assert (found.name, found.k) == (name, k)


def test_other_rows_tell_nothing() -> None:
    assert vocabulary_for_size(33) is None


@pytest.mark.parametrize("eos", [None, "<eos>"])
def test_saved_tokenizer_folder(tmp_path: Path, eos: str | None) -> None:
    theirs, _ = pair("nt-v2", 6, eos, str(tmp_path))
    theirs.save_pretrained(tmp_path / "model")
    found = vocabulary_tokenizer(tmp_path / "model", longest=512, rows=4107)
    assert found.notes == ()
    assert found.tokenizer.max_tokens == LIMIT
    for sequence in ("", "ACGTNACGT", "ACGTAC" * 100, "acgtN"):
        expected = theirs(sequence, truncation=True)["input_ids"]
        assert found.tokenizer.tokenize(sequence).ids.tolist() == expected


def test_published_folder_of_version_one_has_no_closing_token(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text(built_in_vocabulary("nt-v1").text)
    found = vocabulary_tokenizer(tmp_path, longest=1000, rows=4105)
    assert found.tokenizer.tokenize("ACGTAC").ids.tolist()[0] == 3
    assert len(found.tokenizer.tokenize("ACGTAC").ids) == 2


def test_folder_without_tokenizer_files_says_what_it_assumes(tmp_path: Path) -> None:
    found = vocabulary_tokenizer(tmp_path, longest=1000, rows=4105)
    assert found.notes
    assert "nt-v1" in found.notes[0]
    assert found.tokenizer.max_tokens == 1000


def test_folder_without_tokenizer_files_and_unknown_rows(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no vocab\.txt.*33 embedding rows"):
        vocabulary_tokenizer(tmp_path, longest=1000, rows=33)


def test_folder_whose_tokenizer_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text(built_in_vocabulary("nt-v2").text)
    with pytest.raises(CheckpointError, match=r"ids up to 4106, the model has 4000 rows"):
        vocabulary_tokenizer(tmp_path, longest=1000, rows=4000)


def test_unusable_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown tokenizer kind"):
        build_tokenizer("words", {}, limit=None, rows=1, find_file=no_files)
    with pytest.raises(ConfigError, match="options of the tokenizer kind"):
        build_tokenizer("greedy-kmer", {"size": 6}, limit=None, rows=1, find_file=no_files)
    with pytest.raises(ConfigError, match="unknown k-mer vocabulary"):
        built_in_vocabulary("nt-v3")
    with pytest.raises(ConfigError, match="not in the vocabulary"):
        KmerTokenizer(built_in_vocabulary("nt-v2"), prefix="[CLS]")
    with pytest.raises(ConfigError, match="no room"):
        KmerTokenizer(built_in_vocabulary("nt-v2"), suffix="<eos>", max_tokens=1)
