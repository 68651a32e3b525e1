"""Checkpoints of the convolutional families: recorded ones, and published names scaled down."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from safetensors.numpy import save_file

from geneb_jax.models import registry
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from geneb_jax.models.family import find_family
from geneb_jax.models.layers.network import HiddenStates
from tests.models.esm_checkpoints import FIXTURES, published_tensors
from tests.tolerance import relative_error

_CONTENT = json.loads((FIXTURES / "convolution_recorded.json").read_text(encoding="utf-8"))
RECORDED = {case["id"]: case for case in _CONTENT["cases"]}
#: The known values of the published config.json files.
CONFIGS: dict[str, dict[str, Any]] = _CONTENT["configs"]
MODEL_IDS = tuple(CONFIGS)

#: Family to the fields of its config that shrink, and what they shrink to.
_SMALL: dict[str, dict[str, Any]] = {
    "hyenadna": {
        "hidden_size": 12,
        "layer_count": 2,
        "inner_size": 20,
        "max_tokens": 900,
        "filter_width": 6,
    },
    "enformer": {
        "input_length": 2560,
        "trunk_width": 24,
        "layer_count": 2,
        "head_count": 2,
        "key_width": 4,
        "value_width": 12,
        "relative_feature_width": 12,
        "target_length": 6,
        "stage_widths": (12, 12, 12, 16, 20, 20, 24),
        "output_width": 48,
    },
    "stripedhyena": {
        "hidden_size": 24,
        "layer_count": 10,
        "head_count": 2,
        "inner_size": 40,
        "attention_layers": (8,),
    },
}


def array(stored: dict[str, Any]) -> np.ndarray:
    """A recorded tensor."""
    return np.array(stored["data"], np.float32).reshape(stored["shape"])


def recorded_tensors(case: str) -> dict[str, np.ndarray]:
    """A case's weights by the names of the published checkpoint."""
    prefix = "model." if RECORDED[case]["weight_name_map_to_checkpoint"] else ""
    return {prefix + name: array(value) for name, value in RECORDED[case]["weights"].items()}


_SMALL["space"] = _SMALL["enformer"] | {"input_length": 2048}


def small_config(model_id: str) -> Any:
    """The model's config with the sizes that may shrink made small."""
    spec = registry()[model_id]
    section = {**spec.config, **_SMALL[spec.family]}
    return find_family(spec.family).read_config(section, where=model_id)


def small_shapes(model_id: str) -> dict[str, tuple[list[int], str]]:
    """Name to (shape, dtype) of the published tensors, at the sizes of :func:`small_config`."""
    spec = registry()[model_id]
    true = find_family(spec.family).read_config(spec.config, where=model_id)
    small = small_config(model_id)
    sizes = _sizes(true, small)
    shapes = {}
    for name, (shape, dtype) in published_tensors(model_id)["tensors"].items():
        if layer_of(name) < small.layer_count:
            shapes[name] = ([sizes.get(size, size) for size in shape], dtype)
    return shapes


def layer_of(name: str) -> int:
    """The layer that a tensor belongs to; 0 for those of none."""
    parts = name.split(".")
    if parts[:2] == ["_trunk", "4"]:  # the transformer, where the file repeats it
        return int(parts[2])
    for word in ("layers", "blocks", "transformer"):
        for here, following in itertools.pairwise(parts):
            if here == word and following.isdigit():
                return int(following)
    return 0


def _sizes(true: Any, small: Any) -> dict[int, int]:
    if hasattr(true, "trunk_width"):
        keys = true.head_count * true.key_width, small.head_count * small.key_width
        pairs = [
            *zip(true.stage_widths, small.stage_widths, strict=True),
            (true.trunk_width, small.trunk_width),
            (2 * true.trunk_width, 2 * small.trunk_width),
            (true.head_count, small.head_count),
            (true.key_width, small.key_width),
            (true.relative_feature_width, small.relative_feature_width),
            keys,
        ]
        return dict(pairs)
    old, new = asdict(true), asdict(small)
    sizes = {
        old[name]: new[name]
        for name in old
        if isinstance(old[name], int) and name not in ("layer_count", "head_count", "vocab_size")
    }
    return sizes | {3 * true.hidden_size: 3 * small.hidden_size}


