"""The key of one unit of work: everything that decides the scores of a (model, task, regime)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from geneb_jax.identity import short_identity, weights_column

__all__ = ["UnitKey", "unit_digest"]


@dataclass(frozen=True, slots=True)
class UnitKey:
    """What decides the rows of one unit; equal keys mean equal rows.

    Batch size, device, thread count, output folder and time are deliberately absent.

    Attributes:
        task_id: The task the rows carry.
        regime: Name of the regime.
        shots: Rows a class, or None for all of them.
        embedding: ``EncoderIdentity.as_dict()`` of the encoder: what made the features.
        task_fingerprint: SHA-256 over the bytes of the task's files; empty where there are none to
            read, in the key of a unit that failed for it.
        seeds: Seeds of the few-shot draws, in order.
        C: Inverse strengths of the penalty, in order.
        probe: Name of the probe.
        solver: Name of the probe's solver.
        tol: Bound on the largest gradient entry at which the solver stops.
        max_iter: Most steps of the solver.
        dtype: Precision of the fit.
        code: Version of the fitting and scoring code, raised when its numbers change.
    """

    task_id: str
    regime: str
    shots: int | None
    embedding: Mapping[str, str | int]
    task_fingerprint: str
    seeds: tuple[int, ...]
    C: tuple[float, ...]
    probe: str
    solver: str
    tol: float
    max_iter: int
    dtype: str
    code: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "embedding", dict(self.embedding))
        object.__setattr__(self, "seeds", tuple(int(seed) for seed in self.seeds))
        object.__setattr__(self, "C", tuple(float(value) for value in self.C))
        object.__setattr__(self, "tol", float(self.tol))
        if not all(math.isfinite(value) for value in (*self.C, self.tol)):
            raise ValueError("C and tol must be finite")
        for name in ("seeds", "C"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise ValueError(f"{name} must be non-empty and without repeats, not {values}")

    def as_dict(self) -> dict[str, Any]:
        """The key as plain data, as it is written in a record."""
        plain = {name: getattr(self, name) for name in _FIELDS}
        return {**plain, "embedding": dict(self.embedding)}

    @property
    def model_id(self) -> str:
        """The model's own name, which every variant of it shares."""
        return str(self.embedding["model_id"])

    @property
    def identity(self) -> str:
        """Short form of the embedding's identity, 8 hexadecimal digits."""
        return short_identity(self.embedding)

    def identity_columns(self) -> dict[str, Any]:
        """What a row of scores.csv says of the embedding: identity, weights, layer, pooling, dtype.

        An identity that lacks a field, as those of foreign vectors do, leaves its column empty.
        """
        fields = self.embedding
        return {
            "identity": self.identity,
            "weights": weights_column(str(fields["weights"])) if "weights" in fields else "",
            "layer": int(fields["layer"]) if "layer" in fields else None,
            "pooling": str(fields.get("pooling", "")),
            "dtype": str(fields.get("dtype", "")),
        }

    @property
    def digest(self) -> str:
        """See :func:`unit_digest`."""
        return unit_digest(self)


_FIELDS = tuple(one.name for one in fields(UnitKey))


def unit_digest(key: UnitKey) -> str:
    """Hash a key: hex SHA-256 of its canonical JSON (sorted names, shortest exact floats)."""
    content = json.dumps(
        key.as_dict(), sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )
    return hashlib.sha256(b"geneb-jax unit 2\n" + content.encode("ascii")).hexdigest()
