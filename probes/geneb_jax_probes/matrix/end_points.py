"""Where the fits of a matrix ended, as the programs return it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from geneb_jax_probes.lbfgs.machines import Machine, progress, promised

__all__ = ["EndPoints", "end_points", "traced_end_points"]


class EndPoints(NamedTuple):
    """Solutions of the problems of one matrix or, with a leading axis, of several; on the host."""

    weights: Float[np.ndarray, "*problem logit dim"]  # by rows: multiples of the rows
    intercept: Float[np.ndarray, "*problem logit"]
    value: Float[np.ndarray, "*problem"]  # the objective
    norm: Float[np.ndarray, "*problem"]  # largest gradient component
    steps: Float[np.ndarray, "*problem"]
    ending: Float[np.ndarray, "*problem"]  # code of an Ending
    gap: Float[np.ndarray, "*problem"]  # estimated distance from the minimum, relative


def end_points(machines: Machine, shape: tuple[int, ...]) -> EndPoints:
    """What machines over the columns ``shape`` (problem axes, then logits) ended at."""
    theta = machines.base.reshape(*shape, -1)
    end = progress(machines)
    numbers = (end.value, end.norm, end.steps, end.ending, promised(machines))
    return traced_end_points(
        theta[..., :-1], theta[..., -1], *(number.reshape(shape[:-1]) for number in numbers)
    )


def traced_end_points(*arrays: Array) -> EndPoints:
    """End points inside a program: the arrays of a lane, which its caller gets on the host."""
    parts: list[Any] = list(arrays)
    return EndPoints(*parts)
