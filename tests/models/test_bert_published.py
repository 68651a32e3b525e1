"""BERT-like checkpoints as published: whole they load, tampered with they are refused."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from geneb_jax.errors import CheckpointError, DownloadError
from geneb_jax.models import LoadOptions, blueprint, load_encoder, registry
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.checkpoint import Checkpoint, TensorInfo
from geneb_jax.models.family import find_family
from geneb_jax.models.layers.parameters import parameter_shapes
from geneb_jax.models.native_encoder import NativeEncoder
from tests.models.bert_checkpoints import (
    BY_ID_ONLY,
    CONFIGS,
    MODELS,
    small_config,
    small_shapes,
    small_tensors,
    used_names,
    write_published_folder,
)
from tests.models.esm_checkpoints import published_tensors
from tests.tolerance import Tolerance

Shapes = dict[str, tuple[list[int], str]]


class NamesOnly(Checkpoint):
    """A checkpoint without values."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__([Path("published")])
        for name, (shape, dtype) in shapes.items():
            self._register(name, TensorInfo(tuple(shape), dtype), 0)

    def read(self, name: str) -> np.ndarray:
        raise AssertionError("no values here")


def fits(model_id: str, *, small: bool) -> Callable[[Shapes], None]:
    """A check of names and shapes against the model at its true or its small size."""
    spec = registry()[model_id]
    family = find_family(spec.family)
    config = small_config(model_id) if small else family.read_config(spec.config, where=model_id)
    module, key_map = family.module(config), family.key_map(config)

    def check(shapes: Shapes) -> None:
        fit_checkpoint(module, NamesOnly(shapes), key_map)

    return check


@pytest.mark.parametrize("model_id", MODELS)
def test_names_and_shapes_at_true_size(model_id: str) -> None:
    published = published_tensors(model_id)
    shapes = {name: tuple(stored) for name, stored in published["tensors"].items()}
    fits(model_id, small=False)(shapes)
    spec = registry()[model_id]
    family = find_family(spec.family)
    module = family.module(family.read_config(spec.config, where=model_id))
    ours = sum(math.prod(v.get_value().shape) for v in parameter_shapes(module).values())
    used = (
        math.prod(shape)
        for name, (shape, _) in published["tensors"].items()
        if name not in published["dropped"]
    )
    assert ours == sum(used)


@pytest.mark.parametrize("model_id", MODELS)
def test_every_tampered_tensor_is_refused_by_name(model_id: str) -> None:
    check = fits(model_id, small=True)
    whole: Shapes = small_shapes(model_id)
    check(whole)
    names = used_names(model_id)
    assert len(names) >= 26
    for name in names:
        shape, dtype = whole[name]
        without = {other: stored for other, stored in whole.items() if other != name}
        with pytest.raises(CheckpointError) as refusal:
            check(without)
        assert name in refusal.value.what
        with pytest.raises(CheckpointError) as refusal:
            check(without | {f"{name}_": (shape, dtype)})
        assert f"{name}_" in refusal.value.what
        if len(shape) == 2 and shape[0] != shape[1]:
            with pytest.raises(CheckpointError) as refusal:
                check(without | {name: (shape[::-1], dtype)})
            assert name in refusal.value.what
            assert refusal.value.cause == "it is transposed"


@pytest.mark.parametrize("model_id", MODELS)
@pytest.mark.parametrize(
    "added", ["{first}.extra", "encoder.extra.weight", "encoder.layer.0.extra.bias"]
)
def test_an_added_tensor_is_refused_by_name(model_id: str, added: str) -> None:
    name = added.format(first=used_names(model_id)[0])
    with pytest.raises(CheckpointError) as refusal:
        fits(model_id, small=True)(small_shapes(model_id) | {name: ([16], "F32")})
    assert name in refusal.value.what


def small_model(monkeypatch: pytest.MonkeyPatch, model_id: str) -> None:
    """Let the registered model have small sizes, so that its checkpoint can be written here."""
    spec = registry()[model_id]
    small = dataclasses.asdict(small_config(model_id))
    monkeypatch.setattr(blueprint, "find_spec", lambda _: dataclasses.replace(spec, config=small))


SEQUENCES = ["ACGTNACGTNACGTN", "GATTACA" * 9, "NNNN", "acgtACGT", "", "A"]


def total(arrays: Iterable[Any]) -> float:
    return math.fsum(float(np.asarray(array, np.float64).sum()) for array in arrays)


@pytest.mark.parametrize("model_id", MODELS)
def test_folder_loads_by_id(
    model_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tolerance: Tolerance
) -> None:
    folder = write_published_folder(model_id, tmp_path / "checkpoint")
    small_model(monkeypatch, model_id)
    encoder = load_encoder(model_id, LoadOptions(path=folder))
    assert isinstance(encoder, NativeEncoder)
    spec = registry()[model_id]
    assert encoder.identity.model_id == model_id
    assert encoder.identity.pooling == spec.pooling.geneb == spec.pooling.default
    tensors = small_tensors(model_id)
    used = total(tensors[name] for name in used_names(model_id))
    assert total(jax.tree.leaves(encoder.params)) == pytest.approx(
        used, rel=tolerance("weight_sum", "float64")
    )


