"""F61: the key of a model that an adapter runs holds whatever decides its embeddings."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.numpy import save_file

from geneb_jax.errors import CheckpointError, GenebError, ModelError
from geneb_jax.models import Encoder, load_encoder
from geneb_jax.models.adapters.object_adapter import encoder_from_object
from geneb_jax.models.adapters.reachable import ContentDigest
from geneb_jax.models.encoder import SequenceEncoder
from tests.tolerance import Tolerance, relative_error

TEXTS = ("ACGTTGCA", "GATTACA" * 3)

#: One class a way of holding a matrix ``[4, 3]``; all multiply counts of letters by it.
MODULE = '''
import functools, json, pathlib
import numpy as np
import torch
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).parent


class Counts:
    def matrix(self):
        return self.held

    def extract_embeddings(self, sequences, batch_size=8):
        counts = np.array([[text.count(c) for c in "ACGT"] for text in sequences], np.float32)
        return counts @ np.asarray(self.matrix(), np.float32)


class NumPy(Counts):
    def __init__(self):
        self.held = np.load(HERE / "w.npy")


class Json(Counts):
    def __init__(self):
        self.held = json.loads((HERE / "w.json").read_text())


class Native(Counts):
    """The library opens the file outside Python."""

    def __init__(self):
        self.deep = [{"layers": (load_file(HERE / "w.safetensors"),)}]

    def matrix(self):
        return self.deep[0]["layers"][0]["w"]


class InAList(Counts):
    def __init__(self):
        layer = torch.nn.Linear(4, 3, bias=False)
        layer.weight.data = torch.from_numpy(load_file(HERE / "w.safetensors")["w"].T.copy())
        self.layers = [layer]

    def matrix(self):
        return self.layers[0].weight.detach().numpy().T


class Closure(Counts):
    def __init__(self):
        held = load_file(HERE / "w.safetensors")["w"]
        self.matrix = lambda: held


class Late(Counts):
    @functools.cached_property
    def held(self):
        return np.load(HERE / "w.npy")


class LateForLong(Counts):
    def extract_embeddings(self, sequences, batch_size=8):
        self.held = np.load(HERE / "w.npy") if len(sequences[0]) > 500 else np.eye(4)[:, :3]
        return super().extract_embeddings(sequences, batch_size)


@functools.lru_cache
def shared():
    return load_file(HERE / "w.safetensors")["w"]


GLOBAL = load_file(HERE / "w.safetensors")["w"]


class Global(Counts):
    def matrix(self):
        return GLOBAL
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    file = tmp_path / "extractor" / "model.py"
    file.parent.mkdir()
    file.write_text(MODULE, encoding="utf-8")
    _write_matrix(file.parent, 0)
    return file


def _write_matrix(folder: Path, seed: int) -> None:
    matrix = np.random.RandomState(seed).rand(4, 3).astype(np.float32)
    np.save(folder / "w.npy", matrix)
    (folder / "w.json").write_text(json.dumps(matrix.tolist()), encoding="utf-8")
    save_file({"w": matrix}, folder / "w.safetensors")


def _rows(encoder: Encoder) -> np.ndarray:
    assert isinstance(encoder, SequenceEncoder)
    return encoder.embed(TEXTS)


@pytest.mark.parametrize(
    "name", ["NumPy", "Json", "Native", "InAList", "Closure", "Late", "Global"]
)
@pytest.mark.fault("F61")
def test_f61_what_lies_beside_a_users_file_is_in_the_key(module: Path, name: str) -> None:
    first, again = (load_encoder(f"{module}:{name}") for _ in range(2))
    assert first.identity == again.identity
    _write_matrix(module.parent, 1)
    other = load_encoder(f"{module}:{name}")
    assert not np.array_equal(_rows(first), _rows(other))
    assert first.identity.weights != other.identity.weights
    (module.parent / "notes.txt").write_text("nothing that it reads", encoding="utf-8")
    assert load_encoder(f"{module}:{name}").identity == other.identity


@pytest.mark.fault("F61")
def test_f61_a_moved_extractor_keeps_its_key(module: Path, tmp_path: Path) -> None:
    before = load_encoder(f"{module}:NumPy").identity
    moved = shutil.copytree(module.parent, tmp_path / "elsewhere")
    assert load_encoder(f"{moved / module.name}:NumPy").identity == before


@pytest.mark.fault("F61")
def test_f61_what_a_process_imports_for_the_first_time_is_no_part_of_a_key(module: Path) -> None:
    script = module.parent.parent / "program"
    # A checkout on the path, as of a package that is installed editable: torch looks for plug-ins.
    metadata = script.with_name("some_package.egg-info")
    metadata.mkdir()
    (metadata / "PKG-INFO").write_text("Name: some-package\nVersion: 1\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[some.group]\nx = y\n", encoding="utf-8")
    script.write_text(
        "from geneb_jax.models import load_encoder\n"
        f"print(*(load_encoder('{module}:InAList').identity.weights for _ in range(2)))\n",
        encoding="utf-8",
    )
    told = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=True
    )
    first, second = told.stdout.split()
    assert first == second == load_encoder(f"{module}:InAList").identity.weights


@pytest.mark.fault("F61")
def test_f61_a_file_that_only_some_sequences_open_is_refused(module: Path) -> None:
    encoder = load_encoder(f"{module}:LateForLong")
    assert isinstance(encoder, SequenceEncoder)
    encoder.embed(TEXTS)
    with pytest.raises(ModelError, match=r"w\.npy for some sequences only.*when the object is"):
        encoder.embed(["ACGT" * 200])


@pytest.mark.fault("F61")
def test_f61_what_cannot_be_looked_into_is_not_used_again(
    module: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = module.read_text(encoding="utf-8") + (
        "\n\nclass Session(NumPy):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.session = torch._C.ScriptModule('m', torch._C.CompilationUnit(), False)\n"
    )
    module.write_text(text, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        first, again = (load_encoder(f"{module}:Session").identity for _ in range(2))
    assert first != again
    assert "not used again by later runs" in caplog.text


class Held:
    """An object whose rows follow from everything that it holds."""

    def __init__(self, content: Any) -> None:
        self.content = content
        self.matrix = np.eye(4)

    def embed(self, sequences: list[str]) -> np.ndarray:
        return np.array([[text.count(c) for c in "ACGT"] for text in sequences]) @ self.matrix


def _tensor(value: float) -> torch.Tensor:
    return torch.full((2, 3), value)


@pytest.mark.parametrize(
    "make",
    [
        lambda value: {"a": [(_tensor(value),)]},
        lambda value: torch.nn.ModuleList([torch.nn.ParameterList([_tensor(value)])]),
        lambda value: np.array([value, None], object),
        lambda value: frozenset({"x", str(value)}),
        lambda value: _tensor(value).to(torch.bfloat16),
        lambda value: _tensor(value).to_sparse(),
        lambda value: np.random.default_rng(int(value)),
        lambda value: lambda: value,
        lambda value: torch.nn.Dropout(value / 10),
        lambda value: np.float32(value),
    ],
)
@pytest.mark.fault("F61")
def test_f61_two_objects_differ_if_anything_they_hold_does(make: Callable[[float], Any]) -> None:
    first, again, other = (encoder_from_object(Held(make(v))).identity for v in (1.0, 1.0, 2.0))
    assert first == again
    assert first.weights != other.weights


def test_places_and_cycles() -> None:
    ring: list[Any] = ["/a/b/file"]
    ring.append(ring)
    digest = ContentDigest(ring, {"/a/b": "<0>"})
    assert digest.opaque == () and digest.array_count == 0
    other: list[Any] = ["/c/file"]
    other.append(other)
    assert ContentDigest(other, {"/c": "<0>"}).hexdigest() == digest.hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny BERT with a tokenizer of letters."""
    folder = tmp_path / "bert"
    folder.mkdir()
    letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "c", "g", "t", "##a", "##c"]
    (folder / "vocab.txt").write_text("\n".join([*letters, "##g", "##t"]), encoding="utf-8")
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    settings = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=13, num_hidden_layers=1, **settings)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def _add_adapter(base: Path, target: Path, seed: int) -> None:
    torch.manual_seed(seed)
    lora = peft.LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False)
    model = peft.get_peft_model(transformers.BertModel.from_pretrained(base), lora)
    model.save_pretrained(target)


