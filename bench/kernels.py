"""Time and memory of the array kernels beside their plain forms, at the shapes of published models.

``python -m bench.kernels`` prints one JSON line a kernel and form: seconds (best of three), bytes
beyond inputs and outputs, bytes moved at least, their rate and its share of a large copy's, matrix
operations a second, and the largest error against the plain form. A plain form that needs more than
``--most-gib`` of memory is not run. The selective scan has ``bench/scan.py``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bench.measuring import measure
from geneb_jax.embed.matrix_flops import matrix_flops
from geneb_jax_kernels.attention_pooling import attention_pooling, attention_pooling_reference
from geneb_jax_kernels.causal_depthwise_convolution import (
    causal_depthwise_convolution,
    causal_depthwise_convolution_reference,
)
from geneb_jax_kernels.fft_convolution import fft_convolution, fft_convolution_reference
from geneb_jax_kernels.modal_filter import modal_filter, modal_filter_reference
from geneb_jax_kernels.relative_shift import (
    relative_attention,
    relative_attention_reference,
    relative_shift,
)
from geneb_jax_kernels.ssd import ssd, ssd_reference


class Case(NamedTuple):
    """A kernel, its plain form and inputs of a model's shape."""

    model: str
    ours: Callable[..., Any]
    plain: Callable[..., Any]
    inputs: Callable[[], list[np.ndarray]]


_GENERATOR = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Standard normal float32."""
    return _GENERATOR.standard_normal(shape, dtype=np.float32)


def _ssd() -> list[np.ndarray]:
    rows, tokens, heads, width, states = 2, 2048, 24, 64, 128
    step = np.exp(normal(rows, tokens, heads) - 3)
    maps = normal(rows, tokens, 1, states), normal(rows, tokens, 1, states)
    x = normal(rows, tokens, heads, width)
    return [x, step, -np.exp(normal(heads)), *maps, normal(heads)]


def _relative(tokens: int = 1536, heads: int = 8, keys: int = 64) -> list[np.ndarray]:
    parts = [normal(tokens, heads, keys) for _ in "qk"]
    value, distance = normal(tokens, heads, 192), normal(2 * tokens - 1, heads, keys)
    return [0.1 * parts[0], parts[1], value, distance, normal(heads, keys), normal(heads, keys)]


def _gathered(logits: jax.Array) -> jax.Array:
    """The relative shift as an index by distance."""
    queries = logits.shape[1]
    distance = jnp.arange(queries)[None, :] - jnp.arange(queries)[:, None] + queries - 1
    index = jnp.broadcast_to(distance[None], (logits.shape[0], queries, queries))
    return jnp.take_along_axis(logits, index, axis=2)


def _convolution(rows: int, tokens: int, channels: int) -> Callable[[], list[np.ndarray]]:
    def draw() -> list[np.ndarray]:
        filters = normal(tokens, channels) * np.exp(-np.arange(tokens) / 200)[:, None]
        return [normal(rows, tokens, channels), filters.astype(np.float32), normal(channels)]

    return draw


CASES: dict[str, Case] = {
    "ssd": Case("eccDNAMamba, 2 x 2048", ssd, ssd_reference, _ssd),
    "causal depthwise convolution": Case(
        "Caduceus, 8 x 4096",
        causal_depthwise_convolution,
        causal_depthwise_convolution_reference,
        lambda: [normal(8, 4096, 512), normal(512, 4), normal(512)],
    ),
    "fft convolution": Case(
        "HyenaDNA, 4 x 1024", fft_convolution, fft_convolution_reference, _convolution(4, 1024, 256)
    ),
    "fft convolution, long": Case(
        "HyenaDNA, 1 x 32768",
        fft_convolution,
        fft_convolution_reference,
        _convolution(1, 32768, 256),
    ),
    "modal filter": Case(
        "Evo-1, 512 channels, 8192",
        partial(modal_filter, length=8192),
        partial(modal_filter_reference, length=8192),
        lambda: [0.6 * np.tanh(normal(512, 8, 2)), normal(512, 8, 2)],  # inside the unit circle
    ),
    "attention pooling": Case(
        "Enformer, 24576 x 768",
        attention_pooling,
        attention_pooling_reference,
        lambda: [normal(1, 24576, 768), 0.05 * normal(768, 768)],
    ),
    "relative shift": Case(
        "Enformer, 8 heads, 1536",
        partial(relative_shift, key_count=1536),
        _gathered,
        lambda: [normal(8, 1536, 3071)],
    ),
    "relative attention": Case(
        "Enformer, 8 heads, 1536", relative_attention, relative_attention_reference, _relative
    ),
}


def main() -> None:
    """Measure every kernel, or the named ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", choices=CASES, action="append")
    parser.add_argument("--most-gib", type=float, default=2.0)
    chosen = parser.parse_args()
    for name in chosen.kernel or CASES:
        case = CASES[name]
        inputs = [jax.device_put(array) for array in case.inputs()]
        about = {"kernel": name, "shape": case.model, "device": jax.devices()[0].device_kind}
        memory = jax.jit(case.plain).lower(*inputs).compile().memory_analysis()
        fits = memory.temp_size_in_bytes <= chosen.most_gib * 2**30
        plain = measure(case.plain, inputs) if fits else None
        ours = measure(case.ours, inputs)
        operations = matrix_flops(case.ours, *inputs)
        ours["gigaflops_per_second"] = operations / ours["seconds"] / 1e9
        if plain is not None:
            ours["times_faster_than_plain"] = plain["seconds"] / ours["seconds"]
            ours["largest_error"] = _error(case, inputs)
            print(json.dumps(about | {"form": "plain"} | plain), flush=True)
        else:
            ours["plain_would_need_bytes"] = memory.temp_size_in_bytes
        print(json.dumps(about | {"form": "ours"} | ours), flush=True)


def _error(case: Case, inputs: list[jax.Array]) -> float:
    """Largest difference over the largest number."""
    ours, plain = (np.asarray(jax.jit(form)(*inputs)) for form in (case.ours, case.plain))
    return float(np.abs(ours - plain).max() / np.abs(plain).max())


if __name__ == "__main__":
    main()
