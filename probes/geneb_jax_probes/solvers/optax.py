"""The minimum by ``optax.lbfgs``, mapped over strengths and subsets: a referee.

It shares no code with the other solvers: its objective is written out with JAX's ``log_softmax`` and
differentiated by JAX, its directions and its zoom line search are optax's, its stop is a bound that
strong convexity gives. It is slow, and holds the features whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.errors import ProbeOptionError
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.plan import FeatureGroup, Fit
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.solver import Solver

__all__ = ["OPTAX", "Optax"]

#: What is proved of a fit that says converged: the objective is this near its minimum, relative to
#: it, by |g|^2 / (2 mu) with mu the penalty: the least curvature of the objective in the weights.
PROVED_GAP = 1e-10


class _Search(NamedTuple):
    """One search: where it is, in coordinates in which every feature curves alike."""

    theta: Float[Array, "logit dim+1"]
    optimiser: optax.OptState
    steps: Int[Array, ""]


@partial(jax.jit, static_argnames=("max_iter",))
def _minimise(
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    shares: Float[Array, "row fit"],
    penalty: Float[Array, "strength fit"],
    start: Float[Array, "strength fit logit dim+1"],
    tol: Float[Array, ""],
    *,
    max_iter: int,
) -> EndPoints:
    """Every (strength, fit); ``tol`` is the largest gradient component to stop at, -1 for none."""
    optimiser = optax.lbfgs()

    def one(
        share: Float[Array, " row"], penalty: Float[Array, ""], start: Float[Array, "logit dim+1"]
    ) -> EndPoints:
        curvature = 0.25 * jnp.sum(share[:, None] * X * X, axis=0) + penalty
        # Units in which the diagonal of the Hessian is about one.
        unit = jnp.concatenate([1 / jnp.sqrt(curvature), jnp.full(1, 2.0, X.dtype)])[None, :]

        def objective(theta: Float[Array, "logit dim+1"]) -> Float[Array, ""]:
            weights = theta * unit
            z = X @ weights[:, :-1].T + weights[:, -1][None, :]
            z = jnp.concatenate([jnp.zeros_like(z), z], axis=1) if z.shape[1] == 1 else z
            chosen = jnp.take_along_axis(jax.nn.log_softmax(z), codes[:, None], axis=1)[:, 0]
            return 0.5 * penalty * jnp.sum(weights[:, :-1] ** 2) - jnp.sum(share * chosen)

        value_and_grad = optax.value_and_grad_from_state(objective)

        def raw(
            search: _Search,
        ) -> tuple[Float[Array, ""], Float[Array, "logit dim+1"], Float[Array, ""]]:
            """Objective, gradient by the features as given, and the bound on the gap."""
            value, gradient = value_and_grad(search.theta, state=search.optimiser)
            gradient = gradient / unit
            return value, gradient, jnp.sum(gradient**2) / (2 * penalty * value)

        def met(search: _Search) -> Array:
            _, gradient, gap = raw(search)
            return jnp.where(tol < 0, gap <= PROVED_GAP, jnp.max(jnp.abs(gradient)) <= tol)

        def step(search: _Search) -> _Search:
            value, gradient = value_and_grad(search.theta, state=search.optimiser)
            change, state = optimiser.update(
                gradient, search.optimiser, search.theta, value=value, grad=gradient,
                value_fn=objective,
            )  # fmt: skip
            return _Search(optax.apply_updates(search.theta, change), state, search.steps + 1)

        theta = start / unit
        begun = _Search(theta, optimiser.init(theta), jnp.int32(0))
        end = jax.lax.while_loop(
            lambda search: (search.steps < max_iter) & ~met(search)
            & jnp.isfinite(search.theta).all(),
            step,
            begun,
        )  # fmt: skip
        value, gradient, gap = raw(end)
        ending = jnp.where(met(end), Ending.CONVERGED.code, Ending.MAX_ITER.code)
        ending = jnp.where(jnp.isfinite(value), ending, Ending.NOT_FINITE.code)
        weights = end.theta * unit
        norm = jnp.max(jnp.abs(gradient))
        return EndPoints(weights[:, :-1], weights[:, -1], value, norm, end.steps, ending, gap)

    over_fits = jax.vmap(one, in_axes=(1, 0, 0))
    return jax.vmap(over_fits, in_axes=(None, 0, 0))(shares, penalty, start)


class Optax(Solver):
    """``optax.lbfgs`` on centred features, to a gradient that bounds the gap."""

    name = "optax"
    centres = True
    default_tol = -1.0

    def start(self, fit: Fit) -> Float[np.ndarray, " logit"]:
        """The log of the class shares."""
        return fit.base_intercept

    def over(
        self, group: FeatureGroup, layout: Layout, settings: Settings, lane: Lane
    ) -> Callable[[Columns], EndPoints]:
        """All rows on the lane, in the precision of scalars.

        Raises:
            ProbeOptionError: They are more than its memory may hold.
        """
        budget = settings.lane_bytes(lane)
        if layout.bytes > budget:
            raise ProbeOptionError(
                f"solver 'optax' holds the features whole: {layout.bytes} bytes, memory_bytes is "
                f"{budget}; 'exact' streams them"
            )
        X = lane.state(layout.features(0, layout.rows, layout.rows))
        codes, shares = lane.put(layout.codes), lane.state(layout.columns)

        def run(columns: Columns) -> EndPoints:
            start = columns.start.reshape(*columns.penalty.shape, *columns.start.shape[1:])
            # Optax mixes Python floats and int32 counts, which strict promotion refuses.
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                found = lane.call(
                    _minimise,
                    X,
                    codes,
                    shares[:, columns.fits],
                    lane.state(columns.penalty),
                    lane.state(start),
                    self.stop(settings, lane).tol,
                    max_iter=settings.max_iter,
                )
            return EndPoints(*(part.reshape(-1, *part.shape[2:]) for part in found))

        return run


OPTAX = Optax()
