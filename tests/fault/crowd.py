"""Eight processes on one store and one output folder: every row right, nobody waits for ever.

``python -m tests.fault.crowd --rounds 100`` prints one JSON object. Every process embeds the same
sequences into the store, reads them back, records all the same units in an order of its own, and
makes the folder's table, as runs do; in every other round one of them is killed somewhere. The
processes are forked from one that has used neither JAX nor tensorstore, and a round costs as much
as one start of an interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from geneb_jax.benchmark import Protocol, Regime, Suite, Task
from geneb_jax.embed import embed_into
from geneb_jax.results import (
    AnswerKey,
    Records,
    ScoreRow,
    TaskFacts,
    UnitKey,
    UnitPredictions,
    claim_folder,
    find_answer_key,
    keep_answer_key,
    one_at_a_time,
    read_contents,
    write_scores_csv,
)
from geneb_jax.results.folder_contents import keep_task_facts
from tests.embed.sharing_child import Slow, open_store, table
from tests.fault import damage
from tests.fault.forked_runs import import_everything

PROCESSES = 8
SEQUENCES = 256
TEST_ROWS = 40
#: Far above what a round takes on a loaded machine; only a deadlock takes longer.
HANGS_AFTER_SECONDS = 180.0
SUITE = Suite(
    "crowd",
    "Crowd",
    tuple(Task(f"task-{at}", f"Task {at}", "Only") for at in range(3)),
    Protocol((Regime("full", None), Regime("10shot", 10)), (13, 17, 42), 1.0, 1000, 1e-4),
)
FINGERPRINT = "ab" * 32


def main() -> None:
    """Run the rounds and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import_everything()
    killed = 0
    with tempfile.TemporaryDirectory(prefix="crowd-") as name:
        alone = Path(name, "alone")
        require([start(alone, 0)], [])
        expected = damage.final_bytes(alone / "out")
        for at in range(options.rounds):
            place = Path(name, str(at))
            lost = one_round(place, random.Random(options.seed + at), at % 2 == 1)
            require_right(place, expected, killed=bool(lost))
            killed += lost
    print(json.dumps({"rounds": options.rounds, "processes": PROCESSES, "killed": killed}))


def one_round(place: Path, generator: random.Random, killing: bool) -> int:
    """Let all of them loose; how many were killed."""
    running = [start(place, generator.randrange(2**32)) for _ in range(PROCESSES)]
    victims = []
    if killing:
        time.sleep(generator.uniform(0.0, 0.5))
        victims = [generator.choice(running)]
        os.kill(victims[0], signal.SIGKILL)
    codes = require(running, victims)
    return sum(code == -signal.SIGKILL for code in codes)


