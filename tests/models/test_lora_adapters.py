"""LoRA adapters in a folder: the numbers of peft's merge, or a refusal by name."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from geneb_jax.errors import CheckpointError
from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder
from tests.models.drawn_folders import ARCHITECTURES, SEQUENCES, Axes, head_model, write_tokenizer
from tests.tolerance import Tolerance, relative_error

FILES = ("adapter_config.json", "adapter_model.safetensors")


def axes_of(family: str, head: str = "Model") -> Axes:
    return Axes(family, head, (16, 2, 2, 24), "safetensors", "float32", "", "none", "tidy", 3)


def base_folder(family: str, place: Path, head: str = "Model") -> Path:
    torch.manual_seed(3)
    head_model(axes_of(family, head)).save_pretrained(place)
    write_tokenizer(axes_of(family), place)
    return place


def train(base: Path, place: Path, seed: int, head: str = "Model", **settings: Any) -> PeftModel:
    """An adapter with random matrices, as peft saves one; the adapted model."""
    family = json.loads((base / "config.json").read_text())["model_type"]
    kind = getattr(transformers, f"{ARCHITECTURES[family].config}{head}")
    torch.manual_seed(seed)
    own = {"target_modules": list(ARCHITECTURES[family].targets), "r": 3, "lora_alpha": 5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft, on Conv1D and on transformers' new names
        adapted = get_peft_model(kind.from_pretrained(base), LoraConfig(**own | settings))
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    parameter.normal_(0.0, 0.2)
        adapted.save_pretrained(place)
    return adapted


def put(adapter: Path, folder: Path) -> None:
    for name in FILES:
        shutil.copy(adapter / name, folder)


def batch(encoder: TokenEncoder) -> tuple[np.ndarray, np.ndarray]:
    rows = [encoder.tokenize(text).ids for text in SEQUENCES]
    ids = np.full((len(rows), 64), encoder.pad_id, np.int32)
    mask = np.arange(64)[None, :] < np.array([len(row) for row in rows])[:, None]
    ids[mask] = np.concatenate(rows)
    return ids, mask


def ours(encoder: Any) -> np.ndarray:
    ids, mask = batch(encoder)
    return np.asarray(jax.jit(encoder.pooled)(encoder.params, ids, mask))


def merged(adapted: PeftModel, encoder: Any) -> np.ndarray:
    """The mean embeddings of peft's own merge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = adapted.merge_and_unload().base_model.eval()
    ids, mask = batch(encoder)
    with torch.no_grad():
        hidden = model(
            input_ids=torch.from_numpy(ids).long(), attention_mask=torch.from_numpy(mask).long()
        ).last_hidden_state.numpy()
    return (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]


