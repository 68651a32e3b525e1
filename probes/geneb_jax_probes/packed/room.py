"""How much a packed program holds; by no task's size, so that one program serves them all."""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax_kernels.ragged_loss import PIECE_ROWS

__all__ = ["Room", "most_logits_for", "pieces_of"]

#: Logits of a fit that any program has room for: sums over them are padded to it.
_USUAL_LOGITS = 32
#: Fits of more logits than these are not packed.
_MOST_LOGITS = 256


@dataclass(frozen=True, slots=True)
class Room:
    """Capacities of the programs.

    A state is some 25 vectors a column, in float64: 260 MB of 512 columns and 2560 features. The
    parts of gradients are one a piece: 670 MB of 32,768.

    Attributes:
        columns: Logits, of all fits together, that are fitted at a time.
        pieces: Pieces of rows (:mod:`geneb_jax_kernels.ragged_loss`) of these.
        ticks: After so many the host sees which fits have ended, and gives their places to others.
        framed_ticks: The same of fits that search by a factor, and take fewer steps.
    """

    columns: int = 512
    pieces: int = 32_768
    ticks: int = 32
    framed_ticks: int = 16

    def holds(self, rows: int, logits: int) -> bool:
        """Whether there is room for a fit of so many rows."""
        widest = min(self.columns, _MOST_LOGITS)
        return logits <= widest and pieces_of(rows, logits) <= self.pieces


def pieces_of(rows: int, logits: int) -> int:
    """Pieces of a fit."""
    return -(-rows // PIECE_ROWS) * logits


def most_logits_for(logits: int) -> int:
    """What a program for fits of so many logits is compiled for."""
    return _USUAL_LOGITS if logits <= _USUAL_LOGITS else _MOST_LOGITS
