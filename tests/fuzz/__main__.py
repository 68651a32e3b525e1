"""Feed damaged files to every reader: ``python -m tests.fuzz`` (``make fuzz``).

Prints one JSON line a target: inputs, how many were read and refused, the slowest, the memory that
came on top. A finding (an exception that is none of ours, an input of over 10 s, 2 GiB more memory)
is written to ``--findings`` and printed; the exit code is 1 then. Once mended, its file goes to
``tests/fuzz/corpus/TARGET``, where the default tests read it again.

``--engine atheris`` lets libFuzzer choose the damage by the code that it reaches, where atheris is
installed; by default damage follows the structure of valid files.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import resource
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np


def instrumented() -> AbstractContextManager[object]:
    """What is imported within tells libFuzzer where it has been, if that is who asks."""
    if "atheris" not in sys.argv:
        return nullcontext()
    import atheris

    return atheris.instrument_imports(include=["geneb_jax"])


with instrumented():
    from tests.fuzz.target import Target
    from tests.fuzz.targets import TARGETS

SLOWEST_SECONDS = 10.0
MOST_BYTES = 2 * 2**30
_MOST_FINDINGS = 20


def main() -> None:
    """Run the chosen targets one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    parser.add_argument("--inputs", type=int, default=100_000, help="for each target")
    parser.add_argument("--seconds", type=float, default=1e9, help="of CPU time for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--engine", choices=["structure", "atheris"], default="structure")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = 0
    for name in options.target or TARGETS:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            if options.engine == "atheris":
                with_atheris(TARGETS[name], Path(place), options.inputs)
                continue
            line = fuzz(
                name, Path(place), options.inputs, options.seconds, options.seed, options.findings
            )
        found += line["findings"]
        print(json.dumps(line), flush=True)
    sys.exit(found > 0)


def fuzz(
    name: str, place: Path, inputs: int, seconds: float, seed: int, findings: Path
) -> dict[str, Any]:
    """Feed one target; what came of it."""
    target = TARGETS[name]
    seeds = target.seeds(new_folder(place / "seeds"))
    folder = new_folder(place / "read")
    valid = [target.outcome(folder, content) == "read" for content in seeds]
    assert any(valid), f"{name}: no valid file to start from"
    outcomes: collections.Counter[str] = collections.Counter()
    kinds: set[str] = set()
    slowest, done, before = 0.0, 0, memory_bytes()
    began = time.process_time()
    for done in range(1, inputs + 1):
        generator = np.random.default_rng([seed, done])
        content = target.mutate(generator, seeds[int(generator.integers(len(seeds)))])
        started = time.process_time()
        try:
            outcomes[target.outcome(folder, content)] += 1
            problem = ""
        except Exception as error:
            outcomes["finding"] += 1
            problem = f"{type(error).__name__} at {place_of(error)}: {str(error)[:300]}"
            kind = problem.partition(":")[0]
        now = time.process_time()
        slowest = max(slowest, now - started)
        if not problem and now - started > SLOWEST_SECONDS:
            problem = kind = f"slow: {now - started:.1f} s"
        if not problem and memory_bytes() - before > MOST_BYTES:
            problem = kind = "more than 2 GiB"
        if problem and kind not in kinds:
            kinds.add(kind)
            path = new_folder(findings / slug(name)) / hashlib.sha256(content).hexdigest()[:16]
            path.write_bytes(content)
            print(f"{name}: {path}: {problem}", flush=True)
        if len(kinds) >= _MOST_FINDINGS or now - began > seconds:
            break
    return {
        "target": name,
        "inputs": done,
        **{kind: outcomes[kind] for kind in ("read", "refused")},
        "findings": len(kinds),
        "slowest_seconds": round(slowest, 3),
        "more_mib": (memory_bytes() - before) // 2**20,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def with_atheris(target: Target, place: Path, inputs: int) -> None:
    """Hand one target to libFuzzer, which ends the process."""
    import atheris

    corpus, folder = new_folder(place / "corpus"), new_folder(place / "read")
    with instrumented():
        for at, content in enumerate(target.seeds(new_folder(place / "seeds"))):
            (corpus / str(at)).write_bytes(content)
            target.outcome(folder, content)
    atheris.Setup(
        [sys.argv[0], f"-runs={inputs}", "-rss_limit_mb=4096", "-timeout=10", str(corpus)],
        lambda content: target.outcome(folder, content),
    )
    atheris.Fuzz()


def slug(name: str) -> str:
    """The name of a target as that of a folder."""
    return name.replace(": ", "-").replace(" ", "-")


def new_folder(path: Path) -> Path:
    """The folder, made if it is not there."""
    path.mkdir(parents=True, exist_ok=True)
    return path


def memory_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def place_of(error: BaseException) -> str:
    """Where an exception came from, the innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "geneb_jax" in frame.filename]
    frame = (ours or list(frames))[-1]
    return f"{Path(frame.filename).name} line {frame.lineno}"


if __name__ == "__main__":
    main()
