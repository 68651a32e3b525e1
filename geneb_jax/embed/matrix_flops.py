"""Floating-point operations of a function, counted in its jaxpr.

Counted are matrix products and convolutions, a multiplication and an addition each, as model FLOPs
are counted in the literature; loops count as often as they run. XLA's own count takes the body of a
loop once, so for layers that are scanned it is too small by their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax

__all__ = ["matrix_flops"]


def matrix_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Operations of one call with arguments of these shapes (arrays or their shapes).

    Loops of unknown length count once, of branches the dearest counts, Fourier transforms and
    elementwise arithmetic do not.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Any) -> int:
    return sum(_equation(equation) for equation in jaxpr.eqns)


def _equation(equation: Any) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        left = equation.invars[0].aval.shape
        depth = math.prod(left[axis] for axis in contracted)
        return 2 * depth * math.prod(equation.outvars[0].aval.shape)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        outputs = kernel[parameters["dimension_numbers"].rhs_spec[0]]
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // outputs
    inner = [_count(jaxpr) for jaxpr in _inner(parameters.values())]
    if name == "scan":
        return parameters["length"] * sum(inner)
    return max(inner, default=0) if name == "cond" else sum(inner)


def _inner(values: Iterable[Any]) -> Iterable[Any]:
    """The jaxprs among an equation's parameters."""
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _inner(value)
        elif hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr
