"""A hundred thousand tokens through models made for them, and what memory that takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LONG = """
import resource
import jax
import numpy as np
from geneb_jax.models import LoadOptions, load_encoder

encoder = load_encoder({model_id!r}, LoadOptions(weights="random", offline=True))
text = "".join(np.random.default_rng(0).choice(list("ACGT"), 100_000))
ids = encoder.tokenize(text).ids[None]
assert ids.shape == (1, 100_000)
result = np.asarray(jax.jit(encoder.pooled)(encoder.params, ids, np.ones(ids.shape, bool)))
assert result.shape == (1, encoder.width) and np.isfinite(result).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "model_id",
    ["caduceus-ps_seqlen-131k_d_model-256_n_layer-16", "hyenadna-medium-160k-seqlen-hf"],
)
def test_a_hundred_thousand_tokens_within_8_gib(model_id: str) -> None:
    """In a process of its own, whose largest resident size the system reports in KiB."""
    command = [sys.executable, "-c", _LONG.format(model_id=model_id)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(output) <= 8 * 2**20
