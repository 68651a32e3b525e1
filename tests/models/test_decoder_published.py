"""The 13 published decoders: every tensor name and shape, folders as published, models by id."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from flax import nnx
from safetensors.numpy import save_file

from geneb_jax.errors import CheckpointError, ModelError
from geneb_jax.models import LoadOptions, blueprint, load_encoder, registry
from geneb_jax.models.checkpoints import memory
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.checkpoint import Checkpoint, TensorInfo
from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.heads import is_head
from geneb_jax.models.checkpoints.key_map import KeyMap, match_tensors
from geneb_jax.models.family import family_for_folder, find_family
from geneb_jax.models.layers.parameters import parameter_shapes
from geneb_jax.models.native_encoder import NativeEncoder
from geneb_jax.models.spec import ModelSpec
from tests.models.decoder_checkpoints import (
    batch,
    published_config,
    published_shapes,
    write_tokenizer,
)

MODELS = (
    "METAGENE-1",
    "GENERator-eukaryote-1.2b-base",
    "GENERator-eukaryote-3b-base",
    "GenomeOcean-4B",
    "GenomeOcean-500M",
    "OmniNA-220m",
    "BioFM-265M",
    "Omni-DNA-1B",
    "Omni-DNA-300M",
    "gpt2_gene_v1",
    "gpt2_gene_multi_v2_ft",
    "dna_gpt0.1b_h",
    "dna_gpt3b_m",
)
#: Models without a config.json, and those whose tokenizer files are not at hand.
NO_CONFIG = ("dna_gpt0.1b_h", "dna_gpt3b_m")
OTHER_TOKENIZER = {
    "GenomeOcean-4B": "Omni-DNA-1B",
    "GenomeOcean-500M": "Omni-DNA-1B",
    "OmniNA-220m": "Omni-DNA-1B",
    "gpt2_gene_v1": "Omni-DNA-1B",
    "gpt2_gene_multi_v2_ft": "Omni-DNA-1B",
}


class Header(Checkpoint):
    """A checkpoint of names and shapes alone: no value may be asked for."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__([Path("published")])
        self.tensors = {name: TensorInfo(shape, "F32") for name, shape in shapes.items()}

    def read(self, name: str) -> np.ndarray:
        raise AssertionError(f"read {name}")


#: Network at true size, its key map, published shapes, names left out.
Published = tuple[nnx.Module, KeyMap, dict[str, tuple[int, ...]], set[str]]


@pytest.fixture(scope="module", params=MODELS)
def published(request: pytest.FixtureRequest) -> Published:
    spec = registry()[request.param]
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=spec.model_id)
    shapes, dropped = published_shapes(spec.model_id)
    return family.module(config), family.key_map(config), shapes, dropped


def test_every_published_tensor_has_its_place(published: Published) -> None:
    module, key_map, shapes, dropped = published
    fitted = fit_checkpoint(module, Header(shapes), key_map)
    used = {name for parts in fitted.parts.values() for part in parts for name in part.names}
    assert used == set(shapes) - dropped


def kinds(names: Iterable[str]) -> list[str]:
    """One tensor of each kind, from the last layer that has it."""
    return list({re.sub(r"\d+", "#", name): name for name in names}.values())


def test_any_change_of_a_tensor_is_refused_by_name(published: Published) -> None:
    module, key_map, shapes, dropped = published

    def refused(changed: Mapping[str, tuple[int, ...]], name: str) -> None:
        with pytest.raises(CheckpointError, match=re.escape(name)):
            fit_checkpoint(module, Header(changed), key_map)

    for name in kinds(set(shapes) - dropped):
        others = {other: shape for other, shape in shapes.items() if other != name}
        refused(others, name)
        refused(others | {name + "_": shapes[name]}, name + "_")
        longer = (shapes[name][0] + 1, *shapes[name][1:])
        refused(others | {name: longer}, name)
        if len(set(shapes[name])) > 1:  # a square matrix looks the same
            refused(others | {name: shapes[name][::-1]}, name)
    for name in (*kinds(shapes), "model.layers.0.self_attn.extra.weight", "extra"):
        head, dot, tail = name.rpartition(".")
        added = f"{head}_more{dot}{tail}"
        if not is_head(added):  # whatever a head holds is left out with it
            refused(shapes | {added: (2,)}, added)
    layer = next(name for name in shapes if re.search(r"\.\d+\.", name) and name not in dropped)
    beyond = re.sub(r"\.\d+\.", ".99.", layer, count=1)
    refused(shapes | {beyond: shapes[layer]}, beyond)


