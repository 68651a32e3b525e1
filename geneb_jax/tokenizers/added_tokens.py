"""Tokens that are split off before anything else, as files of a checkpoint folder write them.

A token is a text, or an object with a text and five switches. Reference: transformers 5.24
``PreTrainedTokenizerBase._from_pretrained``, tokenizers 0.23 ``AddedToken``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geneb_jax.errors import CheckpointError

__all__ = ["AddedToken", "TokenText", "added_token", "converted", "token_id"]

_SWITCHES = ("lstrip", "rstrip", "single_word", "normalized", "special")
_MARK = "__type"
#: Four times all 10-mers; no embedding has more rows. The library takes memory for every id below
#: the largest, so one damaged id must not reach it.
_MOST_TOKENS = 2**22


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token with its switches, whose names and meanings are those of tokenizers' class.

    Attributes:
        content: The text.
        lstrip: Whether white space on its left belongs to it.
        rstrip: Whether white space on its right belongs to it.
        single_word: Whether it is only matched as a word of its own.
        normalized: Whether it is looked for in the normalised text.
        special: Whether it is a special token.
    """

    content: str
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = True
    special: bool = False

    def __str__(self) -> str:
        return self.content

    def as_special(self) -> AddedToken:
        """The same token, special."""
        switches = {name: getattr(self, name) for name in _SWITCHES} | {"special": True}
        return AddedToken(self.content, **switches)


#: How a file names a token.
TokenText = str | AddedToken


def added_token(entry: Mapping[str, Any], *, where: str) -> AddedToken:
    """A token from its JSON object; a missing ``normalized`` is the opposite of ``special``.

    Args:
        entry: The object; keys other than those of :class:`AddedToken` are ignored, as by
            tokenizers.
        where: The file and key, for messages.

    Raises:
        CheckpointError: if the text is missing or a value is of another type.
    """
    content = entry.get("content")
    if not isinstance(content, str):
        raise CheckpointError(f"a token whose content is {content!r:.60}, no text", where=where)
    switches = {name: entry[name] for name in _SWITCHES if name in entry}
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise CheckpointError(
                f"{name} of the token {content!r:.60} is {value!r:.60}, expected true or false",
                where=where,
            )
    switches.setdefault("normalized", not switches.get("special", False))
    return AddedToken(content, **switches)


def converted(value: Any, *, where: str) -> Any:
    """A value of a JSON document with the objects that say they are tokens made tokens.

    Raises:
        CheckpointError: if such an object is no token.
    """
    if isinstance(value, dict):
        if value.get(_MARK) == "AddedToken":
            return added_token(value, where=where)
        return {key: converted(entry, where=where) for key, entry in value.items()}
    if isinstance(value, list):
        return [converted(entry, where=where) for entry in value]
    return value


def token_id(value: object, *, where: str) -> int:
    """An id as a number or, as a key of a JSON object is, its digits.

    Raises:
        CheckpointError: if it is neither, negative, or beyond any vocabulary.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST_TOKENS:
        raise CheckpointError(f"{value!r:.60} is no id of a token", where=where)
    return value
