"""What every family's network gives, and how its hidden states are counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float
from pydantic import ConfigDict

from geneb_jax.errors import SelectionError

__all__ = [
    "CLOSED_SCHEMA",
    "Each",
    "HiddenStates",
    "TransformerConfig",
    "require_layer",
    "require_sizes",
    "seen_by",
]

#: Put on every family's config dataclass, as ``__pydantic_config__``.
CLOSED_SCHEMA = ConfigDict(extra="forbid")

#: Far above the deepest networks that exist; key maps and graphs grow with it.
_MOST_LAYERS = 4096
_WIDEST = 2**22
#: Indices on the device have 32 bits.
_LARGEST_SIZE = 2**31 - 1
#: Token ids, where -1 is none, and a table that may be absent.
_MAY_BE_ZERO = {"pad_id", "mask_id", "pad_token_id", "middle_attention_layer", "token_type_count"}


def _most(name: str) -> int:
    if name == "layer_count":
        return _MOST_LAYERS
    return _WIDEST if name.endswith(("_width", "hidden_size", "inner_size")) else _LARGEST_SIZE


def require_sizes(config: Any) -> None:
    """Refuse sizes that no network has, before anything is built from them.

    Args:
        config: A family's config dataclass: integers are sizes but for a few ids, fields called
            ``..._eps`` or ``..._epsilon`` are added under a root, ``rope_theta`` is a base.

    Raises:
        ValueError: naming the field.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, int) and not isinstance(value, bool):
            least = -1 if field.name in _MAY_BE_ZERO else 1
            most = _most(field.name)
            if not least <= value <= most:
                raise ValueError(f"{field.name} is {value}, expected {least} to {most}")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError(f"{field.name} is {value}, expected a finite number")
            if value < 0 and "eps" in field.name:
                raise ValueError(f"{field.name} is {value}, expected 0 or more")
            if value <= 0 and field.name == "rope_theta":
                raise ValueError(f"{field.name} is {value}, expected more than 0")


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Sizes of every transformer whose heads share its width.

    Attributes:
        vocab_size: Rows of the token embedding.

    Raises:
        ValueError: if a size is none, or the heads do not share the width evenly.
    """

    vocab_size: int
    hidden_size: int
    layer_count: int
    head_count: int

    def __post_init__(self) -> None:
        require_sizes(self)
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
    #: What an :data:`Each` gave of hidden states 0, 1, ... in front of this one; None without any.
    inner: Any = None


#: Makes something small of a hidden state, such as its pooled vectors ``[row, ...]``; given to a
#: network, it is applied to every hidden state in front of the one that is asked for.
Each = Callable[[HiddenStates], Any]


def seen_by(each: Each | None, mask: Bool[Array, "row token"]) -> Callable[[Any], Any] | None:
    """``each`` as a function of the values alone, for networks whose states they are."""
    return None if each is None else lambda values: each(HiddenStates(values, mask))


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
