"""Where the fits of a matrix ended, as the programs return it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from geneb_jax_probes.lbfgs.machines import Machine, progress, promised

__all__ = ["EndPoints", "end_points"]


class EndPoints(NamedTuple):
    """Solutions of the problems of one matrix (or, with a leading axis, of several)."""

    weights: Float[Array | np.ndarray, "*problem logit dim"]  # by rows: multiples of the rows
    intercept: Float[Array | np.ndarray, "*problem logit"]
    value: Float[Array | np.ndarray, "*problem"]  # the objective
    norm: Float[Array | np.ndarray, "*problem"]  # largest gradient component
    steps: Float[Array | np.ndarray, "*problem"]
    ending: Float[Array | np.ndarray, "*problem"]  # code of an Ending
    gap: Float[Array | np.ndarray, "*problem"]  # estimated distance from the minimum, relative


def end_points(machines: Machine, shape: tuple[int, ...]) -> EndPoints:
    """What machines over the columns ``shape`` (problem axes, then logits) ended at."""
    theta = machines.base.reshape(*shape, -1)
    end = progress(machines)
    ends = (end.value, end.norm, end.steps, end.ending, promised(machines))
    return EndPoints(theta[..., :-1], theta[..., -1], *(one.reshape(shape[:-1]) for one in ends))
