"""JanusDNA against recorded outputs, transformers' Jamba blocks, and its published files."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from transformers import JambaConfig
from transformers.models.jamba.modeling_jamba import JambaMambaMixer

from geneb_jax.errors import CheckpointError
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.key_map import KeyMap
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from geneb_jax.models.families.janusdna import FAMILY, JanusDnaConfig, visible_pairs
from geneb_jax.models.key_maps.mamba import branch_weights, projection_weights
from geneb_jax.models.layers.feed_forward import MixtureOfExperts
from geneb_jax.models.layers.mamba import MambaBranch, MambaProjections
from geneb_jax.models.layers.parameters import random_parameters
from geneb_jax.models.registry import find_spec
from tests.models.esm_checkpoints import published_tensors
from tests.models.state_space_checkpoints import (
    CHANGES,
    RECORDED,
    TensorsInMemory,
    array,
    network,
    spread_tensors,
    states,
    tampered,
)
from tests.tolerance import Tolerance, relative_error

MODELS = ("JanusDNA_72_w", "JanusDNA_72_wo")
VARIANTS = ("with-middle-attention", "without-middle-attention")


def recorded_config(variant: str, *, padded_tokens: int = 4) -> JanusDnaConfig:
    sizes = RECORDED[f"janusdna.{variant}"]["topology"]
    return JanusDnaConfig(
        vocab_size=sizes["vocab"],
        hidden_size=sizes["width"],
        layer_count=sizes["layers"],
        head_count=sizes["heads"],
        head_width=sizes["head_dim"],
        flex_head_dim=sizes["flex_head_dim"],
        inner_size=sizes["inner"],
        state_size=sizes["state"],
        conv_size=sizes["conv"],
        dt_rank=sizes["dt_rank"],
        mlp_size=sizes["mlp"],
        expert_count=sizes["experts"],
        experts_per_token=sizes["top_k"],
        padded_tokens=padded_tokens,
        pad_token_id=4,
        norm_eps=sizes["epsilon"],
        middle_attention_layer=sizes["mid_layer"] if variant == VARIANTS[0] else None,
    )


def recorded_tensors(variant: str) -> dict[str, np.ndarray]:
    stored = RECORDED[f"janusdna.{variant}"]["weights"]
    return {f"model.model.{name}": array(values) for name, values in stored.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_recorded_outputs(variant: str, tolerance: Tolerance) -> None:
    recorded = RECORDED[f"janusdna.{variant}"]
    net = network(FAMILY, recorded_config(variant), recorded_tensors(variant))
    mask = np.array([recorded["inputs"]["mask"]], bool)
    at = states(net, np.array([recorded["inputs"]["tokens"]]), mask)
    limit = tolerance("hidden_state", "float32")
    for layer, name in ((0, "capture_0"), (-1, "final_hidden")):
        assert relative_error(at(layer)[0], array(recorded["expected"][name])) <= limit
    pooled = at(-1)[0][mask[0]].mean(0)
    assert relative_error(pooled, array(recorded["expected"]["pooled"])) <= limit


@pytest.mark.sweep
def test_a_row_does_not_depend_on_its_padding(tolerance: Tolerance) -> None:
    """The network pads by itself: batch width and ids of padding cannot matter."""
    variant = VARIANTS[0]
    net = network(FAMILY, recorded_config(variant, padded_tokens=9), recorded_tensors(variant))
    ids = np.array([[7, 8, 11, 10, 9], [9, 8, 0, 0, 0], [0, 0, 0, 0, 0]])
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    together = states(net, ids, mask)(-1)
    assert together.shape == (3, 9, 4)
    assert np.isfinite(together).all()
    limit = tolerance("batch_invariance", "float32")
    wide = states(net, np.pad(ids, ((0, 0), (0, 7))), np.pad(mask, ((0, 0), (0, 7))))(-1)
    assert relative_error(wide, together) <= limit
    np.testing.assert_array_equal(states(net, np.where(mask, ids, 12), mask)(-1), together)
    alone = states(net, ids[1:2, :2], mask[1:2, :2])(-1)
    assert relative_error(alone, together[1:2]) <= limit
    inner = states(net, ids, mask)(1)
    assert np.isfinite(inner).all()
    assert relative_error(inner, together) > 0.1


def test_visible_pairs_and_fusion_of_the_original() -> None:
    expected = np.array(RECORDED["janusdna.micro"]["flex_mask"], bool)
    np.testing.assert_array_equal(visible_pairs(4), expected)


def test_mixer_against_jamba(tolerance: Tolerance) -> None:
    """Transformers' Jamba has the same mixer, with the same three norms."""
    torch.manual_seed(0)
    config = JambaConfig(
        hidden_size=8,
        mamba_d_state=4,
        mamba_d_conv=4,
        mamba_expand=2,
        mamba_dt_rank=3,
        rms_norm_eps=1e-6,
        use_mamba_kernels=False,
    )
    mixer = JambaMambaMixer(config, layer_idx=0).eval()
    shapes = {name: tuple(value.shape) for name, value in mixer.state_dict().items()}
    tensors = spread_tensors(shapes)
    mixer.load_state_dict({name: torch.tensor(values) for name, values in tensors.items()})
    x = np.random.default_rng(1).standard_normal((2, 21, 8), dtype=np.float32)
    with torch.no_grad():
        theirs = mixer(torch.tensor(x)).numpy()
    sizes = JanusDnaConfig(16, 8, 1, 2, 4, 32, 16, 4, 4, 3, 8, 2, 1, 9, 4, 1e-6).sizes
    ours = jax.jit(filled_mixer(sizes, tensors))(jnp.asarray(x))
    assert relative_error(ours, theirs) <= tolerance("hidden_state", "float32")


