"""The solvers by name. A new one is one file and one line here, or one call of :func:`register`.

Names and sentences load no JAX; a solver is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from geneb_jax_probes.errors import ProbeOptionError

if TYPE_CHECKING:
    from geneb_jax_probes.solvers.solver import Solver

__all__ = ["SOLVERS", "SolverEntry", "find_solver", "register"]

_HERE = "geneb_jax_probes.solvers"


class SolverEntry(NamedTuple):
    """What is known of a solver before it is imported: a sentence, and ``module:attribute``."""

    says: str
    place: str


#: Name -> entry, in the order they are listed in.
SOLVERS: dict[str, SolverEntry] = {
    "reference": SolverEntry(
        "scikit-learn's L-BFGS steps and stop up to its 1.8, in float64: kin of published scores",
        f"{_HERE}.reference:REFERENCE",
    ),
    "reference32": SolverEntry(
        "the same from scikit-learn 1.9 on, float32 as there: beside a harness run of today",
        f"{_HERE}.reference32:REFERENCE32",
    ),
    "exact": SolverEntry("the minimum of the same objective", f"{_HERE}.exact:EXACT"),
    "optax": SolverEntry(
        "the minimum by optax.lbfgs: slow, shares no code with the others, checks them",
        f"{_HERE}.optax:OPTAX",
    ),
}


def register(name: str, says: str, place: str) -> None:
    """Add a solver of another package.

    Args:
        name: What ``solver=`` asks for.
        says: One sentence for lists.
        place: ``package.module:attribute`` of the :class:`~geneb_jax_probes.solvers.solver.Solver`.

    Raises:
        ProbeOptionError: The name is taken by another place, or the place is no place.
    """
    if place.count(":") != 1:
        raise ProbeOptionError(f"solver {name!r}: {place!r} is not package.module:attribute")
    if name in SOLVERS and SOLVERS[name].place != place:
        raise ProbeOptionError(f"solver {name!r} is {SOLVERS[name].place} already, not {place}")
    SOLVERS[name] = SolverEntry(says, place)


def find_solver(name: str) -> Solver:
    """The solver of this name.

    Raises:
        ProbeOptionError: No such solver; the message lists those there are.
    """
    if name not in SOLVERS:
        known = ", ".join(map(repr, SOLVERS))
        raise ProbeOptionError(f"solver must be one of {known}, got {name!r}")
    module, attribute = SOLVERS[name].place.split(":")
    solver: Solver = getattr(import_module(module), attribute)
    return solver
