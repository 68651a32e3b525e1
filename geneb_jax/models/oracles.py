"""Recorded embeddings of the real checkpoints: what a right implementation must reproduce.

They ship under ``configs/oracles`` (``SOURCES.txt`` there says who recorded them and how); how near
their source itself came to them is in the ``[oracle]`` section of each model's TOML.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache

import numpy as np

from geneb_jax.errors import SelectionError
from geneb_jax.models.spec import ModelSpec
from geneb_jax.resources import config_folder

__all__ = ["Oracle", "oracles_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Oracle:
    """One recorded run of a real checkpoint on one sequence, alone in its batch.

    Attributes:
        model_id: The model.
        sequence: The text.
        token_ids: Ids of its tokens, specials included and padding left out; None where the model
            reads bases or nobody recorded them.
        dtype: Arithmetic of the run.
        embedding: Pooled as the model's default pooling does, float32 ``[width]``.
        recorded_in: The file that holds it at the source.
    """

    model_id: str
    sequence: str
    token_ids: tuple[int, ...] | None
    dtype: str
    embedding: np.ndarray
    recorded_in: str


def oracles_of(spec: ModelSpec) -> tuple[Oracle, ...]:
    """The recorded embeddings of a model, at least one.

    Raises:
        SelectionError: if none was ever recorded.
    """
    found = tuple(oracle for oracle in _oracles() if oracle.model_id == spec.model_id)
    if not found:
        raise SelectionError(
            f"no embedding of the real {spec.model_id} was recorded, so there is nothing to verify "
            "it against",
            hint="`geneb-jax list models --json` says which models have one (oracle_available)",
        )
    return found


@cache
def _oracles() -> tuple[Oracle, ...]:
    packed = (config_folder() / "oracles" / "oracles.jsonl.gz").read_bytes()
    return tuple(_oracle(line) for line in gzip.decompress(packed).decode("utf-8").splitlines())


def _oracle(line: str) -> Oracle:
    entry = json.loads(line)
    ids = entry["token_ids"]
    return Oracle(
        model_id=entry["model_id"],
        sequence=entry["sequence"],
        token_ids=None if ids is None else tuple(ids),
        dtype=entry["dtype"],
        embedding=np.array(entry["embedding"], np.float32),
        recorded_in=entry["recorded_in"],
    )