def filled_mixer(sizes: Any, tensors: dict[str, np.ndarray]) -> Callable[[Any], Any]:
    """Our block with these tensors: projections around one branch."""

    class Block(nnx.Module):
        def __init__(self) -> None:
            self.projections = MambaProjections(sizes, stack=())
            self.branch = MambaBranch(sizes, stack=())

    weights = (
        *projection_weights("projections", "", copies="unused."),
        *branch_weights("branch", "", norms=True),
    )
    block = Block()
    fitted = fit_checkpoint(block, TensorsInMemory(tensors), KeyMap(weights=weights))
    filled = nnx.merge(nnx.graphdef(block), fitted.load(dtype="float32"))

    def run(x: Any) -> Any:
        values, gate = filled.projections.split(x)
        mixed = filled.branch(values, jnp.ones(x.shape[:2], bool), reverse=False)
        return filled.projections.join(mixed, gate)

    return run


@pytest.mark.parametrize("tokens", [1, 150])
def test_experts_against_every_expert_computed(tokens: int, tolerance: Tolerance) -> None:
    module = MixtureOfExperts(6, 10, count=5, chosen=2, stack=())
    parameters = random_parameters(module, seed=0, dtype="float32")
    generator = np.random.default_rng(0)
    values = {
        name: generator.standard_normal(leaf.shape).astype(np.float32)
        for name, leaf in parameters.items()
        if name != "router"
    }
    router = generator.standard_normal((6, 5)).astype(np.float32)
    router[:, 3] = -9.0 * np.sign(router[:, 3])  # some experts get many tokens, others none
    net = nnx.merge(
        nnx.graphdef(module), jax.tree.map(jnp.asarray, values | {"router": {"kernel": router}})
    )
    x = generator.standard_normal((1, tokens, 6)).astype(np.float32)
    logits = x[0].astype(np.float64) @ router
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    expected = np.zeros((tokens, 6))
    for token in range(tokens):
        for expert in np.argsort(-shares[token])[:2]:
            gate = x[0, token] @ values["gate"][expert]
            inner = gate / (1 + np.exp(-gate)) * (x[0, token] @ values["inner"][expert])
            expected[token] += shares[token, expert] * (inner @ values["outer"][expert])
    ours = jax.jit(net)(jnp.asarray(x))[0]
    assert relative_error(ours, expected) <= tolerance("hidden_state", "float32")


@pytest.mark.parametrize("model_id", MODELS)
def test_published_names_and_shapes(model_id: str) -> None:
    published = published_tensors(model_id)["tensors"]
    config = FAMILY.read_config(find_spec(model_id).config, where=model_id)
    shapes = {name: tuple(shape) for name, (shape, _) in published.items()}
    fitted = fit_checkpoint(FAMILY.module(config), TensorsInMemory(shapes), FAMILY.key_map(config))
    used = {name for parts in fitted.parts.values() for match in parts for name in match.names}
    assert used == set(shapes) - {"model.lm_head.weight"}


