"""Checkpoint folders drawn by seed, written by transformers and peft: what folders vary in.

:class:`Axes` says what a folder is like, :func:`draw_axes` draws one, :func:`write_folder` writes
it with its reference. A new axis is a field of :class:`Axes`, its choices in :func:`draw_axes`, and
what it does to the files in :func:`write_folder`.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from peft import IA3Config, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

LETTERS = ("<cls>", "<pad>", "<eos>", "<unk>", "A", "C", "G", "T", "N", "<mask>")
SEQUENCES = ("ACGTTGCATGCCAATTGACCA", "GATTACA" * 6, "CCCTAGGN")


@dataclass(frozen=True)
class Architecture:
    """How one of transformers' architectures is made small."""

    config: str
    heads: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ("query", "value")
    norm: str = "LayerNorm"
    names: tuple[str, str, str, str] = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
    )


_DECODER = ("Model", "ForCausalLM", "ForSequenceClassification", "ForTokenClassification")
ARCHITECTURES: dict[str, Architecture] = {
    "esm": Architecture(
        "Esm",
        ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"),
        {"max_position_embeddings": 80, "mask_token_id": 9, "position_embedding_type": "rotary"},
        ("query", "value", "intermediate.dense"),
    ),
    "esm-absolute": Architecture(
        "Esm",
        ("Model", "ForMaskedLM", "ForSequenceClassification"),
        {"max_position_embeddings": 80, "mask_token_id": 9, "token_dropout": True},
        ("key", "output.dense"),
    ),
    "bert": Architecture(
        "Bert",
        (
            "Model",
            "ForPreTraining",
            "ForMaskedLM",
            "ForSequenceClassification",
            "ForTokenClassification",
            "ForQuestionAnswering",
            "ForMultipleChoice",
            "ForNextSentencePrediction",
        ),
        {"max_position_embeddings": 80},
        ("query", "output.dense"),
    ),
    "roformer": Architecture(
        "RoFormer",
        (
            "Model",
            "ForMaskedLM",
            "ForSequenceClassification",
            "ForTokenClassification",
            "ForQuestionAnswering",
            "ForMultipleChoice",
        ),
        {"max_position_embeddings": 80},
    ),
    "gpt2": Architecture(
        "GPT2",
        (
            "Model",
            "LMHeadModel",
            "DoubleHeadsModel",
            "ForSequenceClassification",
            "ForTokenClassification",
            "ForQuestionAnswering",
        ),
        {"n_positions": 80},
        ("c_attn", "c_proj"),
        "ln_1",
        ("n_embd", "n_layer", "n_head", "n_inner"),
    ),
    "llama": Architecture(
        "Llama",
        (*_DECODER, "ForQuestionAnswering"),
        {"max_position_embeddings": 80, "num_key_value_heads": 1},
        ("q_proj", "v_proj", "down_proj"),
        "input_layernorm",
    ),
    "mistral": Architecture(
        "Mistral",
        (*_DECODER, "ForQuestionAnswering"),
        {"max_position_embeddings": 80, "num_key_value_heads": 2, "sliding_window": 12},
        ("q_proj", "k_proj", "gate_proj"),
        "input_layernorm",
    ),
}
SIZES = ((16, 2, 2, 24), (32, 2, 4, 48))
LAYOUTS = ("safetensors", "sharded", "bin", "sharded-bin")
DTYPES = ("float32", "bfloat16", "float16")
WRAPPERS = ("", "module.", "_orig_mod.", "model.", "module._orig_mod.", "net.")
#: Adapter, and what it is refused for; None where it must be merged.
ADAPTERS: dict[str, str | None] = {
    "none": None,
    "lora": None,
    "rslora": None,
    "lora-bin": None,
    "patterns": None,
    "saved-norm": None,
    "last-layer": None,
    "alone": None,
    "dora": "DoRA",
    "bias": "bias = 'all'",
    "pissa": "init_lora_weights = 'pissa'",
    "ia3": "'IA3'",
}
#: What else is untidy in the folder, and what it is refused for.
SETTINGS: dict[str, str | None] = {
    "tidy": None,
    "stale-index": None,
    "stale-bin": None,
    "edited-theta": None,
    "unknown-key": None,
    "quantised": "quantised weights",
    "repeated-key": "occurs twice",
    "foreign-tensor": "unexpected",
    "lfs-pointer": "Git LFS pointer",
}


@dataclass(frozen=True)
class Axes:
    """What one drawn folder is like."""

    family: str
    head: str
    size: tuple[int, int, int, int]
    layout: str
    dtype: str
    wrapper: str
    adapter: str
    settings: str
    seed: int
    rows: int = len(LETTERS)

    @property
    def refused_for(self) -> tuple[str, ...]:
        """What a refusal may name; empty for a folder that must load."""
        reasons = (ADAPTERS[self.adapter], SETTINGS[self.settings])
        return tuple(reason for reason in reasons if reason is not None)


