"""F70, F73, F74, F81: whatever lies in a folder, it loads or one message says why not, soon."""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from geneb_jax.errors import CheckpointError, GenebError
from geneb_jax.models import load_encoder
from geneb_jax.models.checkpoints.weight_files import choose_weight_files
from tests.fuzz.hostile_bytes import contents, damage
from tests.models.drawn_folders import Axes, write_folder
from tests.tolerance import Tolerance, relative_error

_ROOT = 20261129
_SECONDS = 10.0
_BYTES = 2 * 2**30

#: What is damaged, and the folder that holds it.
TARGETS: dict[str, tuple[str, str, str, str]] = {
    "esm config": ("config.json", "esm", "safetensors", "none"),
    "bert config": ("config.json", "bert", "safetensors", "none"),
    "roformer config": ("config.json", "roformer", "safetensors", "none"),
    "gpt2 config": ("config.json", "gpt2", "safetensors", "none"),
    "llama config": ("config.json", "llama", "safetensors", "none"),
    "mistral config": ("config.json", "mistral", "safetensors", "none"),
    "index": ("model.safetensors.index.json", "esm", "sharded", "none"),
    "torch index": ("pytorch_model.bin.index.json", "bert", "sharded-bin", "none"),
    "safetensors": ("model.safetensors", "llama", "safetensors", "none"),
    "torch file": ("pytorch_model.bin", "bert", "bin", "none"),
    "old torch file": ("pytorch_model.bin", "esm", "old-bin", "none"),
    "adapter settings": ("adapter_config.json", "llama", "safetensors", "patterns"),
    "adapter": ("adapter_model.safetensors", "esm", "safetensors", "saved-norm"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Path]:
    """A whole folder for every target."""
    made = {}
    for _, family, layout, adapter in TARGETS.values():
        key = (family, layout, adapter)
        if key in made:
            continue
        axes = Axes(
            family, "Model", (16, 2, 2, 24), layout.removeprefix("old-"), "float32", "", adapter,
            "tidy", 0,
        )  # fmt: skip
        place = tmp_path_factory.mktemp("whole")
        path = write_folder(axes, place / "drawn").path
        if layout == "old-bin":
            tensors = torch.load(path / "pytorch_model.bin")
            torch.save(tensors, path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
        assert load_encoder(path).params
        made[key] = path
    return made


def outcome(folder: Path) -> str:
    """What loading all of a folder comes to: ``loads``, or the message; nothing else may come."""
    started = time.process_time()
    try:
        assert load_encoder(folder).params
        said = "loads"
    except GenebError as error:
        said = error.message
        assert len(said) < 4000
        said.encode()
    assert time.process_time() - started < _SECONDS
    return said


def run_damages(
    target: str, folders: dict[tuple[str, str, str], Path], place: Path, count: int, seed: int
) -> tuple[int, int]:
    name, *kind = TARGETS[target]
    whole = folders[tuple(kind)]  # type: ignore[index]
    copy = Path(shutil.copytree(whole, place / "model"))
    content = contents(whole)[name]
    loaded = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for at in range(count):
        generator = np.random.default_rng([_ROOT, seed, at])
        (copy / name).write_bytes(damage(name)(generator, content))
        try:
            loaded += outcome(copy) == "loads"
        except Exception as error:
            raise AssertionError(f"{target}, seed {[_ROOT, seed, at]}") from error
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < _BYTES
    return loaded, count - loaded


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.fault("F70", "F74", "F75")
def test_damaged_files_are_refused_in_one_message(
    target: str, folders: dict[tuple[str, str, str], Path], tmp_path: Path
) -> None:
    loaded, refused = run_damages(target, folders, tmp_path, 60, 0)
    assert refused > 10
    assert loaded + refused == 60


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", TARGETS)
def test_three_thousand_damaged_files(
    target: str,
    folders: dict[tuple[str, str, str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded, refused = run_damages(target, folders, tmp_path, 3000, 1)
    with capsys.disabled():
        print(f"\n{target}: {refused} refused, {loaded} loaded")


IMPOSSIBLE: list[tuple[str, str, str]] = [
    ("esm", "num_hidden_layers", "1000000000"),
    ("esm", "num_hidden_layers", "10000000"),
    ("esm", "num_attention_heads", "0"),
    ("esm", "num_attention_heads", "-4"),
    ("esm", "num_attention_heads", "3"),
    ("esm", "layer_norm_eps", "1" + "0" * 400),
    ("esm", "layer_norm_eps", "1e400"),
    ("esm", "layer_norm_eps", "-1e-5"),
    ("esm", "rope_theta", "null"),
    ("esm", "rope_theta", "0"),
    ("esm", "vocab_size", "true"),
    ("esm", "hidden_size", "1000000000000"),
    ("bert", "num_hidden_layers", "10000000"),
    ("bert", "type_vocab_size", "-2"),
    ("bert", "max_position_embeddings", "0"),
    ("roformer", "hidden_size", "-16"),
    ("gpt2", "n_head", "0"),
    ("gpt2", "n_layer", "1000000000"),
    ("llama", "num_key_value_heads", "0"),
    ("llama", "rms_norm_eps", "NaN"),
    ("llama", "head_dim", "-8"),
    ("llama", "num_attention_heads", "0"),
    ("mistral", "sliding_window", "-1"),
    ("mistral", "rope_theta", "null"),
    ("mistral", "rope_parameters", '{"rope_theta": null}'),
]


@pytest.mark.parametrize(("family", "key", "value"), IMPOSSIBLE)
@pytest.mark.fault("F73")
def test_sizes_that_no_network_has(
    family: str,
    key: str,
    value: str,
    folders: dict[tuple[str, str, str], Path],
    tmp_path: Path,
) -> None:
    copy = Path(shutil.copytree(folders[family, "safetensors", "none"], tmp_path / "model"))
    config = json.loads((copy / "config.json").read_text())
    if key == "rope_theta":
        config.pop("rope_parameters", None)
    text = json.dumps(config | {key: "PUT"}).replace('"PUT"', value)
    (copy / "config.json").write_text(text)
    assert "config.json" in outcome(copy)


@pytest.mark.parametrize("family", ["esm", "bert", "gpt2", "llama"])
@pytest.mark.fault("F73")
def test_the_deepest_network_that_can_be_is_refused_soon(
    family: str, folders: dict[tuple[str, str, str], Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folders[family, "safetensors", "none"], tmp_path / "model"))
    config = json.loads((copy / "config.json").read_text())
    depth = "n_layer" if family == "gpt2" else "num_hidden_layers"
    (copy / "config.json").write_text(json.dumps(config | {depth: 4096}))
    assert "tensors are missing" in outcome(copy)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dangling link", "link to itself"])
@pytest.mark.parametrize(
    ("name", "family", "layout", "adapter"),
    [
        ("config.json", "esm", "safetensors", "none"),
        ("model.safetensors", "llama", "safetensors", "none"),
        ("model.safetensors.index.json", "esm", "sharded", "none"),
        ("adapter_config.json", "llama", "safetensors", "patterns"),
        ("adapter_model.safetensors", "llama", "safetensors", "patterns"),
    ],
)
@pytest.mark.fault("F81")
def test_what_is_no_plain_file(
    kind: str,
    name: str,
    family: str,
    layout: str,
    adapter: str,
    folders: dict[tuple[str, str, str], Path],
    tmp_path: Path,
) -> None:
    copy = Path(shutil.copytree(folders[family, layout, adapter], tmp_path / "model"))
    (copy / name).unlink()
    if kind == "pipe":
        os.mkfifo(copy / name)
    elif kind == "folder":
        (copy / name).mkdir()
    else:
        target = {"device": "/dev/zero", "dangling link": "gone", "link to itself": name}[kind]
        (copy / name).symlink_to(target)
    assert name in outcome(copy)


def index_of(folder: Path, weight_map: Any) -> Path:
    folder.mkdir()
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    ("weight_map", "said"),
    [
        ({"a": 1}, "int and no file name for the tensor a"),
        ({"a": None}, "no file name"),
        ({"a": ["x"]}, "no file name"),
        (["x"], "no object weight_map"),
        ("x", "no object weight_map"),
        ({}, "no object weight_map"),
        ({"a": "../x.safetensors"}, "outside its folder"),
        ({"a": "/etc/passwd"}, "outside its folder"),
        ({"a": ".."}, "outside its folder"),
        ({"a": ""}, "outside its folder"),
        ({"a": "b\\c"}, "outside its folder"),
        ({"a": "b\0c"}, "outside its folder"),
        ({"a": "sub/x.safetensors"}, "outside its folder"),
        ({str(at): f"{at}.safetensors" for at in range(10_001)}, "10001 files"),
    ],
)
@pytest.mark.fault("F33", "F74")
def test_an_index_names_plain_files_of_its_folder(
    weight_map: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=said):
        choose_weight_files(index_of(tmp_path / "model", weight_map))


@pytest.mark.fault("F74")
def test_a_name_of_300_letters_is_missing_and_no_traceback(
    folders: dict[tuple[str, str, str], Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folders["esm", "sharded", "none"], tmp_path / "model"))
    names = load_file(next(copy.glob("model-*.safetensors")))
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "x" * 300 + ".safetensors")}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "a name of 312 bytes" in outcome(copy)


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        ("gpt2", "num_hidden_layers", 1),
        ("gpt2", "num_attention_heads", 1),
        ("llama", "is_causal", False),
        ("mistral", "is_causal", False),
        ("gpt2", "is_causal", False),
    ],
)
def test_keys_that_transformers_follows_beside_the_usual_ones(
    family: str,
    key: str,
    value: object,
    folders: dict[tuple[str, str, str], Path],
    tmp_path: Path,
    tolerance: Tolerance,
) -> None:
    """Each of them gives other vectors there."""
    copy = Path(shutil.copytree(folders[family, "safetensors", "none"], tmp_path / "model"))
    ids = torch.arange(8)[None, :]

    def theirs() -> torch.Tensor:
        with torch.no_grad():
            return transformers.AutoModel.from_pretrained(copy)(ids).last_hidden_state

    before = theirs()
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {key: value}))
    assert relative_error(theirs(), before) > tolerance("hidden_state", "float32")
    assert key in outcome(copy)
