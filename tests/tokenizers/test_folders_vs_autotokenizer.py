"""Drawn tokenizer folders against AutoTokenizer: the same ids, or a refusal; never others."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Library
from transformers import AutoTokenizer, BertTokenizer, EsmTokenizer, PreTrainedTokenizerFast

from geneb_jax.errors import CheckpointError, GenebError
from geneb_jax.tokenizers import file_tokenizer, vocabulary_tokenizer
from tests.tokenizers.drawn_tokenizers import SPECIALS, draw_tokenizer, drawn_texts

_ROWS = 10**5
_DEFAULT, _SWEEP = 60, 600


def _config(folder: Path, model_type: str) -> dict[str, Any]:
    config = {"model_type": model_type, "vocab_size": 1000}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return config


def _outcome(seed: int, folder: Path) -> str:
    """``equal``, or why it was refused; fails for other ids."""
    rng = np.random.default_rng(seed)
    drawn = draw_tokenizer(rng, folder)
    config = _config(folder, drawn.model_type)
    texts = drawn_texts(rng)
    try:
        found = file_tokenizer(folder, longest=None, rows=_ROWS, config=config)
        ours = [part.ids.tolist() for part in found.tokenizer.tokenize_many(texts)]
    except GenebError as error:
        return error.what
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        theirs = [tokenizer(text, truncation=True)["input_ids"] for text in texts]
    except TypeError:  # an ESM folder without vocab.txt and without a class
        return "transformers refuses"
    for text, mine, expected in zip(texts, ours, theirs, strict=True):
        assert mine == expected, (seed, drawn, text)
    return "equal"


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, _DEFAULT, 10)])
@pytest.mark.fault("F58")
def test_drawn_folders(seeds: range, tmp_path: Path) -> None:
    outcomes = Counter(_outcome(seed, tmp_path / str(seed)) for seed in seeds)
    assert outcomes["equal"] > len(seeds) // 2, outcomes


@pytest.mark.sweep
def test_many_drawn_folders(tmp_path: Path) -> None:
    outcomes = Counter(
        _outcome(seed, tmp_path / str(seed)) for seed in range(_DEFAULT, _DEFAULT + _SWEEP)
    )
    assert outcomes["equal"] > 3 * _SWEEP // 4, outcomes
    print(outcomes.most_common())


def _letters(folder: Path, **settings: Any) -> Path:
    """A letter tokenizer with a template, saved with these settings."""
    vocabulary = {token: index for index, token in enumerate([*SPECIALS, *"ACGTN"])}
    library = Library(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
    PreTrainedTokenizerFast(
        tokenizer_object=library, **{f"{name}_token": token for name, token in names.items()}
    ).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings), encoding="utf-8")
    return folder


def _ids(folder: Path, texts: list[str], model_type: str = "bert") -> list[list[int]]:
    """AutoTokenizer's ids, after ours were found to be the same."""
    config = _config(folder, model_type)
    found = file_tokenizer(folder, longest=None, rows=_ROWS, config=config)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    theirs = [tokenizer(text, truncation=True)["input_ids"] for text in texts]
    assert [part.ids.tolist() for part in found.tokenizer.tokenize_many(texts)] == theirs
    return theirs


LONG = "ACGTACGGTTAC" * 10


@pytest.mark.parametrize("place", ["tokenizer_config.json", "tokenizer.json"])
def test_the_left_end_is_lost_where_a_file_says_so(place: str, tmp_path: Path) -> None:
    folder = _letters(tmp_path, model_max_length=20)
    if place == "tokenizer_config.json":
        _letters(tmp_path, model_max_length=20, truncation_side="left")
    else:
        path = folder / "tokenizer.json"
        block = {"direction": "Left", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"truncation": block}))
    ids = _ids(folder, [LONG])[0]
    assert ids[1:-1] == [SPECIALS.__len__() + "ACGTN".index(letter) for letter in LONG[-18:]]
    found = file_tokenizer(folder, longest=None, rows=10)
    assert found.tokenizer.tokenize(LONG).dropped_bp == len(LONG) - 18
    assert any("truncation to 5" in note for note in found.notes) == (place == "tokenizer.json")


