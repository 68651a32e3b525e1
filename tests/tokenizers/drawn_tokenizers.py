"""Tokenizer folders drawn by a seed: kind x class x settings, saved by transformers.

:func:`draw_tokenizer` writes the tokenizer files of one folder and says what it drew, so that a
draw of whole folders can add a model to it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Library
from transformers import (
    BertTokenizer,
    EsmTokenizer,
    GPT2Tokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
)

__all__ = ["KINDS", "DrawnTokenizer", "draw_tokenizer", "drawn_texts"]

SPECIALS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
_ANGLED = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>"]
Generator = np.random.Generator


@dataclass
class DrawnTokenizer:
    """What was drawn.

    Attributes:
        kind: One of :data:`KINDS`.
        model_type: What config.json is to say.
        limit: Most tokens that the files declare, None for none.
        tokens: Rows that an embedding needs.
        axes: The settings that differ from a plain tokenizer, for messages.
    """

    kind: str
    model_type: str
    limit: int | None
    tokens: int
    axes: list[str] = field(default_factory=list)


def drawn_texts(rng: Generator) -> list[str]:
    """Sequences: upper, lower and mixed case, N, ambiguous letters, none, one letter, very long.

    The last is none: letters with accents, a Chinese one, a combining mark, a space of no width.
    """

    def dna(length: int, letters: str = "ACGT") -> str:
        return "".join(rng.choice(list(letters), length))

    return [
        dna(37),
        dna(64).lower(),
        dna(20) + "N" * 5 + dna(11),
        dna(30, "ACGTRYKMSWN"),
        dna(25, "ACGTacgtNn"),
        "",
        "A",
        "NNNN",
        dna(400),
        dna(300).lower() + dna(20),
        dna(12) + "-" + dna(9) + "*" + dna(4),
        dna(10) + " " + dna(10).lower(),
        "AC\u00c1GT\u00e9\u4e2dACG\u0301T\u200bC",
    ]


def draw_tokenizer(rng: Generator, folder: Path, *, kind: str | None = None) -> DrawnTokenizer:
    """Write the tokenizer files of one folder.

    Args:
        rng: Decides everything.
        folder: An empty folder.
        kind: One of :data:`KINDS`; drawn when None.
    """
    kind = kind or str(rng.choice(KINDS))
    drawn = DrawnTokenizer(kind, "", None, 0)
    _WRITERS[kind](rng, folder, drawn)
    _draw_limit(rng, folder, drawn)
    _draw_side(rng, folder, drawn)
    _draw_blocks(rng, folder, drawn)
    _draw_case(rng, folder, drawn)
    _draw_class(rng, folder, drawn)
    _draw_added(rng, folder, drawn)
    _draw_specials(rng, folder, drawn)
    _draw_ignored(rng, folder, drawn)
    drawn.tokens = _tokens(folder)
    return drawn


def _dna_lines(rng: Generator, count: int = 60) -> list[str]:
    letters = list("ACGT")
    return ["".join(rng.choice(letters, rng.integers(20, 90))) for _ in range(count)]


def _library(rng: Generator, drawn: DrawnTokenizer, kind: str) -> Library:
    """A trained tokenizer over DNA with a template, a splitter and a normaliser that are drawn."""
    made: dict[str, tuple[Any, Any]] = {
        "bpe": (
            models.BPE(unk_token="[UNK]", fuse_unk=bool(rng.integers(2))),
            trainers.BpeTrainer(vocab_size=60, special_tokens=SPECIALS),
        ),
        "wordpiece": (
            models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=10_000),
            trainers.WordPieceTrainer(vocab_size=60, special_tokens=SPECIALS),
        ),
        "unigram": (
            models.Unigram(),
            trainers.UnigramTrainer(
                vocab_size=60, special_tokens=SPECIALS, unk_token="[UNK]", show_progress=False
            ),
        ),
    }
    if kind == "wordlevel":
        size = int(rng.integers(1, 4))
        words = ["".join(word) for word in itertools.product("ACGTN", repeat=size)]
        library = Library(
            models.WordLevel(
                {token: i for i, token in enumerate([*SPECIALS, *words])}, unk_token="[UNK]"
            )
        )
        from tokenizers import Regex

        pattern = Regex("." * size)
        library.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    else:
        model, trainer = made[kind]
        library = Library(model)
        if rng.integers(2):
            library.pre_tokenizer = pre_tokenizers.Whitespace()
            drawn.axes.append("whitespace")
        library.train_from_iterator(_dna_lines(rng), trainer)
    normalizer = int(rng.integers(4))
    if normalizer == 1:
        library.normalizer = normalizers.Lowercase() if rng.integers(4) == 0 else normalizers.NFC()
        drawn.axes.append("normalizer")
    template = str(rng.choice(["[CLS] $A [SEP]", "$A [SEP]", "[CLS] $A", "none"]))
    if template != "none":
        library.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    drawn.axes.append(f"template {template}")
    return library


def _write_library(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    library = _library(rng, drawn, drawn.kind)
    drawn.model_type = str(rng.choice(["bert", "esm", "llama", "gpt2", "mistral"]))
    PreTrainedTokenizerFast(
        tokenizer_object=library,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
    ).save_pretrained(folder)


def _write_bert(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    """BertTokenizer: vocab.txt alone, or as saved; words of few letters, pieces behind."""
    drawn.model_type = "bert"
    size = int(rng.integers(1, 4))
    words = ["".join(word) for word in itertools.product("ACGT", repeat=size)]
    lower = [word.lower() for word in words] if rng.integers(2) else []
    tokens = [*SPECIALS, *words, *lower, *(f"##{word}" for word in [*words, *lower]), "N", "##N"]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    if rng.integers(2):
        folder.mkdir(exist_ok=True)
        text = "\n".join(vocabulary) + ("\n" if rng.integers(2) else "")
        (folder / "vocab.txt").write_text(text, encoding="utf-8")
        _edit(folder, tokenizer_class="BertTokenizer")
        if rng.integers(3) == 0:
            (folder / "tokenizer_config.json").unlink()
        drawn.axes.append("vocab.txt")
    else:
        BertTokenizer(vocab=vocabulary, do_lower_case=bool(rng.integers(2))).save_pretrained(folder)


def _write_esm(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    drawn.model_type = "esm"
    words = ["".join(word) for word in itertools.product("ATCG", repeat=int(rng.integers(2, 4)))]
    if drawn.kind == "characters":
        words = []
    if rng.integers(4) == 0:
        words = [str(word) for word in rng.choice(words, len(words) // 2)] if words else []
        drawn.axes.append("gaps and repeats in the vocabulary")
    tokens = [*_ANGLED, *words, *"ATCGN"]
    if rng.integers(2):
        tokens += list("-.*RY")
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    eos = None if rng.integers(2) else "<eos>"
    theirs = EsmTokenizer(str(folder / "vocab.txt"), eos_token=eos)
    if rng.integers(3) == 0:
        theirs.add_tokens(["a", "c", "g", "t"])
        drawn.axes.append("added letters")
    if rng.integers(3):
        theirs.save_pretrained(folder)
    else:
        _edit(folder, tokenizer_class="EsmTokenizer", eos_token=eos)


def _write_bytes(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    """GPT-2's and RoBERTa's byte-level BPE: vocab.json and merges.txt alone, or as saved."""
    drawn.model_type = "gpt2" if rng.integers(2) else "roberta"
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ends = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    library.train_from_iterator(
        _dna_lines(rng),
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=ends,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    model = json.loads(library.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    kind = GPT2Tokenizer if drawn.model_type == "gpt2" else RobertaTokenizer
    folder.mkdir(exist_ok=True)
    if rng.integers(2):
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        _edit(folder, tokenizer_class=kind.__name__)
        if rng.integers(2):
            _edit(folder, add_bos_token=bool(rng.integers(2)), add_eos_token=bool(rng.integers(2)))
            drawn.axes.append("add_bos, add_eos")
        drawn.axes.append("vocab.json + merges.txt")
    else:
        kind(vocab=model["vocab"], merges=merges).save_pretrained(folder)
    if rng.integers(3) == 0:
        _edit(folder, add_prefix_space=True)
        drawn.axes.append("prefix space")


_WRITERS: dict[str, Callable[[Generator, Path, DrawnTokenizer], None]] = {
    "bpe": _write_library,
    "wordpiece": _write_library,
    "wordlevel": _write_library,
    "unigram": _write_library,
    "bert": _write_bert,
    "characters": _write_esm,
    "k-mers": _write_esm,
    "bytes": _write_bytes,
}
KINDS = tuple(_WRITERS)


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _edit(folder: Path, **values: Any) -> None:
    text = json.dumps(_settings(folder) | values)
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def _edit_file(folder: Path, **values: Any) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | values), encoding="utf-8")


def _draw_limit(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    values: list[Any] = [16, 33, 128, int(1e30), 1e30, None, 48, 21]
    if not _settings(folder):
        return
    value = values[int(rng.integers(len(values)))]
    _edit(folder, model_max_length=value)
    drawn.limit = None if value is None or value > 10**9 else int(value)
    drawn.axes.append(f"limit {value}")


def _draw_side(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    if rng.integers(3) == 0 and _settings(folder):
        _edit(folder, truncation_side="left")
        drawn.axes.append("side left")


def _draw_blocks(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    if not (folder / "tokenizer.json").is_file():
        return
    if rng.integers(3) == 0:
        direction = str(rng.choice(["Left", "Right"]))
        block = {"direction": direction, "max_length": 12, "strategy": "LongestFirst", "stride": 0}
        _edit_file(folder, truncation=block)
        drawn.axes.append(f"truncation block {direction}")
    if rng.integers(4) == 0:
        block = {
            "strategy": {"Fixed": 24} if rng.integers(2) else "BatchLongest",
            "direction": str(rng.choice(["Left", "Right"])),
            "pad_to_multiple_of": None,
            "pad_id": 3,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        }
        _edit_file(folder, padding=block)
        drawn.axes.append("padding block")


def _draw_case(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    for key, values in (
        ("do_lower_case", [True, False]),
        ("strip_accents", [True, False, None]),
        ("tokenize_chinese_chars", [True, False]),
        ("clean_text", [True, False]),
    ):
        if rng.integers(4) == 0 and _settings(folder):
            value = values[int(rng.integers(len(values)))]
            _edit(folder, **{key: value})
            drawn.axes.append(f"{key} {value}")


def _draw_class(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    """Another class than the one that saved the files; none; or one that nobody knows."""
    if rng.integers(4) or not _settings(folder):
        return
    names = ["PreTrainedTokenizerFast", "TokenizersBackend", "BertTokenizer", "BertTokenizerFast"]
    names += ["EsmTokenizer", "GPT2Tokenizer", "RobertaTokenizerFast", "LlamaTokenizerFast"]
    names += ["GPTNeoXTokenizer", "T5Tokenizer", "OwnTokenizer", ""]
    name = str(rng.choice(names))
    settings = _settings(folder) | {"tokenizer_class": name}
    if not name:
        del settings["tokenizer_class"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    drawn.axes.append(f"class {name or 'none'}")


def _draw_added(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    """Added tokens in one of the places that may name them."""
    place = int(rng.integers(8))
    text = str(rng.choice(["NNNN", "acg", "TATA", "<sep2>"]))
    special = bool(rng.integers(2))
    token = AddedToken(text, special=special, normalized=bool(rng.integers(2)))
    entry = {
        "content": text,
        "lstrip": bool(rng.integers(2)),
        "rstrip": False,
        "normalized": token.normalized,
        "single_word": bool(rng.integers(6) == 0),
        "special": special,
    }
    free = _tokens(folder)
    has_file = (folder / "tokenizer.json").is_file()
    if place == 0:
        (folder / "added_tokens.json").write_text(json.dumps({text: free}), encoding="utf-8")
        drawn.axes.append(f"added_tokens.json {text}")
    elif place == 1 and _settings(folder):
        entries = _settings(folder).get("added_tokens_decoder", {})
        _edit(folder, added_tokens_decoder=entries | {str(free): entry})
        drawn.axes.append(f"added_tokens_decoder {text}")
    elif place == 2 and has_file:
        content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        _edit_file(folder, added_tokens=[*content["added_tokens"], {"id": free, **entry}])
        drawn.axes.append(f"tokenizer.json added {text}")
    elif place == 3:
        content = {str(rng.choice(["additional_special_tokens", "extra_special_tokens"])): [text]}
        if rng.integers(2):
            content["mask_token"] = entry | {"content": "[MASK]"}
        path = folder / "special_tokens_map.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        drawn.axes.append(f"special_tokens_map.json {text}")
    elif place == 4 and _settings(folder):
        key = str(rng.choice(["additional_special_tokens", "extra_special_tokens"]))
        _edit(folder, **{key: [text]})
        drawn.axes.append(f"{key} {text}")


def _draw_specials(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    if rng.integers(3) or not _settings(folder):
        return
    name = str(rng.choice(["cls", "sep", "bos", "eos", "unk", "mask", "pad", "image"]))
    values: list[Any] = ["[MASK]", "<new>", "A", None]
    value = values[int(rng.integers(len(values)))]
    _edit(folder, **{f"{name}_token": value})
    drawn.axes.append(f"{name}_token {value}")


def _draw_ignored(rng: Generator, folder: Path, drawn: DrawnTokenizer) -> None:
    """What must make no difference: chat templates, padding side, names of inputs."""
    if rng.integers(4) == 0 and _settings(folder):
        _edit(folder, chat_template="{{ messages }}", padding_side="left", extra=[1])
        (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
        drawn.axes.append("chat template, padding side")


def _tokens(folder: Path) -> int:
    """Ids below this number are taken by the vocabulary's own file."""
    for name in ("tokenizer.json", "vocab.json"):
        if (folder / name).is_file():
            content = json.loads((folder / name).read_text(encoding="utf-8"))
            if name == "vocab.json":
                return max(content.values()) + 1
            vocabulary = content["model"]["vocab"]
            return max(len(vocabulary), *(t["id"] + 1 for t in content["added_tokens"]), 0)
    return len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