@pytest.mark.parametrize("model_id", [name for name in MODELS if name not in NO_CONFIG])
def test_published_config_is_the_registered_one(model_id: str) -> None:
    spec = registry()[model_id]
    config_json = ConfigJson(published_config(model_id), "config.json")
    family = family_for_folder(config_json)
    assert family.name == spec.family
    registered = family.read_config(spec.config, where=model_id)
    assert family.from_config_json(config_json) == registered


def scaled(spec: ModelSpec) -> ModelSpec:
    """The model with narrow layers; layers, heads and vocabulary stay as published."""
    config = dict(spec.config)
    config["hidden_size"] = 4 * spec.config["head_count"]
    narrow = {"inner_size": 24, "fused_mlp_width": 24, "head_width": 4}
    if spec.model_id == "BioFM-265M":
        narrow["head_width"] = 8  # heads together wider than the model
    config |= {key: value for key, value in narrow.items() if key in config}
    return dataclasses.replace(spec, config=config)


def scaled_tensors(spec: ModelSpec) -> dict[str, np.ndarray]:
    """Every published name with the scaled shape; heads, which nobody reads, of any."""
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=spec.model_id)
    variables = parameter_shapes(family.module(config))
    shapes, dropped = published_shapes(spec.model_id)
    generator = np.random.default_rng(0)
    tensors = {name: np.zeros((2, 2), np.float32) for name in dropped}
    for match in match_tensors(shapes, family.key_map(config), where=spec.model_id):
        shape = variables[match.weight.parameter].get_value().shape[len(match.index) :]
        stored = match.weight.transform.stored_shape(shape)
        for name in match.names:
            if name not in tensors:
                tensors[name] = generator.normal(0, 0.1, stored).astype(np.float32)
    assert set(tensors) == set(shapes)
    return tensors


def write_folder(spec: ModelSpec, folder: Path) -> Path:
    """Weights in the published files, config.json and tokenizer as published."""
    tensors = scaled_tensors(spec)
    files = [file.name for file in spec.weight_files()]
    if files[0].endswith(".safetensors"):
        for index, file in enumerate(files):
            save_file(dict(list(tensors.items())[index :: len(files)]), folder / file)
        if len(files) > 1:
            weight_map = {name: files[index % len(files)] for index, name in enumerate(tensors)}
            index_file = folder / "model.safetensors.index.json"
            index_file.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    else:
        as_torch = {name: torch.tensor(value) for name, value in tensors.items()}
        nested = {"model": as_torch} if files[0].endswith(".pth") else as_torch
        torch.save(nested, folder / files[0])
    if spec.model_id in NO_CONFIG:
        return folder
    sizes = {
        "hidden_size": "hidden_size",
        "d_model": "hidden_size",
        "n_embd": "hidden_size",
        "intermediate_size": "inner_size",
        "n_inner": "inner_size",
        "mlp_hidden_size": "fused_mlp_width",
        "head_dim": "head_width",
    }
    config = published_config(spec.model_id)
    config |= {key: spec.config[name] for key, name in sizes.items() if key in config}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_tokenizer(OTHER_TOKENIZER.get(spec.model_id, spec.model_id), folder)
    return folder


@pytest.fixture
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[ModelSpec, Path]:
    """A scaled model that the registry knows under its published id, and its folder."""
    spec = scaled(registry()[request.param])
    monkeypatch.setattr(blueprint, "find_spec", lambda name: spec)
    return spec, write_folder(spec, tmp_path)