def start(place: Path, seed: int) -> int:
    """Fork a process that does all of the work; its id."""
    place.mkdir(exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        work(place, random.Random(seed))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def require(running: list[int], victims: list[int]) -> list[int]:
    """Wait for all of them; exit code 0 of all but the victims."""
    until, codes = time.monotonic() + HANGS_AFTER_SECONDS, {}
    while len(codes) < len(running):
        for pid in running:
            if pid not in codes:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    codes[pid] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            for pid in running:
                if pid not in codes:
                    os.kill(pid, signal.SIGKILL)
            raise SystemExit(f"{len(running) - len(codes)} processes wait for ever")
        time.sleep(0.005)
    for pid, code in codes.items():
        if code and not (pid in victims and code == -signal.SIGKILL):
            raise SystemExit(f"a process ended with {code}")
    return list(codes.values())


def work(place: Path, generator: random.Random) -> None:
    """What a run does with the two folders, without JAX."""
    sequences, encoder, out = table(SEQUENCES), Slow(), place / "out"
    begin_results(out)
    store = open_store(str(place / "store"), encoder)
    embed_into(store, encoder, sequences)
    rows = store.read(sequences.digests)
    assert rows.tobytes() == encoder.embed(sequences.sequences).tobytes(), "another's row"
    work_on_results(out, generator)


def begin_results(out: Path) -> Records:
    """What a run writes before its first score."""
    with one_at_a_time(out):
        claim_folder(out, SUITE)
    records = Records(out)
    for task in SUITE.tasks:
        keep_task_facts(records, task.task_id, TaskFacts(FINGERPRINT, {}, TEST_ROWS))
    return records


def work_on_results(out: Path, generator: random.Random) -> None:
    """Record every unit, in an order of one's own, and make the table."""
    records, keys = Records(out), unit_keys()
    for key in generator.sample(keys, len(keys)):
        keep_answer_key(out, key.task_id, FINGERPRINT, answers())
        stored = records.find(key)
        assert stored is None or {row.mcc for row in stored} == {row.mcc for row in scores(key)}
        if stored is None or generator.random() < 0.5:  # two may well have begun at once
            records.add(key, scores(key), UnitPredictions(predicted(key)))
        assert find_answer_key(out, key.task_id, FINGERPRINT) is not None
    assert records.damaged == ()
    with one_at_a_time(out):
        contents = read_contents(out, SUITE, code="1")
        assert len(contents.rows) == len(SUITE.protocol.seeds) * len(keys), contents.left_out
        write_scores_csv(out, contents.rows)


def require_right(place: Path, expected: dict[str, bytes], *, killed: bool) -> None:
    """Every row of the store and every byte of the folder, read in a process of its own."""
    pid = os.fork()
    if not pid:
        code = 70
        try:
            sequences, encoder = table(SEQUENCES), Slow()
            store = open_store(str(place / "store"), encoder)
            assert len(store) == SEQUENCES == len(sequences.sequences)
            assert store.verify() == []
            claims = () if killed else (place / "store").glob("*/claims/work/*")
            assert [path.name for path in claims] == [], "a claim that nobody holds"
            found = damage.final_bytes(place / "out")
            assert damage.difference(found, expected) == []
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    require([pid], [])


def unit_keys() -> list[UnitKey]:
    """Every unit under the suite's protocol."""
    regimes = SUITE.protocol.regimes
    return [_unit_key(task, regime) for task in SUITE.tasks for regime in regimes]


def _unit_key(task: Task, regime: Regime) -> UnitKey:
    protocol = SUITE.protocol
    return UnitKey(
        task_id=task.task_id,
        regime=regime.name,
        shots=regime.shots,
        embedding=Slow().identity.as_dict(),
        task_fingerprint=FINGERPRINT,
        seeds=protocol.seeds,
        C=(protocol.C,),
        probe="logistic",
        solver="reference",
        tol=protocol.tol,
        max_iter=protocol.max_iter,
        dtype="float64",
        code="1",
    )


def scores(key: UnitKey) -> list[ScoreRow]:
    """The rows of a unit: other numbers for every key, the same for everybody."""
    generator = np.random.default_rng(int(key.digest[:8], 16))
    return [
        ScoreRow(
            model_id=key.model_id,
            task_id=key.task_id,
            category="Only",
            regime=key.regime,
            seed=seed,
            C=key.C[0],
            probe=key.probe,
            solver=key.solver,
            mcc=float(generator.uniform(-1, 1)),
            accuracy=float(generator.uniform()),
            macro_f1=float(generator.uniform()),
            n_train=20,
            n_test=TEST_ROWS,
            n_classes=2,
            n_iter=7,
            grad_norm=3.5e-05,
            status="converged",
            **key.identity_columns(),
        )
        for seed in key.seeds
    ]


def predicted(key: UnitKey) -> np.ndarray:
    """int64 ``[C, seed, test row]``."""
    generator = np.random.default_rng(int(key.digest[:8], 16))
    return generator.integers(0, 2, (1, len(key.seeds), TEST_ROWS))


def answers() -> AnswerKey:
    """What is true of a task's test rows."""
    return AnswerKey(np.arange(TEST_ROWS) % 2, np.zeros(TEST_ROWS, bool))


if __name__ == "__main__":
    main()
