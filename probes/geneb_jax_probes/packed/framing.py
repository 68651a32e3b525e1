"""The coordinates that packed fits of the exact solver search in: a centre and a factor for each.

A fit begins with the factor of its Hessian at the best intercepts; where it takes many steps, it
gets another, made where it has come to, and sets out from there. The machines are on the device,
what is known of a fit is here, and between rounds both meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from geneb_jax_kernels.ragged_loss import PIECE_ROWS, ListedRows, Pieces, ragged_products
from geneb_jax_probes.feature_rows import FeatureRows
from geneb_jax_probes.lanes import Lane
from geneb_jax_probes.matrix.layout import centre_and_scale
from geneb_jax_probes.packed.factors import AT_ONCE, Bend, factor_size, make_factors, no_factors
from geneb_jax_probes.packed.room import Room
from geneb_jax_probes.packed.seating import Seat, Tables
from geneb_jax_probes.plan import Fit
from geneb_jax_probes.programs import program
from geneb_jax_probes.solvers.exact import CONFIDENT, NEARLY_THERE, stage_steps, start_curvature
from geneb_jax_probes.solvers.solver import Solver

__all__ = [
    "About",
    "Frame",
    "Framing",
    "Moves",
    "about_fit",
    "curvatures",
    "in_features",
    "places_for",
    "spread_rows",
]

#: Stages that a fit of several logits is given. Its own factor would be of all of them together,
#: which the other path makes.
_STAGES_OF_SEVERAL = 4
#: Rows that a centre is the mean of (any point near the mean of all will do), and that show how far
#: apart the scales of columns are: those that other paths look at.
_SPREAD = 256
#: Fewer factors than these are not worth a table.
_FEWEST_PLACES = 4


class Frame(NamedTuple):
    """The coordinates of every column."""

    centre: Float[Array, "column dim"]
    factors: Float[Array, "place q q"]
    place: Int[Array, " column"]


class Moves(NamedTuple):
    """How machines set out in a round."""

    frame: Frame
    start: Float[Array, " column"]  # intercepts of machines that are new
    anew: Bool[Array, " column"]  # whose machine forgets everything but its point


@dataclass(frozen=True, slots=True)
class About:
    """What a fit needs to be framed.

    Attributes:
        rows: Its rows of the matrix that is held.
        centre: Near their mean, float32.
        start: Intercepts to begin at.
    """

    rows: Int[np.ndarray, " row"]
    centre: Float[np.ndarray, " dim"]
    start: Float[np.ndarray, " logit"]


@dataclass(slots=True)
class _Course:
    """A fit at one strength on its way."""

    place: int
    steps: int = 0  # of earlier stages
    anew: bool = False


def spread_rows(features: FeatureRows) -> Float[np.ndarray, "row dim"]:
    """Some rows of many, evenly spaced; all of few."""
    step = max(1, len(features) // _SPREAD)
    return features.matrix[features.rows[::step]]


def about_fit(
    fit: Fit, features: FeatureRows, held: Int[np.ndarray, " row"], solver: Solver
) -> About | None:
    """What there is to know of a fit; None where its features are to be scaled first.

    Args:
        fit: The fit.
        features: Of its task.
        held: Where each row of the task is in the matrix that is held.
        solver: What solves it.
    """
    rows = held if fit.rows is None else held[fit.rows]
    if len(fit.present) == 1:
        return About(rows, np.zeros(features.shape[1], np.float32), np.zeros(fit.logits))
    chosen = features.rows if fit.rows is None else features.rows[fit.rows]
    centre, scale = centre_and_scale(spread_rows(FeatureRows(features.matrix, chosen)))
    return About(rows, centre.astype(np.float32), solver.start(fit)) if scale == 1.0 else None


def places_for(width: int, room: Room, budget: int) -> int:
    """Factors of so many features that are kept in so many bytes, 0 for too few."""
    most = min(room.columns, budget // (4 * factor_size(width) ** 2) - AT_ONCE)
    return most if most >= _FEWEST_PLACES else 0


def in_features(
    theta: Float[Array, "column dim_and_one"], centre: Float[Array, "column dim"]
) -> Float[Array, "column dim_and_one"]:
    """Weights of centred features as those of the features."""
    return theta.at[:, -1].add(-jnp.sum(theta[:, :-1] * centre.astype(theta.dtype), axis=1))


@program()
def curvatures(
    X: Float[Array, "row dim"],
    listed: ListedRows,
    theta: Float[Array, "column dim_and_one"],
    centre: Float[Array, "column dim"],
    pieces: Pieces,
    wanted: Bool[Array, " column"],
) -> Float[Array, "piece piece_row"]:
    """Second derivative of the loss of every row of pieces of one logit, float32."""
    live = wanted[pieces.column] & (pieces.rows > 0)
    z = ragged_products(X, listed.rows, in_features(theta, centre), pieces, live)
    tail = jnp.exp(-jnp.abs(z))
    return (tail / jnp.square(1 + tail)).astype(jnp.float32)


class Framing:
    """Factors and stages of the fits of one wave."""

    def __init__(
        self,
        X: Float[Array, "row dim"],
        listed: ListedRows,
        about: dict[tuple[int, int], About],
        *,
        places: int,
        max_iter: int,
        room: Room,
        lane: Lane,
    ) -> None:
        """Begin without a fit.

        Args:
            X: Features of all tasks, on the lane.
            listed: The rows of the fits, there too.
            about: What is known of each fit, by its problem and subset.
            places: Factors that are kept.
            max_iter: Step limit.
            room: Capacities.
            lane: Where.
        """
        self.places = places
        self._X, self._listed, self._about, self._lane = X, listed, about, lane
        self._room, self._max_iter, self._width = room, max_iter, X.shape[1]
        size = factor_size(self._width)
        like = lane.put(np.int32(0))
        self._table = no_factors(like, count=places, size=size)
        self._grams = no_factors(like, count=AT_ONCE, size=size)
        self._free = list(range(places))
        self._courses: dict[tuple[int, int, int], _Course] = {}

    def ready(self, seated: Sequence[Seat]) -> Moves:
        """Factors of those that are new; and how all of them set out."""
        bends = []
        for seat in seated:
            if _key(seat) in self._courses:
                continue
            about = self._about[seat.fit.problem, seat.fit.subset]
            course = _Course(self._free.pop())
            self._courses[_key(seat)] = course
            bends.append(
                Bend(
                    about.rows,
                    seat.fit.shares,
                    about.centre,
                    start_curvature(seat.fit),
                    seat.penalty,
                    course.place,
                    anew=False,
                    key=(seat.fit.problem, seat.fit.subset, -1),
                )
            )
        self._make(bends)
        columns, state = self._room.columns, self._lane.state_dtype
        start, centre = np.zeros(columns, state), np.zeros((columns, self._width), np.float32)
        anew, place = np.zeros(columns, bool), np.zeros(columns, np.int32)
        for seat in seated:
            about, course = (
                self._about[seat.fit.problem, seat.fit.subset],
                self._courses[_key(seat)],
            )
            own = slice(seat.column, seat.column + seat.fit.logits)
            start[own], centre[own] = about.start, about.centre
            anew[own], place[own] = course.anew, course.place
            course.anew = False
        put = self._lane.put
        return Moves(Frame(put(centre), self._table, put(place)), put(start), put(anew))

    def steps_before(self, seat: Seat) -> int:
        """Steps of the fit in earlier stages."""
        return self._courses[_key(seat)].steps

    def leave(self, seat: Seat) -> None:
        """A fit has ended: its place is free."""
        self._free.append(self._courses.pop(_key(seat)).place)

    def hopeless(self, seat: Seat, steps: float, value: float) -> bool:
        """Whether the other path has to end this fit, so that going on is no use."""
        if seat.fit.logits > 1:
            stage = self._stage(seat)
            if stage < self._max_iter and steps >= _STAGES_OF_SEVERAL * stage:
                return True
        return 0 <= value < CONFIDENT and steps >= 0

    def late(self, seat: Seat, steps: float, gap: float) -> bool:
        """Whether a fit that goes on is to have a factor of its own."""
        own = seat.fit.logits == 1 and steps >= self._stage(seat)
        return own and gap > NEARLY_THERE and self._stage(seat) < self._max_iter

    def renew(
        self,
        seats: Sequence[tuple[Seat, int]],
        theta: Float[Array, "column dim_and_one"],
        moves: Moves,
        *,
        tables: Tables,
        on_lane: Tables,
    ) -> None:
        """Factor the Hessians of some fits where they have come to.

        Args:
            seats: The fits, of one logit each, with their steps in this stage.
            theta: Points of all machines.
            moves: Of the round that has ended.
            tables: Likewise.
            on_lane: The same on the lane.
        """
        wanted = np.zeros(self._room.columns, bool)
        wanted[[seat.column for seat, _ in seats]] = True
        found = curvatures(
            self._X,
            self._listed,
            theta,
            moves.frame.centre,
            on_lane.pieces,
            self._lane.put(wanted),
        )
        curved = np.asarray(jax.device_get(found)).reshape(-1)
        first = np.asarray(tables.column_pieces.first)
        bends = []
        for seat, steps in seats:
            course = self._courses[_key(seat)]
            about = self._about[seat.fit.problem, seat.fit.subset]
            course.steps += steps
            course.anew = True
            own = curved[first[seat.column] * PIECE_ROWS :][: seat.rows]
            weights = own.astype(np.float64) * seat.fit.shares
            bends.append(
                Bend(
                    about.rows,
                    weights,
                    about.centre,
                    1.0,
                    seat.penalty,
                    course.place,
                    anew=True,
                    key=_key(seat),
                )
            )
        self._make(bends)

    def _make(self, bends: Sequence[Bend]) -> None:
        self._table, self._grams = make_factors(
            self._table, self._grams, self._X, bends, self._lane
        )

    def _stage(self, seat: Seat) -> int:
        logits = seat.fit.logits
        return stage_steps(self._width * logits, logits, self._max_iter)


def _key(seat: Seat) -> tuple[int, int, int]:
    return seat.fit.problem, seat.fit.subset, seat.strength
