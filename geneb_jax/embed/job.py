"""One embedding call: the texts, their tokens, their plan, and the counts for its report.

Both kinds of encoder go one way: positions in plan order, a shard at a time. A token encoder is
batched by :class:`~geneb_jax.embed.forward.Forward`; a sequence encoder gets texts, longest first,
and batches by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.embed.batch_plan import BatchPlan, plan_batches
from geneb_jax.embed.bucket_lengths import MOST_BUCKETS
from geneb_jax.embed.forward import Forward
from geneb_jax.embed.progress import ProgressCallback, ProgressClock
from geneb_jax.errors import ModelError, NonFiniteError
from geneb_jax.models.encoder import Encoder, SequenceEncoder, TokenEncoder, TokenizedBatch

__all__ = ["EmbedJob", "EmbedReport"]

_TEXTS_AT_A_TIME = 256
#: Rows without a finite one among them after which a model is given up.
_HOPELESS_ROWS = 4096
#: Letters of a sequence that a message shows.
_SHOWN_LETTERS = 40


def _shortened(text: str) -> str:
    dots = "..." if len(text) > _SHOWN_LETTERS else ""
    return f"{text[:_SHOWN_LETTERS]}{dots} ({len(text)} letters)"


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """What an embedding did and what it cost.

    Attributes:
        model_id: The model.
        embedded: Sequences embedded in this call.
        reused: Sequences that the store had already.
        tokens: Tokens of the embedded sequences, padding not included.
        padding_share: Share of the positions that ran and held no token, 0 to 1.
        seconds: Wall time of the call.
        compile_count: Programs compiled in this call.
        batch_tokens: Tokens a batch at the end (halved when memory ran out).
        buckets: (rows, tokens) of each batch shape, longest first.
        truncated_sequences: Embedded sequences that were longer than the model takes.
        truncated_bp: Bases that were cut off from them.
        unknown_sequences: Embedded sequences with letters other than A, C, G, T.
        unknown_bp: Number of those letters.
        empty_sequences: Embedded sequences without any token.
        nonfinite_sequences: Sequences whose embeddings held NaN or infinity and were not stored.
    """

    model_id: str
    embedded: int
    reused: int
    tokens: int = 0
    padding_share: float = 0.0
    seconds: float = 0.0
    compile_count: int = 0
    batch_tokens: int = 0
    buckets: tuple[tuple[int, int], ...] = ()
    truncated_sequences: int = 0
    truncated_bp: int = 0
    unknown_sequences: int = 0
    unknown_bp: int = 0
    empty_sequences: int = 0
    nonfinite_sequences: int = 0

    @property
    def sequences_per_second(self) -> float:
        """Embedded sequences a second of this call."""
        return self.embedded / self.seconds if self.seconds else 0.0


class EmbedJob:
    """Embeds chosen positions of a list of texts.

    Args:
        encoder: The model.
        sequences: All texts of the run, stored or not: the plan follows from all of them.
        digests: uint8 ``[n, 16]``, the order of texts of equal length; else their position.
        batch_tokens: Most tokens of a batch.
        forward: Programs and parameters of an earlier call.
    """

    def __init__(
        self,
        encoder: Encoder,
        sequences: Sequence[str],
        *,
        digests: np.ndarray | None = None,
        batch_tokens: int | None = None,
        forward: Forward | None = None,
    ) -> None:
        self._encoder = encoder
        self._sequences = sequences
        self._digests = digests
        self._forward = forward
        if forward is None and isinstance(encoder, TokenEncoder):
            self._forward = Forward(encoder, batch_tokens=batch_tokens)
        self._tokens: TokenizedBatch | None = None
        self._plan: BatchPlan | None = None
        self._members = np.zeros(0, np.int64)
        self._nonfinite: list[np.ndarray] = []
        self._before = self._counters()
        self._clock: ProgressClock | None = None

    def _counters(self) -> tuple[int, int, int]:
        if self._forward is None:
            return 0, 0, 0
        return (
            self._forward.compile_count,
            self._forward.padded_tokens,
            self._forward.memory_failures,
        )

    def shards(
        self, wanted: np.ndarray, *, rows_per_shard: int, progress: ProgressCallback | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Embed the wanted positions.

        Rows that hold NaN or infinity are left out; :attr:`nonfinite` names them at the end.

        Yields:
            Positions int64 ``[m]`` with ``m <= rows_per_shard`` and their rows float32
            ``[m, width]``, finite.

        Raises:
            ModelError: if an array has another shape than promised.
            NonFiniteError: if thousands of rows were embedded and not one was finite.
        """
        lengths = self._lengths()
        if self._forward is not None:
            plan = self._forward.plan(lengths, rows_per_shard=rows_per_shard, digests=self._digests)
        else:
            plan = plan_batches(
                lengths, batch_tokens=1, rows_per_shard=rows_per_shard, digests=self._digests
            )
        self._plan = plan
        chosen = np.zeros(len(lengths), bool)
        chosen[wanted] = True
        self._members = plan.order[chosen[plan.order]]
        self._clock = ProgressClock(
            progress,
            model_id=self._encoder.identity.model_id,
            sequences_total=len(self._members),
            tokens_total=int(lengths[self._members].sum()),
        )
        for first in range(0, len(self._members), rows_per_shard):
            members = self._members[first : first + rows_per_shard]
            rows = self._embed(members, self._clock.advance)
            finite = np.isfinite(rows).all(axis=1)
            if finite.all():
                yield members, rows
                continue
            self._nonfinite.append(members[~finite])
            seen, bad = first + len(members), sum(map(len, self._nonfinite))
            if bad == seen >= _HOPELESS_ROWS and self.nonfinite is not None:
                raise self.nonfinite
            if finite.any():
                yield members[finite], rows[finite]

    def _lengths(self) -> np.ndarray:
        """Tokens of each text, or letters where the model tokenizes by itself; int64 ``[n]``."""
        if isinstance(self._encoder, TokenEncoder):
            self._tokens = self._encoder.tokenize_many(self._sequences)
            return self._tokens.length_tokens
        return np.array([len(sequence) for sequence in self._sequences], np.int64)

    def _embed(self, members: np.ndarray, advance: Callable[[int, int], None]) -> np.ndarray:
        if self._forward is not None:
            assert self._plan is not None and self._tokens is not None
            rows, self._plan = self._forward.embed(self._plan, members, self._tokens, done=advance)
            return rows
        assert isinstance(self._encoder, SequenceEncoder)
        rows = np.empty((len(members), self._encoder.width), np.float32)
        for first in range(0, len(members), _TEXTS_AT_A_TIME):
            texts = [self._sequences[at] for at in members[first : first + _TEXTS_AT_A_TIME]]
            part = np.asarray(self._encoder.embed(texts))
            if part.shape != (len(texts), self._encoder.width):
                raise ModelError(
                    f"it gave an array {list(part.shape)} for {len(texts)} sequences, "
                    f"[{len(texts)}, {self._encoder.width}] was promised",
                    where=self._encoder.identity.model_id,
                )
            rows[first : first + len(texts)] = part
            advance(len(texts), sum(map(len, texts)))
        return rows

    @property
    def nonfinite(self) -> NonFiniteError | None:
        """What is wrong with the rows that were left out; None if there were none."""
        if not self._nonfinite:
            return None
        bad = np.concatenate(self._nonfinite)
        shown = ", ".join(_shortened(self._sequences[at]) for at in bad[:3])
        return NonFiniteError(
            # How many were tried is left out: a resumed run must say the same.
            f"{len(bad)} embeddings hold NaN or infinity; none of these was stored",
            where=self._encoder.identity.model_id,
            cause=f"first sequences: {shown}",
            hint="try --dtype float32; a float16 or bfloat16 overflow is the usual cause",
            positions=bad,
        )

    def report(self, *, reused: int) -> EmbedReport:
        """What the call did; complete once :meth:`shards` is exhausted."""
        compiled, padded, failures = (
            now - then for now, then in zip(self._counters(), self._before, strict=True)
        )
        forward, plan, tokens, members = self._forward, self._plan, self._tokens, self._members
        seconds = self._clock.seconds if self._clock else 0.0
        model_id = self._encoder.identity.model_id
        bad = sum(map(len, self._nonfinite))
        if forward is None or plan is None or tokens is None:
            return EmbedReport(
                model_id,
                embedded=len(members) - bad,
                reused=reused,
                seconds=seconds,
                nonfinite_sequences=bad,
            )
        exact = forward.encoder.exact_length
        assert exact or compiled <= MOST_BUCKETS * (1 + failures), (compiled, plan.buckets)
        lengths = tokens.length_tokens[members]
        dropped, unknown = tokens.dropped_bp[members], tokens.unknown_bp[members]
        return EmbedReport(
            model_id,
            embedded=len(members) - bad,
            reused=reused,
            tokens=int(lengths.sum()),
            padding_share=1.0 - float(lengths.sum()) / padded if padded else 0.0,
            seconds=seconds,
            compile_count=compiled,
            batch_tokens=forward.batch_tokens,
            buckets=tuple((b.rows, b.length_tokens) for b in reversed(plan.buckets)),
            truncated_sequences=int((dropped > 0).sum()),
            truncated_bp=int(dropped.sum()),
            unknown_sequences=int((unknown > 0).sum()),
            unknown_bp=int(unknown.sum()),
            empty_sequences=int((lengths == 0).sum()),
            nonfinite_sequences=bad,
        )
