"""A wrong shape or dtype is caught where it enters a function, in every annotated package."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from geneb_jax.models.families.esm import EsmEncoder
from geneb_jax.models.layers.attention import attend
from geneb_jax.models.pooling import pool
from geneb_jax_kernels.logistic_loss import pointwise_terms
from geneb_jax_probes.metrics import confusion

_ROWS = jnp.ones((2, 3, 4))


@pytest.mark.parametrize(
    "call",
    [
        lambda: pointwise_terms(jnp.ones((5, 3)), jnp.ones(5)),  # classes are integers
        lambda: confusion(np.zeros(5, np.int64), np.zeros((2, 4), np.int64), 2),
        lambda: attend(_ROWS, _ROWS, _ROWS),  # no heads
        lambda: pool("mean", _ROWS, jnp.ones((2, 4), bool)),
        lambda: EsmEncoder.__call__(None, jnp.ones((2, 3)), jnp.ones((2, 3), bool)),  # no ids
    ],
    ids=["kernels", "probes", "layers", "pooling", "families"],
)
def test_what_does_not_fit_its_annotation_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(TypeCheckError):
        call()
