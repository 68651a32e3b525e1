"""Parts of a work: what may be typed, what schedulers say, one owner for every sequence."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax.errors import ConfigError
from geneb_jax.part import Part, part_of_environment, read_part


@pytest.mark.parametrize("text", "0/4 5/4 1/0 x 1/ /3 1/2/3 -1/2 1/999999".split())
def test_what_is_no_part_is_refused_by_what_was_typed(text: str) -> None:
    with pytest.raises(ConfigError, match="part") as caught:
        read_part(text, {})
    assert text in caught.value.message
    assert "for example" in caught.value.message


def test_every_sequence_has_one_owner_and_the_shares_are_alike() -> None:
    digests = np.random.default_rng(0).integers(0, 256, (40_000, 16), dtype=np.uint8)
    owners = np.stack([Part(number, 8).owns(digests) for number in range(1, 9)])
    assert (owners.sum(axis=0) == 1).all()
    # Eight binomial counts of 5,000 with a spread of 66: five spreads.
    assert np.abs(owners.sum(axis=1) - 5000).max() < 5 * 66
    assert Part(1, 1).owns(digests).all()


SLURM = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "3",
    "SLURM_ARRAY_TASK_MAX": "9",
    "SLURM_ARRAY_TASK_STEP": "2",
    "SLURM_ARRAY_TASK_COUNT": "4",
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (SLURM, Part(3, 4)),
        ({**SLURM, "SLURM_PROCID": "1", "SLURM_NTASKS": "8"}, Part(18, 32)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, Part(1, 8)),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, Part(4, 4)),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, Part(1, 2)),
        ({"SGE_TASK_ID": "2", "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": "3"}, Part(2, 3)),
        ({"LSB_JOBINDEX": "5", "LSB_JOBINDEX_END": "6"}, Part(5, 6)),
        ({"TPU_WORKER_ID": "2", "TPU_WORKER_HOSTNAMES": "a,b,c,d"}, Part(3, 4)),
        ({"SGE_TASK_ID": "undefined", "PMI_RANK": "1", "PMI_SIZE": "2"}, Part(2, 2)),
        (
            {"LSB_JOBINDEX": "0", "LSB_JOBINDEX_END": "0", "PMI_RANK": "1", "PMI_SIZE": "2"},
            Part(2, 2),
        ),
    ],
)
def test_schedulers_are_understood(environment: dict[str, str], expected: Part) -> None:
    assert read_part("auto", environment) == expected


def test_no_part_is_guessed() -> None:
    with pytest.raises(ConfigError, match="--part I/N"):
        part_of_environment({"SLURM_JOB_ID": "1"})
    with pytest.raises(ConfigError, match="without gaps"):
        part_of_environment({**SLURM, "SLURM_ARRAY_TASK_COUNT": "3"})
