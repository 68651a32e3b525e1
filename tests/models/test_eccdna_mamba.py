"""eccDNAMamba against recorded outputs and a stack of transformers' Mamba-2 mixers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from transformers import Mamba2Config
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from geneb_jax.errors import CheckpointError, DownloadError, ModelError
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.families.eccdna_mamba import FAMILY, EccDnaMambaConfig
from geneb_jax.models.layers.parameters import random_parameters
from geneb_jax.models.registry import find_spec
from geneb_jax.tokenizers import shipped_file
from tests.models.esm_checkpoints import padded, published_tensors
from tests.models.state_space_checkpoints import (
    CHANGES,
    RECORDED,
    TensorsInMemory,
    array,
    jitted,
    network,
    renamed,
    spread_tensors,
    states,
    tampered,
)
from tests.tolerance import Tolerance, relative_error

MODEL = "eccdnamamba_weights"
CONFIG_JSON = {
    "architectures": ["BiMambaForMaskedLM"],
    "model_type": "mamba2",
    "d_model": 12,
    "n_layer": 2,
    "vocab_size": 4096,
    "d_intermediate": 0,
    "expand": 2,
    "ssm_cfg": {"layer": "Mamba2", "headdim": 6, "d_state": 8},
}
SMALL = EccDnaMambaConfig(
    vocab_size=4096,
    hidden_size=12,
    layer_count=2,
    inner_size=24,
    state_width=8,
    conv_width=4,
    head_width=6,
    head_count=4,
    groups=1,
    mlp_width=48,
    norm_eps=1e-5,
)


def shapes(config: EccDnaMambaConfig) -> dict[str, tuple[int, ...]]:
    """Every name and shape of a published file of these sizes."""
    size, inner, heads = config.hidden_size, config.inner_size, config.head_count
    convolved = inner + 2 * config.groups * config.state_width
    found = {
        "token_embedding.weight": (config.vocab_size, size),
        "lm_head_proj.weight": (size, 2 * size),
    }
    for direction in ("mamba_forward.", "mamba_backward."):
        found |= {
            f"{direction}backbone.embedding.weight": (config.vocab_size, size),
            f"{direction}lm_head.weight": (config.vocab_size, size),
            f"{direction}backbone.norm_f.weight": (size,),
        }
        for layer in range(config.layer_count):
            block = f"{direction}backbone.layers.{layer}."
            found |= {
                f"{block}norm.weight": (size,),
                f"{block}mixer.in_proj.weight": (inner + convolved + heads, size),
                f"{block}mixer.conv1d.weight": (convolved, 1, config.conv_width),
                f"{block}mixer.conv1d.bias": (convolved,),
                f"{block}mixer.dt_bias": (heads,),
                f"{block}mixer.A_log": (heads,),
                f"{block}mixer.D": (heads,),
                f"{block}mixer.norm.weight": (inner,),
                f"{block}mixer.out_proj.weight": (size, inner),
                f"{block}norm2.weight": (size,),
                f"{block}mlp.fc1.weight": (2 * config.mlp_width, size),
                f"{block}mlp.fc2.weight": (size, config.mlp_width),
            }
    return found


def folder(path: Path, tensors: dict[str, np.ndarray], **changes: Any) -> Path:
    """A checkpoint folder; the tokenizer is another BPE of the same size."""
    path.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(CONFIG_JSON | changes))
    file = shipped_file(find_spec("Omni-DNA-1B").tokenizer.files[0].sha256)
    assert file is not None
    (path / "tokenizer.json").write_bytes(file.read_bytes())
    return path


@torch.no_grad()
def torch_hidden(tensors: dict[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    """The published wrapper around transformers' mixers, for one record without padding."""
    weights = {name: torch.tensor(values) for name, values in tensors.items()}
    config = Mamba2Config(
        hidden_size=12,
        num_heads=4,
        head_dim=6,
        state_size=8,
        n_groups=1,
        expand=2,
        conv_kernel=4,
        chunk_size=16,
        use_bias=False,
        layer_norm_epsilon=1e-5,
    )

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        weight = weights[f"{name}.weight"]
        return torch.nn.functional.rms_norm(x, weight.shape, weight, eps=1e-5)

    def direction(name: str, stream: torch.Tensor) -> torch.Tensor:
        for layer in range(2):
            block = f"mamba_{name}.backbone.layers.{layer}."
            mixer = Mamba2Mixer(config, layer_idx=layer)
            mixer.load_state_dict(
                {key: weights[f"{block}mixer.{key}"] for key in mixer.state_dict()}
            )
            stream = stream + mixer(norm(f"{block}norm", stream))
            up, gate = (norm(f"{block}norm2", stream) @ weights[f"{block}mlp.fc1.weight"].T).chunk(
                2, dim=-1
            )
            gated = up * torch.nn.functional.silu(gate)
            stream = stream + gated @ weights[f"{block}mlp.fc2.weight"].T
        return norm(f"mamba_{name}.backbone.norm_f", stream)

    embedded = weights["token_embedding.weight"][torch.tensor(ids).long()][None]
    forward = direction("forward", embedded)
    backward = direction("backward", embedded.flip(1)).flip(1)
    return (torch.cat([forward, backward], -1) @ weights["lm_head_proj.weight"].T)[0].numpy()


