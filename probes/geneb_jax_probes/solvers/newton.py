"""Newton's method in float64 for features that no float32 factor can serve.

Columns whose scales lie far apart, or single rows far from the others, make a Gram matrix whose
digits float32 does not hold; then a preconditioned search believes that it has arrived where it has
not. Here the columns are brought to one size, every Hessian to a unit diagonal before it is
factored, and the end is proved: where the logits would move by less than one half, the objective is
at most ``g^T H^-1 g`` above its minimum, since a logit that moves by t changes the second
derivative of a logistic loss by less than a factor exp(2 |t|).

A factor of H in float64 loses the directions in which H bends 1e-16 times as little as elsewhere,
and the minimum may lie far along them. So where a step looks like the last, the factor only begins:
conjugate gradients in extended precision go on to a step s with residual ``r = g - H s``, and
``g^T H^-1 g = s^T g + s^T r + r^T H^-1 r``, whose last term is at most ``sum(r^2 / penalty)``, H
being nowhere flatter than the penalty. What that sum does not show is not claimed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.linalg import LinAlgError, cho_factor, cho_solve
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
#: A step that promises less than this, relative to the objective, is looked at more closely.
_LAST = 1e-4
#: What a closer look may leave open, as a share of the objective.
_OPEN = 1e-13
#: Steps of conjugate gradients for each weight of a fit, and most of them.
_TURNS, _MOST_TURNS = 3, 300
#: What is added to a unit diagonal until there is a factor.
_LIFTS = (0.0, 1e-15, 1e-14, 1e-13, 1e-12, 1e-10)
#: Extended where the platform has it; elsewhere less is proved.
_Long = np.longdouble


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
    """Mean loss and penalty over columns of one size, an intercept last; one logit or K.

    Arrays of floats are ``Shaped``: extended precision is no ``Float`` to jaxtyping.
    """

    def __init__(
        self,
        Z: Shaped[np.ndarray, "row dim"],
        codes: Int[np.ndarray, " row"],
        shares: Shaped[np.ndarray, " row"],
        penalties: Shaped[np.ndarray, " dim"],
        logits: int,
    ) -> None:
        self.Z1 = np.column_stack([Z, np.ones(len(Z))])
        self.precise = self.Z1.astype(_Long)
        self.shares, self.logits = shares, logits
        self.pull = np.append(penalties, 0.0)
        self.own = codes[:, None]

    def full(self, z: Shaped[np.ndarray, "row logit"]) -> Shaped[np.ndarray, "row class"]:
        """The logits of all classes: of two, the first has none."""
        return np.column_stack([np.zeros(len(z)), z]) if self.logits == 1 else z

    def value(
        self, z: Shaped[np.ndarray, "row logit"], v: Shaped[np.ndarray, "logit one"]
    ) -> float:
        """The objective from logits and weights."""
        z = self.full(z)
        # From the differences to the own class: what a confident row loses keeps its digits.
        losses = np.logaddexp.reduce(z - np.take_along_axis(z, self.own, axis=1), axis=1)
        return float(self.shares @ losses + 0.5 * np.sum(self.pull * v * v))

    def slope(
        self, z: Shaped[np.ndarray, "row logit"], v: Shaped[np.ndarray, "logit one"]
    ) -> tuple[Shaped[np.ndarray, "logit one"], Shaped[np.ndarray, "row logit"]]:
        """The gradient, and the chances it was made of."""
        chances = np.exp(log_softmax(self.full(z), axis=1))
        residual = np.array(chances)
        np.put_along_axis(residual, self.own, 0.0, axis=1)
        np.put_along_axis(residual, self.own, -residual.sum(axis=1, keepdims=True), axis=1)
        if self.logits == 1:
            chances, residual = chances[:, 1:], residual[:, 1:]
        residual = residual * self.shares[:, None]
        Z1 = self.precise if z.dtype == _Long else self.Z1
        return residual.T @ Z1 + self.pull * v, chances

    def bent(
        self, chances: Shaped[np.ndarray, "row logit"], s: Shaped[np.ndarray, "logit one"]
    ) -> Shaped[np.ndarray, "logit one"]:
        """The Hessian times a direction, in extended precision, without the matrix."""
        dz = self.precise @ s.T
        mixed = chances * (dz - np.sum(chances * dz, axis=1, keepdims=True))
        if self.logits == 1:
            mixed = chances * (1 - chances) * dz
        product = (mixed * self.shares[:, None]).T @ self.precise + self.pull * s
        if self.logits > 1:
            product[:, -1] += s[:, -1].sum() / self.logits
        return product

    def hessian_of_intercepts(
        self, chances: Shaped[np.ndarray, "row logit"]
    ) -> Shaped[np.ndarray, "logit logit"]:
        """Second derivatives by the intercepts alone."""
        weighted = chances * self.shares[:, None]
        bend = np.diag(weighted.sum(axis=0)) - weighted.T @ chances
        return bend + (1 / self.logits if self.logits > 1 else 0.0)

    def hessian(self, chances: Shaped[np.ndarray, "row logit"]) -> Shaped[np.ndarray, "q q"]:
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


class _Factor:
    """A factor of a Hessian brought to a unit diagonal, lifted a little where it must be."""

    def __init__(self, H: Shaped[np.ndarray, "q q"]) -> None:
        self.size = np.sqrt(np.maximum(np.diag(H), np.finfo(np.float64).tiny))
        unit = H / self.size / self.size[:, None]
        for lift in _LIFTS:
            try:
                self.factor = cho_factor(unit + lift * np.eye(len(unit)), lower=True)
                return
            except LinAlgError:
                continue
        self.factor = np.eye(len(unit)), True

    def solved(self, g: Shaped[np.ndarray, "logit one"]) -> Shaped[np.ndarray, "logit one"]:
        """About ``H^-1 g``."""
        flat = g.ravel().astype(np.float64)
        found: np.ndarray = cho_solve(self.factor, flat / self.size) / self.size
        return found.reshape(g.shape)


class _Step(NamedTuple):
    """A Newton step, and what of the objective there is at most to be gained by it."""

    step: Shaped[np.ndarray, "logit one"]
    decrement: float


def _closer(
    problem: _Objective, v: Shaped[np.ndarray, "logit one"], factor: _Factor, value: float
) -> _Step:
    """The step and its bound in extended precision: conjugate gradients from the factor's step."""
    g, chances = problem.slope(problem.precise @ v.T.astype(_Long), v.astype(_Long))
    balance = np.asarray(problem.hessian_of_intercepts(chances), np.float64)

    def balanced(
        s: Shaped[np.ndarray, "logit one"], r: Shaped[np.ndarray, "logit one"]
    ) -> tuple[Shaped[np.ndarray, "logit one"], Shaped[np.ndarray, "logit one"]]:
        """Nothing left of the residual in the intercepts: they have no penalty to bound it by."""
        moved = np.zeros_like(s)
        moved[:, -1] = np.linalg.solve(balance, r[:, -1].astype(np.float64))
        return s + moved, r - problem.bent(chances, moved)

    s = factor.solved(g).astype(_Long)
    r = g - problem.bent(chances, s)
    direction = y = factor.solved(r).astype(_Long)
    fall = np.sum(r * y)
    best = _Step(s.astype(np.float64), np.inf)
    for turn in range(min(_TURNS * v.size, _MOST_TURNS) + 1):
        steady, left = balanced(s, r)
        open_end = float(np.sum(left[:, :-1] ** 2 / problem.pull[:-1]))
        bound = max(float(np.sum(steady * (g + left))), 0.0) + open_end
        if bound < best.decrement:
            best = _Step(steady.astype(np.float64), bound)
        bent = problem.bent(chances, direction)
        along = np.sum(direction * bent)
        if open_end <= _OPEN * value or not along > 0 or turn == _MOST_TURNS:
            break
        length = fall / along
        s, r = s + length * direction, r - length * bent
        y = factor.solved(r).astype(_Long)
        fall, before = np.sum(r * y), fall
        direction = y + (fall / before) * direction if before > 0 else y
    return best


def _kept(
    problem: _Objective,
    v: Shaped[np.ndarray, "logit one"],
    sizes: Shaped[np.ndarray, " dim"],
    mean: Shaped[np.ndarray, " dim"],
    stored: Dtype,
) -> Shaped[np.ndarray, "logit one"]:
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
    value, steps, stuck, tried = problem.value(z, v), 0, False, False
    while True:
        g, chances = problem.slope(z, v)
        H = problem.hessian(chances)
        if not (np.isfinite(value) and np.isfinite(H).all() and np.isfinite(g).all()):
            nothing = np.full_like(v, np.nan)
            return NewtonEnd(
                nothing[:, :-1], nothing[:, -1], np.nan, np.nan, steps, Ending.NOT_FINITE, np.inf
            )
        factor = _Factor(H)
        step = factor.solved(g)
        decrement = float(np.sum(g * step))
        if not decrement > _LAST * value or stuck or steps >= max_iter:
            tried = stuck
            step, decrement = _closer(problem, v, factor, value)
        dz = problem.Z1 @ step.T
        if decrement <= _DECREMENT * value or tried or steps >= max_iter:
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
