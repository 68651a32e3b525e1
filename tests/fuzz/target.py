"""What is fuzzed: every reader of bytes that others wrote, fed one file's content at a time.

A target makes valid contents to start from and reads a damaged one. It may end normally or in one
of our errors with a message of one line; for readers below the command line, in the ValueError that
they promise. Anything else is a finding.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax.errors import GenebError
from tests.fuzz.hostile_bytes import HOSTILE_VALUES, damaged_bytes
from tests.fuzz.hostile_text import damaged as damaged_text

__all__ = ["Mutation", "Target", "packed", "text", "toml", "written"]

Mutation = Callable[[np.random.Generator, bytes], bytes]


def text(generator: np.random.Generator, content: bytes) -> bytes:
    """Damage lines and letters."""
    return damaged_text(content, generator)


def toml(generator: np.random.Generator, content: bytes) -> bytes:
    """Put another value behind a key, or damage lines and letters."""
    lines = content.split(b"\n")
    keyed = [at for at, line in enumerate(lines) if b" = " in line]
    if not keyed or generator.random() < 0.4:
        return damaged_text(content, generator)
    at = keyed[int(generator.integers(len(keyed)))]
    key = lines[at].partition(b" = ")[0]
    value = HOSTILE_VALUES[int(generator.integers(len(HOSTILE_VALUES)))]
    lines[at] = key + b" = " + value.encode("utf-8", "replace")
    return b"\n".join(lines)


def packed(generator: np.random.Generator, content: bytes) -> bytes:
    """Damage a gzip file, or what is in it."""
    if generator.random() < 0.5:
        return damaged_bytes(generator, content)
    return gzip.compress(damaged_text(gzip.decompress(content), generator), 1)


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        seeds: Given an empty folder to write in: valid contents.
        read: Given the same folder and a content: reads it.
        mutate: How a content is damaged.
        refusals: What it may raise besides our errors.
    """

    seeds: Callable[[Path], Sequence[bytes]]
    read: Callable[[Path, bytes], object]
    mutate: Mutation
    refusals: tuple[type[Exception], ...] = ()

    def outcome(self, folder: Path, content: bytes) -> str:
        """``read`` or ``refused``; anything else that is raised goes through."""
        try:
            self.read(folder, content)
        except GenebError as error:
            message = error.message
            assert "\n" not in message, "a message of several lines"
            assert len(message) < 6000, "a message without an end"
            message.encode("utf-8")
            return "refused"
        except self.refusals:
            return "refused"
        return "read"


def written(folder: Path, name: str, content: bytes) -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(content)
    return path