def test_recorded_outputs(tolerance: Tolerance) -> None:
    recorded = RECORDED["mamba.ecc"]
    sizes = recorded["topology"]
    config = EccDnaMambaConfig(
        vocab_size=sizes["vocab"],
        hidden_size=sizes["width"],
        layer_count=sizes["layers"],
        inner_size=sizes["inner"],
        state_width=sizes["state"],
        conv_width=sizes["conv"],
        head_width=sizes["head_width"],
        head_count=sizes["heads"],
        groups=sizes["groups"],
        mlp_width=sizes["mlp"],
        norm_eps=sizes["epsilon"],
    )
    pairs = []
    for theirs, ours in (("forward", "mamba_forward"), ("reverse", "mamba_backward")):
        pairs.append((f"{theirs}.layers", f"{ours}.backbone.layers"))
        pairs.append((f"{theirs}.final_norm", f"{ours}.backbone.norm_f"))
    tensors = renamed("mamba.ecc", [*pairs, ("projection", "lm_head_proj")])
    # The recorded scans saw the padding; its mask only cleared the padded row itself, after the
    # one layer there is.
    at = states(network(FAMILY, config, tensors), np.array([recorded["inputs"]["tokens"]]))
    kept = np.array(recorded["inputs"]["mask"], bool)
    limit = tolerance("hidden_state", "float32")
    for layer, name in ((0, "capture_0"), (-1, "final_hidden")):
        assert relative_error(at(layer)[0][kept], array(recorded["expected"][name])[kept]) <= limit
    pooled = at(-1)[0][kept].mean(0)
    assert relative_error(pooled, array(recorded["expected"]["pooled"])) <= limit


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("eccdna") / "model"
    return load_encoder(folder(path, spread_tensors(shapes(SMALL))))


def texts(count: int) -> list[str]:
    generator = np.random.default_rng(3)
    lengths = [1, 200, *generator.integers(2, 200, count - 2)]
    return ["".join(generator.choice(list("ACGTN"), size=length)) for length in lengths]


def test_every_token_of_a_padded_batch_is_that_of_the_record_alone(
    encoder: Any, tolerance: Tolerance
) -> None:
    tensors = spread_tensors(shapes(SMALL))
    ids, mask = padded(encoder, texts(5), multiple=64)
    ours = np.asarray(jax.jit(encoder.hidden_states)(encoder.params, ids, mask).values)
    for row, seen in enumerate(mask):
        theirs = torch_hidden(tensors, ids[row, seen])
        assert relative_error(ours[row, seen], theirs) <= tolerance("hidden_state", "float32")


