"""No program of the lanes may hold a batched LAPACK call on CPU: two such programs can deadlock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from geneb_jax_probes.lanes import lanes
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.matrix.preconditioners import precondition
from geneb_jax_probes.matrix.row_space import minimise_rows
from geneb_jax_probes.solvers.exact import RULES

LAPACK = ("eigh", "cholesky", "triangular_solve", "lu", "qr", "svd", "schur")


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


def _lapack_ranks(jaxpr: Any) -> list[int]:
    return [
        equation.invars[0].aval.ndim
        for equation in _equations(jaxpr)
        if equation.primitive.name in LAPACK
    ]


@pytest.fixture(autouse=True)
def _wide() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def test_few_rows_are_decomposed_one_matrix_at_a_time() -> None:
    matrices, rows, width, strengths = 4, 32, 40, 3
    traced = minimise_rows.on("cpu").trace(
        jnp.zeros((matrices, rows, width), jnp.float32),
        jnp.zeros((matrices, rows), jnp.int32),
        jnp.ones((matrices, rows)),
        jnp.ones((matrices, strengths)),
        jnp.zeros((matrices, 1)),
        Stop(jnp.float64(0), jnp.float64(100)),
        rules=RULES["float64"],
        preconditioned=True,
        batched_lapack=lanes()[0].batches_lapack,
    )
    assert _lapack_ranks(traced.jaxpr.jaxpr) == [2]


def test_factors_of_several_penalties_are_made_one_at_a_time() -> None:
    traced = precondition.on("cpu").trace(
        jnp.eye(300, dtype=jnp.float32), jnp.ones(5), jnp.float64(0.25)
    )
    ranks = _lapack_ranks(traced.jaxpr.jaxpr)
    assert ranks and set(ranks) == {2}
