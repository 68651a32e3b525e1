"""Long convolution, modal filters, relative attention and attention pooling against plain forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.fft import next_fast_len
from scipy.signal import fftconvolve

from geneb_jax_kernels.attention_pooling import attention_pooling, attention_pooling_reference
from geneb_jax_kernels.fft_convolution import (
    fft_convolution,
    fft_convolution_reference,
    fft_length,
)
from geneb_jax_kernels.modal_filter import modal_filter, modal_filter_reference
from geneb_jax_kernels.relative_shift import (
    relative_attention,
    relative_attention_reference,
    relative_shift,
)
from tests.tolerance import Tolerance, relative_error


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype=np.float32)


def in_float64(form: Callable[..., Any], *parts: np.ndarray, **options: Any) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(form(*(jnp.asarray(part, jnp.float64) for part in parts), **options))


@pytest.mark.parametrize("shortest", [1, 2, 3, 7, 129, 511, 1999, 320_003, 2_000_003])
def test_fft_length(shortest: int) -> None:
    size = fft_length(shortest)
    rest = size
    for factor in (2, 3, 5):
        while rest % factor == 0:
            rest //= factor
    assert rest == 1
    assert size % 2 == 0
    # scipy's may be odd; twice its answer for half the length is the best even one.
    assert size == 2 * next_fast_len(-(-shortest // 2), real=True)


@pytest.mark.parametrize("length", [1, 2, 17, 200])
@pytest.mark.parametrize("workspace_bytes", [1, 50_000, 2**27])
def test_fft_convolution(length: int, workspace_bytes: int, tolerance: Tolerance) -> None:
    x, filters, skip = drawn(3, length, 7), drawn(length, 7, seed=1), drawn(7)
    exact = fftconvolve(np.float64(x), np.float64(filters)[None], axes=1)[:, :length]
    exact += np.float64(skip) * x
    ours = fft_convolution(x, filters, skip, workspace_bytes=workspace_bytes)
    assert relative_error(ours, exact) <= tolerance("fft_convolution", "float32")
    plain = in_float64(fft_convolution_reference, x, filters, skip)
    assert relative_error(plain, exact) <= tolerance("fft_convolution", "float64")


def test_fft_convolution_of_a_long_sequence(tolerance: Tolerance) -> None:
    x, filters = drawn(1, 60_000, 3), drawn(60_000, 3, seed=1)
    exact = fftconvolve(np.float64(x), np.float64(filters)[None], axes=1)[:, :60_000]
    error = relative_error(fft_convolution(x, filters), exact)
    assert error <= tolerance("fft_convolution", "float32")


def test_fft_convolution_refuses_filters_of_another_length(unchecked_annotations: None) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        fft_convolution(drawn(1, 8, 2), drawn(7, 2))


@pytest.mark.parametrize("length", [1, 2, 10, 1000, 5003])
def test_modal_filter(length: int, tolerance: Tolerance) -> None:
    generator = np.random.default_rng(3)
    modulus = 1 - 10 ** generator.uniform(-5, -0.3, (6, 4))
    modulus[0, 0] = 0.0
    angle = generator.uniform(-np.pi, np.pi, (6, 4)) * 10 ** generator.uniform(-3, 0, (6, 4))
    poles = np.stack([modulus * np.cos(angle), modulus * np.sin(angle)], -1).astype(np.float32)
    residues = drawn(6, 4, 2)
    exact = np.zeros((length, 6))
    pole = poles[..., 0].astype(complex) + 1j * poles[..., 1]
    residue = residues[..., 0].astype(complex) + 1j * residues[..., 1]
    for position in range(length):
        exact[position] = (residue * pole**position).real.sum(axis=1)
    ours = modal_filter(poles, residues, length=length)
    assert relative_error(ours, exact) <= tolerance("modal_filter", "float32")
    as_written = modal_filter_reference(
        jnp.asarray(poles[1:]), jnp.asarray(residues[1:]), length=length
    )
    assert relative_error(ours[:, 1:], exact[:, 1:]) <= max(
        tolerance("modal_filter", "as_written"), relative_error(as_written, exact[:, 1:])
    )
    with np.errstate(all="ignore"):
        plain = in_float64(modal_filter_reference, poles[1:], residues[1:], length=length)
    assert relative_error(plain, exact[:, 1:]) <= tolerance("modal_filter", "float64")


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 4), (4, 1), (3, 5), (6, 6)])
def test_relative_shift(queries: int, keys: int) -> None:
    logits = drawn(2, queries, queries + keys - 1)
    shifted = relative_shift(jnp.asarray(logits), keys)
    for query in range(queries):
        first = queries - 1 - query
        np.testing.assert_array_equal(shifted[:, query], logits[:, query, first : first + keys])


@pytest.mark.parametrize("length", [1, 2, 5, 40])
@pytest.mark.parametrize("query_block", [1, 3, 16, 128])
def test_relative_attention(length: int, query_block: int, tolerance: Tolerance) -> None:
    parts = (
        drawn(length, 2, 3),
        drawn(length, 2, 3, seed=1),
        drawn(length, 2, 5),
        drawn(2 * length - 1, 2, 3),
        drawn(2, 3),
        drawn(2, 3, seed=1),
    )
    exact = in_float64(relative_attention_reference, *parts)
    with jax.default_matmul_precision("highest"):
        ours = relative_attention(*parts, query_block=query_block)
    assert relative_error(ours, exact) <= tolerance("relative_attention", "float32")


@pytest.mark.parametrize("length", [2, 6, 128])
def test_attention_pooling(length: int, tolerance: Tolerance) -> None:
    x, kernel = drawn(2, length, 5), drawn(5, 5)
    exact = in_float64(attention_pooling_reference, x, kernel)
    with jax.default_matmul_precision("highest"):
        ours = attention_pooling(x, kernel)
    assert relative_error(ours, exact) <= tolerance("attention_pooling", "float32")
    weights = torch.softmax(
        torch.einsum("rpsc,cd->rpsd", torch.tensor(x).view(2, -1, 2, 5), torch.tensor(kernel)), 2
    )
    theirs = (torch.tensor(x).view(2, -1, 2, 5) * weights).sum(2).numpy()
    assert relative_error(ours, theirs) <= tolerance("attention_pooling", "float32")


def test_attention_pooling_keeps_a_last_token_without_a_neighbour(tolerance: Tolerance) -> None:
    x, kernel = drawn(2, 5, 3), drawn(3, 3)
    np.testing.assert_allclose(
        attention_pooling(x, kernel)[:, 2], x[:, 4], rtol=tolerance("attention_pooling", "float32")
    )
