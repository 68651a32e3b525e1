"""Units that tests hand out."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from geneb_jax.errors import DataError, InterruptedRunError
from geneb_jax.fleet import stopping, tell


def who(number: int) -> tuple[int, int, list[int]]:
    """The number, the process that has it, and its cores."""
    time.sleep(0.02)
    return number, os.getpid(), sorted(os.sched_getaffinity(0))


def count_up(item: tuple[Path, int]) -> int:
    """Note that a number was begun, then give it back; 7 never succeeds."""
    folder, number = item
    with (folder / f"{number}").open("a") as file:
        file.write("x")
    if number == 7:
        raise ZeroDivisionError("seven")
    if number == 8 and (folder / "8").stat().st_size < 3:
        raise InterruptedRunError("the device failed")
    return number


def refuse(number: int) -> int:
    """End with a message that no other try would change."""
    if number == 3:
        raise DataError("the file is damaged", where="three.csv", hint="mend it")
    return number


def die_once(item: tuple[Path, int]) -> int:
    """The first to do number 2 is killed."""
    folder, number = item
    if number == 2:
        mark = folder / "died"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    """Whoever does number 1 is killed."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slowly(item: tuple[Path, int]) -> int:
    """Up to ten seconds of work that can be stopped; says how many steps it did."""
    folder, number = item
    (folder / f"begun-{number}").touch()
    for step in range(200):
        if stopping():
            (folder / f"stopped-{number}").touch()
            return step
        time.sleep(0.05)
        tell(step, step)
    return 200


def sleep(seconds: float) -> float:
    """Work that nothing stops."""
    time.sleep(seconds)
    return seconds


def fill_memory(megabytes: int) -> int:
    """Take memory and touch it."""
    held = bytearray(megabytes << 20)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(2.0)
    return len(held)


_kept: list[bytearray] = []


def keep_memory(megabytes: int) -> int:
    """Take memory for good."""
    held = bytearray(megabytes << 20)
    held[::4096] = b"x" * len(held[::4096])
    _kept.append(held)
    time.sleep(2.0)
    return len(held)


def only_elsewhere(item: tuple[Path, int, int]) -> int:
    """One process does not see the files that it needs; it begins once the other has succeeded."""
    folder, bad, number = item
    if os.getpid() == bad:
        while not (folder / "good").exists():
            time.sleep(0.05)
        time.sleep(1.0)
        raise DataError("no such folder")
    (folder / "good").touch()
    return number
