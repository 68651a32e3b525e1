"""The minimum by ``optax.lbfgs``, mapped over strengths and subsets: a referee.

It shares no arithmetic with the other solvers: its objective is written out with JAX's
``softplus`` and ``logsumexp`` and differentiated by JAX, its directions and its zoom line search
are optax's, its stop is an estimate of the gap from curvatures. It is slow, and holds the features
whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.errors import ProbeOptionError
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.loop import Stop
from geneb_jax_probes.matrix.end_points import EndPoints, traced_end_points
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.plan import FeatureGroup, Fit
from geneb_jax_probes.programs import program
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.solver import Solver

__all__ = ["OPTAX", "Optax"]

#: What a fit that says converged is held to: the objective is this near its minimum, relative to
#: it, by |g|^2 / (2 mu). For the weights mu is the penalty, which holds everywhere. For the
#: intercepts it is their curvature where the fit stands: near the minimum an estimate, no proof.
SMALL_GAP = 1e-10


class _Search(NamedTuple):
    """One search, in coordinates in which every feature curves alike."""

    theta: Float[Array, "logit dim_and_one"]
    value: Float[Array, ""]
    gradient: Float[Array, "logit dim_and_one"]
    optimiser: optax.OptState
    steps: Int[Array, ""]


def _losses(z: Float[Array, "row logit"], codes: Int[Array, " row"]) -> Float[Array, " row"]:
    """log(1 + sum of exp(z_k - z_chosen)): every digit kept where a row is right by far."""
    if z.shape[1] == 1:
        return jax.nn.softplus(jnp.where(codes == 1, -z[:, 0], z[:, 0]))
    chosen = jnp.take_along_axis(z, codes[:, None], axis=1)
    others = jnp.arange(z.shape[1])[None, :] != codes[:, None]
    return jax.nn.softplus(jax.nn.logsumexp(z - chosen, axis=1, where=others))


@program()
def _minimise(
    X: Float[Array, "row dim"],
    codes: Int[Array, " row"],
    shares: Float[Array, "row fit"],
    penalty: Float[Array, "strength fit"],
    start: Float[Array, "strength fit logit dim_and_one"],
    stop: Stop,
) -> EndPoints:
    """Every (strength, fit); a ``tol`` below zero stands for :data:`SMALL_GAP`."""
    optimiser = optax.lbfgs()

    def one(
        share: Float[Array, " row"],
        penalty: Float[Array, ""],
        start: Float[Array, "logit dim_and_one"],
    ) -> EndPoints:
        curvature = 0.25 * jnp.sum(share[:, None] * X * X, axis=0) + penalty
        # Units in which the diagonal of the Hessian is about one.
        unit = jnp.concatenate([1 / jnp.sqrt(curvature), jnp.full(1, 2.0, X.dtype)])[None, :]

        def logits(theta: Float[Array, "logit dim_and_one"]) -> Float[Array, "row logit"]:
            weights = theta * unit
            return X @ weights[:, :-1].T + weights[:, -1][None, :]

        def objective(theta: Float[Array, "logit dim_and_one"]) -> Float[Array, ""]:
            losses = _losses(logits(theta), codes)
            # A row that is not of the fit may be of a class that the fit has not.
            loss = jnp.sum(share * jnp.where(share > 0, losses, 0.0))
            return 0.5 * penalty * jnp.sum((theta * unit)[:, :-1] ** 2) + loss

        held = jax.ops.segment_sum(share, codes, num_segments=max(2, start.shape[0])) > 0

        def intercept_curvature(search: _Search) -> Float[Array, ""]:
            """The least one of a class that the fit has, at the point."""
            z = logits(search.theta)
            p = jax.nn.sigmoid(z) if z.shape[1] == 1 else jax.nn.softmax(z, axis=1)
            curvatures = share @ (p * (1 - p))
            return jnp.min(jnp.where(held[-len(curvatures) :], curvatures, jnp.inf))

        def gap(search: _Search) -> Float[Array, ""]:
            slope = (search.gradient / unit) ** 2
            weights, intercepts = jnp.sum(slope[:, :-1]), jnp.sum(slope[:, -1])
            # With the penalty as a limit too: weights that follow an intercept take it along.
            least = jnp.minimum(penalty, intercept_curvature(search))
            return (weights / penalty + intercepts / least) / (2 * search.value)

        def norm(search: _Search) -> Float[Array, ""]:
            return jnp.max(jnp.abs(search.gradient / unit))

        def met(search: _Search) -> Bool[Array, ""]:
            return jnp.where(stop.tol < 0, gap(search) <= SMALL_GAP, norm(search) <= stop.tol)

        def going(search: _Search) -> Bool[Array, ""]:
            finite = jnp.isfinite(search.value)
            return (search.steps < stop.max_iter) & finite & ~met(search)

        def step(search: _Search) -> _Search:
            change, state = optimiser.update(
                search.gradient,
                search.optimiser,
                search.theta,
                value=search.value,
                grad=search.gradient,
                value_fn=objective,
            )
            # The line search keeps what it found where it ended.
            value, gradient = (optax.tree_utils.tree_get(state, name) for name in ("value", "grad"))
            theta = optax.apply_updates(search.theta, change)
            return _Search(theta, value, gradient, state, search.steps + 1)

        theta = start / unit
        begun = jax.value_and_grad(objective)(theta)
        end = jax.lax.while_loop(
            going, step, _Search(theta, *begun, optimiser.init(theta), jnp.int32(0))
        )
        ending = jnp.where(met(end), Ending.CONVERGED.code, Ending.MAX_ITER.code)
        ending = jnp.where(jnp.isfinite(end.value), ending, Ending.NOT_FINITE.code)
        weights = end.theta * unit
        ends = (end.value, norm(end), end.steps, ending, gap(end))
        return traced_end_points(
            weights[:, :-1], weights[:, -1], *(number.astype(X.dtype) for number in ends)
        )

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
                    self.stop(settings, lane),
                )
            return EndPoints(*(part.reshape(-1, *part.shape[2:]) for part in found))

        return run


OPTAX = Optax()
