"""Fit whole tasks packed: rows to the device once, all fits in rounds, test rows decided there."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy.typing import ArrayLike

from geneb_jax_kernels.ragged_loss import ListedRows
from geneb_jax_probes.errors import ProbeDataError, ProbeError
from geneb_jax_probes.feature_rows import FeatureRows
from geneb_jax_probes.fits import FitCollector, LogisticFits
from geneb_jax_probes.labels import name_rows
from geneb_jax_probes.lanes import Lane, lanes, run_on_lanes
from geneb_jax_probes.matrix.end_points import EndPoints
from geneb_jax_probes.packed.decide import TestRun, decide_rows
from geneb_jax_probes.packed.few_shot import solve_by_rows, split_by_rows
from geneb_jax_probes.packed.framing import About, Framing, about_fit, places_for, spread_rows
from geneb_jax_probes.packed.resident import Resident, distinct_rows, hold_rows
from geneb_jax_probes.packed.room import Room
from geneb_jax_probes.packed.rounds import run_rounds
from geneb_jax_probes.packed.seating import Seat
from geneb_jax_probes.plan import Fit, one_fit
from geneb_jax_probes.problem import Problem, problem_of_checked, uneven_scales
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.shapes import step_up
from geneb_jax_probes.solvers.solver import Solver
from geneb_jax_probes.task_scores import ProbeTask, check_test_labels

__all__ = ["PackedFits", "fit_packed"]

_FEWEST_PLACES = 1024


@dataclass(frozen=True, slots=True)
class PackedFits:
    """One task, fitted and decided.

    Attributes:
        problem: The task's training set; its ``X`` is a stand-in of the right shape, all zeros.
        y_test: Checked labels of the test rows.
        fits: The fits.
        values: Decision values by (subset, C, logit) and test row.
        unsettled: Fits whose end does not stand: they are to be solved by themselves.
    """

    problem: Problem
    y_test: Shaped[np.ndarray, " test"]
    fits: LogisticFits
    values: Float[np.ndarray, "column test"]
    unsettled: Bool[np.ndarray, "subset C"]

    def put(self, c: int, fits: LogisticFits, X_test: ArrayLike) -> None:
        """Put others in place of the unsettled fits at one strength.

        Args:
            c: Position of the strength.
            fits: Fits of the subsets that are unsettled there, at this strength alone.
            X_test: Features of the test rows.
        """
        own, which = self.fits, np.flatnonzero(self.unsettled[:, c])
        for name in ("coef", "intercept", "objective", "n_iter", "grad_norm", "status"):
            getattr(own, name)[which, c] = getattr(fits, name)[:, 0]
        found = fits.decision_function(np.asarray(X_test))[:, 0]
        logits = own.coef.shape[2]
        values = self.values.reshape(*own.coef.shape[:2], logits, -1)
        values[which, c] = found[:, None] if logits == 1 else np.moveaxis(found, 1, 2)
        self.unsettled[which, c] = False


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A task whose features can be held: its number among the tasks, and its rows."""

    number: int
    task: ProbeTask
    train: FeatureRows
    test: FeatureRows

    @property
    def cost(self) -> float:
        return float(len(self.train))


def fit_packed(
    tasks: Sequence[ProbeTask], solver: Solver, settings: Settings, room: Room
) -> dict[int, PackedFits | ProbeError]:
    """Fit what can be packed: float32 features, and fits that the room has place for.

    Returns:
        By the number of a task its fits, or why it cannot be fitted; tasks that are not there are
        for other paths, which also say what is wrong with features that are no arrays.
    """
    by_width: dict[int, list[_Candidate]] = {}
    for number, task in enumerate(tasks):
        train, test = _rows_of(task.X_train), _rows_of(task.X_test)
        if train is not None and test is not None and train.shape[1] == test.shape[1]:
            candidate = _Candidate(number, task, train, test)
            by_width.setdefault(train.shape[1], []).append(candidate)
    found: dict[int, PackedFits | ProbeError] = {}
    for candidates in by_width.values():
        # A solver that centres keeps factors beside the features.
        share = 2 if solver.centres else 1
        budget = settings.lane_bytes(lanes()[0]) // share
        width = candidates[0].train.shape[1]
        if solver.centres and not places_for(width, room, budget):
            continue
        waves = _waves(candidates, budget)

        def fit(
            wave: list[_Candidate], lane: Lane, budget: int = budget
        ) -> dict[int, PackedFits | ProbeError]:
            try:
                return _Wave(wave, solver, settings, room, lane, budget).fitted()
            except jax.errors.JaxRuntimeError as error:
                # Refused by a compiler, or out of memory: task by task, less of both is needed. A
                # device that is lost fails there too.
                said = str(error).partition("\n")[0]
                warnings.warn(
                    f"probes are fitted task by task: {said}", RuntimeWarning, stacklevel=2
                )
                return {}

        for part in run_on_lanes(fit, waves, lambda wave: sum(one.cost for one in wave)):
            found.update(part)
    return found


