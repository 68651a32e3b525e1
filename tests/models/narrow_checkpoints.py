"""All 40 published checkpoints with narrow layers: names, files, layers and switches as published.

Shapes follow from the family's own parameters and key map, so a family needs no more than the sizes
that it may shrink.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from geneb_jax.models import registry
from geneb_jax.models.checkpoints.key_map import match_tensors
from geneb_jax.models.family import find_family
from geneb_jax.models.layers.parameters import parameter_shapes
from geneb_jax.models.spec import ModelSpec
from tests.models.bert_checkpoints import write_tokenizer
from tests.models.esm_checkpoints import published_tensors

#: Enformer and SPACE: a short window, and every width small.
WINDOW = {
    "input_length": 2560,
    "trunk_width": 24,
    "head_count": 2,
    "key_width": 4,
    "value_width": 12,
    "relative_feature_width": 12,
    "target_length": 6,
    "stage_widths": [12, 12, 12, 16, 20, 20, 24],
    "output_width": 48,
}
#: Families whose width is not four or eight numbers a head.
_NARROW: dict[str, dict[str, Any]] = {
    "caduceus": {"hidden_size": 16, "inner_size": 32, "time_step_rank": 2},
    "eccdna_mamba": {
        "hidden_size": 32,
        "head_count": 4,
        "inner_size": 48,
        "head_width": 12,
        "state_width": 8,
        "mlp_width": 48,
    },
    "enformer": WINDOW,
    "hyenadna": {"hidden_size": 12, "inner_size": 20, "filter_width": 6, "max_tokens": 2002},
    "janusdna": {"hidden_size": 32, "head_width": 8, "inner_size": 48, "mlp_size": 24},
    "space": WINDOW | {"input_length": 2048},
}
#: Models whose tokenizer file cannot be had offline, and whose BPE stands in for it.
OTHER_TOKENIZER = dict.fromkeys(
    (
        "GenomeOcean-4B",
        "GenomeOcean-500M",
        "OmniNA-220m",
        "eccdnamamba_weights",
        "gpt2_gene_v1",
        "gpt2_gene_multi_v2_ft",
    ),
    "Omni-DNA-1B",
)


def narrow_spec(model_id: str) -> ModelSpec:
    """The registered model with narrow layers, no pins, and a tokenizer that is at hand."""
    spec = registry()[model_id]
    config = dict(spec.config)
    changes = _NARROW.get(spec.family)
    if changes is None:
        width = 4 * config["head_count"]
        changes = {"hidden_size": width, "inner_size": 24, "fused_mlp_width": 24, "head_width": 4}
        if spec.family == "lucaone":
            changes["inner_size"] = 4 * width
    config |= {key: value for key, value in changes.items() if key in config}
    context = spec.context
    if "max_tokens" in config:
        context = dataclasses.replace(context, limit=config["max_tokens"])
    tokenizer = registry()[OTHER_TOKENIZER.get(model_id, model_id)].tokenizer
    return dataclasses.replace(spec, config=config, context=context, tokenizer=tokenizer)


def narrow_tensors(spec: ModelSpec) -> dict[str, np.ndarray]:
    """Random tensors under every published name; those that nobody reads are two by two."""
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=spec.model_id)
    variables = parameter_shapes(family.module(config))
    published = published_tensors(spec.model_id)
    shapes = {name: tuple(shape) for name, (shape, _) in published["tensors"].items()}
    generator = np.random.default_rng(0)
    tensors = {name: np.zeros((2, 2), np.float32) for name in published["dropped"]}
    for match in match_tensors(shapes, family.key_map(config), where=spec.model_id):
        shape = variables[match.weight.parameter].get_value().shape[len(match.index) :]
        stored = match.weight.transform.stored_shape(shape)
        values = _drawn(generator, match.weight.parameter, stored)
        tensors |= {name: values for name in match.names if name not in tensors}
    for copy, first in published.get("tied", {}).items():
        if first in tensors and first not in published["dropped"]:
            tensors[copy] = tensors[first]
    for name in set(shapes) - set(tensors):  # the other species' of SPACE
        tensors[name] = np.zeros((2, 2), np.float32)
    return tensors


def _drawn(generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = generator.normal(0.0, 0.1, shape)
    if "variance" in name or "running_var" in name:
        values = 0.5 + np.abs(values)
    if "norm" in name and name.endswith(("scale", "weight")):
        values = 1 + values
    return values.astype(np.float32)


def write_narrow(spec: ModelSpec, folder: Path) -> Path:
    """The published weight files, sharded and nested as they are, and the tokenizer's file."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = narrow_tensors(spec)
    names = [file.name for file in spec.weight_files()]
    parts = [list(tensors)[index :: len(names)] for index in range(len(names))]
    for name, part in zip(names, parts, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        held = {key: tensors[key] for key in part}
        if name.endswith(".safetensors"):
            save_file(held, folder / name)
        else:
            as_torch: Mapping[str, Any] = {key: torch.tensor(held[key]) for key in held}
            torch.save({"model": as_torch} if name.endswith(".pth") else as_torch, folder / name)
    if len(names) > 1:
        stem = "model.safetensors" if names[0].endswith(".safetensors") else "pytorch_model.bin"
        weight_map = {key: name for name, part in zip(names, parts, strict=True) for key in part}
        (folder / f"{stem}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    write_tokenizer(OTHER_TOKENIZER.get(spec.model_id, spec.model_id), folder)
    return folder
