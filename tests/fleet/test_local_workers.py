"""Two worker processes of this machine, as ``--scheduler local:2`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from geneb_jax.errors import DataError
from geneb_jax.fleet import LostUnitsError
from geneb_jax.fleet.dispatch import Fleet
from geneb_jax.fleet.opening import open_fleet
from tests.fleet.work import count_up, die_once, only_elsewhere, refuse, who


@pytest.fixture(scope="module")
def notes() -> list[str]:
    return []


@pytest.fixture(scope="module")
def fleet(notes: list[str]) -> Iterator[Fleet]:
    with open_fleet("local:2", note=notes.append) as fleet:
        yield fleet


def test_both_work_each_on_its_own_cores(fleet: Fleet) -> None:
    found = list(fleet.map(who, range(12)))
    assert sorted(number for number, _, _ in found) == list(range(12))
    cores = {process: tuple(cores) for _, process, cores in found}
    assert len(cores) == 2 and os.getpid() not in cores
    if len(os.sched_getaffinity(0)) > 1:
        one, other = cores.values()
        assert not set(one) & set(other)


def test_items_are_drawn_when_somebody_is_free(fleet: Fleet) -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(6):
            drawn.append(number)
            yield number

    results = fleet.map(who, items())
    next(results)
    assert len(drawn) <= 5
    results.close()  # type: ignore[attr-defined]


def test_a_unit_that_fails_is_tried_four_times_and_named(fleet: Fleet, tmp_path: Path) -> None:
    got: list[int] = []
    with pytest.raises(LostUnitsError, match="ZeroDivisionError: seven") as caught:
        got.extend(fleet.map(count_up, [(tmp_path, number) for number in range(10)]))
    assert sorted(got) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert [item[1] for item, _ in caught.value.lost] == [7]
    assert (tmp_path / "7").stat().st_size == 4 and (tmp_path / "8").stat().st_size == 3
    assert (tmp_path / "1").stat().st_size == 1
    assert caught.value.exit_code == 1


def test_a_message_for_the_user_ends_the_run_at_once(fleet: Fleet) -> None:
    with pytest.raises(DataError, match="mend it"):
        list(fleet.map(refuse, range(4)))
    assert len(list(fleet.map(who, range(2)))) == 2, "the workers are there for the next run"


def test_the_unit_of_a_killed_worker_is_done_by_another(
    fleet: Fleet, tmp_path: Path, notes: list[str]
) -> None:
    got = list(fleet.map(die_once, [(tmp_path, number) for number in range(6)]))
    assert sorted(got) == list(range(6)) and (tmp_path / "died").exists()
    assert notes == []


def test_a_worker_that_can_do_nothing_is_left_out_where_others_can(
    fleet: Fleet, tmp_path: Path, notes: list[str]
) -> None:
    bad = next(process for _, process, _ in fleet.map(who, [0]))
    fleet._standing.proven.clear()
    items = [(tmp_path, bad, number) for number in range(12)]
    assert sorted(fleet.map(only_elsewhere, items)) == list(range(12))
    assert len(fleet._standing.left_out) == 1 and "is left out" in notes[-1]
