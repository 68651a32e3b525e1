"""The minimum of every fit of one feature matrix: together at first, the laggards one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import EllipsisType

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from geneb_jax_probes.endings import Ending
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.lbfgs.machines import Rules
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.matrix.few_rows import FewRows
from geneb_jax_probes.matrix.gram_sample import gram_sample
from geneb_jax_probes.matrix.held_matrix import HeldMatrix, hold
from geneb_jax_probes.matrix.layout import Columns, Layout
from geneb_jax_probes.matrix.preconditioners import Preconditioner, contrasts, precondition
from geneb_jax_probes.plan import FeatureGroup, Fit
from geneb_jax_probes.problem import Dtype
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.solvers.newton import NewtonEnd, minimise_by_newton
from geneb_jax_probes.solvers.solver import Solver

__all__ = [
    "CONFIDENT",
    "EXACT",
    "NEARLY_THERE",
    "RULES",
    "Exact",
    "hessian",
    "stage_steps",
    "start_curvature",
]

#: Step 1 is the Newton step where the search begins. A fit ends when the next step promises less
#: than ``gap`` of the objective, far less than :data:`ACCEPTED_GAP`. No decrease is too small to go
#: on by itself: the objective may rise by its rounding (a few units of the dtype) while the weights
#: are still refined, and ``patience`` counts the steps that did not lower it.
RULES: dict[Dtype, Rules] = {
    "float32": Rules(False, decrease=-3e-7, gap=1e-9, slack=3e-7, evaluations=12, patience=4),
    "float64": Rules(False, decrease=-4e-15, gap=1e-17, slack=2e-15, evaluations=20, patience=16),
}
#: What is promised: the objective is this near its minimum, relative to it.
ACCEPTED_GAP: dict[Dtype, float] = {"float32": 1e-6, "float64": 1e-9}
#: Continue a float32 fit in float64 where rounding stopped it further than this from the minimum.
POLISH_ABOVE = 1e-9
POLISH = Rules(short_first_step=False, decrease=0.0, gap=1e-9, slack=1e-15, evaluations=20)

#: Values of C that share one run of the machines, where X is small and where it is large. Over a
#: small one they share each pass. Over a large one they are better apart: none waits for the
#: slowest, and they run side by side on cores that have nothing else to do.
_TOGETHER, _TOGETHER_IF_LARGE = 5, 3
_LARGE = 1 << 22
#: Logits of one value of C that are enough for the products of a pass over X.
_ENOUGH_LOGITS = 3
#: Steps after which a fit that goes on gets a preconditioner of its own, made where it has come to:
#: confident rows curve far less than at the start, where C is large and the classes come apart.
_STAGE_STEPS = 16
#: The factor of p weights costs p^3 products, a step p n: for each so many weights the stages of a
#: fit are as long again. Fits of more weights than the most go on with the factor they began with,
#: as do those of more logits: their Hessian needs a Gram matrix for every pair of classes.
_STAGE_VALUES = 1024
_MOST_VALUES = 4096
_MOST_LOGITS = 8
#: Below this objective nearly every row is confident: the factor of a fit no longer knows how
#: little it bends, and what a step promises says nothing. Such an end is proved by Newton's method,
#: or, beyond so many weights, not claimed.
CONFIDENT = 1e-3
_MOST_PROVED_VALUES = 512
#: Relative distance from the minimum that the next stage covers without a new factor.
NEARLY_THERE = 1e-6


class Exact(Solver):
    """From the best intercepts, on centred features, preconditioned, to the minimum."""

    name = "exact"
    centres = True
    # By rows it needs the eigenbasis of each Gram matrix: n^3 of a slow kind.
    most_rows = 512

    def start(self, fit: Fit) -> Float[np.ndarray, " logit"]:
        """The intercepts at which the weights zero are best."""
        return fit.base_intercept

    def strengths_together(self, logits: int, elements: int, count: int) -> int:
        """Few enough that none waits long for the slowest."""
        if logits >= _ENOUGH_LOGITS:
            return 1
        return _TOGETHER_IF_LARGE if elements >= _LARGE else _TOGETHER

    def over(
        self, group: FeatureGroup, layout: Layout, settings: Settings, lane: Lane
    ) -> Callable[[Columns], EndPoints]:
        """One Gram matrix for all fits and penalties; L-BFGS in its coordinates."""
        values = layout.width * group.fits[0].logits
        if layout.uneven and values <= _MOST_VALUES:
            return lambda columns: _by_newton(group, layout, columns, settings, lane)
        held = hold(layout, lane, settings.lane_bytes(lane))
        gram = held.gram(layout.columns.mean(axis=1))
        curvature = float(np.mean([start_curvature(fit) for fit in group.fits]))
        run = _Run(self, held, settings, lane)
        if layout.uneven:
            return lambda columns: _unproved(run.solve(columns, gram, curvature), ...)
        return lambda columns: _proved(
            run.solve(columns, gram, curvature), group, layout, columns, settings, lane
        )

    def solve_rows(self, matrices: FewRows, settings: Settings) -> EndPoints:
        """L-BFGS over the rows, in the eigenbasis of each Gram matrix."""
        lane = matrices.lane
        dtype: Dtype = "float64" if lane.state_dtype == "float64" else settings.dtype
        stop = self.stop(settings, lane)
        return matrices.minimise(preconditioned=True, rules=RULES[dtype], stop=stop)

    def rules_when_packed(self, dtype: Dtype) -> Rules | None:
        """Packed programs compute in float64: nothing is left to polish."""
        return POLISH if dtype == "float32" else RULES["float64"]

    def stands(self, ended: EndPoints, settings: Settings) -> bool:
        """Where it converged, as far as the step to come can tell: not among confident rows."""
        ending = self.ending(int(ended.ending), float(ended.gap), settings.dtype)
        told = ended.value >= CONFIDENT and ended.steps <= settings.max_iter
        return ending is Ending.CONVERGED and bool(told)

    def ending(self, code: int, gap: float, dtype: Dtype) -> Ending:
        """Where rounding ended the search: at the minimum, or before it."""
        ending = Ending.of_code(code)
        if ending in (Ending.NO_PROGRESS, Ending.LINE_SEARCH) and gap <= ACCEPTED_GAP[dtype]:
            return Ending.CONVERGED
        return ending


EXACT = Exact()


def start_curvature(fit: Fit) -> float:
    """Mean second derivative of the loss by a logit, where the weights are zero."""
    chances = np.bincount(fit.codes, weights=fit.shares)
    return float(np.mean(chances * (1 - chances)))


def stage_steps(values: int, logits: int, max_iter: int) -> int:
    """Steps after which a fit of so many weights gets a factor of its own; ``max_iter``: none."""
    if values > _MOST_VALUES or logits > _MOST_LOGITS:
        return max_iter
    return min(_STAGE_STEPS * max(1, values // _STAGE_VALUES), max_iter)


@dataclass(frozen=True, slots=True)
class _Run:
    """One matrix being solved."""

    solver: Exact
    held: HeldMatrix
    settings: Settings
    lane: Lane

    def solve(self, columns: Columns, gram: Float[Array, "dim dim"], curvature: float) -> EndPoints:
        """Solve some fits at some penalties, all with the Gram matrix of all rows."""
        held, settings, lane = self.held, self.settings, self.lane
        factors = _joined(
            lane.together(
                lambda penalty: precondition(gram, lane.state(penalty), lane.state(curvature)),
                list(columns.penalty.mean(axis=1, keepdims=True)),
            )
        )
        values = columns.start.shape[1] * held.layout.width
        stage = stage_steps(values, columns.start.shape[1], settings.max_iter)
        ended = self._minimise(columns, factors, settings.dtype, RULES[settings.dtype], stage)
        fits = columns.penalty.shape[1]

        def finish(at: int) -> EndPoints:
            c, fit = divmod(at, fits)
            first = Preconditioner(factors.factors[c : c + 1], _one(factors.curvature, c))
            own = EndPoints(*(part[at : at + 1] for part in ended))
            return self._finish(fit, columns.penalty[c, fit], first, own, stage)

        late = np.flatnonzero(self._behind(ended) | self._stuck(ended)).tolist()
        if not late:
            return ended
        merged = EndPoints(*(np.array(part) for part in ended))
        for at, own in zip(late, lane.together(finish, late), strict=True):
            for part, value in zip(merged, own, strict=True):
                part[at] = value[0]
        return merged

    def _minimise(
        self, columns: Columns, factors: Preconditioner, compute: Dtype, rules: Rules, most: int
    ) -> EndPoints:
        return self.held.minimise(
            columns,
            preconditioner=factors,
            compute=compute,
            rules=rules,
            stop=self.solver.stop(self.settings, self.lane, max_iter=most),
        )

    def _behind(self, ended: EndPoints) -> Bool[np.ndarray, " problem"]:
        """Which fits have steps left to take."""
        behind: np.ndarray = (ended.ending == Ending.MAX_ITER.code) & (
            ended.steps < self.settings.max_iter
        )
        return behind

    def _stuck(self, ended: EndPoints) -> Bool[np.ndarray, " problem"]:
        """Which fits rounding in float32 stopped short of their promise, if float64 is there."""
        stuck: np.ndarray = (ended.ending != Ending.CONVERGED.code) & (ended.gap > POLISH_ABOVE)
        can = self.settings.dtype == "float32" and self.lane.state_dtype == "float64"
        return stuck & can

    def _finish(
        self, fit: int, penalty: float, factors: Preconditioner, ended: EndPoints, stage: int
    ) -> EndPoints:
        """One fit to its end: preconditioned anew from stage to stage; in float64 if stuck."""
        settings = self.settings

        def go_on(factors: Preconditioner, compute: Dtype, rules: Rules, most: int) -> EndPoints:
            columns = Columns(slice(fit, fit + 1), np.array([[penalty]]), _reached(ended))
            further = self._minimise(columns, factors, compute, rules, most)
            return further._replace(steps=ended.steps + further.steps)

        while self._behind(ended).any():
            if float(ended.gap[0]) > NEARLY_THERE:
                own = self._own_factors(fit, penalty, ended)
                # A Hessian that rounding leaves indefinite has no factor.
                factors = own if bool(jnp.isfinite(own.factors).all()) else factors
            most = min(stage, settings.max_iter - int(ended.steps[0]))
            ended = go_on(factors, settings.dtype, RULES[settings.dtype], most)
        if self._stuck(ended).any():
            left = settings.max_iter - int(ended.steps[0])
            ended = go_on(factors, "float64", POLISH, left) if left > 0 else ended
        return ended

    def _own_factors(self, fit: int, penalty: float, ended: EndPoints) -> Preconditioner:
        """The factor of the Hessian of one fit where it has come to."""
        held, lane = self.held, self.lane
        chances = held.layout.chances(ended.weights[0], ended.intercept[0])
        made = precondition(
            lane.put(hessian(held, chances, held.layout.columns[:, fit]), owned=True),
            lane.state([penalty]),
            lane.state(1.0),
        )
        return Preconditioner(made.factors, None)


def _by_newton(
    group: FeatureGroup, layout: Layout, columns: Columns, settings: Settings, lane: Lane
) -> EndPoints:
    """Each fit by itself, in float64 on the features as they were given."""

    def one(at: int) -> NewtonEnd:
        return _newton_end(group, layout, columns, at, settings)

    return _as_end_points(lane.together(one, range(columns.penalty.size)))


def _newton_end(
    group: FeatureGroup, layout: Layout, columns: Columns, at: int, settings: Settings
) -> NewtonEnd:
    """One fit of some columns, counted through penalties and fits."""
    fits = range(len(group.fits))[columns.fits]
    c, s = divmod(at, len(fits))
    rows = np.flatnonzero(layout.columns[:, fits[s]])
    return minimise_by_newton(
        (layout.source[rows].astype(np.float64) - layout.mean) * layout.scale,
        layout.codes[rows],
        layout.columns[rows, fits[s]],
        float(columns.penalty[c, s]),
        group.fits[fits[s]].base_intercept,
        max_iter=settings.max_iter,
        promise=ACCEPTED_GAP[settings.dtype],
        mean=layout.mean,
        scale=layout.scale,
        stored=settings.dtype,
    )


def _proved(
    ended: EndPoints,
    group: FeatureGroup,
    layout: Layout,
    columns: Columns,
    settings: Settings,
    lane: Lane,
) -> EndPoints:
    """The ends, those among confident rows proved; an end that cannot be is none."""
    claimed = ended.ending == Ending.CONVERGED.code
    doubted = np.flatnonzero(claimed & (ended.value < CONFIDENT)).tolist()
    if not doubted:
        return ended
    if layout.width * columns.start.shape[1] > _MOST_PROVED_VALUES:
        return _unproved(ended, doubted)

    def one(at: int) -> NewtonEnd:
        return _newton_end(group, layout, columns, at, settings)

    merged = EndPoints(*(np.array(part) for part in ended))
    proved = _as_end_points(lane.together(one, doubted))
    for part, found in zip(merged, proved, strict=True):
        part[doubted] = found
    return merged


def _as_end_points(ends: Sequence[NewtonEnd]) -> EndPoints:
    return EndPoints(
        weights=np.stack([end.weights for end in ends]),
        intercept=np.stack([end.intercept for end in ends]),
        value=np.array([end.value for end in ends]),
        norm=np.array([end.norm for end in ends]),
        steps=np.array([float(end.steps) for end in ends]),
        ending=np.array([float(end.ending.code) for end in ends]),
        gap=np.array([end.gap for end in ends]),
    )


def _unproved(ended: EndPoints, at: Sequence[int] | EllipsisType) -> EndPoints:
    """The ends, of some fits none: too large for Newton's method, and no substitute can judge."""
    code, gap = np.array(ended.ending), np.array(ended.gap)
    believed = code[at] != Ending.MAX_ITER.code
    code[at] = np.where(believed, float(Ending.LINE_SEARCH.code), code[at])
    gap[at] = np.inf
    return ended._replace(ending=code, gap=gap)