@pytest.mark.parametrize("model_id", CONFIGS)
def test_folder_loads_by_path_alone(
    model_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_published_folder(model_id, tmp_path / "checkpoint")
    alone = load_encoder(folder)
    assert isinstance(alone, NativeEncoder)
    assert alone.spec is not None
    assert alone.spec.family == registry()[model_id].family
    assert alone.config == small_config(model_id)
    # The paper calls DNABERT-S k-mer, Genomics-FM both and LucaOne mixed.
    stated = registry()[model_id].labels.tokenization
    told = {"k-mer": "BPE", "BPE+k-mer": "BPE", "mixed": "SN"}.get(stated, stated)
    assert alone.spec.labels.tokenization == told
    small_model(monkeypatch, model_id)
    named = load_encoder(model_id, LoadOptions(path=folder, weights="random"))
    assert isinstance(named, NativeEncoder)
    for sequence in SEQUENCES:
        np.testing.assert_array_equal(
            alone.tokenize(sequence).ids, named.tokenize(sequence).ids, err_msg=sequence
        )
    assert alone.tokenizer.max_tokens == registry()[model_id].context.limit


def test_models_of_a_drive_folder_need_their_id(tmp_path: Path) -> None:
    for model_id in BY_ID_ONLY:
        with pytest.raises(CheckpointError, match="MODEL_ID --path FOLDER"):
            load_encoder(write_published_folder(model_id, tmp_path / model_id))


def test_learned_positions_under_a_config_of_alibi_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder alone gives what the model of that id gives, which recorded outputs hold."""
    folder = write_published_folder("genomics-fm", tmp_path / "checkpoint")
    sizes = {"vocab_size": 7268, "hidden_size": 16, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "intermediate_size": 40, "max_position_embeddings": 512}
    config = dict(CONFIGS["DNABERT-S"]) | sizes
    (folder / "config.json").write_text(json.dumps(config))
    alone = load_encoder(folder)
    small_model(monkeypatch, "genomics-fm")
    by_id = load_encoder("genomics-fm", LoadOptions(path=folder))
    assert isinstance(alone, NativeEncoder) and isinstance(by_id, NativeEncoder)
    assert alone.config == by_id.config
    assert alone.tokenizer.max_tokens == 512
    ids = np.arange(5, 45, dtype=np.int32).reshape(2, 20)
    mask = np.ones(ids.shape, bool)
    ours, theirs = (e.hidden_states(e.params, ids, mask).values for e in (alone, by_id))
    np.testing.assert_array_equal(ours, theirs)
    untrained = load_encoder(folder, LoadOptions(weights="random"))
    assert isinstance(untrained, NativeEncoder) and untrained.config == alone.config


def test_grover_with_its_unreachable_piece(tmp_path: Path) -> None:
    folder = write_published_folder("GROVER", tmp_path / "checkpoint")
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert len(vocabulary) == 610
    assert vocabulary[""] == 609
    encoder = load_encoder(folder)
    assert isinstance(encoder, NativeEncoder)
    assert encoder.tokenize("ACGTN" * 50).ids.max() < 609


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_values_that_are_not_finite_are_refused_by_name(value: float, tmp_path: Path) -> None:
    folder = write_published_folder("gena-lm-bert-large-t2t", tmp_path / "checkpoint")
    tensors: dict[str, Any] = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.1.post_attention_ln.weight"
    tensors[name][3] = value
    save_file(tensors, folder / "model.safetensors")
    encoder = load_encoder(folder)
    assert isinstance(encoder, NativeEncoder)
    with pytest.raises(CheckpointError, match=name):
        _ = encoder.params


def test_torch_and_safetensors_files_give_the_same_parameters(tmp_path: Path) -> None:
    folder = write_published_folder("gena-lm-bert-large-t2t", tmp_path / "checkpoint")
    first = load_encoder(folder)
    assert isinstance(first, NativeEncoder)
    expected = first.params
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    # Some published matrices are column-major; strides must be honoured.
    turned = {name: torch.from_numpy(np.asfortranarray(value)) for name, value in tensors.items()}
    torch.save(turned, folder / "pytorch_model.bin")
    second = load_encoder(folder)
    assert isinstance(second, NativeEncoder)
    jax.tree.map(np.testing.assert_array_equal, second.params, expected)


@pytest.mark.parametrize("model_id", [name for name in MODELS if name != "GROVER"])
def test_untrained_models_need_no_download(model_id: str) -> None:
    encoder = load_encoder(
        model_id, LoadOptions(weights="random", offline=True)
    )  # weights are drawn on use
    assert encoder.identity.weights == "random:0"
    assert isinstance(encoder, NativeEncoder)
    assert len(encoder.tokenize("ACGTN" * 20).ids) > 2


def test_grovers_tokenizer_is_asked_for() -> None:
    with pytest.raises(DownloadError, match="PoetschLab/GROVER"):
        load_encoder("GROVER", LoadOptions(weights="random", offline=True))