@dataclass(frozen=True)
class Folder:
    """A folder, and the folder of which transformers gives the same model.

    Attributes:
        path: What is loaded here.
        reference: The same with the names that transformers writes; ``path`` itself where it can.
        tokenizer: The folder with the tokenizer's files.
    """

    axes: Axes
    path: Path
    reference: Path
    tokenizer: Path


def draw_axes(generator: np.random.Generator) -> Axes:
    """Draw a folder: half of them tidy and without an adapter, so that every axis is seen alone."""

    def one_of(choices: Any, *, usual: float = 0.0) -> Any:
        choices = list(choices)
        at = 0 if generator.random() < usual else int(generator.integers(len(choices)))
        return choices[at]

    family = one_of(ARCHITECTURES)
    return Axes(
        family=family,
        head=one_of(ARCHITECTURES[family].heads),
        size=one_of(SIZES),
        layout=one_of(LAYOUTS),
        dtype=one_of(DTYPES),
        wrapper=one_of(WRAPPERS, usual=0.5),
        adapter=one_of(ADAPTERS, usual=0.5),
        settings=one_of(SETTINGS, usual=0.5),
        seed=int(generator.integers(2**31)),
    )


def draw_folder(generator: np.random.Generator, place: Path) -> Folder:
    """Draw a folder and write it below ``place``, which must not exist."""
    return write_folder(draw_axes(generator), place)


def write_folder(axes: Axes, place: Path) -> Folder:
    """Write a folder and its reference below ``place``."""
    torch.manual_seed(axes.seed)
    model = head_model(axes)
    plain, path = place / "plain", place / "model"
    model.save_pretrained(plain)
    write_tokenizer(axes, plain)
    _write_weights(axes, model, plain, path)
    # AutoModel does not find the names that LlamaForQuestionAnswering has: as the base alone.
    lost = axes.family == "llama" and axes.head == "ForQuestionAnswering"
    if lost:
        model.base_model.save_pretrained(plain)
    edited = _edit_config(axes)
    for folder in (plain, path):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | edited))
    _add_adapter(axes, plain, path)
    _make_untidy(axes, path)
    # transformers (5.24) reads the folder itself unless its names are wrapped.
    # Of adapters it looks for safetensors only, though it means to try the .bin as well.
    other = axes.wrapper or axes.adapter == "lora-bin" or axes.refused_for or lost
    reference = plain if other else path
    return Folder(axes, path, reference, plain)


