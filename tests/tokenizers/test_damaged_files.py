"""Whatever is in a folder's tokenizer files: a tokenizer, or one of our errors, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.errors import CheckpointError, GenebError
from geneb_jax.tokenizers import decoder_tokenizer, file_tokenizer, vocabulary_tokenizer
from tests.fuzz.hostile_text import damaged
from tests.tokenizers.drawn_tokenizers import draw_tokenizer, drawn_texts

#: File to the kind of tokenizer that has it.
FILES = {
    "tokenizer_config.json": ("bpe", "bert", "characters", "bytes"),
    "tokenizer.json": ("bpe", "wordpiece", "wordlevel", "unigram"),
    "vocab.txt": ("bert", "characters", "k-mers"),
    "vocab.json": ("bytes",),
    "merges.txt": ("bytes",),
    "special_tokens_map.json": ("bpe", "bert", "characters", "bytes"),
    "added_tokens.json": ("bpe", "characters"),
}
_BASES: dict[str, bytes] = {
    "special_tokens_map.json": b'{"cls_token": {"content": "[CLS]", "lstrip": false, "normalized":'
    b' false, "rstrip": false, "single_word": false}, "mask_token": "[MASK]",'
    b' "additional_special_tokens": ["<a>", "<b>"], "extra_special_tokens": ["<c>"]}',
    "added_tokens.json": b'{"NNNN": 80, "<x>": 81}',
}
#: Who reads a kind; the others go to :func:`file_tokenizer`.
_READERS = {
    "bpe": decoder_tokenizer,
    "characters": vocabulary_tokenizer,
    "k-mers": vocabulary_tokenizer,
}
_SLOWEST_SECONDS = 10
_DEFAULT, _SWEEP = 60, 3000


def _folder_with(name: str, kind: str, root: Path) -> Path:
    """A folder of this kind that has this file; the first such draw."""
    for seed in range(1000):
        folder = root / f"{kind}-{seed}"
        folder.mkdir(parents=True)
        draw_tokenizer(np.random.default_rng(seed), folder, kind=kind)
        if name in _BASES:
            (folder / name).write_bytes(_BASES[name])
        try:
            file_tokenizer(folder, longest=64, rows=10**5)
        except GenebError:
            continue
        if (folder / name).is_file():
            return folder
    raise AssertionError(f"no draw of {kind} has {name}")


def _fuzz(name: str, root: Path, count: int, seen: Callable[[str], object]) -> None:
    folders = [_folder_with(name, kind, root) for kind in FILES[name]]
    contents = [(folder / name).read_bytes() for folder in folders]
    for seed in range(count):
        rng = np.random.default_rng(seed)
        which = int(rng.integers(len(folders)))
        folder = folders[which]
        read = _READERS.get(FILES[name][which], file_tokenizer)
        (folder / name).write_bytes(damaged(contents[which], rng))
        started = time.monotonic()
        try:
            found = read(folder, longest=64, rows=10**5)
            tokens = found.tokenizer.tokenize_many(drawn_texts(rng))
            assert all(len(part.ids) <= 64 for part in tokens)
            seen("read")
        except GenebError as error:
            assert "\n" not in error.message, f"seed {seed}"
            seen("refused")
        except BaseException as error:
            raise AssertionError(f"{name}, seed {seed}: {error!r}") from error
        assert time.monotonic() - started < _SLOWEST_SECONDS, f"seed {seed}"
        (folder / name).write_bytes(contents[which])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.fault("F74", "F75")
def test_damage_gives_a_tokenizer_or_one_message(name: str, tmp_path: Path) -> None:
    outcomes: list[str] = []
    _fuzz(name, tmp_path, _DEFAULT, outcomes.append)
    assert set(outcomes) == {"read", "refused"}


@pytest.mark.sweep
@pytest.mark.parametrize("name", FILES)
def test_more_damage(name: str, tmp_path: Path) -> None:
    outcomes: list[str] = []
    _fuzz(name, tmp_path, _SWEEP, outcomes.append)
    print(name, {outcome: outcomes.count(outcome) for outcome in set(outcomes)})


def test_a_link_that_leads_nowhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").symlink_to(tmp_path / "gone.json")
    with pytest.raises(CheckpointError, match="a link to"):
        file_tokenizer(tmp_path, longest=None, rows=10)
