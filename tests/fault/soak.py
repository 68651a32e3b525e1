"""A whole small run, disturbed at random again and again: its last byte is always the same.

``python -m tests.fault.soak --rounds 200 --log soak.jsonl`` (``make soak``). Every round begins
with nothing, meets one to four random faults (:mod:`tests.fault.soak_faults`), is then run to its
end in peace, and must hold, byte for byte, what the run that nothing disturbed holds, and in the
store the same vectors. One JSON line a round: its seed, what was done to it, how it ended.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fault import damage
from tests.fault.forked_runs import import_everything, start
from tests.fault.soak_faults import FAULTS, Place, Refused, Wrong, ended

__all__ = ["main", "soak"]

_MOST_FAULTS = 3
#: A cluster of two is two interpreters that start from nothing, at ten times the cost of others.
_RARE = {"worker lost": 0.02}


def main() -> None:
    """Run the rounds, print the sum, end with 1 if any was not the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--log", type=Path, default=Path("soak.jsonl"))
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only these")
    parser.add_argument("--keep", type=Path, help="where folders of failed rounds are kept")
    options = parser.parse_args()
    lines = soak(
        range(options.seed, options.seed + options.rounds),
        options.log,
        faults=options.fault,
        keep=options.keep,
    )
    met = collections.Counter(fault["fault"] for line in lines for fault in line["faults"])
    same = sum(line["identical"] for line in lines)
    print(f"{same} of {len(lines)} rounds identical; faults: {dict(sorted(met.items()))}")
    sys.exit(same != len(lines))


def soak(
    seeds: range, log: Path, *, faults: list[str] | None = None, keep: Path | None = None
) -> list[dict[str, Any]]:
    """Run one round a seed and append what happened to ``log``."""
    import_everything()
    lines = []
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        root = Path(name)
        root.chmod(0o755)  # "another user" must be able to look
        suite = write_suite(root / "suite")
        undisturbed = new_place(root / "undisturbed", suite)
        run = undisturbed.begin()
        ended(run, 0)
        expected = damage.final_bytes(undisturbed.out), vectors(undisturbed)
        for seed in seeds:
            place = new_place(root / f"round-{seed}", suite, run.cpu_seconds)
            line = one_round(place, seed, expected, faults)
            lines.append(line)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            if not line["identical"] and keep is not None:
                shutil.copytree(place.root, keep / place.root.name, symlinks=True)
            shutil.rmtree(place.root)
    return lines


def one_round(
    place: Place, seed: int, expected: tuple[dict[str, bytes], str], faults: list[str] | None
) -> dict[str, Any]:
    """Disturb, finish, compare."""
    generator, started = random.Random(seed), time.monotonic()
    names = faults or [name for name in FAULTS if generator.random() < _RARE.get(name, 1)]
    met: list[dict[str, Any]] = []
    line: dict[str, Any] = {"round": seed, "faults": met, "identical": False}
    try:
        for _ in range(generator.randint(1, _MOST_FAULTS)):
            name = generator.choice(names)
            met.append({"fault": name})
            try:
                met[-1] |= FAULTS[name](place, generator)
            except Refused as refused:
                met[-1]["refused"] = obey(refused, place)
        line["obeyed"] = finish(place)
        line["differ"] = damage.difference(damage.final_bytes(place.out), expected[0])
        found = vectors(place)
        line["healed"] = found is None
        if found is None:  # finished records need no vectors: what is damaged is found when read
            again = Place(place.root / "again", place.suite, place.cpu_seconds, place.store)
            again.root.mkdir()
            line["obeyed"] += finish(again)
            line["differ"] += damage.difference(damage.final_bytes(again.out), expected[0])
            found = vectors(place)
        line["vectors"] = found == expected[1]
        line["identical"] = not line["differ"] and line["vectors"]
    except (Wrong, TimeoutError) as error:
        line["wrong"] = str(error)
    line["seconds"] = round(time.monotonic() - started, 1)
    return line


def finish(place: Place) -> list[str]:
    """Run in peace to the end; the files that a message asked to be deleted, which was obeyed."""
    obeyed: list[str] = []
    while True:
        try:
            ended(place.begin(), 0)
            return obeyed
        except Refused as refused:
            obeyed.append(obey(refused, place))
            if len(obeyed) > 3 * _MOST_FAULTS:
                raise Wrong("it does not heal") from refused


def obey(refused: Refused, place: Place) -> str:
    """Delete the file that a run would not believe, once nothing runs there any more."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    if not refused.path.is_relative_to(place.root):
        raise Wrong(f"asks for {refused.path} to be deleted")
    refused.path.unlink()
    return refused.path.relative_to(place.root).as_posix()


def vectors(place: Place) -> str | None:
    """SHA-256 over the stored vectors of the suite's sequences, read in a process of its own.

    None where the store says that it is damaged or has not all of them.
    """
    answer = place.root / "vectors"
    answer.unlink(missing_ok=True)

    def read() -> None:
        from geneb_jax.data import sequence_digest
        from geneb_jax.errors import GenebError
        from geneb_jax.models.families.kmer import build_kmer_encoder
        from geneb_jax.store import EmbeddingStore

        found = hashlib.sha256()
        texts = sorted({text for text, _, _ in rows(0)} | {text for text, _, _ in rows(1)})
        digests = [sequence_digest(text) for text in texts]
        try:
            for k in (2,):
                encoder = build_kmer_encoder(k)
                store = EmbeddingStore.open(
                    str(place.store), encoder.identity, encoder.width, read_only=True
                )
                if len(store.missing(digests)):
                    os._exit(0)
                found.update(store.read(digests).tobytes())
        except GenebError:
            os._exit(0)
        answer.write_text(found.hexdigest(), encoding="ascii")
        os._exit(0)

    run = start([], place.root / "said-vectors", read)
    ended(run, 0)
    return answer.read_text(encoding="ascii") if answer.exists() else None


def rows(task: int) -> list[tuple[str, int, str]]:
    """Text, label and split of a task's rows."""
    generator = random.Random(task)
    texts = ["".join(generator.choices("ACGT", k=30 + row % 9)) for row in range(60)]
    return [(text, row % 2, "train" if row < 40 else "test") for row, text in enumerate(texts)]


def write_suite(folder: Path) -> Path:
    """Two simulated tasks of sixty rows."""
    folder.mkdir()
    names = ("one", "two")
    for task, name in enumerate(names):
        lines = ["text,label,split", *(f"{a},{b},{c}" for a, b, c in rows(task))]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tasks = ", ".join(f'{{ id = "{name}", category = "Only" }}' for name in names)
    (folder / "suite.toml").write_text(
        f'name = "toy"\ntitle = "Toy"\nsimulated = true\ntasks = [{tasks}]\n', encoding="utf-8"
    )
    return folder


def new_place(root: Path, suite: Path, cpu_seconds: float = 0.0) -> Place:
    """An empty folder of a round."""
    root.mkdir()
    return Place(root, suite, cpu_seconds)


if __name__ == "__main__":
    main()
