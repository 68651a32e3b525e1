"""Parts of one item run on idle lanes, in the item's own context, and fail like the item."""

from __future__ import annotations

import threading
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax_probes import fit_logistic
from geneb_jax_probes.lanes import Lane, lanes, run_on_lanes
from tests.tolerance import Tolerance


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


@pytest.mark.parametrize("solver", ["reference", "exact"])
def test_a_lane_that_reads_all_blocks_fits_the_same(
    solver: str, monkeypatch: pytest.MonkeyPatch, tolerance: Tolerance
) -> None:
    """As on a GPU, whose host is not asked whether there is another; here two, one half padding."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((700, 20)).astype(np.float32)
    y = (X[:, 0] + rng.standard_normal(700) > 0).astype(int)
    here = fit_logistic(X, y, C=(0.1, 1.0), solver=solver, dtype="float64")
    there = [replace(lane, platform="gpu") for lane in lanes()[:1]]
    monkeypatch.setattr("geneb_jax_probes.lanes.lanes", lambda: there)
    monkeypatch.setattr("geneb_jax_probes.solve.lanes", lambda: there)
    monkeypatch.setattr("geneb_jax_probes.shapes._BLOCK_BYTES", 160)
    away = fit_logistic(X, y, C=(0.1, 1.0), solver=solver, dtype="float64")
    np.testing.assert_array_equal(here.n_iter, away.n_iter)
    np.testing.assert_array_equal(here.status, away.status)
    close = tolerance("probe_objective", "float64")
    np.testing.assert_allclose(here.objective, away.objective, rtol=close)
    np.testing.assert_array_equal(here.predict(X), away.predict(X))
