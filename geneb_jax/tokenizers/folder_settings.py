"""What the files beside a vocabulary say: limit, side, special and added tokens.

Four files may name tokens: tokenizer.json, tokenizer_config.json (``added_tokens_decoder`` and the
special tokens by name), special_tokens_map.json and added_tokens.json. The last two count only
where ``added_tokens_decoder`` is missing. Reference: transformers 5.24 ``_from_pretrained``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from geneb_jax.errors import CheckpointError
from geneb_jax.tokenizers.added_tokens import (
    AddedToken,
    TokenText,
    added_token,
    converted,
    token_id,
)
from geneb_jax.tokenizers.folder_files import FolderFiles

__all__ = ["NAMED_TOKENS", "FolderSettings", "Side", "read_settings", "token_limit"]

Side = Literal["left", "right"]

SETTINGS_FILE = "tokenizer_config.json"
#: The special tokens that have names, in the order in which missing ones are added.
NAMED_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
#: Larger limits stand for none (transformers writes 1e30).
_NO_LIMIT = 10**9


@dataclass(frozen=True)
class FolderSettings:
    """The settings of a folder's tokenizer, before its class is asked.

    Attributes:
        where: tokenizer_config.json, for messages.
        values: Its other keys, and those of special_tokens_map.json.
        own_tokens: Tokens under names of the model's own (``image_token``).
        added: Added tokens by id.
        notes: What was read otherwise than it is written.
    """

    where: str
    values: Mapping[str, Any]
    own_tokens: Mapping[str, TokenText] = field(default_factory=dict)
    added: Mapping[int, AddedToken] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def flag(self, key: str, default: bool) -> bool:
        """A switch; ``default`` where the key is missing.

        Raises:
            CheckpointError: if it is neither true nor false.
        """
        value = self.values.get(key, default)
        if isinstance(value, bool):
            return value
        raise CheckpointError(f"{key} is {value!r:.60}, expected true or false", where=self.where)

    def open_flag(self, key: str) -> bool | None:
        """A switch that may be left open; None where the key is missing or null.

        Raises:
            CheckpointError: if it is something else.
        """
        return None if self.values.get(key) is None else self.flag(key, False)

    def side(self, written: str | None) -> Side:
        """Which end an overlong sequence loses.

        Args:
            written: The side that tokenizer.json names, which counts where the key is missing.

        Raises:
            CheckpointError: if the key has another value.
        """
        value = self.values.get("truncation_side", written or "right")
        if value not in ("left", "right"):
            raise CheckpointError(
                f"truncation_side is {value!r:.60}, expected 'left' or 'right'", where=self.where
            )
        return "left" if value == "left" else "right"

    def special_tokens(self, defaults: Mapping[str, str | None]) -> dict[str, TokenText]:
        """Special tokens by name, in the order in which missing ones join the vocabulary.

        Args:
            defaults: What the tokenizer's class has where the files say nothing.

        Raises:
            CheckpointError: if one is neither a text, a token nor null.
        """
        found: dict[str, TokenText] = {}
        for name in NAMED_TOKENS:
            value = self.values.get(name, defaults.get(name))
            if value is None:
                continue
            if not isinstance(value, str | AddedToken) or not str(value):
                raise CheckpointError(
                    f"{name} is {value!r:.60}, expected a token's text", where=self.where
                )
            found[name] = value
        return found | dict(self.own_tokens)

    def extra_tokens(self) -> tuple[TokenText, ...]:
        """Special tokens without names.

        Raises:
            CheckpointError: if they are no list of texts and tokens.
        """
        values = self.values
        key = "extra_special_tokens"
        if key not in values:
            key = "additional_special_tokens"
        entries = values.get(key)
        if entries is None:
            return ()
        texts = isinstance(entries, list) and all(
            isinstance(entry, str | AddedToken) for entry in entries
        )
        if not texts:
            raise CheckpointError(f"{key} is no list of tokens", where=self.where)
        return tuple(entries)


def read_settings(files: FolderFiles, tokenizer_json: Mapping[str, Any] | None) -> FolderSettings:
    """Read all files but the vocabulary's own.

    Args:
        files: The folder.
        tokenizer_json: The content of its tokenizer.json, None without one.

    Raises:
        CheckpointError: for a file that cannot be read, or a value that transformers refuses.
    """
    values = files.settings(SETTINGS_FILE) or {}
    where = str(files.path(SETTINGS_FILE))
    if not _filled(values, "extra_special_tokens") and "additional_special_tokens" in values:
        values["extra_special_tokens"] = values.pop("additional_special_tokens")
    own: dict[str, TokenText] = {
        key: values.pop(key)
        for key in [*values]
        if key.endswith("_token") and key not in NAMED_TOKENS and isinstance(values[key], str)
    }
    own |= _named(values, where)
    if "added_tokens_decoder" in values:
        added = _decoder(values["added_tokens_decoder"], where)
    else:
        _merge_map(files, values)
        own |= _named(values, where)
        added = _added_file(files, values)
        added |= _of_tokenizer_json(tokenizer_json, files)
    values = converted(values, where=where)
    late = {
        key: values.pop(key)
        for key in [*values]
        if key.endswith("_token")
        and key not in NAMED_TOKENS
        and isinstance(values[key], str | AddedToken)
    }
    by_text = {token.content: token for token in added.values()}
    for name in NAMED_TOKENS:
        token = values.get(name)
        if isinstance(token, str | AddedToken):
            values[name] = by_text.get(str(token), token)
    return FolderSettings(where, values, {**late, **own}, added)


def token_limit(settings: FolderSettings, longest: int | None) -> tuple[int | None, str | None]:
    """The smaller of what the tokenizer and the model declare, and a note if it was mended.

    Raises:
        CheckpointError: if ``model_max_length`` is no length.
    """
    key = "model_max_length" if "model_max_length" in settings.values else "max_len"
    value = settings.values.get(key)
    note = None
    if isinstance(value, str):
        try:
            number = float(value) if len(value) < 40 else float("nan")
        except ValueError:
            number = float("nan")
        note = f"{settings.where}: {key} is the text {value!r:.60}, read as the number it spells"
        value = number
    if value is not None:
        value = _length(value, key, settings)
    limits = [limit for limit in (value, longest) if limit is not None and limit < _NO_LIMIT]
    return (min(limits) if limits else None), note


def _length(value: object, key: str, settings: FolderSettings) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not isinstance(value, int | float) or not whole or value < 1:
        raise CheckpointError(
            f"{key} is {settings.values[key]!r:.60}, expected a number of tokens",
            where=settings.where,
            hint="write a whole number above 0, or remove the key for no limit",
        )
    return int(value)


def _filled(values: Mapping[str, Any], key: str) -> bool:
    return bool(values.get(key))


def _named(values: dict[str, Any], where: str) -> dict[str, TokenText]:
    """Take named tokens out of ``extra_special_tokens`` where that is an object."""
    entries = values.get("extra_special_tokens")
    if not isinstance(entries, dict):
        return {}
    tokens = converted(values.pop("extra_special_tokens"), where=where)
    if not isinstance(tokens, dict) or not all(
        isinstance(token, str | AddedToken) for token in tokens.values()
    ):
        raise CheckpointError("extra_special_tokens holds something else than tokens", where=where)
    return tokens


def _decoder(entries: object, where: str) -> dict[int, AddedToken]:
    if not isinstance(entries, dict):
        raise CheckpointError("added_tokens_decoder is no object", where=where)
    added = {}
    for index, entry in entries.items():
        if not isinstance(entry, dict):
            raise CheckpointError(
                f"added_tokens_decoder: the token {index!r:.60} is {entry!r:.60}, no object",
                where=where,
            )
        added[token_id(index, where=where)] = added_token(entry, where=where)
    return added


def _merge_map(files: FolderFiles, values: dict[str, Any]) -> None:
    """What special_tokens_map.json says goes over what tokenizer_config.json says."""
    name = "special_tokens_map.json"
    where = str(files.path(name))
    for key, value in (files.settings(name) or {}).items():
        if isinstance(value, dict) and key != "extra_special_tokens":
            values[key] = added_token({**value, "special": True}, where=where)
        elif isinstance(value, list) and key == "extra_special_tokens":
            merged = values.get(key) or []
            if not isinstance(merged, list):
                raise CheckpointError(f"{key} is no list of tokens", where=where)
            for entry in value:
                if isinstance(entry, dict):
                    entry = added_token({**entry, "special": True}, where=where)
                if entry not in merged:
                    merged = [*merged, entry]
            values[key] = merged
        else:
            values[key] = value


def _added_file(files: FolderFiles, values: Mapping[str, Any]) -> dict[int, AddedToken]:
    name = "added_tokens.json"
    entries = files.settings(name)
    if entries is None:
        return {}
    where = str(files.path(name))
    special = {str(values[key]) for key in NAMED_TOKENS if values.get(key)}
    extra = values.get("extra_special_tokens") or []
    special |= {str(token) for token in extra} if isinstance(extra, list) else set()
    added = {}
    for text, index in entries.items():
        if isinstance(index, str):
            raise CheckpointError(f"the id of {text!r:.60} is a text", where=where)
        is_special = text in special
        added[token_id(index, where=where)] = AddedToken(
            text, normalized=not is_special, special=is_special
        )
    return added


def _of_tokenizer_json(
    content: Mapping[str, Any] | None, files: FolderFiles
) -> dict[int, AddedToken]:
    if content is None:
        return {}
    where = str(files.path("tokenizer.json"))
    entries = content.get("added_tokens")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CheckpointError("added_tokens is no list of objects", where=where)
    return {
        token_id(entry.get("id"), where=where): added_token(entry, where=where) for entry in entries
    }