def _by_peft(base: Path, adapter: Path) -> np.ndarray:
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = peft.PeftModel.from_pretrained(transformers.BertModel.from_pretrained(base), adapter)
    rows = []
    with torch.inference_mode():
        for text in TEXTS:
            hidden = model.eval()(**tokenizer(text, return_tensors="pt")).last_hidden_state
            rows.append(hidden[0].mean(0).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.fault("F61")
def test_f61_an_adapter_of_a_torch_model_is_in_the_key(
    folder: Path, tmp_path: Path, beside: bool, tolerance: Tolerance
) -> None:
    bare = shutil.copytree(folder, tmp_path / "bare")
    where = folder if beside else tmp_path / "adapter"
    plain = load_encoder(f"torch:{bare}")
    keys = {plain.identity.weights}
    for seed in (1, 2):
        _add_adapter(bare, where, seed)
        encoder = load_encoder(f"torch:{where}")
        keys.add(encoder.identity.weights)
        error = relative_error(_rows(encoder), _by_peft(bare, where))
        assert error <= tolerance("pooled_embedding", "float32")
    assert len(keys) == 3


def test_an_adapter_without_its_base_says_which_one(folder: Path, tmp_path: Path) -> None:
    _add_adapter(folder, tmp_path / "adapter", 1)
    settings = tmp_path / "adapter" / "adapter_config.json"
    content = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps(content | {"base_model_name_or_path": "org/base"}), "utf-8")
    with pytest.raises(CheckpointError, match=r"base 'org/base' is not a folder here"):
        load_encoder(f"torch:{tmp_path / 'adapter'}")


@pytest.mark.parametrize("places", [2, pytest.param(20, marks=pytest.mark.sweep)])
@pytest.mark.fault("F61")
def test_any_byte_of_any_file_changes_the_key_of_a_torch_model(folder: Path, places: int) -> None:
    before = load_encoder(f"torch:{folder}")
    random = np.random.RandomState(places)
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for _ in range(places):
            changed = bytearray(whole)
            changed[random.randint(len(whole))] ^= 1 << random.randint(7)
            file.write_bytes(bytes(changed))
            try:
                assert load_encoder(f"torch:{folder}").identity != before.identity, file
            except GenebError:
                continue
        file.write_bytes(whole)
    assert load_encoder(f"torch:{folder}").identity == before.identity


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "extra"])
@pytest.mark.parametrize("kind", ["pipe", "Git LFS pointer"])
def test_what_is_no_file_is_refused_before_transformers_waits_for_it(
    folder: Path, name: str, kind: str
) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(CheckpointError, match=rf"{name}.*{kind.split()[-1]}"):
        load_encoder(f"torch:{folder}")
