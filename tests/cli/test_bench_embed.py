"""``geneb-jax bench embed``: what it measures, and its count of operations against torch's."""

from __future__ import annotations

import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from jax.experimental import pallas as pl
from torch.utils.flop_counter import FlopCounterMode

from geneb_jax.cli.bench_embed import command
from geneb_jax.embed.device_peaks import peak_flops
from geneb_jax.embed.matrix_flops import matrix_flops
from geneb_jax.models import LoadOptions, load_encoder
from tests.models.esm_checkpoints import SMALL_ESM, esm_model, save
from tests.tolerance import Tolerance


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(command, ["--seconds", "0", *arguments])
    assert result.exit_code == 0, result.output
    return result


def test_every_dtype_and_budget_is_measured_on_all_devices() -> None:
    began = time.perf_counter()
    found = json.loads(
        run(
            "--lengths", "60", "--batch-tokens", "256", "--dtype", "float32,bfloat16", "--json"
        ).output
    )
    elapsed = time.perf_counter() - began
    assert found["parameters"] == load_encoder("tiny-nt-v2").parameter_count
    assert [row["dtype"] for row in found["measurements"]] == ["float32", "bfloat16"]
    for row in found["measurements"]:
        assert row["devices"] == 2
        assert row["batch_tokens"] == 256
        assert row["compile_count"] == 1
        assert row["tokens_per_second"] == pytest.approx(11 * row["sequences_per_second"])
        assert row["padding_share"] < 0.1
        assert 0 < row["compile_seconds"] < elapsed
        # No program is smaller than the parameters.
        assert row["program_bytes"] > 2 * found["parameters"]
        assert row["flops_per_second"] > 0
        assert row["utilisation"] is None  # nobody states the peak of these processors


def test_ranges_of_lengths_are_padded_and_shown_as_a_table() -> None:
    arguments = ("--lengths", "66,30-90", "--batch-tokens", "128", "--devices", "1")
    table = [line.split("\t") for line in run(*arguments).output.splitlines()]
    header, even, mixed = table
    assert header[:3] == ["bp", "dtype", "devices"]
    assert even[:3] == ["66", "float32", "1"]
    assert mixed[:3] == ["30-90", "float32", "1"]
    padding = [float(row[header.index("padding")].rstrip("%")) for row in (even, mixed)]
    # 66 bp are 12 tokens, which is a rung.
    assert padding[0] < 2 < padding[1] < 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--lengths", "0"), "lengths start at 1"),
        (("--lengths", "20-10"), "shorter end"),
        (("--lengths", "x"), "neither a length nor a range"),
        (("--batch-tokens", "0"), "at least one token"),
        (("--dtype", "float8"), "not one of"),
        (("--devices", "3"), "there are 2 here"),
    ],
)
def test_impossible_choices_are_refused(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_operations_are_those_that_torch_counts(tmp_path: Any, tolerance: Tolerance) -> None:
    """Layers are scanned here and a list there; torch makes its rotation by a small product."""
    model = esm_model(**SMALL_ESM)
    model.set_attn_implementation("eager")  # torch does not count inside its fused attention
    encoder = load_encoder(save(model, tmp_path / "model"), LoadOptions(weights="random"))
    ids = np.full((3, 40), 7)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.tensor(ids), attention_mask=torch.ones(ids.shape))
    ours = matrix_flops(encoder.pooled, encoder.params, ids, np.ones(ids.shape, bool))
    assert (
        0 <= counter.get_total_flops() - ours < tolerance("counted_operations", "relative") * ours
    )


def test_operations_of_convolutions_loops_and_branches() -> None:
    x, kernel = jnp.ones((2, 50, 8)), jnp.ones((5, 2, 6))

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=2
        )

    layer = torch.nn.Conv1d(4, 6, 5, padding=2, groups=2)
    kernel = jnp.ones((5, 2, 6))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        layer(torch.ones(2, 4, 50))
    assert matrix_flops(convolve, x[..., :4], kernel) == counter.get_total_flops()
    square = jnp.ones((7, 7))

    def loop(square: jax.Array) -> jax.Array:
        def step(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
            return jax.lax.cond(carry[0, 0] > 0, lambda y: y @ square, lambda y: y, carry), None

        return jax.lax.scan(step, square, length=9)[0]

    assert matrix_flops(jax.jit(loop), square) == 9 * 2 * 7**3


def test_operations_are_those_of_the_form_for_this_platform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = jax.ShapeDtypeStruct((256, 16), "bfloat16")

    def kernel(given: Any, result: Any) -> None:
        result[:, :] = given[:, :] @ given[:, :].T

    def form(given: jax.Array) -> jax.Array:
        """Four programs of a product of 64 by 64."""
        block = pl.BlockSpec((64, 16), lambda row: (row, 0))
        return pl.pallas_call(
            kernel,
            grid=(4,),
            in_specs=[block],
            out_specs=pl.BlockSpec((64, 64), lambda row: (row, 0)),
            out_shape=jax.ShapeDtypeStruct((256, 64), given.dtype),
        )(given)

    def by_platform(given: jax.Array) -> jax.Array:
        return jax.lax.platform_dependent(
            given, cpu=lambda x: x @ x[:64].T, cuda=form, default=lambda x: (x @ x.T)[:, :64]
        )

    for platform, operations in (
        ("cpu", 2 * 256 * 16 * 64),
        ("gpu", 4 * 2 * 64 * 16 * 64),
        ("tpu", 2 * 256 * 16 * 256),
    ):
        monkeypatch.setattr(jax, "default_backend", lambda platform=platform: platform)
        assert matrix_flops(by_platform, wide) == operations


def test_peaks_of_known_devices() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3", "bfloat16") == 989e12
    assert peak_flops("NVIDIA H100 PCIe", "float32") == 51e12
    assert peak_flops("TPU v5 lite", "float32") is None
    assert peak_flops("cpu", "float32") is None
