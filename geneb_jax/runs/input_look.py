"""Tell the user, in the first minute, that a model cannot tell the sequences apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geneb_jax.embed import EmbedReport
from geneb_jax.embed.first_look import (
    cut_off,
    in_windows,
    look_at_rows,
    look_at_tokens,
    other_letters,
    unknown_share,
)
from geneb_jax.models import Encoder
from geneb_jax.runs.observer import RunObserver
from geneb_jax.store import EmbeddingStore, QuarantinedRowsError

__all__ = ["InputLook"]

#: Stored vectors that are looked at.
_LOOKED_AT = 64


class InputLook:
    """Tells, once a model, that it cannot tell the sequences apart."""

    def __init__(self, encoder: Encoder, observer: RunObserver) -> None:
        self._encoder, self._observer, self._said = encoder, observer, False

    def _tell(self, sentence: str | None) -> None:
        if sentence is not None and not self._said:
            self._said = True
            self._observer.note(f"warning: {sentence}")

    def at_tokens(self, texts: Sequence[str]) -> None:
        """Before anything is embedded."""
        self._tell(look_at_tokens(self._encoder, texts))

    def at_rows(self, rows: np.ndarray) -> None:
        """As soon as there are vectors."""
        self._tell(look_at_rows(self._encoder, rows))

    def at_stored(self, store: EmbeddingStore, digests: np.ndarray) -> None:
        """Where everything was embedded before."""
        step = max(1, len(digests) // _LOOKED_AT)
        some = digests[::step][:_LOOKED_AT]
        if not self._said and len(some) and not len(store.missing(some)):
            try:
                self.at_rows(store.read(some))
            except QuarantinedRowsError:
                return  # whoever needs the rows makes them anew

    def at_report(self, report: EmbedReport, *, total: int) -> None:
        """Once it is known how many letters and tokens were unknown, or beyond the context.

        Args:
            report: Its counts are of ``total`` sequences.
            total: Distinct sequences that were wanted.
        """
        name = report.model_id
        for sentence in (cut_off(report, total), in_windows(report, total)):
            if sentence is not None:
                self._observer.note(f"{name}: {sentence}")
        letters = other_letters(report, total)
        if letters is not None:
            self._observer.note(f"{name}: {letters}")
        if report.embedded == total:
            self._tell(unknown_share(report.tokens, report.unknown_tokens, name))