def test_a_row_does_not_depend_on_its_padding(encoder: Any, tolerance: Tolerance) -> None:
    run = jitted(encoder)
    chosen = texts(5)
    ids, mask = padded(encoder, chosen, multiple=64)
    together = np.asarray(run(encoder.params, ids, mask))
    limit = tolerance("batch_invariance", "float32")
    alone = np.asarray(run(encoder.params, ids[3:4], mask[3:4]))
    assert relative_error(alone, together[3:4]) <= limit
    wide = padded(encoder, chosen, multiple=192)
    assert relative_error(run(encoder.params, *wide), together) <= limit
    np.testing.assert_array_equal(run(encoder.params, np.where(mask, ids, 9), mask), together)
    mask[0] = False
    empty = np.asarray(run(encoder.params, ids, mask))
    assert not empty[0].any()
    np.testing.assert_array_equal(empty[1:], together[1:])


def test_inner_hidden_states_are_of_the_stream(encoder: Any) -> None:
    ids, mask = padded(encoder, ["ACGTTGCA"])
    at = [encoder.hidden_states(encoder.params, ids, mask, layer=layer).values for layer in (0, 1)]
    table = spread_tensors(shapes(SMALL))["token_embedding.weight"]
    np.testing.assert_array_equal(at[0][0], table[ids[0]])
    assert np.abs(np.asarray(at[1]) - np.asarray(at[0])).max() > 0.1


@pytest.mark.parametrize("change", CHANGES)
def test_tampering_is_refused_by_name(change: str, tmp_path: Path) -> None:
    name = "mamba_backward.backbone.layers.1.mixer.in_proj.weight"
    extra = "mamba_backward.backbone.layers.2.norm.weight"
    tensors, blamed = tampered(spread_tensors(shapes(SMALL)), name, change, extra=extra)
    path = folder(tmp_path / change, tensors)
    with pytest.raises(CheckpointError, match=re.escape(blamed)):
        _ = load_encoder(path).params


def test_published_names_and_shapes() -> None:
    published = published_tensors(MODEL)["tensors"]
    config = FAMILY.read_config(find_spec(MODEL).config, where=MODEL)
    expected = {name: tuple(shape) for name, (shape, _) in published.items()}
    assert shapes(config) == expected
    fitted = fit_checkpoint(
        FAMILY.module(config), TensorsInMemory(expected), FAMILY.key_map(config)
    )
    used = {name for parts in fitted.parts.values() for match in parts for name in match.names}
    dropped = {name for name in expected if name.endswith((".embedding.weight", "lm_head.weight"))}
    assert used == set(expected) - dropped


def test_configs_that_cannot_be(tmp_path: Path) -> None:
    tensors = spread_tensors(shapes(SMALL))
    for changes, message in (
        ({"ssm_cfg": {"layer": "Mamba1"}}, "layer = 'Mamba1' is not supported"),
        ({"ssm_cfg": {"headdim": 5}}, "4 heads of 5 are not 24 channels"),
        ({"ssm_cfg": {"headdim": 6, "ngroups": 3}}, "4 heads do not divide into 3 groups"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_encoder(folder(tmp_path / "model", tensors, **changes))


def test_the_benchmarks_pooling_and_the_missing_tokenizer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="eccDNAMamba"):
        load_encoder(MODEL, LoadOptions(weights="random", offline=True))
    spec = find_spec(MODEL)
    assert spec.pooling.geneb != spec.pooling.default
    path = folder(tmp_path / "model", spread_tensors(shapes(SMALL)))
    with pytest.raises(ModelError, match="one sequence at a time"):
        load_encoder(MODEL, LoadOptions(path=path, weights="random", pooling="geneb", offline=True))


@pytest.mark.sweep
def test_untrained_at_true_size() -> None:
    config = FAMILY.read_config(find_spec(MODEL).config, where=MODEL)
    module = FAMILY.module(config)
    parameters = random_parameters(module, seed=0, dtype="float32")
    sizes = [leaf.size for leaf in jax.tree.leaves(parameters)]
    assert sum(sizes) == 524_837_760
