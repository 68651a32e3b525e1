"""Caduceus against recorded outputs, mambapy's blocks and what its equivariance says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from mambapy.mamba import MambaBlock, MambaConfig
from safetensors.numpy import save_file

from geneb_jax.errors import CheckpointError, ModelError
from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.families.caduceus import FAMILY, CaduceusConfig
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

PH = "caduceus-ph_seqlen-1k_d_model-256_n_layer-4_lr-8e-3"
PS = "caduceus-ps_seqlen-131k_d_model-256_n_layer-16"
PLANT = "PlantCaduceus_l32"

COMPLEMENTS = {"caduceus": [*range(7), 10, 9, 8, 7, *range(11, 16)], "plant": [0, 1, 2, 6, 5, 4, 3]}
LETTERS = str.maketrans("ACGTN", "TGCAN")


def config_json(*, rcps: bool, table: str = "caduceus", **changes: Any) -> dict[str, Any]:
    """A config.json as published, scaled down."""
    complements = COMPLEMENTS[table]
    return {
        "architectures": ["CaduceusForMaskedLM"],
        "model_type": "caduceus",
        "d_model": 12,
        "n_layer": 3,
        "vocab_size": len(complements),
        "complement_map": {str(index): other for index, other in enumerate(complements)},
        "rcps": rcps,
        "rms_norm": True,
        "fused_add_norm": True,
        "bidirectional": True,
        "bidirectional_strategy": "add",
        "bidirectional_weight_tie": True,
        "norm_epsilon": 1e-5,
        "ssm_cfg": {"d_state": 4, "d_conv": 4, "expand": 2, "dt_rank": "auto"},
    } | changes


def shapes(
    *, rcps: bool, rows: int, hidden: int, layers: int, inner: int, state: int, rank: int
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published safetensors file of these sizes, without buffers."""
    prefix = "caduceus.backbone."
    mixer, table = ("mixer.submodule.", "embedding.") if rcps else ("mixer.", "")
    found = {
        f"{prefix}embeddings.word_embeddings.{table}weight": (rows, hidden),
        f"{prefix}norm_f.weight": (hidden,),
    }
    for layer in range(layers):
        found[f"{prefix}layers.{layer}.norm.weight"] = (hidden,)
        block = f"{prefix}layers.{layer}.{mixer}"
        found[f"{block}mamba_fwd.in_proj.weight"] = (2 * inner, hidden)
        found[f"{block}mamba_fwd.out_proj.weight"] = (hidden, inner)
        for direction in ("mamba_fwd.", "mamba_rev."):
            found |= {
                f"{block}{direction}conv1d.weight": (inner, 1, 4),
                f"{block}{direction}conv1d.bias": (inner,),
                f"{block}{direction}x_proj.weight": (rank + 2 * state, inner),
                f"{block}{direction}dt_proj.weight": (inner, rank),
                f"{block}{direction}dt_proj.bias": (inner,),
                f"{block}{direction}A_log": (inner, state),
                f"{block}{direction}D": (inner,),
            }
    return found


def small(*, rcps: bool, rows: int = 16) -> dict[str, np.ndarray]:
    sizes = {"hidden": 12, "layers": 3, "inner": 24, "state": 4, "rank": 1}
    return spread_tensors(shapes(rcps=rcps, rows=rows, **sizes))


def folder(path: Path, tensors: dict[str, np.ndarray], **settings: Any) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config_json(**settings)))
    return path


