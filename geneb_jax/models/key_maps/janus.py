"""Where the tensors of JanusDNA belong: two streams, three kinds of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geneb_jax.models.checkpoints.key_map import (
    TRANSPOSE,
    Drop,
    KeyMap,
    Weight,
    dense_weights,
    norm_weights,
)
from geneb_jax.models.key_maps.mamba import branch_weights, projection_weights

__all__ = ["janus_key_map"]


def janus_key_map(kinds: Mapping[str, Sequence[int]], *, expert_count: int) -> KeyMap:
    """The names of the published checkpoints of JanusDNA.

    Args:
        kinds: The layers of each kind (``plain``, ``sparse``, ``attention``), in order.
        expert_count: Experts of a sparse layer.
    """
    weights = [
        Weight("tokens.table", "embed_tokens.weight"),
        *norm_weights("final_norm", "final_layernorm", bias=False),
        *norm_weights("final_attention.input_norm", "final_attention.input_layernorm", bias=False),
        *norm_weights(
            "final_attention.feed_forward_norm", "final_attention.pre_ff_layernorm", bias=False
        ),
        *_head_weights("final_attention.heads", "final_attention.self_attn.", output="o_projs.0"),
        *_feed_forward_weights("final_attention.feed_forward", "final_attention.feed_forward."),
    ]
    for kind in kinds:
        if kind == "attention":
            module = "layers.{attention}.attn."
            for ours, theirs in (("forward", "fwd"), ("backward", "bwd")):
                weights += _head_weights(f"attention.{ours}", f"{module}self_attn_{theirs}.")
        else:
            module = f"layers.{{{kind}}}.mamba_module."
            one, other = f"{module}mamba_fwd.", f"{module}mamba_rev."
            weights += projection_weights(f"{kind}.projections", one, copies=other)
            weights += branch_weights(f"{kind}.forward", one, norms=True)
            weights += branch_weights(f"{kind}.backward", other, norms=True)
        for ours, theirs in (("forward", "fwd"), ("backward", "bwd")):
            weights += _side_weights(f"{kind}.{ours}_side", module, theirs, kind == "sparse")
    return KeyMap(
        weights=tuple(weights),
        drops=(
            Drop("model.lm_head.weight", "output head"),
            Drop("*_torchmetrics.*", "counters of the training code"),
        ),
        ranges={**kinds, "expert": range(expert_count)},
        prefixes=("model.model.", "model.", ""),
    )


def _side_weights(parameter: str, module: str, side: str, sparse: bool) -> list[Weight]:
    part = f"{module}feed_forward_{side}."
    weights = [
        *norm_weights(f"{parameter}.input_norm", f"{module}input_layernorm_{side}", bias=False),
        *norm_weights(
            f"{parameter}.feed_forward_norm", f"{module}pre_ff_layernorm_{side}", bias=False
        ),
    ]
    if not sparse:
        return weights + _feed_forward_weights(f"{parameter}.feed_forward", part)
    weights += dense_weights(f"{parameter}.feed_forward.router", f"{part}router", bias=False)
    for name, stored in (("gate", "gate_proj"), ("inner", "up_proj"), ("outer", "down_proj")):
        tensor = f"{part}experts.{{expert}}.{stored}.weight"
        weights.append(Weight(f"{parameter}.feed_forward.{name}", tensor, TRANSPOSE))
    return weights


def _feed_forward_weights(parameter: str, tensor: str) -> list[Weight]:
    names = (("gate", "gate_proj"), ("inner", "up_proj"), ("outer", "down_proj"))
    return [
        weight
        for name, stored in names
        for weight in dense_weights(f"{parameter}.{name}", f"{tensor}{stored}", bias=False)
    ]


def _head_weights(parameter: str, tensor: str, *, output: str = "o_proj") -> list[Weight]:
    names = (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("output", output))
    return [
        weight
        for name, stored in names
        for weight in dense_weights(f"{parameter}.{name}", f"{tensor}{stored}", bias=False)
    ]
