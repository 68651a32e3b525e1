"""Newton's method in float64 for features that no float32 factor can serve.

Columns whose scales lie far apart, or single rows far from the others, make a Gram matrix whose
digits float32 does not hold; then a preconditioned search believes that it has arrived where it has
not. Here the columns are brought to one size, every Hessian to a unit diagonal before it is
factored, and the end is proved: where the logits would move by less than one half, the objective is
at most ``g^T H^-1 g`` above its minimum, since a logit that moves by t changes the second
derivative of a logistic loss by less than a factor exp(2 |t|).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lstsq
from scipy.special import log_softmax

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.problem import Dtype

__all__ = ["NewtonEnd", "minimise_by_newton"]

#: Steps go on until the next promises less than this, relative to the objective.
_DECREMENT = 1e-14
_HALVINGS = 40
_SUFFICIENT = 1e-4
#: The proof holds where no logit moves further.
_NEAR = 0.5
#: Newton steps for the intercepts beside rounded weights.
_REFITS = 2


class NewtonEnd(NamedTuple):
    """Where one fit ended."""

    weights: Float[np.ndarray, "logit dim"]
    intercept: Float[np.ndarray, " logit"]
    value: float
    norm: float
    steps: int
    ending: Ending
    gap: float


class _Objective:
    """Mean loss and penalty over columns of one size, an intercept last; one logit or K."""

    def __init__(
        self,
        Z: Float[np.ndarray, "row dim"],
        codes: Int[np.ndarray, " row"],
        shares: Float[np.ndarray, " row"],
        penalties: Float[np.ndarray, " dim"],
        logits: int,
    ) -> None:
        self.Z1 = np.column_stack([Z, np.ones(len(Z))])
        self.shares, self.logits = shares, logits
        self.pull = np.append(penalties, 0.0)
        classes = max(logits, 2)
        hot = np.eye(classes)[codes]
        self.hot = hot[:, 1:] if logits == 1 else hot

    def full(self, z: Float[np.ndarray, "row logit"]) -> Float[np.ndarray, "row class"]:
        """The logits of all classes: of two, the first has none."""
        return np.column_stack([np.zeros(len(z)), z]) if self.logits == 1 else z

    def value(self, z: Float[np.ndarray, "row logit"], v: Float[np.ndarray, "logit one"]) -> float:
        """The objective from logits and weights."""
        hot = self.full(self.hot)
        if self.logits == 1:
            hot[:, 0] = 1 - hot[:, 1]
        losses = -np.sum(hot * log_softmax(self.full(z), axis=1), axis=1)
        return float(self.shares @ losses + 0.5 * np.sum(self.pull * v * v))

    def slope(
        self, z: Float[np.ndarray, "row logit"], v: Float[np.ndarray, "logit one"]
    ) -> tuple[Float[np.ndarray, "logit one"], Float[np.ndarray, "row logit"]]:
        """The gradient, and the chances it was made of."""
        chances = np.exp(log_softmax(self.full(z), axis=1))
        own = chances[:, 1:] if self.logits == 1 else chances
        residual = (own - self.hot) * self.shares[:, None]
        return residual.T @ self.Z1 + self.pull * v, own

    def hessian_of_intercepts(
        self, chances: Float[np.ndarray, "row logit"]
    ) -> Float[np.ndarray, "logit logit"]:
        """Second derivatives by the intercepts alone."""
        weighted = chances * self.shares[:, None]
        bend = np.diag(weighted.sum(axis=0)) - weighted.T @ chances
        return bend + (1 / self.logits if self.logits > 1 else 0.0)

    def hessian(self, chances: Float[np.ndarray, "row logit"]) -> Float[np.ndarray, "q q"]:
        """The matrix of second derivatives, by (logit, column)."""
        width = self.Z1.shape[1]
        H = np.empty((self.logits, width, self.logits, width))
        for a in range(self.logits):
            for b in range(a + 1):
                bend = chances[:, a] * ((a == b) - chances[:, b]) * self.shares
                H[a, :, b] = (self.Z1 * bend[:, None]).T @ self.Z1
                H[b, :, a] = H[a, :, b].T
            H[a, np.arange(width), a, np.arange(width)] += self.pull
        if self.logits > 1:
            # A shift of all intercepts changes nothing: along it any curvature will do.
            H[:, -1, :, -1] += 1 / self.logits
        return H.reshape(self.logits * width, -1)


def _solved(H: Float[np.ndarray, "q q"], g: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
    """``H^-1 g`` by a factor of H brought to a unit diagonal."""
    size = np.sqrt(np.maximum(np.diag(H), np.finfo(np.float64).tiny))
    unit = H / size / size[:, None]
    try:
        return cho_solve(cho_factor(unit, lower=True), g / size) / size
    except LinAlgError:
        # Singular but for rounding: nothing moves along directions that the rows do not have.
        return lstsq(unit, g / size)[0] / size


def _kept(
    problem: _Objective,
    v: Float[np.ndarray, "logit one"],
    sizes: Float[np.ndarray, " dim"],
    mean: Float[np.ndarray, " dim"],
    stored: Dtype,
) -> Float[np.ndarray, "logit one"]:
    """The point as it will be stored; the intercept makes up for what the weights lost.

    ``sizes`` divide a column of the problem's weights into those of the features as given.
    """
    weights = (v[:, :-1] / sizes).astype(stored).astype(np.float64)
    v = np.column_stack([weights * sizes, v[:, -1]])
    for _ in range(_REFITS):
        z = problem.Z1 @ v.T
        g, chances = problem.slope(z, v)
        width = problem.Z1.shape[1]
        balance = problem.hessian_of_intercepts(chances)
        v[:, -1] -= np.linalg.solve(balance, g.reshape(-1, width)[:, -1])
    intercept = (v[:, -1] - weights @ mean).astype(stored).astype(np.float64)
    return np.column_stack([weights * sizes, intercept + weights @ mean])


def minimise_by_newton(
    X: Float[np.ndarray, "row dim"],
    codes: Int[np.ndarray, " row"],
    shares: Float[np.ndarray, " row"],
    penalty: float,
    start: Float[np.ndarray, " logit"],
    *,
    max_iter: int,
    promise: float,
    mean: Float[np.ndarray, " dim"],
    scale: float,
    stored: Dtype,
) -> NewtonEnd:
    """The minimum of one fit.

    Args:
        X: Centred and scaled features, float64.
        codes: Class of each row.
        shares: Row weights, summing to 1.
        penalty: ``1 / (C n)``.
        start: Intercepts to begin at, with weights zero.
        max_iter: Most steps.
        promise: Relative distance from the minimum that ``converged`` promises.
        mean: What was subtracted from the features.
        scale: What they were multiplied by then.
        stored: The dtype that weights, and the intercept of features not centred, are kept in: the
            end is that of the numbers that are kept.

    Returns:
        The end; its gap is a proved bound where it says ``converged``, else an estimate.
    """
    sizes = np.sqrt(shares @ np.square(X))
    sizes = np.where(sizes > 0, sizes, 1.0)
    problem = _Objective(X / sizes, codes, shares, penalty / sizes**2, len(start))
    v = np.zeros((len(start), X.shape[1] + 1))
    v[:, -1] = start
    z = problem.Z1 @ v.T
    value, steps, stuck = problem.value(z, v), 0, False
    while True:
        g, chances = problem.slope(z, v)
        H = problem.hessian(chances)
        if not (np.isfinite(value) and np.isfinite(H).all() and np.isfinite(g).all()):
            nothing = np.full_like(v, np.nan)
            return NewtonEnd(
                nothing[:, :-1], nothing[:, -1], np.nan, np.nan, steps, Ending.NOT_FINITE, np.inf
            )
        step = _solved(H, g.ravel()).reshape(v.shape)
        dz = problem.Z1 @ step.T
        decrement = float(np.sum(g * step))
        if decrement <= _DECREMENT * value or stuck or steps >= max_iter:
            break
        length, stuck = 1.0, True
        for _ in range(_HALVINGS):
            ahead, z_ahead = v - length * step, z - length * dz
            value_ahead = problem.value(z_ahead, ahead)
            if value_ahead <= value - _SUFFICIENT * length * decrement:
                v, z, value, stuck = ahead, problem.Z1 @ ahead.T, value_ahead, False
                steps += 1
                break
            length /= 2
    moved = float(np.ptp(problem.full(dz), axis=1).max())
    lowest = value - max(decrement, 0.0)
    v = _kept(problem, v, sizes / scale, mean, stored)
    value = problem.value(problem.Z1 @ v.T, v)
    gap = (value - lowest) / value
    if gap <= promise and moved <= _NEAR:
        ending = Ending.CONVERGED
    else:
        ending = Ending.MAX_ITER if steps >= max_iter else Ending.LINE_SEARCH
    largest = float(np.abs(np.column_stack([g[:, :-1] * sizes, g[:, -1]])).max())
    return NewtonEnd(v[:, :-1] / sizes, v[:, -1], value, largest, steps, ending, gap)