def _rows_of(features: object) -> FeatureRows | None:
    """Features that can be held as they are."""
    if isinstance(features, FeatureRows):
        fits = features.dtype == np.float32 and min(features.shape) > 0
        return features if fits else None
    if isinstance(features, np.ndarray) and type(features) is np.ndarray:
        if features.dtype == np.float32 and features.ndim == 2 and min(features.shape) > 0:
            return FeatureRows(features, np.arange(len(features)))
    return None


def _waves(candidates: list[_Candidate], budget: int) -> list[list[_Candidate]]:
    """Tasks that are held together: at least one wave a device, none beyond its memory."""
    places = lanes()
    devices = len({lane.device for lane in places})
    row_bytes = 4 * candidates[0].train.shape[1]
    waves: list[list[_Candidate]] = []
    loads = [0.0] * devices
    dealt: list[list[_Candidate]] = [[] for _ in range(devices)]
    for one in sorted(candidates, key=lambda one: -one.cost):
        least = int(np.argmin(loads))
        dealt[least].append(one)
        loads[least] += one.cost
    for hand in dealt:
        current: list[_Candidate] = []
        for one in sorted(hand, key=lambda one: one.number):
            if row_bytes * distinct_rows([one.train, one.test]) > budget:
                continue  # streamed, by another path
            together = [rows for each in [*current, one] for rows in (each.train, each.test)]
            if current and row_bytes * distinct_rows(together) > budget:
                waves.append(current)
                current = []
            current.append(one)
        if current:
            waves.append(current)
    return waves


@dataclass(frozen=True, slots=True)
class _Ready:
    """A task of a wave that was found in order."""

    candidate: _Candidate
    problem: Problem
    y_test: Shaped[np.ndarray, " test"]
    fits: list[Fit]
    by_rows: list[Fit]
    about: dict[tuple[int, int], About]
    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]


