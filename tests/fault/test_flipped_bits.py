"""F06, F52, F65, F75: a flipped bit of anything a run left is found, harmless or made good."""

from __future__ import annotations

import collections
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.errors import GenebError
from geneb_jax.results import kept_lines, kept_rows, read_run_folder
from geneb_jax.runs import run
from tests.fault import damage
from tests.fault.soak import write_suite

FLIPS_A_ROUND = 5


def again(suite: Path, place: Path) -> Any:
    """The run, or what is left of it to do."""
    here = {"suite": suite, "out": place / "out", "store": place / "store"}
    return run("kmer-2", **here, regime=["full", "1shot"], C=[0.1, 1.0])


@pytest.fixture(scope="module", autouse=True)
def what_large_folders_keep() -> Iterator[None]:
    """The rows and lines that are kept of many are kept of these few too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_rows, "FEWEST_RECORDS", 1)
        patch.setattr(kept_lines, "FEWEST_ROWS", 1)
        yield


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("flips") / "suite")


@pytest.fixture(scope="module")
def whole(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole")
    assert again(suite, place).complete
    return place


def shown(out: Path) -> tuple[set[Any], tuple[str, ...]]:
    """The rows that tables and reports show of a folder, and what they say is left out."""
    found = read_run_folder(out)
    return set(found.scores), found.left_out


def harmless(path: Path, like: Path) -> bool:
    """Whether a file of kept rows differs in what its archive says of times and rights alone.

    Its arrays are sealed and read with every record's digest; nobody reads the rest.
    """
    if path.name != "rows.npz":
        return False
    with np.load(path, allow_pickle=False) as one, np.load(like, allow_pickle=False) as other:
        same = one.files == other.files
        return same and all(one[name].tobytes() == other[name].tobytes() for name in one.files)


def flip_and_run(suite: Path, whole: Path, place: Path, seed: int) -> collections.Counter[str]:
    """Flip bits of several files, read the folder, run again: nothing may be silently different."""
    generator = random.Random(seed)
    shutil.copytree(whole / "out", place / "out")
    shutil.copytree(whole / "store", place / "store")
    if generator.random() < 0.5:  # then vectors are read, else finished records need none
        lost = generator.choice(sorted((place / "out/records").glob("*/*/*.json")))
        lost.unlink()
    expected, _ = shown(place / "out")
    files = [path for path in damage.content_files(place) if path.stat().st_size]
    counts: collections.Counter[str] = collections.Counter()
    flipped = generator.sample(files, FLIPS_A_ROUND)
    for path in flipped:
        damage.flip_bits(path, generator)
    try:
        rows, notes = shown(place / "out")
        assert rows <= expected, "a row that nobody scored"
        assert rows == expected or notes, "a row is gone, and nothing says so"
        counts["read"] += 1
    except GenebError as error:
        assert any(str(path) in error.message for path in flipped), error.message
        counts["reading refused"] += 1
    while True:
        try:
            outcome = again(suite, place)
            break
        except GenebError as error:  # one file that the user is told of
            (named,) = (
                path
                for path in flipped
                if str(path) in error.message or str(path.parent) in error.message
                if path.name in ("suite.json", "manifest.json")
            )
            named.unlink()
            flipped.remove(named)
            counts[f"{named.name} refused"] += 1
    assert outcome.complete
    found = damage.final_bytes(place / "out")
    unlike = damage.difference(found, damage.final_bytes(whole / "out"))
    assert [one for one in unlike if not harmless(place / "out" / one, whole / "out" / one)] == []
    counts["harmless"] += len(unlike)
    counts["flips"] += FLIPS_A_ROUND
    return counts


@pytest.mark.fault("F06", "F52", "F65", "F75")
def test_fifteen_flipped_bits_change_no_final_byte(
    suite: Path, whole: Path, tmp_path: Path
) -> None:
    for seed in range(3):
        flip_and_run(suite, whole, tmp_path / str(seed), seed)


#: One file of every kind below the results of a run.
KINDS = (
    "records/*/one/full-*.json", "records/*/one/1shot-*.npz", "records/*/two/full-*.folds",
    "records/*/model.json", "records/tasks/one.json", "answers/one-*[0-9a-f].npz",
    "answers/two-*.repeats*.npz", "scores.csv", "summary.csv", "report.html",
    "records/*/rows.npz", "records/scores.csv.lines.json", "records/summary.csv.lines.json",
)  # fmt: skip


@pytest.mark.fault("F52", "F75")
@pytest.mark.parametrize("how", ["cut", "deleted"])
def test_whatever_of_a_finished_run_is_lost_is_made_again(
    suite: Path, whole: Path, tmp_path: Path, how: str
) -> None:
    shutil.copytree(whole / "out", tmp_path / "out")
    shutil.copytree(whole / "store", tmp_path / "store")
    for kind in KINDS:
        path = next((tmp_path / "out").glob(kind))
        if how == "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif "1shot" not in kind:  # predictions that somebody deleted stay deleted
            path.unlink()
    assert again(suite, tmp_path).complete
    found = damage.final_bytes(tmp_path / "out")
    assert damage.difference(found, damage.final_bytes(whole / "out")) == []


@pytest.mark.sweep
@pytest.mark.timeout(7200)
@pytest.mark.fault("F06", "F52", "F65", "F75")
def test_two_thousand_flipped_bits_change_no_final_byte(
    suite: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(100, 500):
        place = tmp_path / str(seed)
        counts += flip_and_run(suite, whole, place, seed)
        shutil.rmtree(place)
    with capsys.disabled():
        print(f"\n{dict(counts)}")
