"""What a Triton program does with a row of places: reads them ahead, and only where they are.

Loads of a group of places are issued before the group before it is computed, so that a program does
not wait for memory at each place. Masks are None where everything is there, which is most of the
time and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.pallas import triton
from jaxtyping import Array

__all__: list[str] = []  # parts of the kernels beside it, no kernels


def in_turn(
    count: int,
    reverse: bool,
    ahead: int,
    load: Callable[[Array, Array | None], list[Array]],
    step: Callable[[Array, Array | None, Any, list[Array]], Any],
    carry: Any,
) -> Any:
    """Step over places one after the other.

    Args:
        count: Places.
        reverse: Whether to begin with the last.
        ahead: Places of a group.
        load: What a place and whether there is one (None where all are) give.
        step: From these, what was carried and what was loaded to what is carried on.
        carry: What the first step gets.

    Returns:
        What the last step gives.
    """
    ahead = min(ahead, count)
    groups = -(-count // ahead)

    def places(group: Array) -> list[tuple[Array, Array | None]]:
        numbers = [group * ahead + number for number in range(ahead)]
        there = [None if count % ahead == 0 else number < count for number in numbers]
        # What is not there is read and written nowhere, but an address must not wrap.
        ats = [count - 1 - number if reverse else number for number in numbers]
        return list(zip(ats, there, strict=True))

    def body(group: Array, state: tuple[Any, list[list[Array]]]) -> tuple[Any, list[list[Array]]]:
        carry, here = state
        following = [load(*place) for place in places(jnp.minimum(group + 1, groups - 1))]
        for place, parts in zip(places(group), here, strict=True):
            carry = step(*place, carry, parts)
        return carry, following

    first = [load(*place) for place in places(jnp.int32(0))]
    return jax.lax.fori_loop(np.int32(0), np.int32(groups), body, (carry, first))[0]


def read(ref: Any, mask: Array | None) -> Array:
    """Load a part of a reference; zeros where the mask is False."""
    return triton.load(ref, mask=mask, other=None if mask is None else 0.0)


def both(one: Array | None, other: Array | None) -> Array | None:
    """Where two masks are True."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def spread(there: Array | None, shape: tuple[int, ...]) -> Array | None:
    """One truth as a mask of this shape."""
    return None if there is None else jnp.broadcast_to(there, shape)
