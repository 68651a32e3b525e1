"""Causal decoders against transformers, from folders laid out as the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaConfig, MistralConfig, PreTrainedModel

from geneb_jax.errors import CheckpointError
from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder, registry
from geneb_jax.models.pooling import pool
from tests.models.decoder_checkpoints import (
    FORMS,
    batch,
    mean,
    save,
    torch_model,
    torch_states,
)
from tests.tolerance import Tolerance, relative_error

#: Mixed lengths, other letters, lower case, nothing at all, beyond the limit of BPE and GPT-2.
_DRAWN = "".join(np.random.default_rng(3).choice(list("ACGT"), 900))
TEXTS = (
    _DRAWN[:150],
    "A",
    _DRAWN[:40] + "N" * 9 + _DRAWN[40:70],
    "N" * 31,
    _DRAWN[60:120].lower() + "R" + _DRAWN[:20],
    _DRAWN[200:205],
    _DRAWN[300:399],
    "ACGTAC",
)


@dataclass(frozen=True)
class Case:
    """A torch model, our encoder from its folder, and what both make of one padded batch."""

    form: str
    model: PreTrainedModel
    encoder: TokenEncoder
    ids: np.ndarray
    mask: np.ndarray
    theirs: list[np.ndarray]
    compute: Callable[..., Any]


def compiled(encoder: TokenEncoder) -> Callable[..., Any]:
    """(ids, mask) -> every hidden state, pooled embedding, as one program."""
    layers = range(encoder.config.layer_count + 1)

    @jax.jit
    def compute(params: Any, ids: Any, mask: Any) -> Any:
        states = [encoder.hidden_states(params, ids, mask, layer=layer) for layer in layers]
        pooled = pool(encoder.identity.pooling, states[-1].values, states[-1].mask)
        return [state.values for state in states], pooled

    return lambda ids, mask: compute(encoder.params, ids, mask)


#: The other two differ from these in sizes only.
_SIZES_ONLY = ("metagene", "genomeocean")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(form, marks=[pytest.mark.sweep] if form in _SIZES_ONLY else [])
        for form in FORMS
    ],
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    form = request.param
    model = torch_model(form)
    encoder = load_encoder(save(form, model, tmp_path_factory.mktemp("decoder") / form))
    ids, mask = batch(encoder, TEXTS, extra_tokens=5)
    theirs = torch_states(model, ids, mask)
    return Case(form, model, encoder, ids, mask, theirs, compiled(encoder))


def test_the_label_says_what_the_tokenizer_does(case: Case) -> None:
    stated = registry()[FORMS[case.form][2]].labels.tokenization
    assert case.encoder.spec.labels.tokenization == {"BioToken": "SN"}.get(stated, stated)


def test_hidden_states_and_pooled_embedding(case: Case, tolerance: Tolerance) -> None:
    states, pooled = case.compute(case.ids, case.mask)
    assert len(states) == len(case.theirs) == case.encoder.config.layer_count + 1
    for layer, (ours, theirs) in enumerate(zip(states, case.theirs, strict=True)):
        error = relative_error(np.asarray(ours)[case.mask], theirs[case.mask])
        assert error <= tolerance("hidden_state", "float32"), layer
    error = relative_error(pooled, mean(case.theirs[-1], case.mask))
    assert error <= tolerance("pooled_embedding", "float32")


def test_left_padding_of_the_original_gives_the_same(case: Case, tolerance: Tolerance) -> None:
    """GenomeOcean's and OmniNA's extractors pad on the left; right padding needs no correction."""
    ids, mask = np.full_like(case.ids, case.encoder.pad_id), np.zeros_like(case.mask)
    for row, length in enumerate(case.mask.sum(axis=1)):
        ids[row, ids.shape[1] - length :] = case.ids[row, :length]
        mask[row, ids.shape[1] - length :] = True
    inputs = {"input_ids": ids, "attention_mask": mask}
    if isinstance(case.model, GPT2LMHeadModel):  # learned positions count from the first token
        inputs["position_ids"] = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
    with torch.no_grad():
        output = case.model(
            **{name: torch.tensor(value).long() for name, value in inputs.items()},
            output_hidden_states=True,
        )
    _, pooled = case.compute(case.ids, case.mask)
    error = relative_error(pooled, mean(output.hidden_states[-1].numpy(), mask))
    assert error <= tolerance("pooled_embedding", "float32")


def test_what_stands_in_padding_does_not_matter(case: Case) -> None:
    _, pooled = case.compute(case.ids, case.mask)
    _, other = case.compute(np.where(case.mask, case.ids, 5), case.mask)
    np.testing.assert_array_equal(pooled, other)


@pytest.mark.parametrize("form", ["generator", "omni-dna", "gpt2"])
def test_bfloat16(form: str, tolerance: Tolerance, tmp_path: Path) -> None:
    model = torch_model(form, spread=0.05)
    encoder = load_encoder(save(form, model, tmp_path), LoadOptions(dtype="bfloat16"))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(encoder.params)} == {"bfloat16"}
    ids, mask = batch(encoder, TEXTS)
    theirs = torch_states(model, ids, mask)
    states, pooled = compiled(encoder)(ids, mask)
    for layer, (ours, state) in enumerate(zip(states, theirs, strict=True)):
        error = relative_error(np.asarray(ours, np.float32)[mask], state[mask])
        assert error <= tolerance("hidden_state", "bfloat16"), layer
    assert pooled.dtype == np.float32
    limit = tolerance("pooled_embedding", "bfloat16")
    assert relative_error(pooled, mean(theirs[-1], mask)) <= limit


@pytest.mark.sweep
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_real_sequences(
    case: Case, rows: int, real_sequences: list[str], tolerance: Tolerance
) -> None:
    for first in range(0, len(real_sequences) - rows + 1, max(rows, 16)):
        ids, mask = batch(case.encoder, real_sequences[first : first + rows])
        theirs = mean(torch_states(case.model, ids, mask)[-1], mask)
        error = relative_error(case.compute(ids, mask)[1], theirs)
        assert error <= tolerance("pooled_embedding", "float32")


def test_long_rotary_positions(tmp_path: Path, tolerance: Tolerance) -> None:
    """Errors of the angles grow with the position: 2000 tokens of GENERator's head width of 96."""
    kind, config, _ = FORMS["generator"]
    wide = LlamaConfig(
        **config.to_dict()
        | {"head_dim": 96, "num_hidden_layers": 1, "max_position_embeddings": 16384}
    )
    torch.manual_seed(0)
    model = kind(wide).eval()
    encoder = load_encoder(save("generator", model, tmp_path))
    generator = np.random.default_rng(0)
    ids, mask = batch(encoder, ["".join(generator.choice(list("ACGT"), 12000))])
    assert ids.shape[1] == 2002
    theirs = torch_states(model, ids, mask)[-1]
    ours = compiled(encoder)(ids, mask)[0][-1]
    assert relative_error(ours, theirs) <= tolerance("hidden_state", "float32")


