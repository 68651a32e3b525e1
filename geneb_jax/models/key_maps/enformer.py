"""Where the tensors of the trunk belong that Enformer and SPACE name likewise."""

from __future__ import annotations

from collections.abc import Callable

from geneb_jax.models.checkpoints.key_map import Transform, Weight, dense_weights, norm_weights

__all__ = ["attention_weights", "trunk_weights"]


def trunk_weights(stage_count: int, copies: Callable[[str], tuple[str, ...]]) -> list[Weight]:
    """Tower and final projection.

    Args:
        stage_count: Halvings of the length, the stem's included.
        copies: Other names of a tensor.
    """
    weights: list[Weight] = []

    def add(parameter: str, tensor: str, transform: Transform | None = None) -> None:
        weights.append(Weight(parameter, tensor, transform or Transform(), copies(tensor)))

    def norm(parameter: str, tensor: str) -> None:
        for ours, theirs in (
            ("scale", "weight"),
            ("bias", "bias"),
            ("mean", "running_mean"),
            ("variance", "running_var"),
        ):
            add(f"{parameter}.{ours}", f"{tensor}.{theirs}")

    def pointwise(parameter: str, tensor: str) -> None:
        add(f"{parameter}.kernel", f"{tensor}.weight", Transform(squeeze=(2,), transpose=True))
        add(f"{parameter}.bias", f"{tensor}.bias")

    for index in range(stage_count):
        stage = f"tower.stage_{index}"
        place = f"conv_tower.{index - 1}." if index else "stem."
        first = f"{place}0.2" if index else f"{place}0"
        if index:
            norm(f"{stage}.norm", f"{place}0.0")
        add(f"{stage}.convolution.kernel", f"{first}.weight")
        add(f"{stage}.convolution.bias", f"{first}.bias")
        norm(f"{stage}.residual_norm", f"{place}1.fn.0")
        pointwise(f"{stage}.residual", f"{place}1.fn.2")
        pooling = Transform(squeeze=(2, 3), transpose=True)
        add(f"{stage}.pooling", f"{place}2.to_attn_logits.weight", pooling)
    norm("final.norm", "final_pointwise.1.0")
    pointwise("final.projection", "final_pointwise.1.2")
    return weights


def attention_weights(place: str) -> list[Weight]:
    """Norm (0) and attention (1) of a layer, without copies.

    Args:
        place: Prefix in the checkpoint, with its dot.
    """
    bias = Transform(squeeze=(0, 2))
    weights = [
        *norm_weights("layers.attention.norm", f"{place}0", bias=True),
        Weight("layers.attention.content_bias", f"{place}1.rel_content_bias", bias),
        Weight("layers.attention.position_bias", f"{place}1.rel_pos_bias", bias),
        *dense_weights("layers.attention.output", f"{place}1.to_out", bias=True),
    ]
    for part, tensor in (
        ("query", "to_q"),
        ("key", "to_k"),
        ("value", "to_v"),
        ("distance_key", "to_rel_k"),
    ):
        weights += dense_weights(f"layers.attention.{part}", f"{place}1.{tensor}", bias=False)
    return weights
