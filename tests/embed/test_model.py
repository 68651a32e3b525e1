"""The library's front door with a small native network."""

from __future__ import annotations

from typing import Any

import numpy as np

from geneb_jax import load_model
from geneb_jax.embed import embed_into, open_store
from geneb_jax.models import ModelSpec
from tests.tolerance import Tolerance, relative_error


def test_layers_and_poolings_share_one_copy_of_the_weights(draw: Any, tolerance: Tolerance) -> None:
    model = load_model("tiny-nt-v1")
    sequences = draw(5, 50, 120)
    rows = model.embed(sequences)
    assert rows.shape == (5, model.width) and rows.dtype == np.float32
    assert isinstance(model.spec, ModelSpec)
    first = model.embed(sequences, layer=0)
    assert np.abs(first - rows).max() > 0.01
    own, other = (entry[0] for entry in model._encoders.values())
    assert own.params is other.params
    again = model.embed(sequences[::-1])[::-1]
    assert (
        np.abs(again - rows).max() <= tolerance("batch_invariance", "float32") * np.abs(rows).max()
    )


def test_a_network_is_stored_as_it_is_embedded(
    draw: Any, table: Any, tmp_path: Any, tolerance: Tolerance
) -> None:
    model = load_model("tiny-nt-v2")
    sequences = table(draw(12, 30, 90))
    store = open_store(tmp_path, model.encoder)
    report = embed_into(store, model.encoder, sequences)
    assert report.embedded == 12 and report.unknown_bp == 0
    rows = model.embed(sequences.sequences)
    assert relative_error(store.read(sequences.digests), rows) <= tolerance(
        "batch_invariance", "float32"
    )
