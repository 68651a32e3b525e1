"""Which pooling is meant by a name, by ``geneb``, or by nothing said."""

from __future__ import annotations

from geneb_jax.errors import ModelError
from geneb_jax.models.pooling import NORMALIZED, POOLINGS, require_pooling
from geneb_jax.models.spec import ModelSpec

__all__ = ["chosen_pooling"]


def chosen_pooling(spec: ModelSpec, asked: str | None) -> str:
    """The pooling that is meant: the one asked for, the benchmark's for ``geneb``, the model's own.

    Raises:
        ModelError: if the benchmark's cannot be done one sequence at a time.
    """
    if asked is not None and asked != "geneb":
        return require_pooling(asked)
    name = spec.pooling.default if asked is None else spec.pooling.geneb
    if name.removesuffix(NORMALIZED) not in POOLINGS:
        raise ModelError(
            f"{spec.model_id}: the benchmark's pooling {name!r} cannot be reproduced one sequence "
            "at a time",
            cause=spec.pooling.reason or None,
            hint=f"the default {spec.pooling.default!r} can",
        )
    return name