@pytest.mark.parametrize("family", ["esm", "llama"])
def test_an_adapter_swapped_under_the_same_folder(
    family: str, tmp_path: Path, tolerance: Tolerance
) -> None:
    folder = base_folder(family, tmp_path / "model")
    bare = load_encoder(folder)
    adapted = {seed: train(folder, tmp_path / f"adapter{seed}", seed) for seed in (1, 2)}
    identities, vectors = {bare.identity}, [ours(bare)]
    for seed, model in adapted.items():
        put(tmp_path / f"adapter{seed}", folder)
        encoder = load_encoder(folder)
        identities.add(encoder.identity)
        vectors.append(ours(encoder))
        error = relative_error(vectors[-1], merged(model, encoder))
        assert error <= tolerance("pooled_embedding", "float32")
        assert encoder.spec is not None and "LoRA adapter" in encoder.spec.notes[0]
    assert len(identities) == 3
    assert min(np.abs(vectors[a] - vectors[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 1e-2


@pytest.mark.parametrize(
    ("family", "head", "settings"),
    [
        ("esm", "ForSequenceClassification", {"task_type": "SEQ_CLS"}),
        ("esm", "ForMaskedLM", {"target_modules": "all-linear"}),
        ("llama", "ForCausalLM", {"target_modules": "all-linear", "use_rslora": True}),
        ("llama", "ForCausalLM", {"modules_to_save": ["embed_tokens", "lm_head"]}),
        ("llama", "ForSequenceClassification", {"task_type": "SEQ_CLS", "layers_to_transform": 1}),
        ("gpt2", "LMHeadModel", {"target_modules": r".*(c_attn|mlp\.c_proj)"}),
        (
            "bert",
            "ForTokenClassification",
            {"rank_pattern": {"query": 7}},
        ),
        ("roformer", "Model", {"alpha_pattern": {r"layer\.1\.attention\.self\.value": 40}}),
    ],
)
def test_adapters_of_models_with_heads(
    family: str, head: str, settings: dict[str, Any], tmp_path: Path, tolerance: Tolerance
) -> None:
    folder = base_folder(family, tmp_path / "model", head)
    adapted = train(folder, tmp_path / "adapter", 1, head, **settings)
    bare = ours(load_encoder(folder))
    put(tmp_path / "adapter", folder)
    encoder = load_encoder(folder)
    found = ours(encoder)
    assert relative_error(found, merged(adapted, encoder)) <= tolerance(
        "pooled_embedding", "float32"
    )
    assert np.abs(found - bare).max() > 1e-2


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small LLaMA with an adapter beside it."""
    place = tmp_path_factory.mktemp("lora")
    folder = base_folder("llama", place / "model")
    train(folder, place / "adapter", 1)
    put(place / "adapter", folder)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "adapters of the kind 'IA3' are not supported"),
        ({"peft_type": "ADALORA"}, "'ADALORA'"),
        ({"peft_type": None}, "peft_type is missing"),
        ({"use_dora": True}, "use_dora .DoRA. is not supported"),
        ({"bias": "lora_only"}, "bias = 'lora_only'"),
        ({"lora_bias": True}, "lora_bias"),
        ({"init_lora_weights": "olora"}, "init_lora_weights = 'olora'"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4"),
        ({"use_qalora": True}, "use_qalora"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"target_parameters": ["x"]}, "target_parameters"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"some_new_setting": {"a": 1}}, "some_new_setting"),
        ({"r": 4}, "has rank 3, the settings say 4"),
        ({"r": "3"}, "r is '3', expected int"),
        ({"lora_alpha": None, "alpha_pattern": {"q_proj": "x"}}, "alpha_pattern gives"),
        ({"rank_pattern": {"q_proj": 2}}, "has rank 3, the settings say 2"),
        ({"target_modules": ["q_proj"]}, "which target_modules does not name"),
        ({"target_modules": r".*k_proj"}, "which target_modules does not name"),
        ({"target_modules": "("}, "no regular expression"),
        ({"alpha_pattern": {"q_proj": 10**308 * 9}}, "alpha_pattern gives"),
        ({"alpha_pattern": {"(a*)*b": 1}}, "a pattern that is not tried"),
    ],
)
def test_settings_that_are_not_applied_are_refused(
    changes: dict[str, Any], said: str, copy: Path
) -> None:
    path = copy / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CheckpointError, match=said):
        load_encoder(copy)


def edit(change: Callable[[dict[str, torch.Tensor]], None], folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


QUERY = "base_model.model.layers.0.self_attn.q_proj"


def test_tensors_that_do_not_fit_are_refused(copy: Path, whole: Path) -> None:
    def restore() -> None:
        shutil.copy(whole / "adapter_model.safetensors", copy)

    cases: list[tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = [
        (lambda t: t.pop(f"{QUERY}.lora_A.weight"), r"lora_A or lora_B of .*q_proj is missing"),
        (lambda t: t.update({f"{QUERY}.lora_A.weight": torch.ones(3, 9)}), r"\[3, 9\]"),
        (lambda t: t.update({"base_model.model.x.lora_A.weight": torch.ones(3, 9)}), "changes x,"),
        (lambda t: t.update({f"{QUERY}.lora_B.bias": torch.ones(16)}), r"lora_B\.bias is not supp"),
        (
            lambda t: t.update({"base_model.model.norm.weight": torch.ones(16)}),
            "is not supp",
        ),
        (lambda t: t.update({f"{QUERY}.lora_magnitude_vector": torch.ones(16)}), "magnitude"),
        (
            lambda t: t.update(
                {
                    "base_model.model.layers.7.self_attn.q_proj.lora_A.weight": torch.ones(3, 16),
                    "base_model.model.layers.7.self_attn.q_proj.lora_B.weight": torch.ones(16, 3),
                }
            ),
            "layers.7.self_attn.q_proj, which the model does not have",
        ),
        (lambda t: t.clear(), "holds no tensors"),
        (
            lambda t: t[f"{QUERY}.lora_A.weight"].fill_(float("nan")),
            r"q_proj\.weight holds 256 values that are NaN",
        ),
    ]
    for change, said in cases:
        restore()
        edit(change, copy)
        with pytest.raises(CheckpointError, match=said):
            _ = load_encoder(copy).params


@pytest.mark.parametrize(("name", "other"), [FILES, FILES[::-1]])
def test_half_an_adapter_is_refused(name: str, other: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"there is no {name} beside {other}"):
        load_encoder(copy)


def test_a_quantised_base_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    quantised = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    (copy / "config.json").write_text(json.dumps(config | quantised))
    with pytest.raises(CheckpointError, match=r"quantised weights .*gptq"):
        load_encoder(copy)


def test_every_file_of_the_adapter_is_in_the_key(copy: Path, whole: Path) -> None:
    identity = load_encoder(copy).identity
    assert identity == load_encoder(whole).identity
    path = copy / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"lora_alpha": 6}))
    assert load_encoder(copy).identity != identity
    shutil.copy(whole / "adapter_config.json", copy)
    assert load_encoder(copy).identity == identity
    edit(lambda tensors: tensors[f"{QUERY}.lora_B.weight"].mul_(2), copy)
    assert load_encoder(copy).identity != identity


def test_an_adapter_alone_finds_its_base_by_path(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, base = tmp_path / "alone", tmp_path / "the-base"
    alone.mkdir()
    put(whole, alone)
    shutil.copytree(whole, base)
    for name in FILES:
        (base / name).unlink()
    path = alone / "adapter_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"base_model_name_or_path": "the-base"}))
    with pytest.raises(CheckpointError, match=r"a LoRA adapter of 'the-base' and no config\.json"):
        load_encoder(alone)
    monkeypatch.chdir(tmp_path)  # from the working directory, as transformers looks for it
    encoder = load_encoder(alone)
    assert encoder.identity.model_id == "alone"
    np.testing.assert_array_equal(ours(encoder), ours(load_encoder(whole)))
    path.write_text(json.dumps(settings | {"base_model_name_or_path": None}))
    with pytest.raises(CheckpointError, match="does not name"):
        load_encoder(alone)


def test_an_untrained_model_takes_no_adapter(whole: Path) -> None:
    encoder = load_encoder(whole, LoadOptions(weights="random"))
    assert encoder.identity.weights == "random:0"
