"""Files of a checkpoint folder."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.fuzz.hostile_bytes import damaged_bytes, damaged_json
from tests.fuzz.target import Target, text, written

__all__ = ["TARGETS"]


def _config_seeds(folder: Path) -> list[bytes]:
    from tests.models.drawn_folders import Axes, write_folder

    seeds = []
    for family in ("esm", "bert", "gpt2", "llama"):
        axes = Axes(
            family, "Model", (16, 2, 2, 24), "safetensors", "float32", "", "none", "tidy", 0
        )  # fmt: skip
        seeds.append((write_folder(axes, folder / family).path / "config.json").read_bytes())
    return seeds


def _read_config(folder: Path, content: bytes) -> None:
    from geneb_jax.models.checkpoints.config_json import read_config_json
    from geneb_jax.models.family import family_for_folder

    written(folder, "config.json", content)
    config = read_config_json(folder)
    family_for_folder(config).from_config_json(config)


def _safetensors_seeds(folder: Path) -> list[bytes]:
    from safetensors.numpy import save

    generator = np.random.default_rng(0)
    tensors = {f"layer.{at}.weight": generator.standard_normal((3, 4)) for at in range(4)}
    half = {name: value.astype(np.float16) for name, value in tensors.items()}
    return [save(tensors), save(half, {"format": "pt"}), save({})]


def _read_weights(folder: Path, content: bytes, name: str = "model.safetensors") -> None:
    from geneb_jax.models.checkpoints.weight_reader import open_checkpoint

    checkpoint = open_checkpoint([written(folder, name, content)])
    for tensor in list(checkpoint.tensors)[:8]:
        checkpoint.read(tensor)


def _torch_seeds(folder: Path) -> list[bytes]:
    import torch

    tensors = {f"layer.{at}.weight": torch.ones(3, 4) for at in range(4)}
    seeds = []
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save(tensors, buffer, _use_new_zipfile_serialization=zipped)
        seeds.append(buffer.getvalue())
    return seeds


def _read_torch(folder: Path, content: bytes) -> None:
    _read_weights(folder, content, "pytorch_model.bin")


def _read_index(folder: Path, content: bytes) -> None:
    from geneb_jax.models.checkpoints.weight_files import choose_weight_files

    written(folder, "model.safetensors.index.json", content)
    choose_weight_files(folder)


def _read_adapter(folder: Path, content: bytes) -> None:
    from geneb_jax.models.checkpoints.adapter_config import read_adapter_config

    read_adapter_config(content, where="adapter_config.json")


def _tokenizer_seeds(name: str, kind: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        from tests.tokenizers.drawn_tokenizers import draw_tokenizer

        found: list[bytes] = []
        for seed in range(30):
            place = folder / str(seed)
            place.mkdir()
            draw_tokenizer(np.random.default_rng(seed), place, kind=kind)
            if (place / name).is_file():
                found.append((place / name).read_bytes())
        return found

    return seeds


def _read_tokenizer(name: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        from geneb_jax.tokenizers import file_tokenizer, vocabulary_tokenizer

        place = folder / "read"
        place.mkdir(exist_ok=True)
        written(place, name, content)
        reader = vocabulary_tokenizer if name == "vocab.txt" else file_tokenizer
        found = reader(place, longest=64, rows=10**5)
        for tokens in found.tokenizer.tokenize_many(["ACGTN", "", "xx ACGT"]):
            assert len(tokens.ids) <= 64

    return read


_INDEX = json.dumps({"metadata": {}, "weight_map": {"a": "x.safetensors"}}).encode()
_ADAPTER = json.dumps(
    {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["query", "value"],
     "rank_pattern": {"query": 2}, "alpha_pattern": {"value": 3}, "bias": "none",
     "modules_to_save": None, "base_model_name_or_path": "org/base", "use_rslora": False}
).encode()  # fmt: skip

TARGETS: dict[str, Target] = {
    "config.json": Target(_config_seeds, _read_config, damaged_json),
    "safetensors": Target(_safetensors_seeds, _read_weights, damaged_bytes),
    "torch file": Target(_torch_seeds, _read_torch, damaged_bytes),
    "weight index": Target(lambda _: [_INDEX], _read_index, damaged_json),
    "adapter_config.json": Target(lambda _: [_ADAPTER], _read_adapter, damaged_json),
    "tokenizer.json": Target(
        _tokenizer_seeds("tokenizer.json", "bpe"), _read_tokenizer("tokenizer.json"), text
    ),
    "vocab.txt": Target(
        _tokenizer_seeds("vocab.txt", "k-mers"), _read_tokenizer("vocab.txt"), text
    ),
}
