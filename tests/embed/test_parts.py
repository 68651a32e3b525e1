"""Parts of one work on one store: disjoint, complete, a lost one made up for by any other."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from geneb_jax.cli.main import command
from geneb_jax.embed import embed_into
from geneb_jax.part import Part
from geneb_jax.store.claims import Claims
from tests.embed.test_two_processes import (
    COUNT,
    child,
    open_store,
    report_of,
    require_complete,
    root,
    start,
)

__all__ = ["root"]


def test_four_parts_share_the_work_and_embed_nothing_twice(root: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    processes = [start(root, gate, "--part", f"{number}/4") for number in range(1, 5)]
    gate.touch()
    reports = [report_of(process) for process in processes]
    assert sum(report["embedded"] for report in reports) == COUNT
    assert sum(report["computed"] for report in reports) == COUNT
    for report in reports:
        assert report["embedded"] + report["reused"] + report["left_to_others"] == COUNT
    assert min(report["left_to_others"] for report in reports) == 0  # the last one
    require_complete(root)


def test_a_part_takes_its_own_first_and_leaves_to_others_what_they_hold(root: str) -> None:
    store, table, encoder = open_store(root), child.table(COUNT), child.Slow()
    first, second = (Part(number, 2).owns(table.digests) for number in (1, 2))
    drawn: list[np.ndarray] = []
    embed = encoder.embed

    def watched(sequences):
        drawn.append(np.array([table.sequences.index(text) for text in sequences]))
        return embed(sequences)

    encoder.embed = watched
    holder = Claims(store._folder, lease_seconds=60.0)
    with holder:
        identity = holder._holder
        holder._holder = type(identity)(
            "another machine", identity.pid, identity.started, identity.token
        )
        held = table.digests[np.flatnonzero(second)[:40]]
        assert holder.take(held) is not None
        began = time.perf_counter()
        report = embed_into(store, encoder, table, part=Part(1, 2))
        assert time.perf_counter() - began < 30.0  # it waits for nobody
    order = np.concatenate(drawn)
    assert first[order[: first.sum()]].all()
    assert (report.embedded, report.left_to_others) == (COUNT - 40, 40)
    again = embed_into(store, child.Slow(), table, part=Part(2, 2))
    assert (again.embedded, again.left_to_others) == (40, 0)


def test_a_killed_part_is_made_up_for_by_any_other(root: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    lost = start(root, gate, "--part", "1/3", "--pause", "0.3")
    gate.touch()
    time.sleep(1.0)
    lost.kill()
    lost.communicate()
    stored = len(open_store(root))
    assert stored < COUNT
    report = report_of(start(root, gate, "--part", "3/3"))
    assert report["embedded"] == COUNT - stored
    require_complete(root)


def test_what_cannot_be_divided_is_said_before_anything_is_read(tmp_path: Path) -> None:
    for options, words in (
        (["--part", "3/2"], "numbered from 1"),
        (["--part", "auto"], "--part I/N"),
        (["--part", "1/2", "--as-harness", "-m", "x.py:X"], "cannot divide"),
    ):
        result = CliRunner(env=dict.fromkeys(("SLURM_ARRAY_TASK_ID", "PMI_RANK"))).invoke(
            command,
            ["embed", "-m", "kmer-2", "--data-dir", str(tmp_path), *options],
            standalone_mode=False,
        )
        assert words in str(result.exception), result.exception
