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

    Loops of unknown length count once, of branches the dearest counts, of forms by platform that of
    the default device, a kernel as often as there are programs. Fourier transforms and elementwise
    arithmetic do not count.
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
    if name == "pallas_call":
        return math.prod(parameters["grid_mapping"].grid) * sum(inner)
    if name == "cond":
        return _of_branches(inner, parameters.get("branches_platforms"))
    return sum(inner)


def _of_branches(counts: list[int], platforms: Any) -> int:
    """The dearest; where they are forms by platform, that of the default device."""
    if platforms is None:
        return max(counts, default=0)
    here = jax.default_backend()
    names = ("cuda", "rocm") if here == "gpu" else (here,)
    by_name = {
        name: count
        for count, of_branch in zip(counts, platforms, strict=True)
        for name in of_branch or ("default",)
    }
    found = [by_name[name] for name in names if name in by_name]
    return found[0] if found else by_name["default"]


def _inner(values: Iterable[Any]) -> Iterable[Any]:
    """The jaxprs among an equation's parameters."""
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _inner(value)
        elif hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr
