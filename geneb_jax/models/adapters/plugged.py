"""Models that other installed packages declare (:mod:`geneb_jax.plugins`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geneb_jax.errors import GenebError, ModelError
from geneb_jax.models.encoder import Encoder
from geneb_jax.models.registry import known_spec
from geneb_jax.plugins import MODELS, PlugIn, find_plug_in

__all__ = ["find_plugged", "load_plugged"]


def find_plugged(name: str) -> PlugIn | None:
    """The package's model of this name; None where there is none, or the name is a model's id."""
    plug_in = find_plug_in(MODELS, name)
    return None if plug_in is None or known_spec(name) is not None else plug_in


def load_plugged(plug_in: PlugIn) -> Encoder:
    """Make the model: the entry point is called and gives an object, or is one.

    Its identity names the distribution, its version and the digest of its list of files: what
    belongs to an installed package counts by name only in the digest of an object.

    Raises:
        ConfigError: if it cannot be imported or made; names the distribution.
        ModelError: if what it gives is no model.
    """
    from geneb_jax.models.adapters.object_adapter import ObjectEncoder, encoder_from_object
    from geneb_jax.models.wrapped_encoder import WrappedEncoder

    made: Any = plug_in.load()
    if callable(made) and not _is_model(made):
        made = plug_in.call(made)
    made = getattr(made, "encoder", made)
    if isinstance(made, WrappedEncoder):
        return made.renamed(plug_in.name, revision=plug_in.revision)
    if isinstance(made, Encoder):
        return made
    try:
        encoder = encoder_from_object(made, model_id=plug_in.name)
    except GenebError as error:
        raise ModelError(
            error.what, where=f"{plug_in.name} of {plug_in.origin}", cause=error.cause
        ) from error
    identity = replace(encoder.identity, revision=plug_in.revision)
    return ObjectEncoder(
        embed=encoder.embed,
        identity=identity,
        width=encoder.width,
        parameter_count=encoder.parameter_count,
    )


def _is_model(made: Any) -> bool:
    """Whether it is a model already; a class is not, though its functions have the names."""
    methods = ("embed", "extract_embeddings", "encode")
    return not isinstance(made, type) and any(hasattr(made, name) for name in methods)
