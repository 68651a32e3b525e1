"""Where the tensors of the Mamba parts belong that Caduceus and JanusDNA share."""

from __future__ import annotations

from geneb_jax.models.checkpoints.key_map import (
    KEEP,
    Transform,
    Weight,
    dense_weights,
    norm_weights,
)

__all__ = ["branch_weights", "projection_weights"]


def projection_weights(parameter: str, tensor: str, *, copies: str) -> list[Weight]:
    """Key map of :class:`~geneb_jax.models.layers.mamba.MambaProjections`.

    Args:
        parameter: Dotted path of the module.
        tensor: Prefix in the checkpoint, with its dot.
        copies: Prefix under which some files repeat the tied tensors.
    """
    return [
        Weight(
            f"{parameter}.{name}.kernel",
            f"{tensor}{stored}.weight",
            Transform(transpose=True),
            copies=(f"{copies}{stored}.weight",),
        )
        for name, stored in (("into", "in_proj"), ("out_of", "out_proj"))
    ]


def branch_weights(parameter: str, tensor: str, *, norms: bool) -> list[Weight]:
    """Key map of :class:`~geneb_jax.models.layers.mamba.MambaBranch`.

    Args:
        parameter: Dotted path of the module.
        tensor: Prefix in the checkpoint, with its dot.
        norms: Whether step, B and C are normalised.
    """
    weights = [
        Weight(f"{parameter}.taps", f"{tensor}conv1d.weight", Transform(squeeze=(1,))),
        *dense_weights(f"{parameter}.parameters", f"{tensor}x_proj", bias=False),
        *dense_weights(f"{parameter}.step", f"{tensor}dt_proj", bias=False),
    ]
    for name, stored in (
        ("taps_bias", "conv1d.bias"),
        ("step_bias", "dt_proj.bias"),
        ("log_rate", "A_log"),
        ("skip", "D"),
    ):
        weights.append(Weight(f"{parameter}.{name}", f"{tensor}{stored}", KEEP))
    if norms:
        for name, stored in (("step", "dt"), ("input", "b"), ("output", "c")):
            weights += norm_weights(
                f"{parameter}.{name}_norm", f"{tensor}{stored}_layernorm", bias=False
            )
    return weights