def lightning(path: Path, tensors: dict[str, np.ndarray], **extra: Any) -> Path:
    """A checkpoint as Lightning leaves it: counters, optimizer state, configuration objects."""
    held = {name: torch.tensor(values) for name, values in tensors.items()}
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "1.8.6",
        "state_dict": held | {"val_torchmetrics.num_tokens.count": torch.tensor(5)},
        "loops": {},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
        **extra,
    }
    torch.save(content, path)
    return path


def test_lightning_checkpoint_with_configuration_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = recorded_tensors(VARIANTS[0])
    library = types.ModuleType("omegaconf.dictconfig")
    kind = type("DictConfig", (), {"__module__": "omegaconf.dictconfig"})
    library.DictConfig = kind  # type: ignore[attr-defined]
    settings = kind()
    settings.__dict__["_content"] = {"hidden_size": 4}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
        patch.setitem(sys.modules, "omegaconf.dictconfig", library)
        file = lightning(tmp_path / "model.ckpt", tensors, hyper_parameters=settings)
    config = recorded_config(VARIANTS[0])
    opened = open_checkpoint([file])
    fitted = fit_checkpoint(FAMILY.module(config), opened, FAMILY.key_map(config))
    table = fitted.load(dtype="float32")["tokens"]["table"]
    np.testing.assert_array_equal(table, tensors["model.model.embed_tokens.weight"])
    assert "omegaconf" not in sys.modules
    other = lightning(tmp_path / "other.ckpt", tensors, callbacks=Path("somewhere"))
    with pytest.raises(CheckpointError, match="objects besides tensors"):
        open_checkpoint([other])


@pytest.mark.parametrize("change", CHANGES)
def test_tampering_is_refused_by_name(change: str, tmp_path: Path) -> None:
    name = "model.model.layers.1.mamba_module.feed_forward_bwd.experts.2.up_proj.weight"
    extra = name.replace("experts.2", "experts.4")
    tensors, blamed = tampered(recorded_tensors(VARIANTS[1]), name, change, extra=extra)
    config = recorded_config(VARIANTS[1])
    opened = open_checkpoint([lightning(tmp_path / "model.ckpt", tensors)])
    with pytest.raises(CheckpointError, match=re.escape(blamed)):
        fit_checkpoint(FAMILY.module(config), opened, FAMILY.key_map(config)).load(dtype="float32")


@pytest.mark.parametrize(
    ("model_id", "parameters"), [(MODELS[0], 8_946_878), (MODELS[1], 8_955_304)]
)
def test_token_ids_and_true_size(model_id: str, parameters: int) -> None:
    encoder = load_encoder(model_id, LoadOptions(weights="random", offline=True, pooling="geneb"))
    assert encoder.identity.pooling == "mean"
    assert encoder.tokenize("acgtnx").ids.tolist() == [7, 8, 9, 10, 11, 6]
    assert encoder.tokenize("ACGTNACGT").ids.tolist() == [7, 8, 9, 10, 11, 7, 8, 9, 10]
    assert encoder.tokenize("ACGTN" * 3).ids.tolist() == [7, 8, 9, 10, 11] * 3
    assert len(encoder.tokenize("A" * 3000).ids) == 1024
    assert sum(leaf.size for leaf in jax.tree.leaves(encoder.params)) == parameters


@pytest.mark.sweep
@pytest.mark.parametrize("model_id", MODELS)
def test_untrained_at_true_size(model_id: str) -> None:
    encoder = load_encoder(model_id, LoadOptions(weights="random", offline=True))
    ids = encoder.tokenize("ACGTN" * 30).ids[None]
    result = np.asarray(encoder.pooled(encoder.params, ids, np.ones(ids.shape, bool)))
    assert result.shape == (1, 72)
    assert np.isfinite(result).all()


def test_impossible_configs() -> None:
    good = recorded_config(VARIANTS[0])
    with pytest.raises(ValueError, match="expected an even one"):
        replace(good, middle_attention_layer=1)
    with pytest.raises(ValueError, match="2 heads of 3 are not 4 features"):
        replace(good, head_width=3)
