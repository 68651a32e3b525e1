"""The program of a batch: made from an encoder, compiled, and in simpler forms where it must be.

A compiler may refuse what it was to make a kernel of: a fused attention of one shape, a product
that its Triton emitter finds no tiles for. That is neither the model's end nor the device's: the
same program is compiled again without it. Which form a shape runs in depends on the kind of device
and its compiler alone, as everything does that is not in the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from geneb_jax.models.encoder import TokenEncoder
from geneb_jax_kernels.plain_forms import plain_forms

__all__ = ["CompiledForm", "compile_pooled", "from_padded", "out_of_memory", "pooled_program"]


class _Form(NamedTuple):
    """One way to compile: said as, with fused kernels or not, with options of the compiler."""

    said: str
    fused: bool
    options: dict[str, bool]


_WITHOUT_TRITON = {"xla_gpu_enable_triton_gemm": False}
_AS_WRITTEN = _Form("", True, {})
#: What is tried in turn, by platform; on CPU there is one form.
_FORMS: dict[str, tuple[_Form, ...]] = {
    "gpu": (
        _AS_WRITTEN,
        _Form("without Triton's products", True, _WITHOUT_TRITON),
        _Form("without fused kernels", False, {}),
        _Form("without fused kernels and Triton's products", False, _WITHOUT_TRITON),
    ),
    "tpu": (_AS_WRITTEN, _Form("without fused kernels", False, {})),
}


class CompiledForm(NamedTuple):
    """A compiled program; where it is not as written, what it does without, and why."""

    program: Any
    without: str
    refusal: Exception | None


def from_padded(
    encoder: TokenEncoder, params: Any, ids: jax.Array, length_tokens: jax.Array
) -> jax.Array:
    """Pooled float32 ``[row, dim]`` of padded ids ``[row, token]`` and lengths ``[row]``.

    Ids are widened and the mask is made on the device: a quarter of the bytes go there.
    """
    position = jnp.arange(ids.shape[1], dtype=jnp.int32)
    mask = position[None, :] < length_tokens[:, None]
    pooled: jax.Array = encoder.pooled(params, ids.astype(jnp.int32), mask)
    return pooled.astype(jnp.float32)


def pooled_program(encoder: TokenEncoder, mesh: Mesh) -> Any:
    """The forward that batches run: parameters, ids ``[row, token]``, int32 lengths ``[row]`` in.

    Jitted and pure, so that it can be lowered from shapes alone, for a mesh that is not at hand.
    Each device runs the program of a device alone: their number changes no bit.

    Args:
        encoder: The model; its parameters are not read.
        mesh: Devices along one axis called ``data``.
    """
    rows, whole = PartitionSpec("data"), PartitionSpec()
    return jax.jit(
        jax.shard_map(
            partial(from_padded, encoder),
            mesh=mesh,
            in_specs=(whole, rows, rows),
            out_specs=rows,
            check_vma=False,
        )
    )


def compile_pooled(
    make: Callable[[], Any], arguments: tuple[Any, ...], *, platform: str
) -> CompiledForm:
    """Compile for arguments of these shapes, in the first form that the compiler takes.

    Args:
        make: Makes the jitted program anew, as :func:`pooled_program` does: what was traced once
            would not be traced again in another form.
        arguments: Arrays, or their shapes with shardings.
        platform: ``cpu``, ``gpu`` or ``tpu``.

    Raises:
        Exception: the first refusal, where no form is taken; at once where memory is lacking.
    """
    refusal: Exception | None = None
    for form in _FORMS.get(platform, (_AS_WRITTEN,)):
        try:
            with nullcontext() if form.fused else plain_forms():
                program = make().lower(*arguments).compile(compiler_options=form.options or None)
        except Exception as error:  # compilers and lowerings raise what they like
            if platform not in _FORMS or out_of_memory(error):
                raise
            refusal = refusal or error
        else:
            return CompiledForm(program, form.said, refusal)
    assert refusal is not None
    raise refusal


def out_of_memory(error: Exception) -> bool:
    """Whether XLA, or the host, says that memory is what is missing."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
