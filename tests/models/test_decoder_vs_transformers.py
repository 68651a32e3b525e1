"""Causal decoders against transformers, from folders laid out as the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaConfig, MistralConfig, PreTrainedModel

from geneb_jax.errors import CheckpointError
from geneb_jax.models import TokenEncoder, load_encoder
from tests.models.decoder_checkpoints import (
    FORMS,
    batch,
    mean,
    published_config,
    relative_error,
    save,
    torch_model,
    torch_states,
)

Tolerance = Callable[[str, str], float]
Pair = tuple[PreTrainedModel, TokenEncoder, Callable[..., Any]]


@pytest.fixture(scope="module", params=FORMS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The torch model, our encoder from its folder, and our jitted pooled forward."""
    model = torch_model(request.param)
    folder = save(request.param, model, tmp_path_factory.mktemp("decoder") / request.param)
    encoder = load_encoder(folder)
    assert isinstance(encoder, TokenEncoder)
    return model, encoder, jax.jit(encoder.pooled)


@pytest.mark.parametrize("rows", [1, 8])
def test_pooled_embeddings(
    pair: Pair, sequences: list[str], rows: int, tolerance: Tolerance
) -> None:
    model, encoder, pooled = pair
    chosen = [text for text in sequences if len(text) < 500]
    for first in range(0, len(chosen) - rows, 12):
        ids, mask = batch(encoder, chosen[first : first + rows])
        theirs = mean(torch_states(model, ids, mask)[-1], mask)
        error = relative_error(pooled(encoder.params, ids, mask), theirs)
        assert error <= tolerance("pooled_embedding", "float32")


def test_every_hidden_state(pair: Pair, sequences: list[str], tolerance: Tolerance) -> None:
    model, encoder, _ = pair
    ids, mask = batch(encoder, sequences[:24:3], extra_tokens=5)
    states = torch_states(model, ids, mask)
    assert len(states) == encoder.config.layer_count + 1
    for layer, theirs in enumerate(states):
        ours = encoder.hidden_states(encoder.params, ids, mask, layer=layer)
        np.testing.assert_array_equal(ours.mask, mask)
        error = relative_error(np.asarray(ours.values)[mask], theirs[mask])
        assert error <= tolerance("hidden_state", "float32"), layer


def test_left_padding_of_the_original_gives_the_same(
    pair: Pair, sequences: list[str], tolerance: Tolerance
) -> None:
    """GenomeOcean's and OmniNA's extractors pad on the left; right padding needs no correction."""
    model, encoder, pooled = pair
    ids, mask = batch(encoder, sequences[5:20:3])
    left_ids, left_mask = np.full_like(ids, encoder.pad_id), np.zeros_like(mask)
    for row, length in enumerate(mask.sum(axis=1)):
        left_ids[row, ids.shape[1] - length :] = ids[row, :length]
        left_mask[row, ids.shape[1] - length :] = True
    inputs = {"input_ids": left_ids, "attention_mask": left_mask}
    if isinstance(model, GPT2LMHeadModel):  # learned positions count from the first token
        inputs["position_ids"] = np.maximum(np.cumsum(left_mask, axis=1) - 1, 0)
    with torch.no_grad():
        output = model(
            **{name: torch.tensor(value).long() for name, value in inputs.items()},
            output_hidden_states=True,
        )
    theirs = mean(output.hidden_states[-1].numpy(), left_mask)
    error = relative_error(pooled(encoder.params, ids, mask), theirs)
    assert error <= tolerance("pooled_embedding", "float32")


def test_what_stands_in_padding_does_not_matter(pair: Pair, sequences: list[str]) -> None:
    _, encoder, pooled = pair
    ids, mask = batch(encoder, sequences[:12:2])
    other = np.where(mask, ids, 5)
    np.testing.assert_array_equal(
        pooled(encoder.params, ids, mask), pooled(encoder.params, other, mask)
    )


def test_bfloat16(pair: Pair, sequences: list[str], tolerance: Tolerance, tmp_path: Path) -> None:
    model, encoder, _ = pair
    form = next(name for name in FORMS if FORMS[name][1] is model.config)
    model = torch_model(form, spread=0.05)
    low = load_encoder(save(form, model, tmp_path), dtype="bfloat16")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(low.params)} == {"bfloat16"}
    ids, mask = batch(encoder, sequences[2:14:3])
    states = torch_states(model, ids, mask)
    for layer, theirs in enumerate(states):
        ours = low.hidden_states(low.params, ids, mask, layer=layer).values
        error = relative_error(np.asarray(ours, np.float32)[mask], theirs[mask])
        assert error <= tolerance("hidden_state", "bfloat16"), layer
    pooled = low.pooled(low.params, ids, mask)
    assert pooled.dtype == np.float32
    assert relative_error(pooled, mean(states[-1], mask)) <= tolerance(
        "pooled_embedding", "bfloat16"
    )


