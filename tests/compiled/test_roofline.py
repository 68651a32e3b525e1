"""The reader of compiled programs, against XLA's own account of programs compiled for this CPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.compile_targets import read_target
from bench.compiled_budgets import Budgets, read_budgets
from bench.hlo_text import read_module
from bench.roofline import Costs, costs_of
from tests.tolerance import Tolerance


def compiled(function: Any, *shapes: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    return jax.jit(function).lower(*(jax.ShapeDtypeStruct(s, dtype) for s in shapes)).compile()


def counted(program: Any) -> Costs:
    return costs_of(read_module(program.as_text()), read_target("h100"))


def convolved(x: jax.Array, w: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))


@pytest.mark.parametrize(
    "function, shapes",
    [
        (lambda x, w: x @ w, [(48, 32), (32, 80)]),
        (lambda x, w: jnp.einsum("bik,bjk->bij", x, w), [(3, 24, 16), (3, 40, 16)]),
        (convolved, [(2, 50, 8), (5, 8, 12)]),
    ],
)
def test_operations_of_products_are_those_that_xla_counts(
    function: Any, shapes: list[tuple[int, ...]], tolerance: Tolerance
) -> None:
    program = compiled(function, *shapes)
    own = counted(program).flops
    # XLA does not count what a convolution multiplies with its padding.
    close = tolerance("roofline", "operations")
    assert own == pytest.approx(program.cost_analysis()["flops"], rel=close)


def test_loops_count_as_often_as_they_run() -> None:
    def layers(x: jax.Array, w: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)[0]

    once, many = (counted(compiled(layers, (64, 64), (n, 64, 64))) for n in (2, 12))
    assert many.flops == 6 * once.flops == 12 * 2 * 64**3
    assert (once.trips, many.trips) == (2, 12)
    assert many.kernels > 5 * once.kernels - 5 * 4
    assert once.host_syncs == many.host_syncs == 0


def test_a_loop_of_unknown_length_counts_once_and_is_told() -> None:
    def until(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: jnp.sum(x) < 1e6, lambda x: x @ x, x)

    costs = counted(compiled(until, (32, 32)))
    assert costs.host_syncs == 1 and costs.trips == 1
    assert costs.flops == 2 * 32**3


def test_a_loop_that_only_counts_runs_to_its_limit() -> None:
    """As libtpu prints it: without the number of trips that the GPU compiler adds."""
    text = """
%body (b: (s32[], f32[8])) -> (s32[], f32[8]) {
  %b = (s32[], f32[8]{0:T(128)}) parameter(0)
  %i = s32[] get-tuple-element(%b), index=0
  %x = f32[8]{0:T(128)} get-tuple-element(%b), index=1
  %y = f32[8]{0:T(128)} exponential(%x)
  ROOT %t = (s32[], f32[8]{0:T(128)}) tuple(%i, %y)
}

%condition (c: (s32[], f32[8])) -> pred[] {
  %c = (s32[], f32[8]{0:T(128)}) parameter(0)
  %limit = s32[]{:T(128)} constant(7)
  %at = s32[] get-tuple-element(%c), index=0
  ROOT %less = pred[] compare(%at, %limit), direction=LT
}

ENTRY %main (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p = (s32[], f32[8]{0:T(128)}) parameter(0)
  ROOT %loop = (s32[], f32[8]{0:T(128)}) while(%p), condition=%condition, body=%body
}
"""
    costs = costs_of(read_module(text), read_target("v5e"))
    assert (costs.trips, costs.kernels, costs.host_syncs) == (7, 7, 0)
    unlike = text.replace("constant(7)", "get-tuple-element(%c), index=0")
    assert costs_of(read_module(unlike), read_target("v5e")).host_syncs == 1


def test_bytes_of_a_fused_kernel_are_read_and_written_once() -> None:
    program = compiled(lambda x, y: jnp.exp(x) * y + 1, (1000, 100), (1000, 100))
    assert counted(program).bytes == program.cost_analysis()["bytes accessed"] == 3 * 4 * 100_000


def test_of_a_sliced_operand_the_slice_is_read() -> None:
    def some(x: jax.Array) -> jax.Array:
        return jnp.exp(jax.lax.dynamic_slice_in_dim(x, jnp.int32(7), 10)) + 1

    assert counted(compiled(some, (10_000, 8))).bytes < 3 * 4 * 80 + 100


def test_a_scatter_in_place_writes_its_updates_alone() -> None:
    text = """
