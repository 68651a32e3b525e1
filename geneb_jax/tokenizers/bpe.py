"""Tokenizers published as ``tokenizer.json``: BPE and whatever else ``tokenizers`` reads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from geneb_jax.errors import CheckpointError
from geneb_jax.plain_files import read_plain
from geneb_jax.tokenizers.library_tokenizer import LibraryTokenizer

__all__ = ["BpeTokenizer"]

#: The largest that is known has some twenty megabytes.
_LARGEST_BYTES = 2**28


class BpeTokenizer(LibraryTokenizer):
    """A ``tokenizer.json`` of a registered model, whose TOML says what its extractor does.

    Args:
        file: The published file. Truncation and padding that it may hold are ignored, as
            transformers ignores them.
        **options: Of :class:`~geneb_jax.tokenizers.library_tokenizer.LibraryTokenizer`.

    Raises:
        CheckpointError: if the file cannot be read or gives ids without an embedding row.
        ConfigError: if a named token is not in the vocabulary, or the limit leaves no room.
    """

    def __init__(self, file: Path, **options: Any) -> None:
        from tokenizers import Tokenizer as Library

        try:
            content = read_plain(file, largest_bytes=_LARGEST_BYTES)
            library = Library.from_buffer(content)
        except FileNotFoundError as error:
            raise CheckpointError("the tokenizer file is missing", where=file) from error
        except Exception as error:  # the library raises bare exceptions
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise CheckpointError(f"not a tokenizer file ({reason})", where=file) from error
        source = {"kind": "bpe", "file": hashlib.sha256(content).hexdigest()}
        super().__init__(library, where=file, source=source, **options)
