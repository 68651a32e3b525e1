"""Counts of a table's rows, found again: in this process, or in the user's cache.

Counts follow from the texts and the model's tokenizer, so they are the same whoever embedded the
rows, and for every layer and pooling; counting them anew means to tokenize every text again.
"""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from geneb_jax import durable_files
from geneb_jax.data import SequenceTable
from geneb_jax.embed import RowCounts, ShardRows, joined_counts, row_counts
from geneb_jax.errors import OutputError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models import Encoder
from geneb_jax.places import cache_folder
from geneb_jax.plain_files import read_plain

__all__ = ["CountsOfShards", "counts_path", "find_counts", "keep_counts", "known_counts"]

_LOG = logging.getLogger(__name__)
#: Raised when anything is counted differently, so that earlier counts are not believed.
_COUNTING = 1
#: Sequences whose counts are held and kept; more are counted where they are needed.
_MOST_ROWS = 1 << 22
_NAMES = ("tokens", "cut_bp", "windows", "unknown_bp", "unknown_tokens")
_SEAL_BYTES = 32
_LARGEST_BYTES = 2**30
_last: dict[Path, RowCounts] = {}


class CountsOfShards:
    """Puts the counts that come with embedded shards in the order of the table.

    Args:
        sequences: Sequences of the table.
    """

    def __init__(self, sequences: int) -> None:
        self._sequences = sequences
        self._positions: list[np.ndarray] = []
        self._counts: list[RowCounts] = []

    def add(self, shard: ShardRows) -> None:
        """The next shard; of one with unusable rows the order is lost, and its counts with it."""
        if shard.read is not None and self._sequences <= _MOST_ROWS and not len(shard.unusable):
            self._positions.append(shard.positions.astype(np.int32))
            self._counts.append(shard.read.narrow())

    def total(self) -> RowCounts | None:
        """All counts; None unless every sequence of the table was in a shard."""
        if not self._counts or sum(map(len, self._positions)) != self._sequences:
            return None
        order = np.argsort(np.concatenate(self._positions), kind="stable")
        return _rows(joined_counts(self._counts), order)


def counts_path(identity: EncoderIdentity, sequences: SequenceTable) -> Path:
    """Where the counts of these sequences by this model are, or would be."""
    reads = replace(identity, layer=0, pooling="", dtype="", batch_tokens="").digest
    texts = hashlib.sha256(np.ascontiguousarray(sequences.digests).data).hexdigest()
    return cache_folder() / "counts" / f"{reads[:32]}-{texts[:32]}.counts{_COUNTING}"


def find_counts(identity: EncoderIdentity, sequences: SequenceTable) -> RowCounts | None:
    """Counts of all sequences that this process or an earlier one has kept; None if none has."""
    if len(sequences) > _MOST_ROWS:
        return None
    path = counts_path(identity, sequences)
    if path not in _last:
        found = _read(path)
        if found is None:
            return None
        _remember(path, found)
    return _last[path]


def keep_counts(identity: EncoderIdentity, sequences: SequenceTable, counts: RowCounts) -> None:
    """Keep counts of all sequences; a cache that cannot be written only costs the next counting."""
    if len(sequences) > _MOST_ROWS:
        return
    path, counts = counts_path(identity, sequences), counts.narrow()
    _remember(path, counts)
    buffer = io.BytesIO()
    arrays = {name: getattr(counts, name) for name in _NAMES}
    np.savez_compressed(buffer, **{n: array for n, array in arrays.items() if array is not None})
    try:
        durable_files.write_bytes(path, _seal(path, buffer.getvalue()) + buffer.getvalue())
    except OutputError as error:
        _LOG.info("counts of rows are not kept: %s", error.message)


def known_counts(
    identity: EncoderIdentity, encoder: Encoder, sequences: SequenceTable
) -> RowCounts | None:
    """Counts of all sequences: found, or counted and kept; None where the model does not say."""
    found = find_counts(identity, sequences)
    if found is None:
        found = row_counts(encoder, sequences.sequences)
        if found is not None:
            keep_counts(identity, sequences, found)
    return found


def _remember(path: Path, counts: RowCounts) -> None:
    """Of one model at a time: the next one's take their place."""
    _last.clear()
    _last[path] = counts


def _read(path: Path) -> RowCounts | None:
    try:
        sealed = read_plain(path, largest_bytes=_LARGEST_BYTES)
    except (OSError, ValueError):
        return None
    seal, content = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
    if seal != _seal(path, content):
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        unknown = archive["unknown_tokens"] if "unknown_tokens" in archive.files else None
        tokens, cut_bp, windows, unknown_bp = (archive[name] for name in _NAMES[:-1])
    return RowCounts(tokens, cut_bp, windows, unknown_bp, unknown)


def _seal(path: Path, content: bytes) -> bytes:
    """SHA-256 over what the counts are of, which the name says, and the counts."""
    return hashlib.sha256(path.name.encode("ascii") + b"\n" + content).digest()


def _rows(counts: RowCounts, rows: np.ndarray) -> RowCounts:
    unknown = counts.unknown_tokens
    return RowCounts(
        counts.tokens[rows],
        counts.cut_bp[rows],
        counts.windows[rows],
        counts.unknown_bp[rows],
        None if unknown is None else unknown[rows],
    )
