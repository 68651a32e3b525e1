"""The loop of L-BFGS: evaluate every trial point, move every machine on, until all have ended.

In one program on the lane where the objective is a function of arrays there; from the host where an
evaluation has to bring its data from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from geneb_jax_probes.lbfgs.machines import (
    Evaluation,
    Machine,
    Rules,
    begin,
    progress,
    tick,
    trial_points,
)
from geneb_jax_probes.programs import program

__all__ = ["Stop", "run_machines", "run_machines_from_host"]


class Stop(NamedTuple):
    """Where machines stop by number: these, on the lane in the precision of scalars."""

    tol: Float[Array, ""]  # largest gradient component to stop at
    max_iter: Float[Array, ""]  # step limit


def run_machines(
    evaluate: Callable[[Float[Array, "problem p"]], Evaluation],
    points: Float[Array, "problem p"],
    *,
    with_dual: bool,
    stop: Stop,
    rules: Rules,
) -> Machine:
    """Tick until every machine that began at ``points`` has ended; traced into one program."""
    return jax.lax.while_loop(
        _at_work,
        lambda machines: tick(machines, evaluate(trial_points(machines)), *stop, rules),
        begin(points, with_dual=with_dual),
    )


def run_machines_from_host(
    measure: Callable[[Float[Array, "problem p"]], PyTree[Array]],
    evaluation: Callable[..., Evaluation],
    context: PyTree[Array | None],
    points: Float[Array, "problem p"],
    *,
    with_dual: bool,
    stop: Stop,
    rules: Rules,
) -> Machine:
    """The same loop, driven by the host.

    Args:
        measure: What is to be known of the trial points, by programs of its own.
        evaluation: A function of a module, so that its programs are found again: from trial points,
            what was measured and ``context`` to the evaluation.
        context: What else ``evaluation`` takes.
        points: Where to begin.
        with_dual: Whether evaluations have a dual.
        stop: Limits.
        rules: Of the machines.
    """
    machines, trial = _set_out(points, with_dual=with_dual)
    at_work = True
    while at_work:
        machines, trial, some = _move_on(
            machines, measure(trial), context, stop, evaluation=evaluation, rules=rules
        )
        at_work = bool(jax.device_get(some))
    return machines


def _at_work(machines: Machine) -> Bool[Array, ""]:
    return jnp.any(progress(machines).ending == 0)


@program("with_dual")
def _set_out(
    points: Float[Array, "problem p"], *, with_dual: bool
) -> tuple[Machine, Float[Array, "problem p"]]:
    machines = begin(points, with_dual=with_dual)
    return machines, trial_points(machines)


@program("evaluation", "rules")
def _move_on(
    machines: Machine,
    measured: PyTree[Array],
    context: PyTree[Array | None],
    stop: Stop,
    *,
    evaluation: Callable[..., Evaluation],
    rules: Rules,
) -> tuple[Machine, Float[Array, "problem p"], Bool[Array, ""]]:
    """One tick: the machines, where to evaluate next, and whether any is still at work."""
    machines = tick(machines, evaluation(trial_points(machines), *measured, *context), *stop, rules)
    return machines, trial_points(machines), _at_work(machines)
