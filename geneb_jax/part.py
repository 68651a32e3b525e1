"""Which part of a work this process is: one of N that share a store, with nobody to direct them.

Parts divide sequences by their digests, so they agree without speaking to each other, whatever is
stored already and whenever each of them starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.errors import ConfigError

__all__ = ["AUTO", "Part", "part_of_environment", "read_part"]

AUTO = "auto"
#: Most parts; a typing error in a script should not leave most sequences to nobody.
_MOST = 100_000
_WRITTEN = re.compile(r"(\d{1,9})/(\d{1,9})")
#: Digits that variables of schedulers hold; the names of tasks that are none (SGE) are words.
_NUMBER = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class Part:
    """Part ``number`` of ``count``.

    Attributes:
        number: 1 to ``count``.
        count: Parts in all.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= _MOST:
            raise ConfigError(
                f"--part {self}: parts are numbered from 1 to their count, at most {_MOST}",
                hint="for example --part 1/4 to --part 4/4 for four processes",
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def owns(self, digests: np.ndarray) -> np.ndarray:
        """Which sequences are this part's own.

        Args:
            digests: uint8 ``[n, 16]``.

        Returns:
            bool ``[n]``; True in exactly one of the parts.
        """
        words = np.ascontiguousarray(digests).view(">u8")[:, 0].astype(np.uint64)
        mine: np.ndarray = words % np.uint64(self.count) == self.number - 1
        return mine


def read_part(text: str, environment: Mapping[str, str]) -> Part:
    """The part that ``I/N`` says, or that ``auto`` finds in the environment.

    Args:
        text: What was typed.
        environment: Variables of the process, for ``auto``.

    Raises:
        ConfigError: if it says neither, or the environment names no part.
    """
    if text == AUTO:
        return part_of_environment(environment)
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"--part {text!r:.200} is not I/N",
            hint="for example --part 2/8 for the second of eight processes, or --part auto",
        )
    return Part(int(found[1]), int(found[2]))


def part_of_environment(environment: Mapping[str, str]) -> Part:
    """Which part a scheduler says this process is.

    An array of jobs (Slurm, Grid Engine, LSF), ranks within a job (Slurm, Open MPI, MPICH and
    others of PMI), and workers of a TPU pod. Ranks within the jobs of an array are counted through.

    Raises:
        ConfigError: if no variable says so, or what they say makes no part.
    """
    jobs, ranks = _array(environment), _rank(environment)
    if jobs is None and ranks is None:
        raise ConfigError(
            "--part auto: no variable of Slurm, Grid Engine, LSF, MPI or a TPU pod says which part "
            "this process is",
            hint="say it: --part I/N with I from 1 to N",
        )
    job, rank = jobs or Part(1, 1), ranks or Part(1, 1)
    return Part((job.number - 1) * rank.count + rank.number, job.count * rank.count)


#: Of an array of jobs: own id, first, last, step. What is absent is 1.
_ARRAYS = (
    (
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
        "SLURM_ARRAY_TASK_STEP",
    ),
    ("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE"),
    ("LSB_JOBINDEX", "", "LSB_JOBINDEX_END", "LSB_JOBINDEX_STEP"),
)
#: Of ranks: own, counted from 0, and their count.
_RANKS = (
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)


def _array(environment: Mapping[str, str]) -> Part | None:
    for own, first, last, step in _ARRAYS:
        at, end = _number(environment, own), _number(environment, last)
        if at is None or end is None or (own == "LSB_JOBINDEX" and at == 0):
            continue  # LSF says index 0 of a job that is no array
        begin, stride = _number(environment, first), _number(environment, step) or 1
        begin = 1 if begin is None else begin
        # Lists such as 1,3,7 have neither; Slurm's count then says so.
        count = (end - begin) // stride + 1
        told = _number(environment, "SLURM_ARRAY_TASK_COUNT") if own.startswith("SLURM") else None
        if told is not None and told != count:
            raise ConfigError(
                f"--part auto: the Slurm array has {told} tasks between {begin} and {end}, so "
                "their ids do not say which part each is",
                hint="use an array without gaps, such as --array=1-8, or say --part I/N",
            )
        return Part((at - begin) // stride + 1, count)
    return None


def _rank(environment: Mapping[str, str]) -> Part | None:
    for own, size in _RANKS:
        rank, count = _number(environment, own), _number(environment, size)
        if rank is not None and count is not None:
            return Part(rank + 1, count)
    worker, hosts = _number(environment, "TPU_WORKER_ID"), environment.get("TPU_WORKER_HOSTNAMES")
    if worker is not None and hosts:
        return Part(worker + 1, len(hosts.split(",")))
    return None


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "") if name else ""
    return int(text) if _NUMBER.fullmatch(text) else None
