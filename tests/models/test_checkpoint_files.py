"""Every way weights are stored gives the same parameters; nothing in a file is ever run."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from geneb_jax.errors import CheckpointError
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.checkpoints.file_digests import file_sha256
from geneb_jax.models.checkpoints.weight_files import find_weight_files
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from tests.models.esm_checkpoints import FORMS, esm_model, save

SMALL = FORMS["rotary"] | {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder written by save_pretrained."""
    return save(esm_model(**SMALL), tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, Any]:
    """Its parameters."""
    return load_encoder(folder).params


def same(ours: Any, theirs: Any) -> None:
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(one, other)


def with_config(folder: Path, target: Path) -> Path:
    target.mkdir()
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    return target


@pytest.mark.parametrize("kind", ["sharded", "bin", "sharded-bin"])
def test_other_layouts(kind: str, tmp_path: Path, expected: dict[str, Any]) -> None:
    written = save(esm_model(**SMALL), tmp_path / "model", kind=kind)
    assert len(find_weight_files(written)) == (1 if kind == "bin" else 2) or kind == "sharded"
    same(load_encoder(written).params, expected)


def test_sharded_safetensors_are_several_files(tmp_path: Path) -> None:
    written = save(esm_model(**SMALL), tmp_path / "model", kind="sharded")
    assert len(find_weight_files(written)) > 1


def test_column_major_matrices_of_a_torch_file(
    folder: Path, tmp_path: Path, expected: dict[str, Any]
) -> None:
    tensors = load_file(folder / "model.safetensors")
    turned = {name: t.t().contiguous().t() if t.ndim == 2 else t for name, t in tensors.items()}
    assert any(not tensor.is_contiguous() for tensor in turned.values())
    torch.save(turned, with_config(folder, tmp_path / "model") / "pytorch_model.bin")
    same(load_encoder(tmp_path / "model").params, expected)


@pytest.mark.parametrize("nest", ["state_dict", "model", "model_state_dict"])
def test_nested_torch_files(nest: str, folder: Path, tmp_path: Path, expected: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    content = {nest: tensors, "epoch": 3, "hyper_parameters": {"lr": 1e-3}}
    torch.save(content, with_config(folder, tmp_path / "model") / "weights.ckpt")
    same(load_encoder(tmp_path / "model").params, expected)


def test_torch_files_of_the_old_format(folder: Path, tmp_path: Path, expected: Any) -> None:
    target = with_config(folder, tmp_path / "model") / "pytorch_model.bin"
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, target, _use_new_zipfile_serialization=False)
    same(load_encoder(tmp_path / "model").params, expected)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_stored_dtypes(kind: str, dtype: torch.dtype, folder: Path, tmp_path: Path) -> None:
    tensors = {name: t.to(dtype) for name, t in load_file(folder / "model.safetensors").items()}
    target = with_config(folder, tmp_path / "model")
    if kind == "safetensors":
        save_file(tensors, target / "model.safetensors")
    else:
        torch.save(tensors, target / "pytorch_model.bin")
    params = load_encoder(target).params
    stored = tensors["embeddings.word_embeddings.weight"].to(torch.float32).numpy()
    np.testing.assert_array_equal(params["tokens"]["table"], stored)
    half = load_encoder(target, LoadOptions(dtype="bfloat16")).params
    assert half.pop("frequencies").dtype.name == "float32"  # angles are made in float32
    assert {leaf.dtype.name for leaf in jax.tree.leaves(half)} == {"bfloat16"}


@pytest.mark.fault("F12")
def test_float16_that_overflows_is_refused(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][5, 5] = 1e30
    save_file(tensors, with_config(folder, tmp_path / "model") / "model.safetensors")
    assert load_encoder(tmp_path / "model").params
    with pytest.raises(CheckpointError, match=r"word_embeddings\.weight .*float16 overflows"):
        _ = load_encoder(tmp_path / "model", LoadOptions(dtype="float16")).params


