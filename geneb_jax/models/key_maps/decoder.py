"""What the decoders have in common on disk: the tokenizer beside their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.tokenizers import FolderTokenizer, decoder_tokenizer

__all__ = ["folder_tokenizer"]


class _Sizes(Protocol):
    """What is asked of a decoder's config."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def longest_tokens(self) -> int | None: ...


def folder_tokenizer(folder: Path, config_json: ConfigJson, config: _Sizes) -> FolderTokenizer:
    """The folder's tokenizer, limited to what the architecture takes.

    Raises:
        CheckpointError: if it has none, or one with ids beyond the embedding.
    """
    return decoder_tokenizer(
        folder, longest=config.longest_tokens, rows=config.vocab_size, config=config_json.values
    )
