"""geneb-jax bench: verbs loaded when used, figures that add up."""

from __future__ import annotations

import json

import pytest

from geneb_jax.cli.bench import VERBS


def test_bench_probe_times_both_solvers_beside_scikit_learn(geneb) -> None:
    size = ("--rows", 60, "--dim", 8, "--classes", 3, "--repeats", 1, "--C", "0.1,10")
    found = geneb("bench", "probe", *size, "--sklearn", "--json")
    assert found.code == 0, found.err
    record = json.loads(found.out)
    assert (record["rows"], record["dim"], record["classes"]) == (60, 8, 3)
    assert record["C"] == [0.1, 10.0]
    protocol, sweep = record["parts"]
    assert (protocol["fits"], sweep["fits"]) == (11, 2)
    for part in record["parts"]:
        assert part["first_seconds"] >= part["seconds"] > 0
        assert part["sklearn_seconds"] > 0


@pytest.mark.parametrize("arguments", [("--rows", 1), ("--dim", 0), ("--C", "0"), ("--C", "x")])
def test_sizes_that_cannot_be_are_bad_usage(geneb, arguments: tuple[object, ...]) -> None:
    found = geneb("bench", "probe", *arguments)
    assert found.code == 2
    assert "Traceback" not in found.err


def test_an_unknown_bench_names_near_ones(geneb) -> None:
    found = geneb("bench", "prob")
    assert found.code == 2
    assert "Did you mean probe?" in found.err
    assert set(VERBS) == {"probe", "embed"}