def head_model(axes: Axes) -> PreTrainedModel:
    """A random model whose norms and biases are not the neutral ones, of the stored dtype."""
    architecture = ARCHITECTURES[axes.family]
    sizes = dict(zip(architecture.names, axes.size, strict=True))
    config = getattr(transformers, f"{architecture.config}Config")(
        **{"vocab_size": axes.rows, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
        | dict(architecture.settings)
        | sizes
    )
    kind = getattr(transformers, f"{architecture.config}{axes.head}")
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.to(getattr(torch, axes.dtype))


def write_tokenizer(axes: Axes, folder: Path) -> None:
    """A token a letter: vocab.txt for ESM, tokenizer.json for the others."""
    if axes.family.startswith("esm"):
        (folder / "vocab.txt").write_text("\n".join(LETTERS))
        settings = {"tokenizer_class": "EsmTokenizer", "model_max_length": 70}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return
    vocabulary = {letter: at for at, letter in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", model_max_length=70
    ).save_pretrained(folder)


def _write_weights(axes: Axes, model: PreTrainedModel, plain: Path, path: Path) -> None:
    shutil.copytree(plain, path)
    if not axes.wrapper and axes.layout in ("safetensors", "sharded"):
        if axes.layout == "sharded":
            (path / "model.safetensors").unlink()
            model.save_pretrained(path, max_shard_size="5KB")
        return
    (path / "model.safetensors").unlink()
    stored = load_file(plain / "model.safetensors")
    tensors = {axes.wrapper + name: tensor for name, tensor in stored.items()}
    save: Callable[..., Any] = torch.save if "bin" in axes.layout else save_file
    stem, ending = ("pytorch_model", ".bin") if "bin" in axes.layout else ("model", ".safetensors")
    if "sharded" not in axes.layout:
        save(tensors, path / (stem + ending))
        return
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for at in range(3):
        file = f"{stem}-{at + 1:05}-of-00003{ending}"
        save({name: tensors[name] for name in names[at::3]}, path / file)
        weight_map |= dict.fromkeys(names[at::3], file)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (path / f"{stem}{ending}.index.json").write_text(json.dumps(index))


def _edit_config(axes: Axes) -> dict[str, Any]:
    """What was changed in config.json after the weights were saved."""
    if axes.settings == "edited-theta" and axes.family in ("esm", "llama", "mistral"):
        theta = {"rope_theta": 500.0}
        return theta if axes.family == "esm" else {"rope_parameters": theta, "rope_theta": 7.0}
    return {"task_specific_note": {"a": [1, 2]}} if axes.settings == "unknown-key" else {}


def _add_adapter(axes: Axes, plain: Path, path: Path) -> None:
    if axes.adapter == "none":
        return
    base = transformers.AutoModel.from_pretrained(plain, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft, on Conv1D and on transformers' new names
        adapted = get_peft_model(base, _adapter_config(axes))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad or "lora_" in name or "ia3_" in name:
                parameter.normal_(0.0, 0.2)
    written = path.parent / "adapter"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted.save_pretrained(written)
    _name_base(written, plain)
    for folder in (plain, path):
        for file in written.glob("adapter_*"):
            shutil.copy(file, folder)
    if axes.adapter == "lora-bin":
        file = path / "adapter_model.safetensors"
        torch.save(load_file(file), path / "adapter_model.bin")
        file.unlink()
    if axes.adapter == "alone":
        base_folder = path.parent / "base"
        path.rename(base_folder)
        for file in base_folder.glob("adapter_*"):
            file.unlink()
        _name_base(written, base_folder)
        shutil.copytree(written, path)


def _name_base(adapter: Path, base: Path) -> None:
    file = adapter / "adapter_config.json"
    content = json.loads(file.read_text()) | {"base_model_name_or_path": str(base)}
    file.write_text(json.dumps(content))


def _adapter_config(axes: Axes) -> Any:
    architecture = ARCHITECTURES[axes.family]
    targets = list(architecture.targets)
    if axes.adapter == "ia3":
        return IA3Config(target_modules=targets[:1], feedforward_modules=[])
    own: dict[str, dict[str, Any]] = {
        "rslora": {"use_rslora": True},
        "patterns": {"rank_pattern": {targets[0]: 5}, "alpha_pattern": {targets[-1]: 11}},
        "saved-norm": {"modules_to_save": [architecture.norm]},
        "last-layer": {"target_modules": rf".*\.1\..*{targets[0]}"},
        "dora": {"use_dora": True},
        "bias": {"bias": "all"},
        "pissa": {"init_lora_weights": "pissa"},
    }
    settings = {"r": 3, "lora_alpha": 6, "target_modules": targets} | own.get(axes.adapter, {})
    return LoraConfig(**settings)


def _make_untidy(axes: Axes, path: Path) -> None:
    holder = path if (path / "config.json").exists() else path.parent / "base"
    config = holder / "config.json"
    if axes.settings == "quantised":
        content = json.loads(config.read_text())
        content["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
        config.write_text(json.dumps(content))
    if axes.settings == "repeated-key":
        config.write_text(config.read_text().replace("{", '{"vocab_size": 3, ', 1))
    weights = sorted(
        file
        for pattern in ("model*.safetensors", "pytorch_model*.bin")
        for file in holder.glob(pattern)
    )
    if axes.settings == "lfs-pointer":
        weights[-1].write_text(
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0f' * 32}\nsize 99\n"
        )
    if axes.settings == "foreign-tensor":
        reader: Callable[[Path], Any] = load_file if weights[0].suffix != ".bin" else torch.load
        tensors = reader(weights[0])
        tensors[f"{axes.wrapper}encoder.extra.weight"] = torch.ones(2)
        (save_file if weights[0].suffix != ".bin" else torch.save)(tensors, weights[0])
    if axes.settings == "stale-index" and axes.layout in ("safetensors", "bin"):
        _add_stale_shard(weights[0])
    if axes.settings == "stale-bin" and axes.layout in ("safetensors", "sharded"):
        torch.save({"other": torch.zeros(3)}, holder / "pytorch_model.bin")


def _add_stale_shard(whole: Path) -> None:
    """An index of an earlier save with its shard, whose numbers are others."""
    if whole.suffix == ".bin":
        tensors, save = torch.load(whole), torch.save
    else:
        tensors, save = load_file(whole), save_file
    shard = whole.with_name(f"{whole.stem}-00001-of-00001{whole.suffix}")
    save({name: tensor * 2 for name, tensor in tensors.items()}, shard)
    index = {"metadata": {"total_size": 0}, "weight_map": dict.fromkeys(tensors, shard.name)}
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps(index))
