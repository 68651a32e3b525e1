"""What an embedding did and what it cost: counts by sequence, added up over shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from geneb_jax.embed.row_counts import RowCounts, joined_counts
from geneb_jax.embed.shard_work import ShardRows

__all__ = ["EmbedReport", "added_reports", "report_of", "with_row_counts"]

#: Counts that are None where nobody knows them.
_COUNTS = (
    "truncated_sequences", "truncated_bp", "unknown_sequences", "unknown_bp", "empty_sequences",
    "unknown_tokens", "windowed_sequences", "windows",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """What an embedding did and what it cost.

    Counts of bases, letters, windows and empty sequences are None where the model reads the
    sequences itself and does not say, or where nothing was embedded; they are of all sequences
    that were wanted, stored before or not, where :func:`with_row_counts` put them in.

    Attributes:
        model_id: The model.
        embedded: Sequences that this call embedded and that were new to the store.
        reused: Sequences that the store had already, or that other processes embedded meanwhile.
        from_others: Those of them that came from other processes during this call.
        left_to_others: Sequences that other parts of the work held when this part was done.
        tokens: Tokens of the embedded sequences, padding not included.
        padding_share: Share of the positions that ran and held no token, 0 to 1.
        seconds: Wall time of the call.
        compile_count: Programs compiled in this call.
        batch_tokens: Tokens of a batch on one device.
        buckets: (rows, tokens) of each batch shape, longest first.
        truncated_sequences: Embedded sequences that were longer than the model takes.
        truncated_bp: Bases that were cut off from them.
        unknown_sequences: Embedded sequences with letters other than A, C, G, T.
        unknown_bp: Number of those letters.
        unknown_tokens: Tokens that the model's vocabulary does not know, of the ``tokens``.
        empty_sequences: Embedded sequences without any token.
        nonfinite_sequences: Sequences whose embeddings held NaN or infinity and were not stored.
        products: How products were computed, where the dtype does not say it: float32 by parts on
            accelerators.
        windowed_sequences: Embedded sequences that were read in more than one window.
        windows: Windows of all embedded sequences, of most of them one.
    """

    model_id: str
    embedded: int
    reused: int
    from_others: int = 0
    tokens: int = 0
    padding_share: float = 0.0
    seconds: float = 0.0
    compile_count: int = 0
    batch_tokens: int = 0
    buckets: tuple[tuple[int, int], ...] = ()
    truncated_sequences: int | None = None
    truncated_bp: int | None = None
    unknown_sequences: int | None = None
    unknown_bp: int | None = None
    empty_sequences: int | None = None
    unknown_tokens: int | None = None
    nonfinite_sequences: int = 0
    left_to_others: int = 0
    products: str = ""
    windowed_sequences: int | None = None
    windows: int | None = None

    @property
    def sequences_per_second(self) -> float:
        """Embedded sequences a second of this call."""
        return self.embedded / self.seconds if self.seconds else 0.0


def report_of(
    model_id: str,
    shards: Sequence[ShardRows],
    *,
    embedded: int,
    reused: int,
    from_others: int = 0,
    left_to_others: int = 0,
    seconds: float = 0.0,
) -> EmbedReport:
    """Add up shards; their rows may be left out (:meth:`ShardRows.counts`)."""
    bad = sum(len(shard.unusable) for shard in shards)
    base = EmbedReport(
        model_id,
        embedded=embedded,
        reused=reused,
        from_others=from_others,
        left_to_others=left_to_others,
        seconds=seconds,
        nonfinite_sequences=bad,
    )
    tokenized = [shard for shard in shards if shard.read is not None]
    if not tokenized:
        return base
    counts = joined_counts([shard.read for shard in tokenized if shard.read is not None])
    tokens = int(counts.tokens.sum())
    padded = sum(shard.padded_tokens for shard in tokenized)
    buckets = {bucket for shard in tokenized for bucket in shard.buckets}
    shapes = sorted(((bucket.rows, bucket.length_tokens) for bucket in buckets), key=_longest)
    return replace(
        base,
        tokens=tokens,
        padding_share=1.0 - tokens / padded if padded else 0.0,
        compile_count=sum(shard.compile_count for shard in tokenized),
        batch_tokens=tokenized[-1].batch_tokens,
        products=tokenized[-1].products,
        buckets=tuple(shapes),
        **_count_fields(counts),
    )


def with_row_counts(report: EmbedReport, counts: RowCounts | None) -> EmbedReport:
    """The report with the counts of all sequences that were wanted, whether embedded or read."""
    if counts is None:
        return report
    return replace(report, **_count_fields(counts))


def _count_fields(counts: RowCounts) -> dict[str, Any]:
    unknown = counts.unknown_tokens
    return {
        "truncated_sequences": int((counts.cut_bp > 0).sum()),
        "truncated_bp": int(counts.cut_bp.sum()),
        "unknown_sequences": int((counts.unknown_bp > 0).sum()),
        "unknown_bp": int(counts.unknown_bp.sum()),
        "empty_sequences": int((counts.tokens == 0).sum()),
        "unknown_tokens": None if unknown is None else int(unknown.sum()),
        "windowed_sequences": int((counts.windows > 1).sum()),
        "windows": int(counts.windows.sum()),
    }


def added_reports(model_id: str, reports: Sequence[EmbedReport], *, reused: int) -> EmbedReport:
    """One report of several calls of one model, each on sequences of its own."""
    if not reports:
        return EmbedReport(model_id, embedded=0, reused=reused)
    tokens = sum(one.tokens for one in reports)
    padded = sum(one.tokens / (1.0 - one.padding_share) for one in reports if one.tokens)
    counts: dict[str, Any] = {
        name: None
        if all(getattr(one, name) is None for one in reports)
        else sum(getattr(one, name) or 0 for one in reports)
        for name in _COUNTS
    }
    return replace(
        reports[-1],
        model_id=model_id,
        embedded=sum(one.embedded for one in reports),
        reused=reused,
        tokens=tokens,
        padding_share=1.0 - tokens / padded if padded else 0.0,
        seconds=sum(one.seconds for one in reports),
        compile_count=sum(one.compile_count for one in reports),
        buckets=tuple(sorted({shape for one in reports for shape in one.buckets}, key=_longest)),
        **counts,
    )


def _longest(shape: tuple[int, int]) -> tuple[int, int]:
    return -shape[1], -shape[0]
