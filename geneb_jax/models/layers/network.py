"""What every family's network gives, and how its hidden states are counted."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Bool, Float
from pydantic import ConfigDict

from geneb_jax.errors import SelectionError

__all__ = ["CLOSED_SCHEMA", "HiddenStates", "require_layer"]

#: Put on every family's config dataclass, as ``__pydantic_config__``.
CLOSED_SCHEMA = ConfigDict(extra="forbid")


class HiddenStates(NamedTuple):
    """Vectors along a sequence, and which of them pooling counts (for most models: the tokens)."""

    values: Float[Array, "row token dim"]
    mask: Bool[Array, "row token"]


def require_layer(layer: int, layer_count: int) -> int:
    """The canonical index of a hidden state: 0 to ``layer_count - 1``, and -1 for the last.

    Raises:
        SelectionError: if there is no such hidden state.
    """
    if not -layer_count - 1 <= layer <= layer_count:
        raise SelectionError(
            f"there is no hidden state {layer}",
            hint=f"0 is the embeddings, {layer_count} or -1 the last; negative ones count from it",
        )
    index = layer if layer >= 0 else layer_count + 1 + layer
    return -1 if index == layer_count else index