@pytest.mark.parametrize("folder", MODELS, indirect=True)
def test_loads_by_id_and_by_path_alone(folder: tuple[ModelSpec, Path]) -> None:
    spec, path = folder
    by_id = load_encoder(spec.model_id, LoadOptions(path=path, offline=True))
    assert isinstance(by_id, NativeEncoder)
    assert by_id.identity.model_id == spec.model_id
    assert by_id.identity.revision == "local"
    assert by_id.identity.pooling == spec.pooling.default
    tensors = scaled_tensors(spec)
    table = next(value for name, value in tensors.items() if re.search("wte|embed_tokens", name))
    np.testing.assert_array_equal(by_id.params["tokens"]["table"], table)
    if spec.model_id in NO_CONFIG:
        by_file = load_encoder(
            spec.model_id, LoadOptions(path=path / f"{spec.model_id}.pth", offline=True)
        )
        assert by_file.identity == by_id.identity
        with pytest.raises(CheckpointError, match=r"config\.json"):
            load_encoder(path)
        return
    alone = load_encoder(path)
    assert isinstance(alone, NativeEncoder)
    assert alone.config == by_id.config
    assert alone.identity.weights == by_id.identity.weights
    jax.tree.map(np.testing.assert_array_equal, alone.params, by_id.params)
    if spec.model_id in OTHER_TOKENIZER:  # its options speak of a file that is not here
        return
    text = "ACGTNACGTACGATTACA" * 3
    np.testing.assert_array_equal(alone.tokenize(text).ids, by_id.tokenize(text).ids)


def test_a_file_with_objects_in_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = scaled(registry()["dna_gpt0.1b_h"])
    monkeypatch.setattr(blueprint, "find_spec", lambda name: spec)
    tensors = {name: torch.tensor(value) for name, value in scaled_tensors(spec).items()}
    file = tmp_path / "dna_gpt0.1b_h.pth"
    torch.save({"model": tensors, "arguments": Path("x")}, file)
    with pytest.raises(CheckpointError, match="nothing in it was run"):
        load_encoder(spec.model_id, LoadOptions(path=file))


@pytest.mark.parametrize("model_id", NO_CONFIG)
def test_google_drive_files_are_asked_for(model_id: str) -> None:
    with pytest.raises(ModelError, match=rf"{model_id}\.pth .* --path"):
        load_encoder(model_id)


def test_metagene_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free_bytes", lambda: 24 * 10**9)
    encoder = load_encoder("METAGENE-1", LoadOptions(weights="random", offline=True))
    with pytest.raises(ModelError, match=r"25\.9 GB in float32, 24\.0 GB are free"):
        _ = encoder.params


def test_batch_dependent_poolings_are_refused_with_their_reason() -> None:
    for model_id, reason in (("METAGENE-1", "averages padded rows"), ("BioFM-265M", "wrong row")):
        with pytest.raises(ModelError, match=reason):
            load_encoder(model_id, LoadOptions(weights="random", pooling="geneb", offline=True))
    assert (
        load_encoder("METAGENE-1", LoadOptions(weights="random", offline=True)).identity.pooling
        == "mean"
    )
    biofm = load_encoder("BioFM-265M", LoadOptions(weights="random", offline=True))
    assert biofm.identity.pooling == "penultimate"


@pytest.mark.sweep
@pytest.mark.parametrize("model_id", ["BioFM-265M", "dna_gpt0.1b_h", "Omni-DNA-300M"])
def test_true_size_with_random_weights(model_id: str) -> None:
    encoder = load_encoder(model_id, LoadOptions(weights="random", offline=True))
    assert isinstance(encoder, NativeEncoder)
    leaves = jax.tree.leaves(encoder.params)
    shapes, dropped = published_shapes(model_id)
    used = sum(int(np.prod(shape)) for name, shape in shapes.items() if name not in dropped)
    assert sum(leaf.size for leaf in leaves) == used
    ids, mask = batch(encoder, ["ACGTTGCA" * 8, "ACG"])
    pooled = np.asarray(jax.jit(encoder.pooled)(encoder.params, ids, mask))
    assert pooled.shape == (2, encoder.width)
    assert np.isfinite(pooled).all()
