"""What auto and float32 mean on a device, and that records say what was computed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from bench.product_errors import ALGORITHMS, emulated, error_of
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.layers.parameters import nested, parameter_shapes
from geneb_jax.models.layers.sequence_cnn import Convolution
from geneb_jax.models.loading import settled_options
from geneb_jax.models.native_encoder import NativeEncoder
from geneb_jax.models.precision import (
    LARGEST_ERROR,
    PRODUCTS,
    computed_products,
    float32_products,
    using_products,
)
from tests.tolerance import Tolerance


def pretend(monkeypatch: pytest.MonkeyPatch, platform: str, capability: str | None = None) -> None:
    device = SimpleNamespace(platform=platform, compute_capability=capability)
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])


@pytest.mark.parametrize(
    ("platform", "capability", "dtype"),
    [
        ("cpu", None, "float32"),
        ("gpu", "9.0", "bfloat16"),
        ("gpu", "7.5", "float32"),
        ("tpu", None, "bfloat16"),
    ],
)
def test_auto_is_what_the_device_is_made_for(
    monkeypatch: pytest.MonkeyPatch, platform: str, capability: str | None, dtype: str
) -> None:
    pretend(monkeypatch, platform, capability)
    auto = LoadOptions(dtype="auto", weights="random")
    assert settled_options("tiny-nt-v2", auto).dtype == dtype
    for own in ("kmer-4", "torch:some/folder", "extractor.py:Class", object()):
        assert settled_options(own, auto).dtype == "float32"
    asked = LoadOptions(dtype="float16")
    assert settled_options("tiny-nt-v2", asked) is asked


def test_the_identity_holds_what_is_computed() -> None:
    asked = load_encoder("tiny-nt-v2", LoadOptions(dtype="auto"))
    assert asked.identity == load_encoder("tiny-nt-v2").identity
    assert asked.identity.dtype == "float32"


def test_auto_leaves_models_with_arithmetic_of_their_own_alone() -> None:
    assert load_encoder("kmer-3", LoadOptions(dtype="auto")).identity.dtype == "float32"


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "F32_F32_F32"])
def test_the_table_holds_what_is_measured(name: str) -> None:
    (known,) = [one for one in PRODUCTS["gpu"] if one.name == name]
    measured = [error_of(name, depth) for depth in (64, 512, 4096)]
    assert max(measured) <= 1.1 * known.error
    assert max(measured) > known.error / 3
    assert (known.error < LARGEST_ERROR) == (max(measured) < LARGEST_ERROR)


def test_parts_of_an_operand_add_up_to_it(tolerance: Tolerance) -> None:
    x = np.random.default_rng(0).standard_normal((64, 64), dtype=np.float32)
    eye = np.eye(64, dtype=np.float32)
    assert np.array_equal(emulated("BF16_BF16_F32_X9", x, eye), x)
    # 22 of 24 bits: what the third part of a TF32 split would hold is left out.
    left_out = np.abs(emulated("TF32_TF32_F32_X3", x, eye) - x) / np.abs(x)
    assert 0 < left_out.max() < 2.0**-21
    with jax.default_matmul_precision("highest"):
        plain = np.asarray(jax.jit(lambda a: a @ a.T)(x))
    rtol, atol = (tolerance("emulated_float32", kind) for kind in ("relative", "absolute"))
    assert np.allclose(emulated("F32_F32_F32", x, x.T.copy()), plain, rtol=rtol, atol=atol)


def test_float32_on_accelerators_is_the_cheapest_that_is_near_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert float32_products() == "highest" and computed_products("float32") == ""
    pretend(monkeypatch, "gpu", "9.0")
    (chosen,) = [one for one in PRODUCTS["gpu"] if one.name == float32_products()]
    assert chosen.error < LARGEST_ERROR
    assert all(one.cost >= chosen.cost for one in PRODUCTS["gpu"] if one.error < LARGEST_ERROR)
    assert computed_products("float32") == f"float32 by {chosen.name}"
    assert computed_products("bfloat16") == ""
    with using_products("highest"):
        assert float32_products() == "highest"
    pretend(monkeypatch, "gpu", "7.0")
    assert float32_products() == "highest"
    pretend(monkeypatch, "tpu")
    assert float32_products() == "highest"


def test_convolutions_of_float32_stay_float32() -> None:
    """An algorithm of products is none of convolutions: JAX would leave them at the default."""
    module = Convolution(3, 4, 4)
    drawn = nested(
        {
            path: np.ones(v.get_value().shape, np.float32)
            for path, v in parameter_shapes(module).items()
        }
    )
    with jax.default_matmul_precision("TF32_TF32_F32_X3"):
        made = jax.make_jaxpr(nnx.merge(nnx.graphdef(module), drawn))(
            np.ones((1, 9, 4), np.float32)
        )
    (found,) = [one for one in made.jaxpr.eqns if one.primitive.name == "conv_general_dilated"]
    assert set(found.params["precision"]) == {jax.lax.Precision.HIGHEST}


def dots_of(encoder: NativeEncoder) -> set[Any]:
    params = jax.tree.map(np.asarray, encoder.params)
    ids, mask = np.ones((2, 8), np.int32), np.ones((2, 8), bool)
    jaxpr = jax.make_jaxpr(encoder.pooled)(params, ids, mask).jaxpr
    found: set[Any] = set()

    def walk(jaxpr: Any) -> None:
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                found.add(str(equation.params["precision"]))
            for value in equation.params.values():
                if hasattr(value, "jaxpr"):
                    walk(value.jaxpr)

    walk(jaxpr)
    return found


def test_every_product_of_a_float32_model_runs_by_the_chosen_algorithm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = load_encoder("tiny-nt-v2")
    assert isinstance(encoder, NativeEncoder)
    assert len(dots_of(encoder)) == 1 and "HIGHEST" in str(dots_of(encoder))
    pretend(monkeypatch, "gpu", "9.0")
    assert len(dots_of(encoder)) == 1 and "TF32_TF32_F32_X3" in str(dots_of(encoder))
