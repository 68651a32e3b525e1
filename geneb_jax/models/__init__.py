"""Models: specifications, checkpoints, families, and the encoders built from them.

Listing imports neither JAX nor Flax; :func:`load_encoder` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geneb_jax.models.encoder import (
    Encoder,
    SequenceEncoder,
    TokenEncoder,
    TokenizedBatch,
    TokenizedSequence,
)
from geneb_jax.models.load_options import DTYPES, LoadOptions
from geneb_jax.models.registry import (
    built_in_models,
    find_spec,
    is_native,
    known_spec,
    native_families,
    registry,
)
from geneb_jax.models.spec import ModelSpec

if TYPE_CHECKING:
    from geneb_jax.models.loading import load_encoder

__all__ = [
    "DTYPES",
    "Encoder",
    "LoadOptions",
    "ModelSpec",
    "SequenceEncoder",
    "TokenEncoder",
    "TokenizedBatch",
    "TokenizedSequence",
    "built_in_models",
    "find_spec",
    "is_native",
    "known_spec",
    "load_encoder",
    "native_families",
    "registry",
]


def __getattr__(name: str) -> Any:
    """Import what needs JAX only when it is asked for."""
    if name == "load_encoder":
        from geneb_jax.models.loading import load_encoder

        return load_encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
