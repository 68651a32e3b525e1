"""Compilation does not grow with depth."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from geneb_jax.models.family import find_family
from geneb_jax.models.layers.parameters import nested, parameter_shapes
from tests.models.narrow_checkpoints import narrow_spec

#: One model a family; those of StripedHyena and JanusDNA are of unlike layers in a fixed order.
MODELS = [
    "nucleotide-transformer-2.5b-multi-species",
    "nucleotide-transformer-v2-50m-multi-species",
    "gena-lm-bert-base",
    "DNABERT-S",
    "MutBERT",
    "deepgene",
    "LucaOne-default-step36M",
    "GenomeOcean-4B",
    "Omni-DNA-1B",
    "gpt2_gene_v1",
    "dna_gpt3b_m",
    "hyenadna-medium-160k-seqlen-hf",
    "caduceus-ps_seqlen-131k_d_model-256_n_layer-16",
    "eccdnamamba_weights",
    "enformer-official-rough",
    "space",
]


def lowered(model_id: str, layers: int, *, rows: int = 2) -> Any:
    """The forward of a narrow model with another depth, lowered from shapes alone."""
    spec = narrow_spec(model_id)
    family = find_family(spec.family)
    config = replace(family.read_config(spec.config, where=model_id), layer_count=layers)
    module = family.module(config)
    definition = nnx.graphdef(module)
    shapes = nested({path: v.get_value() for path, v in parameter_shapes(module).items()})

    def forward(params: Any, ids: jax.Array, mask: jax.Array) -> jax.Array:
        return nnx.merge(definition, params)(ids, mask, layer=-1).values

    batch = (rows, 32)
    return jax.jit(forward).lower(
        shapes, jax.ShapeDtypeStruct(batch, jnp.int32), jax.ShapeDtypeStruct(batch, np.bool_)
    )


@pytest.mark.parametrize("model_id", MODELS)
def test_the_program_does_not_grow_with_depth(model_id: str) -> None:
    few, many = (lowered(model_id, layers).as_text() for layers in (4, 32))
    assert len(many.splitlines()) == len(few.splitlines())


@pytest.mark.sweep
@pytest.mark.parametrize("model_id", MODELS)
def test_compile_time_of_32_layers_is_that_of_4(model_id: str) -> None:
    def seconds(layers: int, rows: int) -> float:
        program = lowered(model_id, layers, rows=rows)
        started = time.process_time()
        program.compile()
        return time.process_time() - started

    seconds(4, 1)
    # Interleaved, each shape compiled once, so that neither the cache nor the load decides.
    few, many = [], []
    for rows in range(2, 7):
        few.append(seconds(4, rows))
        many.append(seconds(32, rows))
    assert np.median(many) <= 1.5 * np.median(few)
