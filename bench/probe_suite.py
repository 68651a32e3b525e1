"""What probing a suite on a device that is not there would take: an estimate, derived in print.

``python -m bench.probe_suite`` compiles the packed programs of the reference solver for an H100,
seats the fits of a suite by the solver's own code, and adds up every tick. The suite has the test
sets of GENEB; what nobody published is assumed, and stands in :data:`ASSUMED`. Kernels of XLA are
charged as by :mod:`bench.roofline`; of our own kernels XLA knows neither how many rows they read
nor which pieces they skip, so they are charged here, for the pieces at work in each tick: bytes at
the bandwidth (every logit of a fit reads its rows anew, though most come from cache), conversions
to float64 at the rate of the card, and programs that leave at once.

``--solver exact`` does the same for a sweep over C (:mod:`bench.framed_suite`).

Exit code 1 where a limit of :data:`LIMITS` is exceeded, 2 where the compiler is missing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.compile_targets import Target, missing_packages, read_target, set_environment

__all__ = [
    "ASSUMED",
    "LIMITS",
    "PROGRAMS",
    "estimate",
    "main",
    "own_kernels",
    "suite_of",
]

PROGRAMS = (
    *("packed-nothing", "packed-rows", "packed-empty", "packed-places"),
    *("packed-ticks", "packed-decisions"),
)
LIMITS = {"programs": 6, "syncs_a_tick": 3, "launches_a_tick": 100, "seconds": 5.0}
#: What the estimate rests on and nobody measured on a card.
ASSUMED: dict[str, Any] = {
    "train rows for a test row": 4,
    "classes of the nine tasks of more than two": (3, 3, 3, 4, 5, 6, 8, 12, 20),
    # docs/probes.md: steps of an encoder's embeddings by regime, and evaluations a step.
    "steps by shots": {None: (68, 195), 10: (11, 29), 1: (6, 18)},
    "evaluations a step": 1.1,
    "bytes a second to and from the host": 25e9,
    "conversions to float64 a clock and multiprocessor": 16,
    "programs at once": 132 * 12,
    "seconds of a program that leaves at once": 1e-6,
    "clock": 1.755e9,
    "multiprocessors": 132,
}
_WIDTH = 2560


@dataclass(slots=True)
class _Sums:
    """Seconds by what they go to, and what was counted on the way."""

    rows: float = 0.0
    ticks_xla: float = 0.0
    ticks_own: float = 0.0
    between_rounds: float = 0.0
    decisions: float = 0.0
    tick_count: int = 0
    round_count: int = 0
    gigabytes: float = 0.0


def suite_of(ratio: float) -> list[tuple[int, int, int]]:
    """Training rows, test rows and classes of every task."""
    from geneb_jax.benchmark import load_suite

    sizes = sorted(task.test_rows for task in load_suite("geneb").tasks)
    classes = ASSUMED["classes of the nine tasks of more than two"]
    apart = len(sizes) // len(classes)  # tasks of many classes of every size
    return [
        (round(ratio * test), test, classes[i // apart] if i % apart == 0 and i // apart < 9 else 2)
        for i, test in enumerate(sizes)
    ]


def _seats(suite: Sequence[tuple[int, int, int]]) -> tuple[list[Any], dict[int, int]]:
    """Every fit of the protocol, and the ticks that each takes."""
    from geneb_jax_probes.packed.seating import Seat
    from geneb_jax_probes.plan import Fit

    rng = np.random.default_rng(0)
    seats, ticks = [], {}
    for number, (train, _, classes) in enumerate(suite):
        for shots, (fewest, most) in ASSUMED["steps by shots"].items():
            rows = train if shots is None else shots * classes
            for seed in range(1 if shots is None else 5):
                fit = Fit(
                    number, seed, None, np.zeros(rows, np.int8), np.arange(classes), np.ones(1), 1.0
                )
                seats.append(Seat(fit, 0, 1.0, 0))
                steps = rng.integers(fewest, most + 1)
                ticks[id(fit)] = 1 + math.ceil(ASSUMED["evaluations a step"] * steps)
    return seats, ticks


def estimate(target: Target, rows: dict[str, dict[str, Any]], ratio: float) -> dict[str, Any]:
    """Seconds of a warm suite, from lines of :mod:`bench.compiled` by program.

    Args:
        target: The device.
        rows: The lines.
        ratio: Training rows for a test row.
    """
    from geneb_jax_probes.packed.room import Room
    from geneb_jax_probes.packed.seating import seat_more, tables_of

    room, sums = Room(), _Sums()
    suite = suite_of(ratio)
    waiting, left = _seats(suite)
    waiting.sort(key=lambda seat: -seat.cost)
    distinct = sum(train + test for train, test, _ in suite)
    tick = rows["packed-ticks"]
    own = tick["estimated_ms_by_kind"]["__gpu$xla.gpu.triton"]
    host = ASSUMED["bytes a second to and from the host"]
    seconds = {name: 1e-3 * row["estimated_ms"] for name, row in rows.items()}

    # 16,384 rows a call; that of all zeros is one write of the matrix.
    sums.rows = 4 * _WIDTH * distinct / host + seconds["packed-nothing"]
    sums.rows += math.ceil(distinct / 16_384) * seconds["packed-rows"] + seconds["packed-empty"]
    seated: list[Any] = []
    while waiting or seated:
        seated, tables = tables_of(seat_more(seated, waiting, room), room)
        size = sum(part.nbytes for part in (*tables.columns, *tables.pieces, tables.penalty))
        sums.between_rounds += seconds["packed-places"] + size / host
        for _ in range(min(room.ticks, max(left[id(seat.fit)] for seat in seated))):
            live = [seat for seat in seated if left[id(seat.fit)] > 0]
            moved, taken = own_kernels(target, live, room.pieces)
            sums.ticks_own += taken
            sums.ticks_xla += seconds["packed-ticks"] - 1e-3 * own
            sums.gigabytes += 1e-9 * moved
            sums.tick_count += 1
            for seat in live:
                left[id(seat.fit)] -= 1
        # The host waits for the states, and reads the weights of what has ended.
        sums.between_rounds += target.host_sync_seconds + 8 * room.columns * (_WIDTH + 27) / host
        seated = [seat for seat in seated if left[id(seat.fit)] > 0]
        sums.round_count += 1
    # Test rows: 11 fits a task, each logit reads the rows anew.
    for _, test, classes in suite:
        columns = 11 * (1 if classes == 2 else classes)
        sums.decisions += columns * test * 4 * _WIDTH / target.bandwidth
        sums.decisions += columns * (8 * (_WIDTH + 1) + 8 * test) / host
    pieces = sum(
        math.ceil(test / 128) * 11 * (1 if classes == 2 else classes) for _, test, classes in suite
    )
    calls = math.ceil(pieces / room.pieces) + 11 * len(suite) // room.columns
    sums.decisions += calls * (target.launch_seconds * 2 + target.host_sync_seconds)
    total = sums.rows + sums.ticks_xla + sums.ticks_own + sums.between_rounds + sums.decisions
    return {
        "tasks": len(suite),
        "fits": len(left),
        "training rows of a task": round(sum(train for train, _, _ in suite) / len(suite)),
        "distinct rows": distinct,
        "programs": len(rows),
        "launches_a_tick": tick["kernels"],
        "syncs_a_tick": tick["host_syncs"],
        "rounds": sums.round_count,
        "ticks": sums.tick_count,
        "gigabytes read in ticks": round(sums.gigabytes, 1),
        "seconds: rows to the device": round(sums.rows, 3),
        "seconds: XLA's kernels in ticks": round(sums.ticks_xla, 3),
        "seconds: our kernels in ticks": round(sums.ticks_own, 3),
        "seconds: between rounds": round(sums.between_rounds, 3),
        "seconds: test rows": round(sums.decisions, 3),
        "seconds": round(total, 3),
    }


def own_kernels(target: Target, live: Sequence[Any], capacity: int) -> tuple[float, float]:
    """Bytes and seconds of our kernels in one tick over these fits."""
    read = sum(seat.rows * seat.fit.logits for seat in live)
    pieces = sum(seat.cost for seat in live)
    # Twice over the rows; a part of a gradient a piece, written and read; logits and residuals.
    moved = 2 * 4.0 * _WIDTH * read + 2 * 8.0 * (_WIDTH + 2) * pieces + 8 * 8 * 128 * pieces
    clocks = 2.0 * _WIDTH * read / ASSUMED["conversions to float64 a clock and multiprocessor"]
    arithmetic = clocks / ASSUMED["multiprocessors"] / ASSUMED["clock"]
    leaving = 3 * (capacity - pieces) / ASSUMED["programs at once"]
    taken = max(moved / target.bandwidth, arithmetic) + 4 * target.launch_seconds
    return moved, taken + leaving * ASSUMED["seconds of a program that leaves at once"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile, estimate, print; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", default="h100", choices=("h100",))
    parser.add_argument(
        "--solver",
        default="reference",
        choices=("reference", "exact"),
        help="reference: the protocol at one C; exact: five values of C in the full regime",
    )
    parser.add_argument(
        "--ratio",
        type=float,
        default=ASSUMED["train rows for a test row"],
        help="training rows for a test row",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    asked = parser.parse_args(arguments)
    target = read_target(asked.target)
    missing = missing_packages(target)
    if missing:
        print(f"cannot compile for {target.name}: {', '.join(missing)} missing", file=sys.stderr)
        return 2
    set_environment()
    from bench.compiled import run_jobs
    from bench.compiling import Job

    programs: Sequence[str] = PROGRAMS
    estimated, limits, assumed = estimate, LIMITS, ASSUMED
    if asked.solver == "exact":
        from bench import framed_suite as framed

        programs, estimated = framed.FRAMED_PROGRAMS, framed.estimate_framed
        limits, assumed = framed.FRAMED_LIMITS, ASSUMED | framed.FRAMED_ASSUMED
    chosen = [Job("probe", name, "float64", target.name, 1, 0, None) for name in programs]
    rows = {row["model"]: row for row in run_jobs(chosen)}
    refused = {name: row["error"] for name, row in rows.items() if row["error"]}
    if refused:
        print(json.dumps(refused), file=sys.stderr)
        return 1
    found = estimated(target, rows, asked.ratio)
    exceeded = [name for name, limit in limits.items() if found[name] > limit]
    if asked.json:
        print(json.dumps(found | {"exceeded": exceeded}))
    else:
        for table in (found, assumed):
            for name, value in table.items():
                print(f"{name:50} {value}")
            print()
        print(f"exceeded: {', '.join(exceeded) or 'nothing'}; seconds are estimates")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
