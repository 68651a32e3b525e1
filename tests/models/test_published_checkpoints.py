"""Checkpoints of published names and shapes: whole they load, tampered with they are refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from geneb_jax.errors import CheckpointError
from geneb_jax.models import load_encoder, registry
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.checkpoint import Checkpoint, TensorInfo
from geneb_jax.models.family import find_family
from geneb_jax.models.layers.parameters import parameter_shapes
from tests.models.esm_checkpoints import published_tensors, random_tensors

ESM = [model_id for model_id, spec in registry().items() if spec.family == "esm"]
FORM_MODELS = [
    "nucleotide-transformer-2.5b-multi-species",
    "agro-nucleotide-transformer-1b",
    "nucleotide-transformer-v2-50m-3mer-multi-species",
]


class _NamesOnly(Checkpoint):
    """A checkpoint of the published names, shapes and dtypes, at its true size, without values."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        super().__init__([Path("published")])
        for name, (shape, dtype) in tensors.items():
            self._register(name, TensorInfo(tuple(shape), dtype), 0)

    def read(self, name: str) -> np.ndarray:
        raise AssertionError("no values here")


@pytest.mark.parametrize("model_id", ESM)
def test_published_names_and_shapes_at_true_size(model_id: str) -> None:
    published = published_tensors(model_id)
    spec = registry()[model_id]
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=model_id)
    module = family.module(config)
    fit_checkpoint(module, _NamesOnly(published["tensors"]), family.key_map(config))
    used = [
        math.prod(shape)
        for name, (shape, _) in published["tensors"].items()
        if name not in published["dropped"]
    ]
    assert sum(math.prod(v.get_value().shape) for v in parameter_shapes(module).values()) == sum(
        used
    )