@dataclass(frozen=True, slots=True)
class _Wave:
    """Tasks that are held, fitted and decided together on one lane."""

    candidates: list[_Candidate]
    solver: Solver
    settings: Settings
    room: Room
    lane: Lane
    budget: int

    def fitted(self) -> dict[int, PackedFits | ProbeError]:
        """The tasks' fits by their numbers."""
        requests = [rows for one in self.candidates for rows in (one.train, one.test)]
        held = hold_rows(requests, self.lane)
        found: dict[int, PackedFits | ProbeError] = {}
        ready: list[_Ready] = []
        for at, candidate in enumerate(self.candidates):
            try:
                one = self._checked(candidate, held, 2 * at)
            except ProbeError as error:
                found[candidate.number] = error
            else:
                if one is not None:
                    ready.append(one)
        if ready:
            found.update(self._solved(ready, held))
        return found

    def _checked(self, candidate: _Candidate, held: Resident, at: int) -> _Ready | None:
        """A task that can be packed; None for one that the other path serves."""
        task = candidate.task
        for name, bad in zip(("X", "X_test"), held.unusable[at : at + 2], strict=True):
            if len(bad):
                raise ProbeDataError(f"{name} holds NaN or infinity in row {name_rows(bad)}")
        stand_in = np.broadcast_to(np.zeros((), np.float32), candidate.train.shape)
        problem = problem_of_checked(stand_in, task.y_train, task.subsets)
        y_test = check_test_labels(task, problem, len(candidate.test))
        fits = [one_fit(problem, candidate.number, s) for s in range(len(problem.subsets))]
        train, test = held.positions[at : at + 2]
        by_rows: list[Fit] = []
        about: dict[tuple[int, int], About] = {}
        if self.solver.centres:
            if uneven_scales(spread_rows(candidate.train), held.squares[at]):
                return None
            by_rows, fits = split_by_rows(fits, candidate.train, self.solver)
            for fit in fits:
                found = about_fit(fit, candidate.train, train, self.solver)
                if found is None:
                    return None
                about[fit.problem, fit.subset] = found
        if not all(self.room.holds(len(fit.codes), fit.logits) for fit in fits):
            return None
        return _Ready(candidate, problem, y_test, fits, by_rows, about, train, test)

    def _solved(self, ready: list[_Ready], held: Resident) -> dict[int, PackedFits | ProbeError]:
        settings, lane = self.settings, self.lane
        collectors = {
            one.candidate.number: FitCollector(one.problem, self.solver, settings) for one in ready
        }
        shape = len(settings.strengths)
        unsettled = {
            one.candidate.number: np.zeros((len(one.problem.subsets), shape), bool) for one in ready
        }
        lists = _Lists()
        seats: list[Seat] = []
        for one in ready:
            for fit in one.fits:
                if len(fit.present) == 1:
                    collectors[fit.problem].put_one_class(fit)
                    continue
                place = lists.add(
                    one.train if fit.rows is None else one.train[fit.rows], fit.codes, fit.shares
                )
                for c, strength in enumerate(settings.strengths):
                    seats.append(Seat(fit, c, 1.0 / (strength * fit.weight_sum), place))
        tests = [lists.add(one.test) for one in ready]
        listed = lists.on(lane)
        about = {key: found for one in ready for key, found in one.about.items()}

        def take(seat: Seat, ended: EndPoints) -> None:
            fit = seat.fit
            centre = np.zeros(ended.weights.shape[1])
            if self.solver.centres:
                centre = about[fit.problem, fit.subset].centre.astype(np.float64)
            collectors[fit.problem].put(fit, seat.strength, ended, (), ended.weights, centre)
            stands = self.solver.stands(ended, settings)
            unsettled[fit.problem][fit.subset, seat.strength] = not stands

        rules = self.solver.rules_when_packed(settings.dtype)
        if seats and rules is not None:
            framing = None
            if self.solver.centres:
                framing = Framing(
                    held.X,
                    listed,
                    about,
                    places=places_for(held.X.shape[1], self.room, self.budget),
                    max_iter=settings.max_iter,
                    room=self.room,
                    lane=lane,
                )
            run_rounds(
                held.X,
                listed,
                seats,
                self.solver.stop(settings, lane),
                rules=rules,
                room=self.room,
                lane=lane,
                take=take,
                framing=framing,
            )
        by_rows = [(one.candidate.train, one.by_rows) for one in ready]
        solve_by_rows(by_rows, collectors, self.solver, settings, lane)
        fits = [collectors[one.candidate.number].finished() for one in ready]
        runs = [
            TestRun(place, len(one.test), _theta(fit))
            for place, one, fit in zip(tests, ready, fits, strict=True)
        ]
        values = decide_rows(held.X, listed.rows, runs, self.room, lane)
        return {
            (number := one.candidate.number): PackedFits(
                one.problem, one.y_test, fit, value, unsettled[number]
            )
            for one, fit, value in zip(ready, fits, values, strict=True)
        }


def _theta(fits: LogisticFits) -> Float[np.ndarray, "column dim_and_one"]:
    """Weights and intercepts of all fits, a row a logit."""
    width = fits.coef.shape[-1]
    return np.concatenate([fits.coef.reshape(-1, width), fits.intercept.reshape(-1, 1)], axis=1)


class _Lists:
    """The list of rows while it grows."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._codes: list[np.ndarray] = []
        self._shares: list[np.ndarray] = []
        self._count = 0

    def add(
        self,
        rows: Int[np.ndarray, " row"],
        codes: Int[np.ndarray, " row"] | None = None,
        shares: Float[np.ndarray, " row"] | None = None,
    ) -> int:
        """Append some rows, of test rows without classes; where they begin."""
        begin = self._count
        self._rows.append(rows)
        self._codes.append(np.zeros(len(rows), np.int32) if codes is None else codes)
        self._shares.append(np.zeros(len(rows)) if shares is None else shares)
        self._count += len(rows)
        return begin

    def on(self, lane: Lane) -> ListedRows:
        """The list on a lane, padded to one of few lengths."""
        length = step_up(self._count, _FEWEST_PLACES)

        def padded(parts: list[np.ndarray], dtype: str) -> np.ndarray:
            made = np.zeros(length, dtype)
            made[: self._count] = np.concatenate(parts)
            return made

        return ListedRows(
            lane.put(padded(self._rows, "int32")),
            lane.put(padded(self._codes, "int32")),
            lane.put(padded(self._shares, lane.state_dtype)),
        )
