"""Token vectors to one embedding a sequence, outside the models: every family shares them."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from geneb_jax.errors import SelectionError

__all__ = ["NORMALIZED", "POOLINGS", "pool", "require_pooling"]

Hidden = Float[Array | np.ndarray, "row token dim"]
Mask = Bool[Array | np.ndarray, "row token"]
Pooled = Float[Array, "row dim"]


def _mean(hidden: Hidden, mask: Mask) -> Pooled:
    total = jnp.sum(jnp.where(mask[:, :, None], hidden, 0.0), axis=1)
    count = jnp.sum(mask, axis=1, dtype=jnp.float32)
    return total / jnp.maximum(count, 1.0)[:, None]


def _row(hidden: Hidden, mask: Mask, index: Array) -> Pooled:
    """The row at ``index`` where that is a token, zeros elsewhere."""
    positions = jnp.arange(hidden.shape[1])[None, :]
    chosen = (positions == index[:, None]) & mask
    return jnp.sum(jnp.where(chosen[:, :, None], hidden, 0.0), axis=1)


def _cls(hidden: Hidden, mask: Mask) -> Pooled:
    return _row(hidden, mask, jnp.zeros(hidden.shape[0], jnp.int32))


def _last(hidden: Hidden, mask: Mask) -> Pooled:
    return _row(hidden, mask, jnp.sum(mask, axis=1, dtype=jnp.int32) - 1)


def _max(hidden: Hidden, mask: Mask) -> Pooled:
    largest = jnp.max(jnp.where(mask[:, :, None], hidden, -jnp.inf), axis=1)
    return jnp.where(jnp.any(mask, axis=1)[:, None], largest, 0.0)


def _penultimate(hidden: Hidden, mask: Mask) -> Pooled:
    return _row(hidden, mask, jnp.sum(mask, axis=1, dtype=jnp.int32) - 2)


#: ``mean``: over all tokens, specials included. ``cls``: the first token. ``last``: the last token.
#: ``penultimate``: the last but one, which is the last base where a closing token follows.
#: ``max``: the largest value of each column over all tokens.
POOLINGS: dict[str, Callable[[Hidden, Mask], Pooled]] = {
    "mean": _mean,
    "cls": _cls,
    "last": _last,
    "penultimate": _penultimate,
    "max": _max,
}
#: Behind a pooling's name: each embedding is divided by its Euclidean length, as by
#: sentence-transformers' ``Normalize``.
NORMALIZED = "+normalize"
_SHORTEST = 1e-12


def require_pooling(name: str) -> str:
    """The name, if it is known.

    Raises:
        SelectionError: otherwise.
    """
    if name.removesuffix(NORMALIZED) not in POOLINGS:
        raise SelectionError(
            f"unknown pooling {name!r}",
            hint=f"known are {', '.join(POOLINGS)}, each also with {NORMALIZED} behind",
        )
    return name


def pool(name: str, hidden: Hidden, mask: Mask) -> Pooled:
    """Pool in float32; a row without tokens gives zeros.

    Args:
        name: One of :data:`POOLINGS`, with :data:`NORMALIZED` behind or not.
        hidden: Hidden states in any float dtype.
        mask: Which rows of ``hidden`` count.
    """
    pooled = POOLINGS[name.removesuffix(NORMALIZED)](hidden.astype(jnp.float32), mask)
    if not name.endswith(NORMALIZED):
        return pooled
    length = jnp.sqrt(jnp.sum(pooled * pooled, axis=1))[:, None]
    return pooled / jnp.maximum(length, _SHORTEST)