def test_the_left_end_of_k_mers(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("<cls>\n<pad>\n<eos>\n<unk>\n<mask>\nAC\nGT\nA\nC\nG\nT")
    EsmTokenizer(
        str(tmp_path / "vocab.txt"), model_max_length=6, truncation_side="left"
    ).save_pretrained(tmp_path)
    ids = _ids(tmp_path, ["ACGTTTACG", "acgt", "ACGTACGTAC"], "esm")
    assert ids[0] == [0, 10, 10, 5, 9, 2]
    found = vocabulary_tokenizer(tmp_path, longest=None, rows=11).tokenizer
    assert found.tokenize("ACGTTTACG").dropped_bp == 4
    assert found.tokenize_batch(["ACGTTTACG", "ACGTACGTAC"]).dropped_bp.tolist() == [4, 2]


@pytest.mark.parametrize(
    "place", ["added_tokens.json", "added_tokens_decoder", "tokenizer.json", "map", "extra"]
)
def test_added_tokens_of_every_place(place: str, tmp_path: Path) -> None:
    folder = _letters(tmp_path)
    entry = {"content": "NNNN", "lstrip": False, "rstrip": False, "single_word": False}
    entry |= {"normalized": True, "special": False}
    if place == "added_tokens.json":
        (folder / place).write_text('{"NNNN": 10}')
    elif place == "added_tokens_decoder":
        _letters(folder, added_tokens_decoder={"10": entry})
    elif place == "tokenizer.json":
        path = folder / place
        content = json.loads(path.read_text())
        content["added_tokens"].append({"id": 10, **entry})
        path.write_text(json.dumps(content))
    elif place == "map":
        (folder / "special_tokens_map.json").write_text('{"additional_special_tokens": ["NNNN"]}')
    else:
        _letters(folder, additional_special_tokens=["NNNN"])
    assert 10 in _ids(folder, ["ACNNNNGT"])[0]
    with pytest.raises(CheckpointError, match=r"ids up to 10, the model has 10 rows"):
        file_tokenizer(folder, longest=None, rows=10)


def test_tokens_join_by_id_then_by_name_then_the_rest(tmp_path: Path) -> None:
    entry = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": True}
    added = {
        "12": {"content": "TATA", "special": False, **entry},
        "11": {"content": "NNNN", "special": False, **entry},
    }
    folder = _letters(
        tmp_path,
        added_tokens_decoder=added,
        additional_special_tokens=["GGG"],
        image_token="CCC",
        eos_token="AAA",
        bos_token="TTT",
    )
    ids = _ids(folder, [f"{text}A" for text in ("NNNN", "TATA", "TTT", "AAA", "CCC", "GGG")])
    assert [row[1] for row in ids] == [10, 11, 12, 13, 14, 15]


def test_added_letters_of_a_vocabulary_file(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("<unk>\n<pad>\n<mask>\n<cls>\nAC\nGT\nA\nC\nG\nT\nN")
    theirs = EsmTokenizer(str(tmp_path / "vocab.txt"), eos_token=None)
    theirs.add_tokens(["a", "c", "g", "t"])
    theirs.save_pretrained(tmp_path)
    assert _ids(tmp_path, ["ACacgtGT", "xxaxx"], "esm")[0] == [3, 4, 11, 12, 13, 14, 5]


def test_a_token_that_the_original_search_may_miss_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("<unk>\n<pad>\n<mask>\n<cls>\n<eos>\nc\ng\nacg")
    theirs = EsmTokenizer(str(tmp_path / "vocab.txt"))
    # Neither "acag" nor "a" is a token, and "c" is lost.
    assert theirs.tokenize("acag") == ["acag"]
    with pytest.raises(CheckpointError, match="'acg' begins with 'a', which is no token"):
        vocabulary_tokenizer(tmp_path, longest=None, rows=8)


def test_names_in_brackets_are_in_no_sequence(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, "ACG", *"ACGTN"]))
    names = {"unk": "[UNK]", "cls": "[CLS]", "eos": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
    tokens = {f"{name}_token": token for name, token in names.items()}
    EsmTokenizer(str(tmp_path / "vocab.txt"), **tokens).save_pretrained(tmp_path)
    assert _ids(tmp_path, ["ACGTACN", "ACxG"], "esm")[0] == [1, 5, 9, 6, 7, 10, 2]


def test_a_class_overrules_its_file_and_that_is_said(tmp_path: Path) -> None:
    vocabulary = {token: i for i, token in enumerate([*SPECIALS, *"ACGT", *"acgt", "##c", "##C"])}
    BertTokenizer(vocab=vocabulary, do_lower_case=False).save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_lower_case": True}))
    assert _ids(tmp_path, ["AC", "ac"])[0] == _ids(tmp_path, ["AC", "ac"])[1]
    found = file_tokenizer(tmp_path, longest=None, rows=99, config={"model_type": "bert"})
    assert "BertTokenizer" in found.notes[0]
    assert "normalizer" in found.notes[0]


def test_a_file_of_another_kind_than_its_class_is_refused(tmp_path: Path) -> None:
    _letters(tmp_path, tokenizer_class="BertTokenizer")
    with pytest.raises(CheckpointError, match=r"model is BPE.*BertTokenizer is WordPiece"):
        file_tokenizer(tmp_path, longest=None, rows=10)


def test_an_esm_folder_may_bring_a_tokenizer_of_any_size(tmp_path: Path) -> None:
    _letters(tmp_path)
    _ids(tmp_path, [LONG, "acgt"], "esm")
    # 75 rows are a published 3-mer vocabulary; the file counts.
    found = vocabulary_tokenizer(tmp_path, longest=None, rows=75)
    assert found.tokenizer.tokenize("ACGT").ids.tolist() == [1, 5, 6, 7, 8, 2]


@pytest.mark.parametrize(
    ("written", "limit"),
    [(40, 40), (40.0, 40), ("40", 40), (1e30, 64), (10**30, 64), (None, 64), (100, 64)],
)
def test_lengths_of_any_type(written: object, limit: int, tmp_path: Path) -> None:
    found = file_tokenizer(_letters(tmp_path, model_max_length=written), longest=64, rows=10)
    assert len(found.tokenizer.tokenize(LONG).ids) == limit
    assert bool(found.notes) == isinstance(written, str)


@pytest.mark.parametrize("written", [True, False, 0, -5, 7.5, "long", "", [512], {"tokens": 512}])
def test_lengths_that_are_none(written: object, tmp_path: Path) -> None:
    folder = _letters(tmp_path, model_max_length=written)
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: model_max_length is"):
        file_tokenizer(folder, longest=64, rows=10)


@pytest.mark.parametrize("name", ["GPT2Tokenizer", "GPTNeoXTokenizer", "RobertaTokenizer"])
@pytest.mark.parametrize("bos", [True, False])
def test_begin_and_end_tokens_of_vocabulary_files(name: str, bos: bool, tmp_path: Path) -> None:
    tokens = ["<|endoftext|>", "<s>", "</s>", "<unk>", "<pad>", "<mask>", *"ACGT", "AC"]
    (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nA C\n")
    settings = {"tokenizer_class": name, "add_bos_token": bos, "add_eos_token": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    ids = _ids(tmp_path, ["ACGT", "", LONG], "gpt2")[0]
    assert 10 in ids
    assert len(ids) == 4 + (bos or name == "RobertaTokenizer")


def test_templates_of_chats_change_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = file_tokenizer(_letters(tmp_path / "plain"), longest=None, rows=10).tokenizer
    folder = _letters(tmp_path / "chat", chat_template="{{ x }}", padding_side="left")
    (folder / "chat_template.jinja").write_text("{{ x }}")
    with caplog.at_level(logging.WARNING):
        chat = file_tokenizer(folder, longest=None, rows=10).tokenizer
    assert chat.digest == plain.digest
    assert not caplog.records


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tokenizer_class": "T5Tokenizer"}, "T5Tokenizer"),
        ({"tokenizer_class": 5}, "tokenizer_class is 5"),
        ({"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}, "auto_map"),
        ({"truncation_side": "middle"}, "truncation_side is 'middle'"),
        ({"cls_token": {"content": "[CLS]"}}, "cls_token is"),
        ({"added_tokens_decoder": {"x": {"content": "A"}}}, "'x' is no id"),
        ({"fast_tokenizer_files": ["tokenizer.4.0.0.json"]}, "fast_tokenizer_files"),
    ],
)
def test_settings_that_cannot_be_applied(
    settings: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    folder = _letters(tmp_path, **settings)
    with pytest.raises(CheckpointError, match=reason):
        file_tokenizer(folder, longest=None, rows=10)


@pytest.mark.parametrize("kind", ["bert", "esm"])
def test_tokens_that_occur_twice_are_said(kind: str, tmp_path: Path) -> None:
    names = SPECIALS if kind == "bert" else ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>"]
    (tmp_path / "vocab.txt").write_text("\n".join([*names, "A", "C", "A"]))
    # BertTokenizer lower-cases, so that A is unknown to it.
    assert (7 in _ids(tmp_path, ["A"], kind)[0]) == (kind == "esm")
    found = file_tokenizer(tmp_path, longest=None, rows=8, config={"model_type": kind})
    assert any("'A' and perhaps others occur twice" in note for note in found.notes)


def test_a_vocabulary_in_another_encoding_is_said(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes("<cls>\né".encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"vocab\.txt: not UTF-8 \(byte 6\)"):
        vocabulary_tokenizer(tmp_path, longest=None, rows=8)


def test_sentencepiece_alone_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a\x0e")
    with pytest.raises(CheckpointError, match=r"tokenizer\.model .*alone is not read"):
        file_tokenizer(tmp_path, longest=None, rows=10, config={"model_type": "llama"})


def test_a_token_without_a_row_is_refused_when_a_sequence_spells_it(tmp_path: Path) -> None:
    theirs = AutoTokenizer.from_pretrained(_with_config(_letters(tmp_path / "first")))
    theirs.add_tokens([AddedToken("<late>", special=True)])
    theirs.save_pretrained(tmp_path / "late")
    tokenizer = file_tokenizer(tmp_path / "late", longest=None, rows=10).tokenizer
    assert tokenizer.tokenize("ACGT").ids.max() < 10
    with pytest.raises(CheckpointError, match="ids up to 10, the model has 10 rows"):
        tokenizer.tokenize("AC<late>GT")


def _with_config(folder: Path) -> Path:
    _config(folder, "bert")
    return folder
