"""The one attention function against a plain NumPy softmax, short and in blocks."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax.models.layers import attention
from geneb_jax.models.layers.alibi import symmetric_alibi
from geneb_jax.models.layers.attention import attend
from geneb_jax_kernels.plain_forms import plain_forms
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


def fused_calls(monkeypatch: pytest.MonkeyPatch, widest: int = 256) -> list[dict[str, Any]]:
    """Let this platform be a GPU whose cuDNN takes what the real one does; its calls."""
    library, calls = jax.nn.dot_product_attention, []

    def cudnn(query: Any, key: Any, value: Any, *, implementation: str, **given: Any) -> Any:
        if implementation == "cudnn":
            width = query.shape[-1]
            if width % 8 or width > widest or query.dtype != jnp.bfloat16:
                raise NotImplementedError("head width")
            bias = given.get("bias")
            assert bias is None or bias.dtype == query.dtype
            calls.append({"width": width, **given})
        return library(query, key, value, implementation="xla", **given)

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax.nn, "dot_product_attention", cudnn)
    return calls


@pytest.mark.parametrize(
    ("form", "width"), [*zip(FORMS, (8, 192, 75, 18, 64), strict=True), ("biased-masked", 75)]
)
def test_what_cudnn_is_given_is_the_attention_that_was_asked_for(
    form: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padded heads, a bias in its dtype, lengths of at least one: as near as XLA's own form."""
    generator = np.random.default_rng(width)
    heads, kv_heads = (4, 4) if "biased" in form else (4, 2)
    query = generator.normal(size=(3, 40, heads, width)).astype(jnp.bfloat16)
    key, value = generator.normal(size=(2, 3, 40, kv_heads, width)).astype(jnp.bfloat16)
    mask = np.arange(40) < np.array([[40], [17], [0]]) if "masked" in form else None
    bias = symmetric_alibi(heads, 40) if "biased" in form else None
    causal = "causal" in form
    kept = slice(3 if mask is None else 2)  # a row without keys has no softmax
    theirs = softmax_attention(
        *(part[kept] for part in (query, key, value)),
        mask=None if mask is None else mask[kept],
        bias=bias,
        causal=causal,
    )
    used = np.ones((3, 40), bool) if mask is None else mask[kept]
    query, key, value = (jnp.asarray(part) for part in (query, key, value))
    tokens, added = (None if part is None else jnp.asarray(part) for part in (mask, bias))

    def error(allowed: bool) -> float:
        with nullcontext() if allowed else plain_forms():
            ours = np.asarray(attend(query, key, value, mask=tokens, bias=added, causal=causal))
        assert ours.dtype == jnp.bfloat16 and np.isfinite(ours.astype(np.float32)).all()
        return float(np.abs(ours[kept].astype(np.float64) - theirs)[used].max())

    calls = fused_calls(monkeypatch)
    without = error(allowed=False)
    assert not calls
    assert error(allowed=True) <= 2 * without
    (call,) = calls
    assert call["width"] == -(-width // 8) * 8
    if mask is not None:
        assert call["key_value_seq_lengths"].tolist() == [40, 17, 1]


def test_a_device_that_takes_narrower_heads_has_xlas_form(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fused_calls(monkeypatch, widest=128)
    x = jnp.ones((1, 8, 2, 192), jnp.bfloat16)
    assert np.asarray(attend(x, x, x)).astype(np.float32).min() > 0.9
    assert not calls


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