%fused (a: f64[512,20,64], b: s32[512,2], c: f64[512,1,1,64]) -> f64[512,20,64] {
  %a = f64[512,20,64]{2,1,0} parameter(0)
  %b = s32[512,2]{1,0} parameter(1)
  %c = f64[512,1,1,64]{3,2,1,0} parameter(2)
  ROOT %s = f64[512,20,64]{2,1,0} scatter(%a, %b, %c), to_apply=%assign
}

ENTRY %main (p: f64[512,20,64], q: s32[512,2], r: f64[512,1,1,64]) -> f64[512,20,64] {
  %p = f64[512,20,64]{2,1,0} parameter(0)
  %q = s32[512,2]{1,0} parameter(1)
  %r = f64[512,1,1,64]{3,2,1,0} parameter(2)
  ROOT %f = f64[512,20,64]{2,1,0} fusion(%p, %q, %r), kind=kInput, calls=%fused
}
"""
    assert costs_of(read_module(text), read_target("h100")).bytes == 512 * (2 * 64 * 8 + 2 * 4)


def test_an_estimate_is_the_larger_of_arithmetic_and_bytes(tolerance: Tolerance) -> None:
    target = read_target("h100")
    for precision, kind in (("highest", "f32"), ("default", "tf32")):
        product = partial(jnp.matmul, precision=precision)
        wide = counted(compiled(product, (4096, 4096), (4096, 4096)))
        close = tolerance("roofline", "arithmetic_seconds")
        assert wide.seconds == pytest.approx(2 * 4096**3 / target.flops(kind), rel=close)
    moved = counted(compiled(lambda x: x * 2, (1 << 24,)))
    close = tolerance("roofline", "memory_seconds")
    assert moved.seconds == pytest.approx(2 * 4 * (1 << 24) / target.bandwidth, rel=close)


def row(**changed: Any) -> dict[str, Any]:
    usual = {
        **{"kind": "forward", "model": "m", "dtype": "bfloat16", "target": "h100", "error": None},
        **{"kernels": 10, "bytes": 200, "bytes_needed": 100, "host_syncs": 0},
        **{"temp_bytes": 1, "argument_bytes": 1, "collectives": []},
    }
    return usual | changed


def test_budgets_name_what_is_exceeded() -> None:
    budgets = Budgets({"h100": {"forward": {"kernels": 20, "byte_ratio": 3}, "m bfloat16": {}}})
    assert budgets.exceeded(row()) == []
    for changed, said in (
        ({"kernels": 21}, "kernels 21, at most 20"),
        ({"bytes": 301}, "byte_ratio 3.01, at most 3"),
        ({"collectives": ["all-gather"]}, "all-gather"),
        ({"temp_bytes": 10**12}, "1000.0 GB"),
    ):
        (reason,) = budgets.exceeded(row(**changed))
        assert said in reason
    assert budgets.exceeded(row(kernels=21), counted=False) == []
    own = Budgets(
        {"h100": {"forward": {"kernels": 5}, "m": {"kernels": 8}, "m bfloat16": {"kernels": 12}}}
    )
    assert own.exceeded(row()) == []
    assert own.exceeded(row(dtype="float32")) == ["kernels 10, at most 8"]
    assert own.proposed([row(kernels=40)]) == '[h100."m bfloat16"]\nkernels = 44'


def test_the_kept_budgets_are_of_programs_that_there_are() -> None:
    from bench.probe_programs import PROBES
    from geneb_jax.models.registry import built_in_models, registry

    known = {"forward", "probe", *PROBES, *registry(), *built_in_models()}
    for target, sections in read_budgets().limits.items():
        assert read_target(target)
        for name, limits in sections.items():
            assert name.partition(" ")[0] in known, name
            assert set(limits) <= {"kernels", "byte_ratio", "host_syncs"}


def test_text_that_is_no_program_is_refused() -> None:
    with pytest.raises(ValueError, match="no ENTRY"):
        read_module("HloModule nothing")
    assert np.isfinite(read_target("v5e").flops("a dtype of the future"))