def test_long_rotary_positions(tmp_path: Path, tolerance: Tolerance) -> None:
    """Errors of the angles grow with the position: 3000 tokens of GENERator's head width of 96."""
    kind, config, _ = FORMS["generator"]
    wide = LlamaConfig(
        **config.to_dict()
        | {"head_dim": 96, "num_hidden_layers": 1, "max_position_embeddings": 16384}
    )
    torch.manual_seed(0)
    model = kind(wide).eval()
    encoder = load_encoder(save("generator", model, tmp_path))
    generator = np.random.default_rng(0)
    ids, mask = batch(encoder, ["".join(generator.choice(list("ACGT"), 18000))])
    assert ids.shape[1] == 3002
    theirs = torch_states(model, ids, mask)[-1]
    ours = encoder.hidden_states(encoder.params, ids, mask).values
    assert relative_error(ours, theirs) <= tolerance("hidden_state", "float32")


@pytest.mark.parametrize("layout", ["sharded", "bin", "bare", "stray-buffers"])
def test_layouts_of_weight_files(
    layout: str, sequences: list[str], tmp_path: Path, tolerance: Tolerance
) -> None:
    model = torch_model("generator")
    save("generator", model, tmp_path, max_shard_size="60KB" if layout == "sharded" else "5GB")
    if layout == "sharded":
        assert len(list(tmp_path.glob("*.safetensors"))) > 2
    else:
        (tmp_path / "model.safetensors").unlink()
        tensors = dict(model.state_dict())
        if layout == "bare":
            tensors = dict(model.model.state_dict())
        if layout == "stray-buffers":  # as OmniNA's file
            for layer in range(3):
                name = f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"
                tensors[name] = torch.zeros(6, dtype=torch.bfloat16)
        torch.save(tensors, tmp_path / "pytorch_model.bin")
    encoder = load_encoder(tmp_path)
    ids, mask = batch(encoder, sequences[:9:2])
    theirs = mean(torch_states(model, ids, mask)[-1], mask)
    error = relative_error(encoder.pooled(encoder.params, ids, mask), theirs)
    assert error <= tolerance("pooled_embedding", "float32")


def test_sliding_window_limits_the_tokens(
    sequences: list[str], tmp_path: Path, tolerance: Tolerance
) -> None:
    """Within its window a Mistral is a plain decoder, so that is how far it is read."""
    kind, config, _ = FORMS["biofm"]
    windowed = MistralConfig(**config.to_dict() | {"sliding_window": 40})
    torch.manual_seed(0)
    model = kind(windowed).eval()
    encoder = load_encoder(save("biofm", model, tmp_path))
    ids, mask = batch(encoder, sequences[6:10])
    assert ids.shape[1] == 40
    theirs = mean(torch_states(model, ids, mask)[-1], mask)
    error = relative_error(encoder.pooled(encoder.params, ids, mask), theirs)
    assert error <= tolerance("pooled_embedding", "float32")


@pytest.mark.parametrize(
    ("form", "change", "message"),
    [
        ("metagene", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "rotary"),
        ("metagene", {"rope_parameters": {"rope_type": "llama3"}}, "rotary"),
        ("metagene", {"hidden_act": "gelu"}, "hidden_act"),
        ("metagene", {"num_key_value_heads": 3}, "heads"),
        ("metagene", {"hidden_size": "48"}, "hidden_size"),
        ("metagene", {"intermediate_size": 81}, "gate_proj"),
        ("metagene", {"num_hidden_layers": 4}, "layers.3"),
        ("metagene", {"num_hidden_layers": 2}, "layers.2"),
        ("metagene", {"attention_bias": True}, "q_proj.bias"),
        ("metagene", {"vocab_size": 1000}, "1000 rows"),
        ("omni-dna", {"alibi": True}, "alibi"),
        ("omni-dna", {"include_bias": True}, "include_bias"),
        ("omni-dna", {"block_type": "llama"}, "block_type"),
        ("omni-dna", {"clip_qkv": 8.0}, "clip_qkv"),
        ("omni-dna", {"n_kv_heads": 2}, "n_kv_heads"),
        ("omni-dna", {"rope": False}, "rope"),
        ("omni-dna", {"activation_type": "gelu"}, "activation_type"),
        ("omni-dna", {"layer_norm_type": "rms"}, "layer_norm_type"),
        (
            "omni-dna",
            {"layer_norm_type": "rms", "layer_norm_with_affine": True},
            "attn_norm.weight",
        ),
        ("gpt2", {"activation_function": "tanh"}, "activation_function"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ("gpt2", {"n_positions": 128}, "wpe"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_what_is_not_supported_is_refused(
    form: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save(form, torch_model(form), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        load_encoder(tmp_path)


def test_gpt2_positions_limit_the_tokens(tmp_path: Path, tolerance: Tolerance) -> None:
    model = torch_model("gpt2")
    encoder = load_encoder(save("gpt2", model, tmp_path))
    tokens = encoder.tokenize("ACGT" * 1000)
    assert len(tokens.ids) == 256
    assert tokens.dropped_bp > 0
    ids, mask = batch(encoder, ["ACGT" * 1000], extra_tokens=9)  # padding beyond the table
    theirs = torch_states(model, ids[:, :256], mask[:, :256])[-1].mean(axis=1)
    error = relative_error(encoder.pooled(encoder.params, ids, mask), theirs)
    assert error <= tolerance("pooled_embedding", "float32")


def test_published_class_names_are_recognised() -> None:
    assert published_config("GENERator-eukaryote-3b-base")["architectures"] == [
        "GENERatorForCausalLM"
    ]
    assert published_config("Omni-DNA-1B")["model_type"] == "olmo-gfm"
