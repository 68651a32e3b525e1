"""The key is what was loaded: with a byte changed, another identity or the same embeddings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.embed import load_model
from geneb_jax.errors import GenebError
from tests.models.drawn_folders import SEQUENCES, Axes, write_folder

# peft warns of settings that it does not know, transformers of odd values.
pytestmark = pytest.mark.filterwarnings("ignore")
_ROOT = 20261129
#: What sentence-transformers puts around a network.
_SENTENCE_FILES = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pool", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_N", "type": "sentence_transformers.models.Normalize"},
    ],
    "1_Pool/config.json": {"word_embedding_dimension": 16, "pooling_mode_cls_token": True},
    "2_N/config.json": {},
    "sentence_bert_config.json": {"max_seq_length": 24, "do_lower_case": False},
    "config_sentence_transformers.json": {"prompts": {}, "default_prompt_name": None},
}
#: What trainers and older versions of transformers leave.
_MORE_FILES = {
    "generation_config.json": {"eos_token_id": 2},
    "trainer_state.json": {"global_step": 500},
    "added_tokens.json": {"<mask>": 9},
    "special_tokens_map.json": {"unk_token": {"content": "<unk>", "lstrip": False}},
}


def _folder(family: str, place: Path) -> Path:
    """A folder with an adapter, sharded weights, and all files that people's folders have."""
    layout = "safetensors" if family == "esm" else "sharded"
    axes = Axes(family, "Model", (16, 2, 2, 24), layout, "float32", "", "lora", "tidy", 3)
    folder = write_folder(axes, place).path
    for name, content in (_SENTENCE_FILES | _MORE_FILES).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    (folder / "README.md").write_text("A model.\n")
    return folder


#: One length in tokens, so that a load compiles one program.
_TEXTS = [SEQUENCES[0], SEQUENCES[0][::-1]]


def _check_every_file(folder: Path, name: str, places: int) -> dict[str, int]:
    """Change bytes of every file; how often which outcome was met."""
    model = load_model(name)
    identity, rows = model.encoder.identity, model.embed(_TEXTS)
    generator = np.random.default_rng([_ROOT, places])
    outcomes = {"refused": 0, "another key": 0, "same embeddings": 0}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        for at in generator.integers(len(content), size=places):
            changed = bytearray(content)
            changed[at] ^= 1 << int(generator.integers(7))
            file.write_bytes(bytes(changed))
            try:
                other = load_model(name)
                if other.encoder.identity != identity:
                    outcomes["another key"] += 1
                    continue
                others = other.embed(_TEXTS)
            except GenebError:
                outcomes["refused"] += 1
                continue
            outcomes["same embeddings"] += 1
            np.testing.assert_array_equal(others, rows, err_msg=f"{file.name}, byte {at}")
        file.write_bytes(content)
    assert load_model(name).encoder.identity == identity
    return outcomes


@pytest.mark.parametrize("family", ["esm", "llama"])
@pytest.mark.parametrize("prefix", ["", "torch:"])
@pytest.mark.parametrize("places", [2, pytest.param(20, marks=pytest.mark.sweep)])
@pytest.mark.fault("F44", "F58")
def test_a_byte_changes_the_key_or_nothing(
    family: str, prefix: str, places: int, tmp_path: Path
) -> None:
    folder = _folder(family, tmp_path / "drawn")
    outcomes = _check_every_file(folder, f"{prefix}{folder}", places)
    assert all(outcomes.values()), outcomes


@pytest.mark.parametrize("prefix", ["", "torch:"])
def test_the_base_of_an_adapter_alone_is_in_the_key(prefix: str, tmp_path: Path) -> None:
    axes = Axes("esm", "Model", (16, 2, 2, 24), "safetensors", "float32", "", "alone", "tidy", 3)
    drawn = write_folder(axes, tmp_path / "drawn")
    base = drawn.path.parent / "base"
    for file in base.glob("*token*"):
        shutil.copy(file, drawn.path)
    shutil.copy(base / "vocab.txt", drawn.path)
    assert _check_every_file(base, f"{prefix}{drawn.path}", 2)["another key"]