def _one(curvature: Float[Array, " group"] | None, at: int) -> Float[Array, " one"] | None:
    return None if curvature is None else curvature[at : at + 1]


def _joined(made: Sequence[Preconditioner]) -> Preconditioner:
    """Factors of several penalties."""
    return Preconditioner(*(jnp.concatenate(part) for part in zip(*made, strict=True)))


def _reached(ended: EndPoints) -> Float[np.ndarray, "problem logit dim_and_one"]:
    """Where fits have come to, as a start: without what several logits have in common.

    The loss knows nothing of it, the penalty wants it gone, a factor in contrasts cannot see it.
    """
    theta = np.concatenate([ended.weights, ended.intercept[..., None]], axis=2)
    return theta if theta.shape[1] == 1 else theta - theta.mean(axis=1, keepdims=True)


def hessian(
    held: HeldMatrix, chances: Float[np.ndarray, "class row"], shares: Float[np.ndarray, " row"]
) -> Float[np.ndarray, "q q"]:
    """The Hessian of the mean loss by (contrast, feature and intercept), float32.

    A pair of classes a and b adds ``(e_a - e_b)(e_a - e_b)^T`` times the Gram matrix of the rows, a
    one appended to each, weighted by ``p_a p_b``.
    """
    width = held.layout.width + 1

    def one_pair(pair: tuple[int, int]) -> Float[np.ndarray, "width width"]:
        # One sample of the rows for the whole matrix: parts of several would not be definite.
        weights = gram_sample(chances[pair[0]] * chances[pair[1]] * shares, width - 1).weights
        made = np.empty((width, width), np.float32)
        made[:-1, :-1] = held.gram(weights)
        made[-1, :-1] = made[:-1, -1] = held.layout.weighted_sum(weights)
        made[-1, -1] = weights.sum()
        return made

    pairs = list(combinations(range(len(chances)), 2))
    between = held.lane.together(one_pair, pairs)
    if len(chances) == 2:
        return between[0]
    basis = contrasts(len(chances)).astype(np.float32)
    apart = np.stack([basis[:, a] - basis[:, b] for a, b in pairs])
    parts = np.einsum("pi,pj->ijp", apart, apart).reshape(-1, len(pairs))
    blocks = parts @ np.stack(between).reshape(len(pairs), -1)
    whole = blocks.reshape(len(basis), len(basis), width, width).swapaxes(1, 2)
    return np.ascontiguousarray(whole).reshape(len(basis) * width, -1)
