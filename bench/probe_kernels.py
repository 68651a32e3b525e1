"""The array kernels of the probes beside their plain forms.

``python -m bench.probe_kernels`` prints one JSON line a kernel and shape: seconds of ours and the
plain form (best of three), their ratio, and the largest error against float64, relative to the
largest number. BLAS is held at one thread, as the solver holds it; XLA uses every core.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.measuring import best_seconds
from geneb_jax_kernels.confusion import confusion_counts
from geneb_jax_kernels.gram import host_gram, weighted_gram
from geneb_jax_kernels.logistic_loss import loss_and_gradient, pointwise_terms
from geneb_jax_probes.blas_threads import one_blas_thread
from geneb_jax_probes.shapes import blocks_for

SIZES = ((4904, 512), (10_000, 1024), (20_000, 2560))
_BLOCK = 1024


def _padded(array: np.ndarray, multiple: int) -> np.ndarray:
    extra = -len(array) % multiple
    return np.concatenate([array, np.zeros((extra, *array.shape[1:]), array.dtype)])


def _row(kernel: str, shape: tuple[int, ...], form: str, plain: str, ours: Callable[[], Any],
         other: Callable[[], Any], exact: np.ndarray) -> None:  # fmt: skip
    seconds, other_seconds = best_seconds(ours, []), best_seconds(other, [])
    error = float(np.abs(np.asarray(ours(), np.float64) - exact).max() / np.abs(exact).max())
    print(
        json.dumps(
            {
                "kernel": kernel,
                "shape": shape,
                "form": form,
                "plain": plain,
                "seconds": seconds,
                "plain_seconds": other_seconds,
                "times_faster": other_seconds / seconds,
                "largest_error": error,
                "device": jax.devices()[0].device_kind,
            }
        ),
        flush=True,
    )


def _gram(rows: int, width: int, X: np.ndarray) -> None:
    weights = np.full(rows, 1 / rows, np.float32)
    exact = X.astype(np.float64).T @ X.astype(np.float64) / rows
    features, share = jax.device_put(_padded(X, _BLOCK)), jax.device_put(_padded(weights, _BLOCK))
    halves = [X[: rows // 2], X[rows // 2 :]]

    def host() -> np.ndarray:
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda part: host_gram(part, 1 / rows), halves)
        return np.asarray(first + second)

    blocks, stride = jnp.int32(len(features) // _BLOCK), jnp.int32(1)
    xla = partial(weighted_gram, features, share, blocks, stride, block_rows=_BLOCK)
    whole = jax.jit(lambda A: A.T @ A / rows)
    plain = partial(whole, jax.device_put(X))
    _row("gram", (rows, width), "host, two threads", "X.T @ X", host, plain, exact)
    _row("gram", (rows, width), "xla", "X.T @ X", xla, plain, exact)


def _loss(rows: int, width: int, X: np.ndarray, dtype: str) -> None:
    rng = np.random.default_rng(1)
    block_rows, at_once = blocks_for(rows, width, 1, "cpu", dtype)
    codes = rng.integers(2, size=rows).astype(np.int32)
    W = (rng.standard_normal((1, 1, width)) / np.sqrt(width)).astype(dtype)
    zero = np.zeros((1, 1), dtype)
    data = [_padded(X, block_rows), _padded(codes, block_rows)]
    data.append(_padded(np.full((rows, 1), 1 / rows, dtype), block_rows))
    data = [jax.device_put(array) for array in data]

    @jax.jit
    def plain(X: Any, codes: Any, share: Any, W: Any) -> Any:
        z = X.astype(dtype) @ W[0].T
        _, residual = pointwise_terms(z, codes)
        return (residual * share).T @ X.astype(dtype)

    def slope(*parts: Any) -> Any:
        return loss_and_gradient(*parts, zero, block_rows=block_rows, blocks_at_once=at_once)[1][0]

    wide = X.astype(np.float64)
    chance = 1 / (1 + np.exp(-wide @ W[0, 0].astype(np.float64)))
    exact = ((chance - codes) / rows @ wide)[None]
    _row(f"loss and gradient, {dtype}", (rows, width), "xla, blocks of rows", "unblocked",
         partial(slope, *data, W), partial(plain, *data, W), exact)  # fmt: skip


def _confusion(rows: int, fits: int, classes: int) -> None:
    rng = np.random.default_rng(2)
    true = rng.integers(classes, size=rows).astype(np.int32)
    guess = rng.integers(classes, size=(rows, fits)).astype(np.int32)
    mask = jnp.ones(rows, bool)

    def plain() -> np.ndarray:
        cells = [np.bincount(true * classes + one, minlength=classes**2) for one in guess.T]
        return np.stack(cells).reshape(fits, classes, classes)

    ours = partial(confusion_counts, jnp.asarray(true), jnp.asarray(guess), mask,
                   class_count=classes)  # fmt: skip
    exact = plain().astype(np.float64)
    _row("confusion", (rows, fits, classes), "xla", "numpy.bincount a fit", ours, plain, exact)


def main() -> None:
    """Measure."""
    with one_blas_thread(), jax.enable_x64(True):
        for rows, width in SIZES:
            X = np.random.default_rng(0).standard_normal((rows, width)).astype(np.float32)
            _gram(rows, width, X)
            for dtype in ("float32", "float64"):
                _loss(rows, width, X, dtype)
        for classes in (2, 20, 200):
            _confusion(2000, 55, classes)


if __name__ == "__main__":
    main()
