"""Parts of one item run on idle lanes, in the item's own context, and fail like the item."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp
import pytest

from geneb_jax_probes.lanes import Lane, lanes, run_on_lanes


def test_an_idle_lane_takes_a_part_over() -> None:
    both_at_work = threading.Barrier(2, timeout=30)

    def part(number: int) -> tuple[int, str]:
        both_at_work.wait()  # breaks unless two parts run at the same time
        return number, jnp.asarray(1.0).dtype.name

    def work(item: str, lane: Lane) -> list[tuple[int, str]]:
        return lane.together(part, [4, 3])

    assert len(lanes()) >= 2
    assert run_on_lanes(work, ["alone"], lambda _: 1.0) == [[(4, "float64"), (3, "float64")]]
    assert not jax.config.jax_enable_x64


def test_parts_run_without_help_where_every_lane_is_busy() -> None:
    started = threading.Barrier(len(lanes()), timeout=30)

    def work(item: int, lane: Lane) -> list[int]:
        started.wait()
        return lane.together(lambda part: item * part, range(5))

    items = list(range(len(lanes())))
    expected = [[item * part for part in range(5)] for item in items]
    assert run_on_lanes(work, items, float) == expected


@pytest.mark.parametrize("bad", range(3))
def test_a_part_that_fails_fails_the_item(bad: int) -> None:
    def part(number: int) -> int:
        if number == bad:
            raise FloatingPointError(f"part {number}")
        return number

    with pytest.raises(FloatingPointError, match=f"part {bad}"):
        run_on_lanes(lambda _, lane: lane.together(part, range(3)), ["one"], lambda _: 1.0)
