"""Losses of rows scattered over a matrix: the kernels, operation by operation, and the plain form.

Both against NumPy and scikit-learn's own pointwise losses, fit by fit.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from geneb_jax_kernels.fused_ragged_loss import fused_gradient, fused_products, fused_residuals
from geneb_jax_kernels.ragged_loss import (
    PIECE_ROWS,
    ColumnPieces,
    ListedRows,
    Pieces,
    ragged_loss,
    ragged_products,
)
from tests.tolerance import Tolerance, relative_error

#: Rows and logits of fits: whole pieces and rests, two rows alone, more logits than usual.
_FITS = [(300, 1), (20, 3), (129, 5), (PIECE_ROWS, 1), (2, 1), (257, 2)]
_WIDTH = 70
_MOST_LOGITS = 8


class Case(NamedTuple):
    X: np.ndarray
    listed: ListedRows
    theta: np.ndarray
    pieces: Pieces
    columns: ColumnPieces
    runs: list[tuple[int, int, int, int]]  # place, rows, first column, logits


@pytest.fixture(scope="module")
def case() -> Case:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, _WIDTH)).astype(np.float32)
    rows, codes, shares, runs = [], [], [], []
    pieces, columns = [], []
    place = column = 0
    for count, logits in _FITS:
        rows.append(rng.choice(len(X), count))
        codes.append(rng.integers(0, max(2, logits), count))
        share = rng.random(count)
        shares.append(share / share.sum())
        begun = len(pieces)
        for start in range(0, count, PIECE_ROWS):
            first = len(pieces)
            inside = min(PIECE_ROWS, count - start)
            pieces += [(place + start, inside, column + k, first, logits) for k in range(logits)]
        cuts = -(-count // PIECE_ROWS)
        columns += [(begun + k, logits, cuts) for k in range(logits)]
        runs.append((place, count, column, logits))
        place, column = place + count, column + logits
    pieces += [(0, 0, column, len(pieces), 1)] * 3  # places of nobody
    columns += [(0, 1, 0)] * 2

    def table(parts: list[tuple[int, ...]]) -> list[np.ndarray]:
        return [np.array(part, np.int32) for part in zip(*parts, strict=True)]

    listed = ListedRows(
        np.concatenate(rows).astype(np.int32),
        np.concatenate(codes).astype(np.int32),
        np.concatenate(shares),
    )
    theta = rng.standard_normal((column + 2, _WIDTH + 1))
    return Case(X, listed, theta, Pieces(*table(pieces)), ColumnPieces(*table(columns)), runs)


def expected(case: Case, run: tuple[int, int, int, int]) -> tuple[float, np.ndarray]:
    """Loss and gradient ``[logit, dim_and_one]`` of one fit, by its definition."""
    place, count, column, logits = run
    at = slice(place, place + count)
    x = np.column_stack([case.X[case.listed.rows[at]].astype(np.float64), np.ones(count)])
    z = x @ case.theta[column : column + logits].T
    two = np.column_stack([np.zeros(count), z[:, 0]]) if logits == 1 else z
    codes, share = case.listed.codes[at], case.listed.shares[at]
    every = np.arange(count)
    loss = -(log_softmax(two, axis=1)[every, codes] * share).sum()
    residual = softmax(two, axis=1)
    residual[every, codes] -= 1
    if logits == 1:
        residual = residual[:, 1:]
    return float(loss), (residual * share[:, None]).T @ x


def plain(case: Case, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with jax.enable_x64(True):
        run = jax.jit(partial(ragged_loss, most_logits=_MOST_LOGITS))
        arguments = (case.X, case.listed, case.theta, case.pieces, case.columns, live)
        loss, gradient = run(*jax.tree.map(jnp.asarray, arguments))
        return np.asarray(loss), np.asarray(gradient)


def interpreted(case: Case, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with jax.enable_x64(True):
        run = partial(jax.jit, static_argnames="interpret")
        X, listed, theta, pieces, columns, wanted = jax.tree.map(
            jnp.asarray, (case.X, case.listed, case.theta, case.pieces, case.columns, live)
        )
        z = run(fused_products)(X, listed.rows, theta, pieces, wanted, interpret=True)
        losses, residuals = run(fused_residuals)(
            listed.codes, listed.shares, z, pieces, wanted, interpret=True
        )
        sums = run(fused_gradient)(
            X, listed.rows, residuals, losses, pieces, columns, wanted, interpret=True
        )
        return np.asarray(sums[:, -1]), np.asarray(sums[:, :-1])


@pytest.mark.parametrize("form", [plain, interpreted])
@pytest.mark.parametrize("ended", [None, 2])
def test_every_fit_has_its_own_loss_and_gradient(
    case: Case, form: object, ended: int | None, tolerance: Tolerance
) -> None:
    live = case.pieces.rows > 0
    if ended is not None:
        columns = case.runs[ended][2] + np.arange(case.runs[ended][3])
        live &= ~np.isin(case.pieces.column, columns)
    loss, gradient = form(case, live)  # type: ignore[operator]
    close = tolerance("ragged_loss", "float64")
    for number, run in enumerate(case.runs):
        if number != ended:
            own = slice(run[2], run[2] + run[3])
            right_loss, right_gradient = expected(case, run)
            assert abs(loss[own].sum() - right_loss) <= close * right_loss, run
            assert np.count_nonzero(loss[own]) == 1
            assert relative_error(gradient[own], right_gradient) <= close, run


def test_confident_rows_keep_their_digits(case: Case, tolerance: Tolerance) -> None:
    """Logits of some hundreds: a difference of probabilities from one would be all rounding."""
    far = case._replace(theta=case.theta * 40)
    live = case.pieces.rows > 0
    close = tolerance("ragged_loss", "float64")
    (loss, gradient), (loss_too, gradient_too) = plain(far, live), interpreted(far, live)
    for run in case.runs:
        own = slice(run[2], run[2] + run[3])
        assert relative_error(loss[own].sum(), loss_too[own].sum()) <= close
        assert relative_error(gradient[own], gradient_too[own]) <= close


def test_products_alone_are_those_of_numpy(case: Case, tolerance: Tolerance) -> None:
    with jax.enable_x64(True):
        arguments = (case.X, case.listed.rows, case.theta, case.pieces, case.pieces.rows > 0)
        z = np.asarray(jax.jit(ragged_products)(*jax.tree.map(jnp.asarray, arguments)))
    for number, (start, rows, column, _, _) in enumerate(zip(*case.pieces, strict=True)):
        x = case.X[case.listed.rows[start : start + rows]].astype(np.float64)
        right = x @ case.theta[column, :-1] + case.theta[column, -1]
        if rows:
            close = tolerance("ragged_loss", "float64")
            assert relative_error(z[number, :rows], right) <= close
