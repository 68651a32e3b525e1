"""F36, F37: what default paths write, unpickle and run, seen by an audit hook."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHILD = Path(__file__).with_name("audited_child.py")
ROOT = Path(__file__).parents[2]


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def suite_with_baits(folder: Path, song: Path) -> Path:
    """A suite of two tasks, beside which lie code and pickles that nobody asked for."""
    folder.mkdir()
    random = np.random.RandomState(0)
    for name in ("one", "two"):
        lines = ["text,label,split"]
        for row in range(60):
            text = "".join(random.choice(list("ACGT"), size=40))
            lines.append(f"{text},{row % 2},{'train' if row < 40 else 'test'}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tasks = "".join(f'{{ id = "{name}", category = "Only" }}, ' for name in ("one", "two"))
    (folder / "suite.toml").write_text(
        f'name = "toy"\ntitle = "Toy"\nsimulated = true\ntasks = [{tasks}]\n', encoding="utf-8"
    )
    code = f"open({str(song)!r}, 'w')\n"
    for name in ("__init__.py", "one.py", "conftest.py", "suite.py", "kernels.py", "numpy.py"):
        (folder / name).write_text(code, encoding="utf-8")
    for name in ("one.pkl", "suite.pkl", "one.joblib"):
        (folder / name).write_bytes(pickle.dumps(Canary(song)))
    return folder


def audited(place: Path, suite: Path, verbs: list[list[str]]) -> dict[str, list[Any]]:
    """What the hook saw while the verbs ran, home, caches and temporary files being below a place.

    The working folder is the suite's: what Python itself would import from there is seen, too.
    """
    for name in ("home", "tmp"):
        (place / name).mkdir(exist_ok=True)
    environment = os.environ | {
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "GENEB_JAX_CACHE": str(place / "cache"),
        "JAX_COMPILATION_CACHE_DIR": str(place / "compiled"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GENEB_JAX_TRACEBACK": "1",
    }
    for name in [name for name in environment if name.startswith("XDG_")]:
        del environment[name]
    done = subprocess.run(
        [sys.executable, str(CHILD), json.dumps(verbs)],
        cwd=suite,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.fault("F36", "F37")
def test_default_paths_write_in_their_places_and_run_no_code_but_ours(tmp_path: Path) -> None:
    song = tmp_path / "song"
    suite = suite_with_baits(tmp_path / "suite", song)
    before = {path: path.stat().st_mtime_ns for path in suite.rglob("*")}
    random = np.random.RandomState(0)
    X, y = random.standard_normal((60, 4)), np.arange(60) % 2
    np.savez(tmp_path / "mine.npz", X_train=X[:40], y_train=y[:40], X_test=X[40:], y_test=y[40:])
    out, store = str(tmp_path / "out"), str(tmp_path / "store")
    run = ["-m", "kmer-2", "--suite", str(suite), "--regime", "full", "--store", store]
    found = audited(
        tmp_path,
        suite,
        [
            ["embed", "-m", "kmer-2", "--suite", str(suite), "--store", store],
            ["run", *run, "--out", out],
            ["probe", str(tmp_path / "mine.npz"), "--regime", "full"],
            ["report", out],
            ["stats", out],
            ["store", "verify", "--store", store],
            ["list", "models"],
        ],
    )
    assert found["codes"] == [0] * 7
    assert not song.exists()
    assert found["unpickled"] == []
    assert found["connections"] == []
    places = [tmp_path / name for name in ("out", "store", "cache", "compiled", "tmp")]
    places += [Path("/dev"), Path("/proc")]
    strays = [
        path
        for path in found["written"]
        if not any(Path(path).is_relative_to(place) for place in places)
    ]
    assert strays == []
    # What libraries write without Python is no event; it would lie here.
    assert {path: path.stat().st_mtime_ns for path in suite.rglob("*")} == before
    assert list((tmp_path / "home").rglob("*")) == []
    assert list((tmp_path / "tmp").rglob("*")) == []
    ours = [ROOT, *map(Path, (sys.prefix, sys.base_prefix)), *map(Path, sys.path)]
    ours += [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    foreign = [
        name
        for name in found["code"]
        if not name.startswith("<") and not any(Path(name).is_relative_to(one) for one in ours)
    ]
    assert [name for name in foreign if Path(name).is_absolute()] == []
    assert not any(str(suite) in name for name in found["code"])


@pytest.mark.fault("F36", "F37")
def test_the_hook_sees_what_it_is_there_for(tmp_path: Path) -> None:
    """The same test with a model that writes, unpickles and is code: each of them is seen."""
    song = tmp_path / "song"
    suite = suite_with_baits(tmp_path / "suite", song)
    (suite / "mine.py").write_text(
        "import pathlib, pickle\nimport numpy as np\n"
        "pickle.loads(pathlib.Path('one.pkl').read_bytes())\n"
        "class Counts:\n"
        "    def extract_embeddings(self, sequences, batch_size=8):\n"
        "        rows = [[text.count(one) for one in 'ACGT'] for text in sequences]\n"
        "        return np.array(rows, np.float32)\n",
        encoding="utf-8",
    )
    store = ["--store", str(tmp_path / "store")]
    found = audited(
        tmp_path, suite, [["embed", "-m", "mine.py:Counts", "--suite", str(suite), *store]]
    )
    assert song.exists()
    assert str(song) in found["written"]
    assert any(name.endswith(".open") for name in found["unpickled"])
    assert any(name.endswith("mine.py") for name in found["code"])
