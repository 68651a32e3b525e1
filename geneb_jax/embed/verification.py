"""Does a checkpoint, run here, give the embeddings that were recorded from the real one?

A vector passes if its largest error and its cosine hold the limits. These are the ones that the
source of the recording holds its own implementation to, unless they are tighter than what two
implementations of the same float32 network differ by: 1e-5 of the largest number, which is also
what this project's own parity tests allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.embed.fill import embed_sequences
from geneb_jax.errors import ModelError
from geneb_jax.models.encoder import Encoder, TokenEncoder
from geneb_jax.models.oracles import Oracle
from geneb_jax.models.spec import OracleSpec

__all__ = ["OracleCheck", "verify"]

#: By dtype of the run: error relative to the largest number of the vector, and 1 - cosine, below
#: which a difference is rounding.
_ROUNDING = {"float32": (1e-5, 1e-9), "bfloat16": (3e-2, 1e-3), "float16": (4e-3, 2e-5)}


@dataclass(frozen=True, slots=True)
class OracleCheck:
    """One sequence embedded here, beside its recorded embedding.

    Attributes:
        sequence: The text.
        tokens: Whether the token ids are the recorded ones; None where none were recorded.
        max_abs: Largest absolute error.
        mean_abs: Mean absolute error.
        cosine: Cosine of the two vectors.
        allowed_max_abs: What ``max_abs`` may be.
        allowed_cosine: What ``cosine`` must be at least.
        recorded_in: The file that holds the recorded vector at its source.
    """

    sequence: str
    tokens: bool | None
    max_abs: float
    mean_abs: float
    cosine: float
    allowed_max_abs: float
    allowed_cosine: float
    recorded_in: str

    @property
    def passed(self) -> bool:
        """Whether tokens, error and cosine are right."""
        near = self.max_abs <= self.allowed_max_abs and self.cosine >= self.allowed_cosine
        return near and self.tokens is not False


def verify(encoder: Encoder, oracles: Sequence[Oracle], tolerance: OracleSpec) -> list[OracleCheck]:
    """Embed the recorded sequences and compare.

    Args:
        encoder: The checkpoint, with the pooling and layer of the recordings.
        oracles: Recorded embeddings of its model.
        tolerance: What the source of the recordings holds itself to.

    Raises:
        ModelError: if the widths differ, or the checkpoint gives NaN or infinity.
    """
    rows = embed_sequences(encoder, [oracle.sequence for oracle in oracles])
    return [_check(encoder, *pair, tolerance) for pair in zip(oracles, rows, strict=True)]


def _check(encoder: Encoder, oracle: Oracle, row: np.ndarray, limits: OracleSpec) -> OracleCheck:
    ours, theirs = row.astype(np.float64), oracle.embedding.astype(np.float64)
    if ours.shape != theirs.shape:
        raise ModelError(
            f"its embeddings have {len(ours)} numbers, the recorded one has {len(theirs)}",
            where=encoder.identity.model_id,
        )
    relative, angle = _ROUNDING[encoder.identity.dtype]
    tokens = None
    if oracle.token_ids is not None and isinstance(encoder, TokenEncoder):
        tokens = tuple(encoder.tokenize(oracle.sequence).ids.tolist()) == oracle.token_ids
    lengths = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    error = np.abs(ours - theirs)
    return OracleCheck(
        sequence=oracle.sequence,
        tokens=tokens,
        max_abs=float(error.max()),
        mean_abs=float(error.mean()),
        cosine=float(ours @ theirs) / lengths if lengths else 0.0,
        allowed_max_abs=max(limits.max_abs, relative * float(np.abs(theirs).max())),
        allowed_cosine=min(limits.cosine, 1 - angle),
        recorded_in=oracle.recorded_in,
    )
