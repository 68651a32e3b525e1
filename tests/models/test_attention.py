"""The one attention function against a plain NumPy softmax, short and in blocks."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax.models.layers import attention
from geneb_jax.models.layers.attention import attend
from tests.tolerance import Tolerance, relative_error


def softmax_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    *,
    mask: np.ndarray | None,
    bias: np.ndarray | None,
    causal: bool,
) -> np.ndarray:
    """In float64, heads of keys repeated, forbidden logits at minus infinity."""
    groups = query.shape[2] // key.shape[2]
    query, key, value = (part.astype(np.float64) for part in (query, key, value))
    key, value = np.repeat(key, groups, axis=2), np.repeat(value, groups, axis=2)
    logits = np.einsum("rthw,rkhw->rhtk", query, key) / np.sqrt(query.shape[-1])
    if bias is not None:
        logits = logits + bias
    if causal:
        logits[..., ~np.tri(logits.shape[-2], logits.shape[-1], dtype=bool)] = -np.inf
    if mask is not None:
        logits = np.where(mask[:, None, None, :], logits, -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("rhtk,rkhw->rthw", weights, value)


FORMS = ["plain", "causal", "masked", "causal-masked", "biased-masked"]


def error_of(form: str, token_count: int) -> float:
    """Of ``attend`` against the softmax, over the rows that are tokens."""
    generator = np.random.default_rng(token_count)
    heads, kv_heads = (4, 4) if "biased" in form else (4, 2)
    query = generator.normal(size=(2, token_count, heads, 8)).astype(np.float32)
    key, value = generator.normal(size=(2, 2, token_count, kv_heads, 8)).astype(np.float32)
    lengths = np.array([token_count, token_count // 2 + 1])
    mask = np.arange(token_count) < lengths[:, None] if "masked" in form else None
    bias = None
    if "biased" in form:
        bias = generator.normal(size=(1, heads, token_count, token_count)).astype(np.float32)
    causal = "causal" in form
    ours = jax.jit(partial(attend, causal=causal))(query, key, value, mask=mask, bias=bias)
    theirs = softmax_attention(query, key, value, mask=mask, bias=bias, causal=causal)
    used = np.ones((2, token_count), bool) if mask is None else mask
    return relative_error(np.asarray(ours)[used], theirs[used])


@pytest.mark.parametrize("token_count", [7, 512, 700])
@pytest.mark.parametrize("form", FORMS)
def test_against_softmax(form: str, token_count: int, tolerance: Tolerance) -> None:
    assert error_of(form, token_count) <= tolerance("hidden_state", "float32")


@pytest.mark.parametrize("whole_bytes", [1 << 30, 1])
@pytest.mark.parametrize("form", FORMS)
def test_what_accelerators_run_against_softmax(
    form: str, whole_bytes: int, tolerance: Tolerance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's form, and blocks where its logits would not fit; run on this platform."""
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    budget = attention._Budget(whole_bytes=whole_bytes, whole_keys=1 << 30, block_bytes=1 << 14)
    monkeypatch.setattr(attention, "_ACCELERATOR", budget)
    assert error_of(form, 90) <= tolerance("hidden_state", "float32")


@pytest.mark.parametrize("token_count", [20, 600])
def test_a_row_without_keys_gives_zeros(token_count: int) -> None:
    x = np.ones((2, token_count, 2, 4), np.float32)
    mask = np.ones((2, token_count), bool)
    mask[1] = False
    result = np.asarray(attend(*(jnp.asarray(x),) * 3, mask=jnp.asarray(mask)))
    assert result[0].min() > 0.9
    assert not result[1].any()


@pytest.mark.parametrize(("heads", "kv_heads", "causal"), [(4, 4, False), (8, 2, True)])
def test_memory_grows_with_length_not_its_square(heads: int, kv_heads: int, causal: bool) -> None:
    def temporary_bytes(token_count: int) -> int:
        query, key = (
            jax.ShapeDtypeStruct((1, token_count, count, 16), jnp.float32)
            for count in (heads, kv_heads)
        )
        compiled = jax.jit(partial(attend, causal=causal)).lower(query, key, key).compile()
        return int(compiled.memory_analysis().temp_size_in_bytes)

    shorter, longer = temporary_bytes(50_000), temporary_bytes(100_000)
    assert longer < 2.5 * shorter
    # Far below the logits of one head alone.
    assert longer < 4 * 100_000**2 / 100


@pytest.mark.parametrize(
    "budget", [(1, 1000, 1 << 20), (1, 1000, 1), (1 << 40, 1000, 1), (1 << 40, 1, 1)]
)
@pytest.mark.parametrize("form", ["causal-masked", "biased", "biased-by-row"])
def test_blocks_of_any_size(form: str, budget: tuple[int, int, int], tolerance: Tolerance) -> None:
    """Several heads at a time, parts of one head's queries, and everything at once."""
    generator = np.random.default_rng(0)
    tokens, kv_heads = 300, 2
    query = generator.normal(size=(3, tokens, 4, 8)).astype(np.float32)
    key, value = generator.normal(size=(2, 3, tokens, kv_heads, 8)).astype(np.float32)
    mask = bias = None
    if form == "causal-masked":
        mask = np.arange(tokens) < np.array([[tokens], [17], [200]])
    else:
        shape = (3, 1) if form == "biased-by-row" else (1, 4)
        bias = generator.normal(size=(*shape, tokens, tokens)).astype(np.float32)
    causal = "causal" in form
    ours = jax.jit(
        partial(
            attention._in_blocks, causal=causal, scale=8**-0.5, budget=attention._Budget(*budget)
        )
    )(query, key, value, mask=mask, bias=bias)
    theirs = softmax_attention(query, key, value, mask=mask, bias=bias, causal=causal)
    used = np.ones((3, tokens), bool) if mask is None else mask
    error = relative_error(np.asarray(ours)[used], theirs[used])
    assert error <= tolerance("hidden_state", "float32")


def test_low_precision_is_as_near_as_the_librarys() -> None:
    generator = np.random.default_rng(0)
    arrays = generator.normal(size=(3, 2, 90, 4, 32)).astype(jnp.bfloat16)
    theirs = softmax_attention(*arrays, mask=None, bias=None, causal=False)

    def error(result: jax.Array) -> float:
        return float(np.abs(np.asarray(result).astype(np.float64) - theirs).max())

    with jax.numpy_dtype_promotion("standard"):
        library = jax.nn.dot_product_attention(*arrays, implementation="xla")
    assert error(jax.jit(attend)(*arrays)) <= error(library)
