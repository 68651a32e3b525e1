"""Embed with many workers: cut what a store lacks into units, hand them out, see them stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from geneb_jax.embed import EmbedReport, added_reports, plan_shards
from geneb_jax.embed.progress import EmbedProgress, ProgressClock
from geneb_jax.embed.shard_work import Sequences, ShardWork
from geneb_jax.errors import GenebError, NonFiniteError
from geneb_jax.fleet.dispatch import Fleet
from geneb_jax.fleet.losses import LostUnitsError, WorkerError
from geneb_jax.runs.embed_unit import EmbeddedUnit, EmbedUnit, embed_unit, release_kept
from geneb_jax.runs.encoder_source import ModelReference
from geneb_jax.runs.observer import RunObserver
from geneb_jax.store import EmbeddingStore

__all__ = ["Refusal", "embed_on_fleet", "prepare_worker", "this_process_devices"]

#: Seconds of work in a unit, about: what is asked anew of a worker that was lost, at most, and long
#: beside the milliseconds that handing it out takes.
UNIT_SECONDS = 20.0
#: Letters of a unit, as they travel to the worker.
_UNIT_BYTES = 16 << 20
#: Fewest sequences of a unit, or most of a batch would be empty rows.
_FEWEST_ROWS = 64
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
#: Network file systems show what others wrote after some seconds.
_SHARED_SECONDS = 15.0
#: As for one process: rows without a finite one among them after which a model is given up.
_HOPELESS_ROWS = 4096
_SHOWN, _SHOWN_LETTERS = 3, 40
#: Rows of the first unit that are looked at.
_LOOKED_AT = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """Sequences that have no embedding now: positions in the table of the run, and why."""

    positions: np.ndarray
    error: GenebError


def prepare_worker() -> None:
    """Imports and devices, before the first unit comes."""
    import jax

    from geneb_jax.runs import probe_stage  # noqa: F401
    from geneb_jax.runs.compiled_programs import keep_compiled_programs

    keep_compiled_programs()
    jax.local_devices()


def this_process_devices() -> tuple[str, int]:
    """Platform and number of the devices that this process sees."""
    import jax

    return jax.default_backend(), jax.local_device_count()


def embed_on_fleet(
    fleet: Fleet,
    store: EmbeddingStore,
    model: ModelReference,
    table: Sequences,
    observer: RunObserver,
    *,
    on_first_rows: Callable[[np.ndarray], None] = lambda rows: None,
) -> tuple[EmbedReport, tuple[Refusal, ...]]:
    """Embed what the store lacks; returns when all of it is stored, refused, or given up.

    Args:
        fleet: The workers; they commit what they compute.
        store: The store as this process sees it.
        model: The model, and where its store is.
        table: Distinct sequences and their digests.
        observer: Receives the progress of all workers as one.
        on_first_rows: Given the rows of the first unit that is done.

    Returns:
        What all workers did together, and the sequences that have no embedding.

    Raises:
        NonFiniteError: where thousands of rows hold no finite one.
        WorkerError: if what a worker commits does not arrive in the store.
        GenebError: see :meth:`Fleet.map`.
    """
    missing = store.missing(table.digests)
    if not len(missing):
        name = model.identity.model_id
        return EmbedReport(name, embedded=0, reused=len(table.sequences)), ()
    run = _FleetRun(fleet, store, model, table, observer, on_first_rows, missing)
    run.go()
    fleet.everywhere(release_kept)
    return run.report(), run.refusals()


@dataclass(slots=True)
class _FleetRun:
    """One embedding under way."""

    fleet: Fleet
    store: EmbeddingStore
    model: ModelReference
    table: Sequences
    observer: RunObserver
    on_first_rows: Callable[[np.ndarray], None]
    missing: np.ndarray
    began: float = field(default_factory=time.perf_counter)
    done: list[EmbedReport] = field(default_factory=list)
    unusable: list[np.ndarray] = field(default_factory=list)
    lost: list[Refusal] = field(default_factory=list)
    order: dict[int, int] = field(default_factory=dict)
    seconds_per_bp: float | None = None
    seen: int = 0
    machines: set[str] = field(default_factory=set)

    def go(self) -> None:
        """Hand out units until nothing is left that anybody could do."""
        clock, told = self._clock(), _Told()
        pause = _FIRST_PAUSE_SECONDS
        left = self.missing
        while len(left):
            clock.expect(len(left), self._letters(left))
            before = len(left)
            try:
                for unit in self.fleet.map(
                    embed_unit,
                    self._units(left),
                    progress=lambda unit, bp, rows: clock.advance(*told.news(unit, rows, bp)),
                    ahead=0,
                ):
                    self._take(unit)
                    clock.advance(*told.rest(len(unit.positions), unit.bp))
            except LostUnitsError as error:
                self._lose(error)
            left = self._left(left)
            if len(left) == before:  # in the hands of others, or of a worker that is not dead yet
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                pause = _FIRST_PAUSE_SECONDS

    def _left(self, wanted: np.ndarray) -> np.ndarray:
        """Which of these positions are neither stored nor given up."""
        self.store.refresh()
        left = wanted[self.store.missing(self.table.digests[wanted])]
        gone = [*self.unusable, *(one.positions for one in self.lost)]
        return left[~np.isin(left, np.concatenate(gone))] if gone else left

    def _units(self, left: np.ndarray) -> Iterator[EmbedUnit]:
        """Units of some seconds, smaller towards the end; drawn when a worker is free."""
        workers = self.fleet.worker_count
        rows = min(self.store.rows_per_shard, -(-len(left) // (2 * workers)))
        shards = plan_shards(self.table, left, rows_per_shard=max(rows, _FEWEST_ROWS))
        for positions in shards.positions:
            for at in positions.tolist():
                self.order.setdefault(at, len(self.order))
        first = 0
        while first < len(shards):
            most = max(1, (len(shards) - first) // (2 * self.fleet.worker_count))
            taken = [shards[first]]
            bp = taken[0].bp
            while len(taken) < min(most, len(shards) - first):
                following = shards[first + len(taken)]
                bp += following.bp
                if not self._fits(bp):
                    break
                taken.append(following)
            yield _unit(self.model, taken)
            first += len(taken)

    def _fits(self, bp: int) -> bool:
        if self.seconds_per_bp is None:
            return False
        return bp <= _UNIT_BYTES and bp * self.seconds_per_bp <= UNIT_SECONDS

    def _take(self, unit: EmbeddedUnit) -> None:
        """Note what a worker did, and look whether it is really there."""
        self.done.append(unit.report)
        if unit.report.embedded:
            self.seconds_per_bp = unit.seconds / unit.bp if unit.bp else None
        if len(unit.unusable):
            self.unusable.append(unit.unusable)
        self.seen += len(unit.positions)
        if unit.report.embedded and unit.machine not in self.machines:
            self._require_shared(unit)
            self.machines.add(unit.machine)
        bad = sum(map(len, self.unusable))
        if bad == self.seen >= _HOPELESS_ROWS:
            raise self._nonfinite()

    def _require_shared(self, unit: EmbeddedUnit) -> None:
        """See that a worker's rows arrive here.

        Raises:
            WorkerError: if they do not.
        """
        until = time.monotonic() + _SHARED_SECONDS
        while True:
            self.store.refresh()
            digests = self.table.digests[unit.positions]
            absent = self.store.missing(digests)
            if len(absent) < len(digests):
                if not self.machines:
                    stored = np.delete(digests, absent, axis=0)[:_LOOKED_AT]
                    self.on_first_rows(self.store.read(stored))
                return
            if time.monotonic() > until:
                raise WorkerError(
                    "a worker has committed rows, and they are not in the store that is here",
                    where=self.store.place,
                    cause=f"that folder is not shared with {unit.machine}",
                    hint="give one that is with --store, or the URL of a bucket",
                )
            time.sleep(0.5)

    def _lose(self, error: LostUnitsError) -> None:
        """Name the units that were given up, by what of them is not stored."""
        self.store.refresh()
        for unit, why in error.lost:
            lacking = unit.positions[self.store.missing(unit.digests)]
            if len(lacking):
                lengths = sorted(map(len, unit.sequences))
                named = UnitGivenUpError(
                    f"{len(lacking)} sequences of {lengths[0]} to {lengths[-1]} letters could not "
                    "be embedded",
                    where=self.model.identity.model_id,
                    cause=why,
                    hint="everything else is kept; run the same command again to try once more",
                )
                self.lost.append(Refusal(lacking, named))

    def report(self) -> EmbedReport:
        """What all workers did."""
        bad = sum(map(len, self.unusable)) + sum(len(one.positions) for one in self.lost)
        useful = [report for report in self.done if report.embedded] or self.done
        embedded = sum(report.embedded for report in useful)
        total, name = len(self.table.sequences), self.model.identity.model_id
        return replace(
            added_reports(name, useful, reused=total - embedded - bad),
            seconds=time.perf_counter() - self.began,
            from_others=len(self.missing) - embedded - bad,
            left_to_others=0,
            nonfinite_sequences=sum(map(len, self.unusable)),
        )

    def refusals(self) -> tuple[Refusal, ...]:
        """The sequences without an embedding."""
        if not self.unusable:
            return tuple(self.lost)
        error = self._nonfinite()
        return (Refusal(error.positions, error), *self.lost)

    def _nonfinite(self) -> NonFiniteError:
        """The message that one process would give."""
        bad = np.concatenate(self.unusable)
        bad = np.array(sorted(bad.tolist(), key=self.order.__getitem__), np.int64)
        texts = [self.table.sequences[at] for at in bad[:_SHOWN].tolist()]
        shown = ", ".join(
            f"{text[:_SHOWN_LETTERS]}{'...' if len(text) > _SHOWN_LETTERS else ''} "
            f"({len(text)} letters)"
            for text in texts
        )
        return NonFiniteError(
            f"{len(bad)} embeddings hold NaN or infinity; none of these was stored",
            where=self.model.identity.model_id,
            cause=f"first sequences: {shown}",
            hint="try --dtype float32; a float16 or bfloat16 overflow is the usual cause",
            positions=bad,
        )

    def _letters(self, positions: np.ndarray) -> int:
        return sum(len(self.table.sequences[at]) for at in positions.tolist())

    def _show(self, progress: EmbedProgress) -> None:
        """All workers as one."""
        self.observer.embedding(replace(progress, workers=self.fleet.worker_count))

    def _clock(self) -> ProgressClock:
        return ProgressClock(
            self._show,
            model_id=self.model.identity.model_id,
            sequences_total=len(self.missing),
            bp_total=self._letters(self.missing),
        )


class UnitGivenUpError(GenebError):
    """A unit that was given up; the run ends with exit code 1."""

    exit_code = 1


def _unit(model: ModelReference, shards: Sequence[ShardWork]) -> EmbedUnit:
    return EmbedUnit(
        model,
        np.concatenate([shard.positions for shard in shards]),
        np.concatenate([shard.digests for shard in shards]),
        tuple(text for shard in shards for text in shard.texts),
    )


class _Told:
    """What units have told of themselves so far, so that nothing is counted twice."""

    def __init__(self) -> None:
        self._units: dict[int, tuple[int, int]] = {}
        self._counted = [0, 0]
        self._finished = [0, 0]

    def news(self, unit: int, rows: int, bp: int) -> tuple[int, int]:
        """What a unit at work has done since it last told."""
        before = self._units.get(unit, (0, 0))
        new = max(rows - before[0], 0), max(bp - before[1], 0)
        self._units[unit] = before[0] + new[0], before[1] + new[1]
        self._counted = [self._counted[0] + new[0], self._counted[1] + new[1]]
        return new

    def rest(self, rows: int, bp: int) -> tuple[int, int]:
        """What a finished unit adds to what was told of all units."""
        self._finished = [self._finished[0] + rows, self._finished[1] + bp]
        new = (
            max(self._finished[0] - self._counted[0], 0),
            max(self._finished[1] - self._counted[1], 0),
        )
        self._counted = [self._counted[0] + new[0], self._counted[1] + new[1]]
        return new