class TorchCaduceus:
    """The published network written plainly around mambapy's blocks: halves, flips and all."""

    def __init__(self, tensors: dict[str, np.ndarray], *, rcps: bool) -> None:
        self.rcps = rcps
        self.tensors = {name: torch.tensor(values) for name, values in tensors.items()}

    def block(self, layer: int, direction: str) -> MambaBlock:
        mixer = "mixer.submodule." if self.rcps else "mixer."
        prefix = f"caduceus.backbone.layers.{layer}.{mixer}"
        block = MambaBlock(
            MambaConfig(d_model=12, n_layers=1, d_state=4, expand_factor=2, pscan=False)
        )
        own = {name: self.tensors.get(f"{prefix}{direction}.{name}") for name in block.state_dict()}
        for name in ("in_proj.weight", "out_proj.weight"):
            own[name] = self.tensors[f"{prefix}mamba_fwd.{name}"]
        block.load_state_dict(own)
        return block

    def mix(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        forward = self.block(layer, "mamba_fwd")(x)
        return forward + self.block(layer, "mamba_rev")(x.flip(1)).flip(1)

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight = self.tensors[f"caduceus.backbone.{name}.weight"]
        return torch.nn.functional.rms_norm(x, weight.shape, weight, eps=1e-5)

    @torch.no_grad()
    def __call__(self, ids: np.ndarray) -> np.ndarray:
        def turn(x: torch.Tensor) -> torch.Tensor:
            return x.flip((1, 2))

        tokens = torch.tensor(ids).long()[None]
        if not self.rcps:
            stream = self.tensors["caduceus.backbone.embeddings.word_embeddings.weight"][tokens]
            for layer in range(3):
                stream = stream + self.mix(layer, self.norm(f"layers.{layer}.norm", stream))
            return self.norm("norm_f", stream)[0].numpy()
        table = self.tensors["caduceus.backbone.embeddings.word_embeddings.embedding.weight"]
        complements = torch.tensor(COMPLEMENTS["caduceus"])
        first = table[tokens]
        second = turn(table[complements[tokens.flip(1)]])
        for layer in range(3):
            name = f"layers.{layer}.norm"
            new_first = second + self.mix(layer, self.norm(name, second))
            turned = turn(first)
            inside = turn(self.norm(name, turned))  # as the published code hands it to the mixer
            new_second = first + turn(self.mix(layer, turn(inside)))
            first, second = new_first, new_second
        halves = [self.norm("norm_f", first), turn(self.norm("norm_f", turn(second)))]
        return torch.cat(halves, -1)[0].numpy()


@pytest.mark.parametrize("case", ["mamba.caduceus", "mamba.rcps"])
def test_recorded_outputs(case: str, tolerance: Tolerance) -> None:
    recorded = RECORDED[case]
    sizes = recorded["topology"]
    rcps = sizes["rcps"]
    config = CaduceusConfig(
        vocab_size=sizes["vocab"],
        hidden_size=sizes["width"],
        layer_count=sizes["layers"],
        inner_size=sizes["inner"],
        state_width=sizes["state"],
        conv_width=sizes["conv"],
        time_step_rank=sizes["dt_rank"],
        norm_eps=sizes["epsilon"],
        rcps=rcps,
        complement_map=tuple(sizes["complement"]),
    )
    mixer, table = ("mixer.submodule.", "embedding.") if rcps else ("mixer.", "")
    pairs = [
        ("embedding.weight", f"embeddings.word_embeddings.{table}weight"),
        (".forward.", f".{mixer}mamba_fwd."),
        (".reverse.", f".{mixer}mamba_rev."),
        ("final_norm", "norm_f"),
    ]
    # The recorded network saw its padding, and only the mean skipped it.
    at = states(
        network(FAMILY, config, renamed(case, pairs)), np.array([recorded["inputs"]["tokens"]])
    )
    limit = tolerance("hidden_state", "float32")
    for layer, name in ((0, "capture_0"), (-1, "final_hidden")):
        assert relative_error(at(layer)[0], array(recorded["expected"][name])) <= limit
    kept = np.array(recorded["inputs"]["mask"], bool)
    pooled = at(-1)[0][kept].mean(0)
    assert relative_error(pooled, array(recorded["expected"]["pooled"])) <= limit


@pytest.fixture(scope="module", params=[False, True], ids=["PH", "PS"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("caduceus") / "model"
    return load_encoder(folder(path, small(rcps=request.param), rcps=request.param))


@pytest.fixture(scope="module")
def pooled(encoder: TokenEncoder) -> Callable[..., Any]:
    return jitted(encoder)


def texts(count: int, longest: int) -> list[str]:
    generator = np.random.default_rng(2)
    lengths = [1, longest, *generator.integers(2, longest, count - 2)]
    return ["".join(generator.choice(list("ACGTN"), size=length)) for length in lengths]


def test_every_token_of_a_padded_batch_is_that_of_the_record_alone(
    encoder: Any, tolerance: Tolerance
) -> None:
    rcps = encoder.config.rcps
    reference = TorchCaduceus(small(rcps=rcps), rcps=rcps)
    ids, mask = padded(encoder, texts(6, 60), multiple=64)
    ours = np.asarray(jax.jit(encoder.hidden_states)(encoder.params, ids, mask).values)
    for row, seen in enumerate(mask):
        theirs = reference(ids[row, seen])
        assert relative_error(ours[row, seen], theirs) <= tolerance("hidden_state", "float32")


def test_a_row_does_not_depend_on_its_padding(
    encoder: TokenEncoder, pooled: Callable[..., Any], tolerance: Tolerance
) -> None:
    chosen = texts(6, 60)
    ids, mask = padded(encoder, chosen, multiple=64)
    together = np.asarray(pooled(encoder.params, ids, mask))
    limit = tolerance("batch_invariance", "float32")
    alone = np.asarray(pooled(encoder.params, ids[3:4], mask[3:4]))
    assert relative_error(alone, together[3:4]) <= limit
    twice = padded(encoder, chosen, multiple=128)
    assert relative_error(pooled(encoder.params, *twice), together) <= limit
    other_padding = np.where(mask, ids, 9)
    np.testing.assert_array_equal(pooled(encoder.params, other_padding, mask), together)
    mask[0] = False
    empty = np.asarray(pooled(encoder.params, ids, mask))
    assert not empty[0].any()
    np.testing.assert_array_equal(empty[1:], together[1:])


def test_reverse_complement_reverses_tokens_and_channels(
    encoder: Any, pooled: Callable[..., Any], tolerance: Tolerance
) -> None:
    chosen = texts(6, 60)
    strands = [text.translate(LETTERS)[::-1] for text in chosen]
    batches = [padded(encoder, side, multiple=64) for side in (chosen, strands)]
    here, there = (np.asarray(pooled(encoder.params, *batch)) for batch in batches)
    limit = tolerance("batch_invariance", "float32")
    if not encoder.config.rcps:  # PH has no such property; the test must be able to fail
        assert relative_error(there[:, ::-1], here) > 100 * limit
        return
    assert relative_error(there[:, ::-1], here) <= limit
    mask = batches[0][1]
    at_layers = jax.jit(
        lambda params, ids, mask: [
            encoder.hidden_states(params, ids, mask, layer=layer).values for layer in range(4)
        ]
    )
    both = [at_layers(encoder.params, *batch) for batch in batches]
    for one, two in zip(*(map(np.asarray, side) for side in both), strict=True):
        for row, seen in enumerate(mask):
            assert relative_error(two[row, seen][::-1, ::-1], one[row, seen]) <= limit


def test_a_folder_with_repeated_tied_tensors_and_buffers_loads(
    tmp_path: Path, tolerance: Tolerance
) -> None:
    tensors = small(rcps=True)
    plain = load_encoder(folder(tmp_path / "plain", tensors, rcps=True))
    more = dict(tensors)
    for name, values in tensors.items():
        if name.endswith(("in_proj.weight", "out_proj.weight")):
            more[name.replace("mamba_fwd", "mamba_rev")] = values.copy()
    more["lm_head.complement_map"] = np.array(COMPLEMENTS["caduceus"])
    more["caduceus.backbone.embeddings.word_embeddings.complement_map"] = np.array([0])
    torch.save(
        {name: torch.tensor(values) for name, values in more.items()},
        folder(tmp_path / "bin", tensors, rcps=True) / "pytorch_model.bin",
    )
    (tmp_path / "bin" / "model.safetensors").unlink()
    repeated = load_encoder(tmp_path / "bin")
    batch = padded(plain, ["ACGTTGCANN"])
    run = jitted(plain)
    np.testing.assert_array_equal(run(plain.params, *batch), run(repeated.params, *batch))
    more["caduceus.backbone.layers.1.mixer.submodule.mamba_rev.in_proj.weight"][0, 0] += 1
    torch.save(
        {name: torch.tensor(values) for name, values in more.items()},
        tmp_path / "bin" / "pytorch_model.bin",
    )
    with pytest.raises(CheckpointError, match=r"layers\.1\..*in_proj.weight should be the same"):
        _ = load_encoder(tmp_path / "bin").params


@pytest.mark.parametrize("change", CHANGES)
def test_tampering_is_refused_by_name(change: str, tmp_path: Path) -> None:
    name = "caduceus.backbone.layers.2.mixer.submodule.mamba_rev.x_proj.weight"
    extra = "caduceus.backbone.layers.3.norm.weight"
    tensors, blamed = tampered(small(rcps=True), name, change, extra=extra)
    path = folder(tmp_path / change, tensors, rcps=True)
    with pytest.raises(CheckpointError, match=re.escape(blamed)):
        _ = load_encoder(path).params


@pytest.mark.parametrize("model_id", [PH, PS, PLANT])
def test_published_names_and_shapes(model_id: str) -> None:
    published = published_tensors(model_id)["tensors"]
    config = FAMILY.read_config(find_spec(model_id).config, where=model_id)
    ours = shapes(
        rcps=config.rcps,
        rows=config.vocab_size,
        hidden=config.hidden_size,
        layers=config.layer_count,
        inner=config.inner_size,
        state=config.state_width,
        rank=config.time_step_rank,
    )
    assert set(ours) <= set(published)
    assert all(tuple(published[name][0]) == shape for name, shape in ours.items())
    whole = TensorsInMemory({name: tuple(shape) for name, (shape, _) in published.items()})
    fitted = fit_checkpoint(FAMILY.module(config), whole, FAMILY.key_map(config))
    used = {name for parts in fitted.parts.values() for match in parts for name in match.names}
    dropped = {name for name in published if "complement_map" in name or "lm_head" in name}
    assert used == set(published) - dropped


@pytest.mark.parametrize(("model_id", "width"), [(PH, 256), (PS, 512)])
def test_untrained_at_true_size(model_id: str, width: int) -> None:
    encoder = load_encoder(model_id, LoadOptions(weights="random", offline=True))
    result = np.asarray(jitted(encoder)(encoder.params, *padded(encoder, ["ACGTN" * 5, "A"])))
    assert result.shape == (2, width)
    assert np.isfinite(result).all()
    assert result.any(axis=1).all()


@pytest.mark.parametrize("model_id", [PH, PS, PLANT])
def test_token_ids(model_id: str) -> None:
    encoder = load_encoder(model_id, LoadOptions(weights="random", offline=True))
    ids = {"A": 3, "C": 4, "G": 5, "T": 6, "N": 2} if model_id == PLANT else {}
    ids = ids or {"A": 7, "C": 8, "G": 9, "T": 10, "N": 11}
    for text in ("ACGTNACGTNACGTN", "acgtn", "ATTCCGATTCCGATTCCG", "ACGTN"):
        expected = [ids[letter] for letter in text.upper()]
        assert encoder.tokenize(text).ids.tolist() == expected
    if model_id == PLANT:
        assert encoder.tokenize(" A C G T ").ids.tolist() == [3, 4, 5, 6]
    if model_id == PH:
        assert len(encoder.tokenize("A" * 2000).ids) == 1024


def test_what_the_benchmark_did_is_refused_with_the_reason() -> None:
    for model_id in (PH, PS, PLANT):
        with pytest.raises(ModelError, match="one sequence at a time"):
            load_encoder(model_id, LoadOptions(weights="random", pooling="geneb", offline=True))


def test_folders_of_other_kinds(tmp_path: Path) -> None:
    tensors = small(rcps=True, rows=8)
    settings: dict[str, Any] = {"rcps": True, "table": "plant"}  # 7 ids, padded to 8 rows
    path = folder(tmp_path / "plant", tensors, **settings)
    with pytest.raises(CheckpointError, match="ids up to 11, the model has 8 rows"):
        load_encoder(path)
    spec = find_spec(PLANT)
    shipped = shipped_file(spec.tokenizer.files[0].sha256)
    assert shipped is not None
    (path / "tokenizer.json").write_bytes(shipped.read_bytes())
    assert load_encoder(path).tokenize("acgtN").ids.tolist() == [3, 4, 5, 6, 2]
    for key, value in (
        ("rms_norm", False),
        ("bidirectional_strategy", "ew_multiply"),
        ("ssm_cfg", {"bias": True}),
        ("complement_map", {"0": 1, "1": 2}),
    ):
        with pytest.raises(CheckpointError, match=key if key != "ssm_cfg" else "bias"):
            load_encoder(folder(tmp_path / key, tensors, **settings | {key: value}))
