"""The blocks that families share, against torch and NumPy."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from geneb_jax.models.layers.attention import attend
from geneb_jax.models.layers.dense import ACTIVATIONS, Dense
from geneb_jax.models.layers.norms import LayerNorm, RMSNorm
from geneb_jax.models.layers.parameters import nested, normal, parameter_shapes, random_parameters
from geneb_jax.models.layers.rotary import interleaved_rotary, rotary_angles, split_half_rotary
from geneb_jax.models.layers.scanned_layers import scan_layers
from geneb_jax.models.pooling import POOLINGS, pool
from tests.tolerance import Tolerance, relative_error

GENERATOR = np.random.default_rng(0)


def drawn(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


def close(ours: object, theirs: object, limit: float) -> None:
    assert relative_error(ours, theirs) <= limit


MASK = np.array([[True] * 7, [True] * 3 + [False] * 4, [True] + [False] * 6])


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_attention(
    kv_heads: int, causal: bool, biased: bool, scale: float | None, tolerance: Tolerance
) -> None:
    query = drawn(3, 7, 4, 8)
    key, value = drawn(3, 7, kv_heads, 8), drawn(3, 7, kv_heads, 8)
    bias = drawn(1, 4, 7, 7) if biased else None
    allowed = MASK[:, None, None, :] & (np.tri(7, dtype=bool) if causal else True)
    additive = np.where(allowed, 0.0, -np.inf).astype(np.float32)
    if bias is not None:
        additive = additive + bias
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(part).transpose(1, 2) for part in (query, key, value)),
        attn_mask=torch.tensor(additive),
        scale=scale,
        enable_gqa=True,
    ).transpose(1, 2)
    ours = jax.jit(attend, static_argnames=("causal", "scale"))(
        query, key, value, mask=MASK, bias=bias, causal=causal, scale=scale
    )
    close(ours, theirs, tolerance("hidden_state", "float32"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attention_of_rows_without_any_token_is_zero(dtype: str) -> None:
    parts = [jnp.asarray(drawn(2, 5, 2, 8), dtype) for _ in range(3)]
    mask = jnp.array([[False] * 5, [True] * 5])
    for causal in (False, True):
        result = np.asarray(attend(*parts, mask=mask, causal=causal), np.float32)
        assert not result[0].any()
        assert np.isfinite(result).all()
        assert result[1].any()


def test_attention_in_bfloat16(tolerance: Tolerance) -> None:
    parts = [drawn(3, 7, 4, 8) for _ in range(3)]
    exact = attend(*map(jnp.asarray, parts), mask=jnp.asarray(MASK))
    low = attend(*(jnp.asarray(part, jnp.bfloat16) for part in parts), mask=jnp.asarray(MASK))
    assert low.dtype == jnp.bfloat16
    close(low, exact, tolerance("hidden_state", "bfloat16"))


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pooling(name: str, dtype: str, tolerance: Tolerance) -> None:
    hidden = jnp.asarray(drawn(4, 7, 5), dtype)
    counts = [7, 3, 1, 0]
    mask = np.arange(7)[None, :] < np.array(counts)[:, None]
    result = np.asarray(jax.jit(pool, static_argnums=0)(name, hidden, mask))
    assert result.dtype == np.float32
    for row, count in enumerate(counts):
        kept = np.asarray(hidden[row, :count], np.float64)
        expected = {
            "mean": kept.mean(0) if count else np.zeros(5),
            "cls": kept[0] if count else np.zeros(5),
            "last": kept[-1] if count else np.zeros(5),
            "penultimate": kept[-2] if count > 1 else np.zeros(5),
        }.get(name)
        if expected is not None:
            error = np.abs(result[row] - expected).max()
            assert error <= tolerance("hidden_state", "float32") * max(np.abs(expected).max(), 1)


def test_pooling_never_sees_padding() -> None:
    hidden = drawn(2, 6, 3)
    mask = np.array([[True] * 6, [True, True, False, False, False, False]])
    spoiled = np.where(mask[:, :, None], hidden, np.nan).astype(np.float32)
    for name in POOLINGS:
        np.testing.assert_array_equal(pool(name, spoiled, mask), pool(name, hidden, mask))


def rotated_by_hand(x: np.ndarray, first: list[int], second: list[int], theta: float) -> np.ndarray:
    """Each pair of features as a complex number, turned by position * theta^(-2i/width)."""
    width = x.shape[-1]
    speeds = theta ** (-np.arange(0, width, 2) / width)
    turns = np.exp(1j * np.arange(x.shape[1])[:, None] * speeds)[None, :, None, :]
    turned = (x[..., first] + 1j * x[..., second]) * turns
    out = np.empty_like(x)
    out[..., first], out[..., second] = turned.real, turned.imag
    return out


@pytest.mark.parametrize("theta", [1e4, 5e5])
def test_rotary(theta: float, tolerance: Tolerance) -> None:
    x = drawn(2, 300, 3, 16)
    angles = rotary_angles(jnp.arange(300), 16, theta=theta)
    halves = list(range(8)), list(range(8, 16))
    pairs = list(range(0, 16, 2)), list(range(1, 16, 2))
    limit = tolerance("hidden_state", "float32")
    close(split_half_rotary(jnp.asarray(x), angles), rotated_by_hand(x, *halves, theta), limit)
    close(interleaved_rotary(jnp.asarray(x), angles), rotated_by_hand(x, *pairs, theta), limit)


@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_norms(offset: float, tolerance: Tolerance) -> None:
    x = drawn(2, 3, 16) + np.float32(offset)
    scale, bias = drawn(16), drawn(16)
    ours = LayerNorm(16, eps=1e-5)
    ours.scale.set_value(jnp.asarray(scale))
    ours.bias.set_value(jnp.asarray(bias))
    theirs = torch.nn.functional.layer_norm(
        torch.tensor(x), (16,), torch.tensor(scale), torch.tensor(bias), 1e-5
    )
    limit = tolerance("hidden_state", "float32")
    close(ours(jnp.asarray(x)), theirs, limit)
    rms = RMSNorm(16, eps=1e-5)
    rms.scale.set_value(jnp.asarray(scale))
    theirs = torch.nn.functional.rms_norm(torch.tensor(x), (16,), torch.tensor(scale), 1e-5)
    close(rms(jnp.asarray(x)), theirs, limit)
    plain = LayerNorm(16, eps=1e-5, scale=False, bias=False)
    close(plain(jnp.asarray(x)), torch.nn.functional.layer_norm(torch.tensor(x), (16,)), limit)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("gelu", torch.nn.functional.gelu),
        ("gelu-tanh", lambda x: torch.nn.functional.gelu(x, approximate="tanh")),
        ("silu", torch.nn.functional.silu),
        ("relu", torch.nn.functional.relu),
    ],
)
def test_activations(
    name: str, theirs: Callable[[torch.Tensor], torch.Tensor], tolerance: Tolerance
) -> None:
    x = np.linspace(-12, 12, 1001, dtype=np.float32)
    close(
        ACTIVATIONS[name](jnp.asarray(x)),
        theirs(torch.tensor(x)),
        tolerance("hidden_state", "float32"),
    )


class _Stack(nnx.Module):
    """Five dense layers in a row."""

    def __init__(self) -> None:
        self.layers = Dense(4, 4, stack=(5,))

    def __call__(self, x: jax.Array, count: int) -> jax.Array:
        return scan_layers(self.layers, x, lambda layer, h: jnp.tanh(layer(h)), count=count)[0]


@pytest.mark.parametrize("count", range(6))
def test_scanned_layers_are_layers_one_after_the_other(count: int, tolerance: Tolerance) -> None:
    stack = _Stack()
    params = random_parameters(stack, seed=3, dtype="float32")
    x = drawn(2, 3, 4)
    expected = x
    for index in range(count):
        kernel = np.asarray(params["layers"]["kernel"][index])
        expected = np.tanh(expected @ kernel + np.asarray(params["layers"]["bias"][index]))
    result = nnx.merge(nnx.graphdef(stack), params)(jnp.asarray(x), count)
    close(result, expected, tolerance("hidden_state", "float32"))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_16_bit_products_are_rounded_once_or_twice_and_stored_so(
    platform: str, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On accelerators no float32 is stored; as near the torch product as its own rounding is."""
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(3, 20, 256)).astype(jnp.bfloat16)
    module = Dense(256, 48, bias=bias)
    drawn = {
        path: generator.normal(size=variable.get_value().shape).astype(jnp.bfloat16)
        for path, variable in parameter_shapes(module).items()
    }
    product = nnx.merge(nnx.graphdef(module), nested(drawn))
    kernel = torch.tensor(drawn["kernel"].astype(np.float64))
    exact = torch.tensor(x.astype(np.float64)) @ kernel
    exact += torch.tensor(drawn["bias"].astype(np.float64)) if bias else 0.0
    wide = [
        equation
        for equation in jax.make_jaxpr(product)(x).jaxpr.eqns
        if equation.primitive.name == "dot_general"
        and equation.outvars[0].aval.dtype == jnp.float32
    ]
    assert len(wide) == (platform == "cpu")
    found = np.asarray(product(jnp.asarray(x)))
    assert found.dtype == jnp.bfloat16
    # Half a unit of the last place for each rounding; the bias is added after the first.
    unit = float(jnp.finfo(jnp.bfloat16).eps) * np.maximum(np.abs(exact.numpy()), 1.0)
    roundings = 2 if bias and platform == "gpu" else 1
    assert (np.abs(found.astype(np.float64) - exact.numpy()) <= roundings * 0.5 * 1.1 * unit).all()


def test_a_parameter_more_changes_no_other() -> None:
    class Two(nnx.Module):
        def __init__(self) -> None:
            self.first = Dense(8, 8)
            self.second = Dense(8, 8)

    class One(nnx.Module):
        def __init__(self) -> None:
            self.second = Dense(8, 8)

    two = random_parameters(Two(), seed=1, dtype="float32")
    one = random_parameters(One(), seed=1, dtype="float32")
    np.testing.assert_array_equal(two["second"]["kernel"], one["second"]["kernel"])
    assert not np.array_equal(two["first"]["kernel"], two["second"]["kernel"])


def test_parameter_paths() -> None:
    assert list(parameter_shapes(_Stack())) == ["layers.bias", "layers.kernel"]
    assert nested({"a.b.c": 1, "a.d": 2}) == {"a": {"b": {"c": 1}, "d": 2}}
    assert normal(np.random.default_rng(0), (1000,)).dtype == np.float32