def small_tensors(model_id: str) -> dict[str, np.ndarray]:
    """Values for :func:`small_shapes`; integers where the published tensor holds integers."""
    ties = published_tensors(model_id).get("tied", {})
    return {
        name: drawn_tensor(ties.get(name, name), shape)
        if dtype != "I64"
        else np.zeros(shape, np.int64)
        for name, (shape, dtype) in small_shapes(model_id).items()
    }


def used_names(model_id: str) -> list[str]:
    """Names of :func:`small_shapes` that an embedding needs."""
    return [name for name in small_shapes(model_id) if name not in unused_names(model_id)]


def unused_names(model_id: str) -> set[str]:
    """Published names that an embedding does not need; the list keeps SPACE's other species."""
    published = published_tensors(model_id)
    mouse = {name for name in published["tensors"] if model_id == "space" and ".mouse" in name}
    return set(published["dropped"]) | mouse


def copies_of(model_id: str, name: str) -> list[str]:
    """Names under which a published file repeats a tensor."""
    ties = published_tensors(model_id).get("tied", {})
    return [copy for copy, first in ties.items() if first == name]


def drawn_tensor(name: str, shape: Sequence[int]) -> np.ndarray:
    """Random values decided by the name alone; scales of norms near one, variances positive."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    values = generator.normal(0.0, 0.2, shape)
    if len(shape) == 1 and name.endswith(("weight", "scale")):
        values = values + 1
    if name.endswith("running_var"):
        values = 0.5 + np.abs(values)
    if name.endswith("poles"):
        values = 0.6 * values
    return values.astype(np.float32)


def write_weights(tensors: Mapping[str, np.ndarray], path: Path) -> Path:
    """A weight file: safetensors or torch's, by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)
    else:
        torch.save({name: torch.from_numpy(value) for name, value in tensors.items()}, path)
    return path


def network(
    family_name: str,
    config: Any,
    tensors: Mapping[str, np.ndarray],
    folder: Path,
    *,
    dtype: str = "float32",
) -> Any:
    """Our jitted network filled from a weight file: ``(ids, mask, layer=-1) -> HiddenStates``."""
    family = find_family(family_name)
    module = family.module(config)
    path = write_weights(tensors, folder / "model.safetensors")
    fitted = fit_checkpoint(module, open_checkpoint([path]), family.key_map(config))
    definition, params = nnx.graphdef(module), fitted.load(dtype=dtype)

    @jax.jit
    def run(params: Any, ids: Any, mask: Any) -> HiddenStates:
        return nnx.merge(definition, params)(ids, mask)

    def call(ids: np.ndarray, mask: np.ndarray, layer: int = -1) -> HiddenStates:
        with jax.default_matmul_precision("highest"):
            given = jnp.asarray(ids, jnp.int32), jnp.asarray(mask)
            if layer == -1:
                return run(params, *given)
            return nnx.merge(definition, params)(*given, layer=layer)

    return call


def shrink(config: Any, **changes: Any) -> Any:
    """A config with some fields changed."""
    return replace(config, **changes)


def sequence_cnn_sizes(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """The config fields that Enformer and SPACE share, from a recorded topology."""
    return {
        "input_length": sizes["input_length"],
        "trunk_width": sizes["width"],
        "layer_count": sizes["layers"],
        "head_count": sizes["heads"],
        "key_width": sizes["key_dimension"],
        "value_width": sizes["value_dimension"],
        "relative_feature_width": sizes["relative_feature_width"],
        "target_length": sizes["target_length"],
        "stage_widths": (sizes["stem_width"], *sizes["tower_widths"]),
        "output_width": sizes["output_width"],
        "batch_norm_epsilon": sizes["epsilon"],
    }


def check_recorded(
    case: Mapping[str, Any], states: Any, *, hidden_state: float, pooled_embedding: float
) -> None:
    """Hidden states ``[1, token, dim]`` and their mean are the recorded ones, within the limits."""
    expected = {key: array(stored) for key, stored in case["expected"].items()}
    assert relative_error(states[0], expected["final_hidden"]) <= hidden_state
    pooled = np.asarray(states[0]).mean(axis=0)
    assert relative_error(pooled, expected["pooled"]) <= pooled_embedding
