"""Which layers and poolings of a model a run takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geneb_jax.models import Encoder
from geneb_jax.runs.encoder_source import EncoderSource
from geneb_jax.runs.variant_options import Layers

__all__ = ["chosen_variants"]


def chosen_variants(
    source: EncoderSource, encoder: Encoder, layers: Layers, poolings: tuple[str | None, ...]
) -> list[tuple[EncoderSource, Encoder]]:
    """Every chosen layer with every chosen pooling, each once, layers from the first to the last.

    Args:
        source: How the model is loaded.
        encoder: What was loaded.
        layers: ``all`` or hidden states; empty for the source's own.
        poolings: Names; (None,) for the model's own.

    Returns:
        For each variant how it is loaded by itself, and the encoder, which shares the parameters.

    Raises:
        SelectionError: if the model has no such layer or pooling, or no choice of any.
        ModelError: if the benchmark's pooling cannot be done one sequence at a time.
    """
    if not layers and len(poolings) == 1:
        return [(source, encoder)]
    wanted: tuple[int, ...] = layers if isinstance(layers, tuple) else ()
    if layers == "all":
        # A model without layers says so itself.
        count = encoder.layer_count
        wanted = (-1,) if count is None else (*range(count), -1)
    found: dict[Any, tuple[EncoderSource, Encoder]] = {}
    for pooling in poolings:
        for layer in wanted or (source.options.layer,):
            variant = encoder.variant(layer, pooling)
            options = replace(source.options, layer=variant.identity.layer, pooling=pooling)
            found.setdefault(variant.identity, (replace(source, options=options), variant))
    return list(found.values())