def test_large_finite_values_are_not_called_infinite(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.0.output.dense.weight"][...] = 3e38
    save_file(tensors, with_config(folder, tmp_path / "model") / "model.safetensors")
    assert load_encoder(tmp_path / "model").params


def test_a_file_of_weights_beside_trainer_state(
    folder: Path, tmp_path: Path, expected: Any
) -> None:
    target = with_config(folder, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), target / "esm.pth")
    torch.save({"lr": 0.1}, target / "training_args.bin")
    torch.save({"step": 1}, target / "optimizer.pt")
    torch.save({"cpu": torch.zeros(3)}, target / "rng_state_0.pth")
    same(load_encoder(target).params, expected)


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.write_text, (self.target, "sung")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pth", "weights.ckpt", "weights.pt"])
@pytest.mark.fault("F36")
def test_code_in_a_torch_file_is_not_run(
    name: str, zipped: bool, folder: Path, tmp_path: Path
) -> None:
    target = with_config(folder, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    song = tmp_path / "song"
    content = {**tensors, "extra": Canary(song)}
    torch.save(content, target / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="objects besides tensors; nothing in it was run"):
        load_encoder(target)
    assert not song.exists()
    torch.load(target / name, weights_only=False)  # the canary is alive
    assert song.read_text() == "sung"


@pytest.mark.fault("F36")
def test_a_bare_pickle_is_not_run(folder: Path, tmp_path: Path) -> None:
    target = with_config(folder, tmp_path / "model")
    song = tmp_path / "song"
    (target / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(song)))
    with pytest.raises(CheckpointError):
        load_encoder(target)
    assert not song.exists()


@pytest.mark.fault("F37")
def test_code_beside_the_weights_is_not_imported(folder: Path, tmp_path: Path) -> None:
    target = with_config(folder, tmp_path / "model")
    save_file(load_file(folder / "model.safetensors"), target / "model.safetensors")
    song = tmp_path / "song"
    code = f"from pathlib import Path\nPath({str(song)!r}).write_text('sung')\n"
    names = ("modeling_esm", "configuration_esm", "tokenization_esm", "esm_other", "__init__")
    for name in names:
        (target / f"{name}.py").write_text(code)
    config = json.loads((target / "config.json").read_text())
    config |= {
        "auto_map": {"AutoConfig": "configuration_esm.C", "AutoModel": "modeling_esm.M"},
        "_attn_implementation": "org/kernel",
        "_name_or_path": "org/other",
        "custom_pipelines": {"x": {"impl": "esm_other.P"}},
    }
    (target / "config.json").write_text(json.dumps(config))
    settings = {"auto_map": {"AutoTokenizer": ["tokenization_esm.T", None]}}
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
    before = set(sys.modules)
    assert load_encoder(target).params
    assert not song.exists()
    assert not any("transformers_modules" in name for name in set(sys.modules) - before)


def test_torch_that_is_not_installed_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = with_config(folder, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), target / "pytorch_model.bin")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"pip install \"geneb-jax\[torch\]\""):
        load_encoder(target)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
@pytest.mark.fault("F09")
def test_damaged_files(name: str, damage: str, folder: Path, tmp_path: Path) -> None:
    target = with_config(folder, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    if name == "model.safetensors":
        save_file(tensors, target / name)
    else:
        torch.save(tensors, target / name)
    content = (target / name).read_bytes()
    damaged = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "text": b"version https://git-lfs",
    }
    (target / name).write_bytes(damaged[damage])
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        load_encoder(target)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    written = save(esm_model(**SMALL), tmp_path / "model", kind="sharded")
    shard = find_weight_files(written)[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=rf"{shard.name}: this weight file is missing"):
        load_encoder(written)


@pytest.mark.fault("F33")
def test_an_index_that_points_outside_is_refused(folder: Path, tmp_path: Path) -> None:
    target = with_config(folder, tmp_path / "model")
    index = {"weight_map": {"a": "../../secret.safetensors"}}
    (target / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="outside its folder"):
        load_encoder(target)
    (target / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not an index"):
        load_encoder(target)


def test_a_tensor_in_two_files_is_refused(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file in files:
        save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"is also in a\.safetensors"):
        open_checkpoint(files)


@pytest.mark.fault("F36")
def test_folders_without_usable_weights(folder: Path, tmp_path: Path) -> None:
    target = with_config(folder, tmp_path / "model")
    with pytest.raises(CheckpointError, match="no weight files"):
        load_encoder(target)
    assert load_encoder(target, LoadOptions(weights="random")).params
    (target / "model.joblib").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="no weight files"):
        load_encoder(target)
    for name in ("a.bin", "b.bin"):
        (target / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"several weight files and no index: a\.bin, b\.bin"):
        load_encoder(target)
    with pytest.raises(CheckpointError, match=r"cannot read weight files ending in \.joblib"):
        open_checkpoint([target / "model.joblib"])


def test_digest_of_a_changed_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(5_000_000))
    first = file_sha256(file)
    assert file_sha256(file) == first
    file.write_bytes(bytes(4_999_999) + b"x")
    assert file_sha256(file) != first
