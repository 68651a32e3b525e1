"""What every family's network gives, and how its hidden states are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Array, Bool, Float
from pydantic import ConfigDict

from geneb_jax.errors import SelectionError

__all__ = ["CLOSED_SCHEMA", "HiddenStates", "TransformerConfig", "require_layer"]

#: Put on every family's config dataclass, as ``__pydantic_config__``.
CLOSED_SCHEMA = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Sizes of every transformer whose heads share its width.

    Attributes:
        vocab_size: Rows of the token embedding.

    Raises:
        ValueError: if the heads do not share the width evenly.
    """

    vocab_size: int
    hidden_size: int
    layer_count: int
    head_count: int

    def __post_init__(self) -> None:
        if self.hidden_size % self.head_count:
            raise ValueError(
                f"{self.hidden_size} features do not divide by {self.head_count} heads"
            )

    @property
    def head_width(self) -> int:
        """Features of one attention head."""
        return self.hidden_size // self.head_count

    @property
    def output_width(self) -> int:
        """Length of one embedding."""
        return self.hidden_size


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
