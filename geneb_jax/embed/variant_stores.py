"""Stores of several variants of one model as one: what any of them lacks is computed once for all.

Variants (layers and poolings) have a store each, under the key that each has alone. A sequence that
any of them lacks is embedded, and its vectors are cut apart and committed to those that lack it. A
kill between two commits leaves a sequence in some of the stores only: it is missing, and is made
again for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from geneb_jax.identity import EncoderIdentity
from geneb_jax.store import EmbeddingStore
from geneb_jax.store.claims import LEASE_SECONDS, Claims

__all__ = ["RowStore", "VariantStores"]


class RowStore(Protocol):
    """What filling asks of a store: an :class:`~geneb_jax.store.EmbeddingStore`, or several."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""

    @property
    def identity(self) -> EncoderIdentity:
        """Who makes its rows."""

    @property
    def width(self) -> int:
        """Columns of a row as the encoder gives it."""

    @property
    def rows_per_shard(self) -> int:
        """Rows that are computed and committed together."""

    def refresh(self) -> None:
        """See what other processes have committed since."""

    def missing(self, digests: np.ndarray, /) -> np.ndarray:
        """Positions of what is not stored, each digest once; int64, ascending."""

    def claims(self, *, lease_seconds: float = LEASE_SECONDS) -> Claims:
        """A way to divide the missing rows among processes."""

    def commit(self, digests: np.ndarray, rows: np.ndarray, /) -> int:
        """Store rows float32 ``[n, width]``; the number of those that were new."""


class VariantStores:
    """The stores of variants, filled with rows that hold their vectors side by side.

    Args:
        stores: One a variant, in the order in which the vectors stand in a row.
        identity: Of the encoder that makes such rows.

    Attributes:
        added: Rows that each store has got by :meth:`commit`.
    """

    def __init__(self, stores: Sequence[EmbeddingStore], identity: EncoderIdentity) -> None:
        self._stores = tuple(stores)
        self.identity = identity
        self.added = [0] * len(self._stores)

    @property
    def place(self) -> str:
        """The first store's; who fills the same variants looks there for claims too."""
        return self._stores[0].place

    @property
    def width(self) -> int:
        """Columns of all stores together."""
        return sum(store.width for store in self._stores)

    @property
    def rows_per_shard(self) -> int:
        """The same for all: it follows from the network."""
        return min(store.rows_per_shard for store in self._stores)

    def refresh(self) -> None:
        """See what other processes have committed since."""
        for store in self._stores:
            store.refresh()

    def missing(self, digests: np.ndarray) -> np.ndarray:
        """Positions of what any of the stores lacks, each digest once; int64, ascending."""
        return np.unique(np.concatenate([store.missing(digests) for store in self._stores]))

    def claims(self, *, lease_seconds: float = LEASE_SECONDS) -> Claims:
        """The first store's. Who fills other variants may compute the same rows, at no harm."""
        return self._stores[0].claims(lease_seconds=lease_seconds)

    def commit(self, digests: np.ndarray, rows: np.ndarray) -> int:
        """Commit to each store what it lacks, from its columns.

        Args:
            digests: uint8 ``[n, 16]``.
            rows: float32 ``[n, width]``, finite.

        Returns:
            The number of rows that were new to any of them.
        """
        new = np.zeros(len(digests), bool)
        first = 0
        for at, store in enumerate(self._stores):
            last = first + store.width
            lacking = store.missing(digests)
            if len(lacking):
                part = np.ascontiguousarray(rows[lacking, first:last])
                self.added[at] += store.commit(np.ascontiguousarray(digests[lacking]), part)
                new[lacking] = True
            first = last
        return int(new.sum())