@pytest.mark.parametrize("layout", ["sharded", "bin", "bare", "stray-buffers"])
def test_layouts_of_weight_files(layout: str, tmp_path: Path) -> None:
    model = torch_model("generator")
    expected = load_encoder(save("generator", model, tmp_path)).params
    (tmp_path / "model.safetensors").unlink()
    save("generator", model, tmp_path, max_shard_size="60KB" if layout == "sharded" else "5GB")
    if layout == "sharded":
        assert len(list(tmp_path.glob("*.safetensors"))) > 2
    else:
        (tmp_path / "model.safetensors").unlink()
        tensors = dict(model.state_dict())
        if layout == "bare":
            tensors = dict(model.model.state_dict())
        if layout == "stray-buffers":  # as OmniNA's file
            for layer in range(2):
                name = f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"
                tensors[name] = torch.zeros(6, dtype=torch.bfloat16)
        torch.save(tensors, tmp_path / "pytorch_model.bin")
    jax.tree.map(np.testing.assert_array_equal, load_encoder(tmp_path).params, expected)


def test_sliding_window_is_how_far_a_token_sees(tmp_path: Path, tolerance: Tolerance) -> None:
    """Inputs may be longer than the window; transformers masks what is further back."""
    kind, config, _ = FORMS["biofm"]
    windowed = MistralConfig(**config.to_dict() | {"sliding_window": 40})
    torch.manual_seed(0)
    model = kind(windowed).eval()
    encoder = load_encoder(save("biofm", model, tmp_path))
    ids, mask = batch(encoder, TEXTS)
    assert ids.shape[1] > 80
    theirs = mean(torch_states(model, ids, mask)[-1], mask)
    error = relative_error(jax.jit(encoder.pooled)(encoder.params, ids, mask), theirs)
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
        ("metagene", {"num_hidden_layers": 3}, "layers.2"),
        ("metagene", {"num_hidden_layers": 1}, "layers.1"),
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
    error = relative_error(jax.jit(encoder.pooled)(encoder.params, ids, mask), theirs)
    assert error <= tolerance("pooled_embedding", "float32")
