"""What a sweep over C with the exact solver would take on a device that is not there.

As :mod:`bench.probe_suite`, which prints it: the full regime of a suite at five values of C, each
fit in the coordinates of its own factor. Beside the passes over the rows, each tick reads half of
the factor of every fit at work twice; Gram matrices and factors are made where a fit begins, and
again where it takes more steps than a stage has.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.compile_targets import Target
from bench.probe_suite import ASSUMED, own_kernels, suite_of

__all__ = ["FRAMED_ASSUMED", "FRAMED_LIMITS", "FRAMED_PROGRAMS", "estimate_framed"]

FRAMED_PROGRAMS = (
    *("packed-nothing", "packed-rows", "framed-room", "framed-room-of-grams", "framed-empty"),
    *("framed-places", "framed-gram", "framed-factors", "framed-ticks", "framed-curvatures"),
    "packed-decisions",
)
FRAMED_LIMITS = {"programs": 11, "syncs_a_tick": 3, "launches_a_tick": 100, "seconds": 10.0}
FRAMED_ASSUMED: dict[str, Any] = {
    "values of C": 5,
    "steps": (10, 45),  # tests and sweeps of docs/probes.md on smaller features: 5 to 50
}


def estimate_framed(
    target: Target, rows: dict[str, dict[str, Any]], ratio: float
) -> dict[str, Any]:
    """Seconds of a warm sweep, from lines of :mod:`bench.compiled` by program."""
    from geneb_jax_probes.packed.factors import AT_ONCE, GRAM_BLOCK, factor_size
    from geneb_jax_probes.packed.room import Room
    from geneb_jax_probes.packed.seating import Seat, seat_more, tables_of
    from geneb_jax_probes.plan import Fit
    from geneb_jax_probes.solvers.exact import stage_steps

    room, width = Room(), 2560
    rng = np.random.default_rng(0)
    suite = suite_of(ratio)
    waiting, left, renewals, grams, batches = [], {}, 0, 0, 0
    for number, (train, _, classes) in enumerate(suite):
        fit = Fit(number, 0, None, np.zeros(train, np.int8), np.arange(classes), np.ones(1), 1.0)
        # At most 16 rows a feature are in a Gram matrix.
        blocks = math.ceil(min(train, 2 * 16 * width) / GRAM_BLOCK)
        grams += blocks
        for strength in range(FRAMED_ASSUMED["values of C"]):
            steps = rng.integers(FRAMED_ASSUMED["steps"][0], FRAMED_ASSUMED["steps"][1] + 1)
            left[number, strength] = 1 + math.ceil(ASSUMED["evaluations a step"] * steps)
            if fit.logits == 1 and steps > stage_steps(width, 1, 1000):
                renewals += 1
                grams += blocks
                left[number, strength] += 1
            waiting.append(Seat(fit, strength, 1.0, 0))
    fits = len(waiting)
    waiting.sort(key=lambda seat: -seat.cost)
    batches = math.ceil(fits / (AT_ONCE - 1)) + math.ceil(renewals / AT_ONCE)
    tick = rows["framed-ticks"]
    of_ours = 1e-3 * tick["estimated_ms_by_kind"]["__gpu$xla.gpu.triton"]
    seconds = {name: 1e-3 * row["estimated_ms"] for name, row in rows.items()}
    host = ASSUMED["bytes a second to and from the host"]
    distinct = sum(train + test for train, test, _ in suite)
    to_device = 4 * width * distinct / host + math.ceil(distinct / 16_384) * seconds["packed-rows"]
    own = xla = between = 0.0
    ticks = rounds = 0
    seated: list[Any] = []
    while waiting or seated:
        seated, tables = tables_of(seat_more(seated, waiting, room, room.columns), room)
        size = sum(part.nbytes for part in (*tables.columns, *tables.pieces, tables.penalty))
        between += seconds["framed-places"] + (size + 4 * width * room.columns) / host
        for _ in range(min(room.framed_ticks, max(left[_key(seat)] for seat in seated))):
            live = [seat for seat in seated if left[_key(seat)] > 0]
            own += own_kernels(target, live, room.pieces)[1]
            columns = sum(seat.fit.logits for seat in live)
            own += columns * 4.0 * factor_size(width) ** 2 / target.bandwidth
            own += 2 * target.launch_seconds
            xla += seconds["framed-ticks"] - of_ours
            ticks += 1
            for seat in live:
                left[_key(seat)] -= 1
        between += target.host_sync_seconds + 8 * room.columns * (width + 27) / host
        seated = [seat for seat in seated if left[_key(seat)] > 0]
        rounds += 1
    decided = sum(
        FRAMED_ASSUMED["values of C"] * (1 if classes == 2 else classes) * test * 4 * width
        for _, test, classes in suite
    )
    parts = {
        "rows to the device": to_device,
        "Gram matrices": grams * seconds["framed-gram"],
        "factors": batches * seconds["framed-factors"] + rounds * seconds["framed-curvatures"],
        "XLA's kernels in ticks": xla,
        "our kernels in ticks": own,
        "between rounds": between,
        "test rows": decided / target.bandwidth,
    }
    return {
        "tasks": len(suite),
        "fits": fits,
        "training rows of a task": round(sum(train for train, _, _ in suite) / len(suite)),
        "programs": len(rows),
        "launches_a_tick": tick["kernels"],
        "syncs_a_tick": tick["host_syncs"],
        "rounds": rounds,
        "ticks": ticks,
        "fits with a second factor": renewals,
        **{f"seconds: {name}": round(value, 3) for name, value in parts.items()},
        "seconds": round(sum(parts.values()), 3),
    }


def _key(seat: Any) -> tuple[int, int]:
    """A fit at one strength."""
    return seat.fit.problem, seat.strength
