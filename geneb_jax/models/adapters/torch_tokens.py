"""Texts as a transformers tokenizer has them: ids, and counts of what was read and cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from geneb_jax.models.encoder import TextCounts

__all__ = ["TorchTokens"]

#: Letters that a tokenizer gets at a time: what it keeps of a token (texts, offsets, what it cut
#: off) takes a hundred times the room of its id.
_LETTERS_AT_A_TIME = 1 << 20


class TorchTokens:
    """A tokenizer of transformers with the longest input of its model.

    Args:
        tokenizer: Of transformers.
        limit: Longest input in tokens; None for none.
    """

    def __init__(self, tokenizer: Any, limit: int | None) -> None:
        self._tokenizer, self._limit = tokenizer, limit

    @property
    def padding(self) -> int:
        """The id that stands where a row has ended."""
        return self._tokenizer.pad_token_id or 0

    def ids(self, sequences: Sequence[str]) -> list[list[int]]:
        """Ids of each text, cut off at the longest input."""
        cut = {"truncation": True, "max_length": self._limit} if self._limit is not None else {}
        return self._encoded(sequences, **cut)

    def counts_of(self, sequences: Sequence[str]) -> TextCounts:
        """What the model makes of texts; letters other than A, C, G, T in capitals are unknown."""
        parts = [self._counts_of(some) for some in _in_groups(sequences)]
        parts = parts or [self._counts_of(())]
        unknown = [part.unknown_tokens for part in parts if part.unknown_tokens is not None]
        return TextCounts(
            tokens=np.concatenate([part.tokens for part in parts]),
            cut_bp=np.concatenate([part.cut_bp for part in parts]),
            unknown_bp=np.concatenate([part.unknown_bp for part in parts]),
            unknown_tokens=np.concatenate(unknown) if unknown else None,
        )

    def _counts_of(self, sequences: Sequence[str]) -> TextCounts:
        whole = self._encoded(sequences)
        cut_off = [at for at, ids in enumerate(whole) if len(ids) > (self._limit or len(ids))]
        kept = dict(zip(cut_off, self.ids([sequences[at] for at in cut_off]), strict=True))
        read = [kept.get(at, ids) for at, ids in enumerate(whole)]
        unknown = getattr(self._tokenizer, "unk_token_id", None)
        cut = [self._cut_bp(text) if at in kept else 0 for at, text in enumerate(sequences)]
        other = [sum(map(text.count, set(text) - set("ACGT"))) for text in sequences]
        return TextCounts(
            tokens=np.array([len(ids) for ids in read], np.int64),
            cut_bp=np.array(cut, np.int64),
            unknown_bp=np.array(other, np.int64),
            unknown_tokens=None
            if unknown is None
            else np.array([ids.count(unknown) for ids in read], np.int64),
        )

    def _cut_bp(self, text: str) -> int:
        """Letters of a text that is too long for which there is no room."""
        left = getattr(self._tokenizer, "truncation_side", "right") == "left"
        assert self._limit is not None
        if getattr(self._tokenizer, "is_fast", False):
            options = {"padding": False, "verbose": False}
            bare = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, **options
            )["offset_mapping"]
            room = self._limit - (len(self._encoded([text])[0]) - len(bare))
            return bare[len(bare) - room - 1][1] if left else len(text) - bare[room][0]
        # A tokenizer that does not say where its tokens stand: how much of the text fits.
        held, too_many = 0, len(text)
        while too_many - held > 1:
            middle = (held + too_many) // 2
            part = text[-middle:] if left else text[:middle]
            (whole,) = self._encoded([part])
            if len(whole) > self._limit:
                too_many = middle
            else:
                held = middle
        return len(text) - held

    def _encoded(self, sequences: Sequence[str], **options: Any) -> list[list[int]]:
        """Ids of each text; of no texts, which transformers does not take, none."""
        found: list[list[int]] = []
        for some in _in_groups(sequences):
            encoded = self._tokenizer(list(some), padding=False, verbose=False, **options)
            found += [list(map(int, ids)) for ids in encoded["input_ids"]]
        return found


def _in_groups(sequences: Sequence[str]) -> Iterator[Sequence[str]]:
    """Texts in their order, so many at a time that their letters are few; none is no group."""
    first = letters = 0
    for at, text in enumerate(sequences):
        if at > first and letters + len(text) > _LETTERS_AT_A_TIME:
            yield sequences[first:at]
            first, letters = at, 0
        letters += len(text)
    if len(sequences):
        yield sequences[first:]
