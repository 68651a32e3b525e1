"""Who made an embedding: one identity from the bytes that were read to the row in scores.csv.

The store keys its arrays by it, a record its scores, and a table names its rows after it.
It stands below the store, so that a worker that only writes rows needs no model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

__all__ = ["EncoderIdentity", "identity_digest", "short_identity", "weights_column"]

_SHORT_DIGITS = 8
#: In ``code``: rows are what an extractor gives for a whole split, in file order, in such batches.
_AS_HARNESS = "+as-harness/1,batch="


def identity_digest(fields: Mapping[str, str | int]) -> str:
    """SHA-256 over an identity's fields, 64 hexadecimal digits.

    Empty fields are left out, so that a field added later with an empty default keeps it.
    """
    named = {name: value for name, value in fields.items() if value != ""}
    text = json.dumps(named, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def short_identity(fields: Mapping[str, str | int]) -> str:
    """The first 8 digits of :func:`identity_digest`: the column ``identity`` of scores.csv."""
    return identity_digest(fields)[:_SHORT_DIGITS]


def weights_column(weights: str) -> str:
    """The column ``weights``: ``pretrained``, ``random:SEED``, or ``none`` for a model without any.

    Args:
        weights: :attr:`EncoderIdentity.weights`.
    """
    return weights if weights == "none" or weights.startswith("random:") else "pretrained"


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """Everything that decides the value of an embedding besides the sequence.

    The kind and number of devices, bucket lengths and shard size are deliberately absent: they must
    not fragment the store. On one kind of device none of them changes a bit.
    """

    model_id: str
    revision: str  # hub revision, "local", "built-in" or "random:SEED"
    weights: str  # SHA-256 over the weight files, or "random:SEED"
    tokenizer: str  # SHA-256 over the tokenizer's definition
    pooling: str
    layer: int  # index into hidden states; -1 is the last
    dtype: str
    code: str  # family name and its version, raised when its numbers change
    config: str = ""  # SHA-256 over the architecture's settings; weights alone do not fix them
    batch_tokens: str = ""  # tokens of a batch where fewer than the model's own were asked for
    overlong: str = ""  # what becomes of overlong sequences, where they are not cut off

    def as_dict(self) -> dict[str, str | int]:
        """The fields as plain data, in declaration order; ``overlong`` only where there is any.

        Keys of records are hashed with every field that this gives.
        """
        fields = asdict(self)
        return fields if self.overlong else {k: v for k, v in fields.items() if k != "overlong"}

    def as_harness(self, batch_size: int) -> EncoderIdentity:
        """The identity of rows made as the benchmark's harness makes them.

        Such a row depends on its whole split, so it belongs to (task files, split, place) and never
        to a sequence: stores keep it under :func:`geneb_jax.runs.harness_order.split_digests`.
        """
        return replace(self, code=f"{self.code}{_AS_HARNESS}{batch_size}")

    @property
    def harness_batch(self) -> int | None:
        """Sequences of a batch of the harness's; None for an embedding of a sequence alone."""
        _, marked, size = self.code.partition(_AS_HARNESS)
        return int(size) if marked else None

    @property
    def digest(self) -> str:
        """See :func:`identity_digest`."""
        return identity_digest(self.as_dict())

    @property
    def short(self) -> str:
        """See :func:`short_identity`."""
        return short_identity(self.as_dict())