def scaled(model_id: str, folder: Path) -> dict[str, np.ndarray]:
    """Write config.json as published with small sizes, and give tensors of the published names."""
    spec = registry()[model_id]
    sizes = {**spec.config}
    heads = 2 if sizes["positions"] == "absolute" else 4
    # Agro-NT's heads are 75 wide; an odd width is kept in the small form.
    small = {"hidden_size": 5 * heads if heads == 2 else 8 * heads, "inner_size": 24}
    declared = sizes.get("position_count", 2050)
    replace = {
        sizes["hidden_size"]: small["hidden_size"],
        sizes["inner_size"]: small["inner_size"],
        2 * sizes["inner_size"]: 2 * small["inner_size"],
        declared: 66,
    }
    layers = 2
    shapes = {}
    for name, (shape, _) in published_tensors(model_id)["tensors"].items():
        if ".layer." in name and int(name.split(".layer.")[1].split(".")[0]) >= layers:
            continue
        half = [small["hidden_size"] // heads // 2]
        shapes[name] = half if name.endswith("inv_freq") else [replace.get(n, n) for n in shape]
    config = {
        "model_type": "esm",
        "architectures": ["EsmForMaskedLM"],
        "vocab_size": sizes["vocab_size"],
        "hidden_size": small["hidden_size"],
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": small["inner_size"],
        "max_position_embeddings": 66,
        "layer_norm_eps": sizes["norm_eps"],
        "position_embedding_type": sizes["positions"],
        "token_dropout": sizes["token_dropout"],
        "emb_layer_norm_before": False,
        "pad_token_id": 1,
        "mask_token_id": 2,
    }
    if sizes["feed_forward"] == "swiglu":
        config |= {
            "add_bias_fnn": False,
            "auto_map": {
                "AutoModel": "modeling_esm.EsmModel",
                "AutoConfig": "esm_config.EsmConfig",
            },
        }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    tensors = random_tensors(shapes)
    frequencies = next((name for name in tensors if name.endswith("inv_freq")), None)
    if frequencies is not None:  # every layer has the same ones
        same = tensors[frequencies]
        tensors |= {name: same.copy() for name in tensors if name.endswith("inv_freq")}
    return tensors


@pytest.mark.parametrize("model_id", FORM_MODELS)
def test_published_form_loads(model_id: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tensors = scaled(model_id, folder)
    save_file(tensors, folder / "model.safetensors")
    encoder = load_encoder(folder)
    assert encoder.config.feed_forward == registry()[model_id].config["feed_forward"]
    stored = any(name.endswith("inv_freq") for name in tensors)
    published = registry()[model_id].config["positions"]
    assert encoder.config.positions == ("rotary-stored" if stored else published)
    ids = encoder.tokenize("ACGTACGTN").ids[None]
    result = jax.jit(encoder.pooled)(encoder.params, ids, np.ones(ids.shape, bool))
    assert np.isfinite(result).all()


def remove(tensors: dict[str, np.ndarray], name: str) -> None:
    del tensors[name]


def add(tensors: dict[str, np.ndarray], name: str) -> None:
    tensors[f"{name}.extra"] = tensors[name].copy()


def rename(tensors: dict[str, np.ndarray], name: str) -> None:
    tensors[f"{name}s"] = tensors.pop(name)


def transpose(tensors: dict[str, np.ndarray], name: str) -> None:
    tensors[name] = np.ascontiguousarray(tensors[name].T)


def put_nan(tensors: dict[str, np.ndarray], name: str) -> None:
    tensors[name].flat[-1] = np.nan


def put_infinity(tensors: dict[str, np.ndarray], name: str) -> None:
    tensors[name].flat[0] = -np.inf


def make_integer(tensors: dict[str, np.ndarray], name: str) -> None:
    tensors[name] = np.ones(tensors[name].shape, np.int8)


TAMPERINGS: dict[str, tuple[Callable[[dict[str, np.ndarray], str], None], str]] = {
    "remove": (remove, r"1 tensor is missing: {name}"),
    "add": (add, r"1 tensor is unexpected: {name}.extra"),
    "rename": (
        rename,
        r"missing: {name} \(the checkpoint has {name}s\).*: {name}s \(expected {name}\)",
    ),
    "transpose": (transpose, r"tensor {name} has shape .* it is transposed"),
    "nan": (put_nan, r"tensor {name} holds 1 values that are NaN or infinite"),
    "infinity": (put_infinity, r"tensor {name} holds 1 values that are NaN or infinite"),
    "integer": (make_integer, r"tensor {name} holds I8"),
}


@pytest.fixture(scope="module", params=FORM_MODELS)
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    return request.param, folder, scaled(request.param, folder)


def load_values(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    save_file(tensors, folder / "model.safetensors")
    assert load_encoder(folder).params


@pytest.mark.parametrize("kind", TAMPERINGS)
@pytest.mark.fault("F10")
def test_any_one_tampered_tensor_is_refused_by_name(
    checkpoint: tuple[str, Path, dict[str, np.ndarray]], kind: str
) -> None:
    model_id, folder, tensors = checkpoint
    tamper, message = TAMPERINGS[kind]
    unused = set(published_tensors(model_id)["dropped"])
    used = [name for name in tensors if name not in unused]
    assert len(used) > 20
    for name in used:
        if kind == "transpose" and (tensors[name].ndim < 2 or len(set(tensors[name].shape)) == 1):
            continue  # a square matrix looks the same either way
        changed = {key: value.copy() for key, value in tensors.items()}
        tamper(changed, name)
        with pytest.raises(CheckpointError, match=message.format(name=name.replace(".", r"\."))):
            load_values(folder, changed)


def test_tensors_on_the_drop_list_do_not_matter(
    checkpoint: tuple[str, Path, dict[str, np.ndarray]],
) -> None:
    _, folder, tensors = checkpoint
    changed = {name: value.copy() for name, value in tensors.items()}
    for name in [name for name in changed if "head" in name]:
        changed[name][...] = np.nan
    load_values(folder, changed)
    load_values(folder, {name: value for name, value in tensors.items() if "head" not in name})


def test_names_without_their_prefix_load(
    checkpoint: tuple[str, Path, dict[str, np.ndarray]],
) -> None:
    _, folder, tensors = checkpoint
    bare = {name.removeprefix("esm."): value for name, value in tensors.items()}
    load_values(folder, bare)
