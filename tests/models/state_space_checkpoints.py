"""Recorded outputs and synthetic checkpoints of the state-space families."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.checkpoint import Checkpoint, TensorInfo
from geneb_jax.models.family import Family
from tests.models.esm_checkpoints import FIXTURES

RECORDED = json.loads(gzip.decompress((FIXTURES / "state_space_recorded.json.gz").read_bytes()))

Shapes = Mapping[str, tuple[int, ...]]


class TensorsInMemory(Checkpoint):
    """A checkpoint of arrays, or of shapes alone."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        super().__init__([Path("in-memory")])
        self._values = tensors
        for name, value in tensors.items():
            shape = value if isinstance(value, tuple) else value.shape
            self._register(name, TensorInfo(shape, "F32"), 0)

    def read(self, name: str) -> np.ndarray:
        return self._values[name]


def array(stored: Mapping[str, Any]) -> np.ndarray:
    return np.array(stored["data"], np.float32).reshape(stored["shape"])


def renamed(case: str, pairs: Iterable[tuple[str, str]]) -> dict[str, np.ndarray]:
    """The weights of a recorded case, under the names of the published checkpoint."""
    tensors = {}
    for name, stored in RECORDED[case]["weights"].items():
        published = name
        for old, new in pairs:
            published = published.replace(old, new)
        tensors[published] = array(stored)
    return tensors


def network(family: Family[Any], config: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """A family's module, filled from arrays by its key map."""
    module = family.module(config)
    fitted = fit_checkpoint(module, TensorsInMemory(tensors), family.key_map(config))
    return nnx.merge(nnx.graphdef(module), fitted.load(dtype="float32"))


def states(net: Any, ids: np.ndarray, mask: np.ndarray | None = None) -> Callable[[int], Any]:
    """layer -> values of one batch, as NumPy."""
    seen = jnp.ones(ids.shape, bool) if mask is None else jnp.asarray(mask)

    def at(layer: int) -> np.ndarray:
        arguments = (jnp.asarray(ids, jnp.int32), seen)
        traced = jax.jit(lambda ids, seen: net(ids, seen, layer=layer).values).lower(*arguments)
        # Without LLVM's passes compiling takes a third; the arithmetic stays XLA's.
        return np.asarray(
            traced.compile(compiler_options={"xla_backend_optimization_level": 0})(*arguments)
        )

    return at


def spread_tensors(shapes: Shapes, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors of sizes as in trained networks: no neutral norm, decays on every scale."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = generator.standard_normal(shape)
        if name.endswith("A_log"):
            values = generator.uniform(-1, 2, shape)
        elif name.endswith(("dt_bias", "dt_proj.bias")):
            values = generator.uniform(-5, 1, shape)
        elif "norm" in name:
            values = 1 + 0.2 * values
        elif len(shape) > 1 and "embedding" not in name and "embed_tokens" not in name:
            values = values / np.sqrt(np.prod(shape[1:]))
        else:
            values = 0.5 * values
        tensors[name] = values.astype(np.float32)
    return tensors


def jitted(encoder: Any) -> Callable[..., Any]:
    """(params, ids, mask) -> pooled embeddings."""
    return jax.jit(encoder.pooled)


#: What is done to one tensor of a checkpoint in ``tampered``.
CHANGES = ("missing", "extra", "renamed", "transposed", "nan")


def tampered(
    tensors: Mapping[str, np.ndarray], name: str, change: str, *, extra: str
) -> tuple[dict[str, np.ndarray], str]:
    """The tensors with one of them changed, and the name that the refusal must give."""
    changed = dict(tensors)
    values = np.array(changed.pop(name))
    if change == "extra":
        return changed | {name: values, extra: values}, extra
    if change == "renamed":
        return changed | {name.replace("_proj", "proj"): values}, name
    if change == "transposed":
        return changed | {name: np.ascontiguousarray(values.T)}, name
    if change == "nan":
        values[0, 0] = np.nan
        return changed | {name: values}, name
    return changed, name
