"""F49, F71: a signal is never lost, wherever the interpreter is when it comes; the code is 75."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geneb_jax.cli.main import main
from geneb_jax.interruption import (
    hearing_signals,
    is_requested,
    loops_ask,
    settled,
    stop_if_requested,
)

STOPS = [signal.SIGINT, signal.SIGTERM]

#: ``geneb-jax`` with a signal in the middle of the embedding, inside the callback of a weak
#: reference, where whatever a handler raises is dropped.
IN_A_CALLBACK = """
import os, signal, sys, weakref
from geneb_jax.cli.main import main
from geneb_jax.embed.progress import ProgressClock
from geneb_jax.results import Records

def dropped(reference):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):  # the handler runs here
        pass

class Thing:
    pass

def watched(method):
    def call(*arguments, **options):
        result = method(*arguments, **options)
        thing = Thing()
        reference = weakref.ref(thing, dropped)
        setattr(owner, name, method)
        del thing
        return result
    return call

owner, name = {"batch": (ProgressClock, "advance"), "record": (Records, "add")}[sys.argv.pop(1)]
setattr(owner, name, watched(getattr(owner, name)))
main()
"""


@pytest.fixture(scope="module")
def suite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    generator = random.Random(0)
    for name in ("one", "two"):
        lines = ["text,label,split"]
        for row in range(60):
            text = "".join(generator.choice("ACGT") for _ in range(40))
            lines.append(f"{text},{row % 2},{'train' if row < 40 else 'test'}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tasks = "".join(f'{{ id = "{name}", category = "Only" }}, ' for name in ("one", "two"))
    (folder / "suite.toml").write_text(
        f'name = "toy"\ntitle = "Toy"\nsimulated = true\ntasks = [{tasks}]\n', encoding="utf-8"
    )
    return folder


def arguments(suite: Path, place: Path) -> list[str]:
    run = ["run", "-m", "kmer-2", "--suite", str(suite), "--regime", "full"]
    return [*run, "--out", str(place / "out"), "--store", str(place / "store")]


def environment(place: Path) -> dict[str, str]:
    return os.environ | {"GENEB_JAX_CACHE": str(place / "cache")}


@pytest.mark.fault("F71")
@pytest.mark.parametrize("moment", ["batch", "record"])
def test_f71_a_signal_inside_a_callback_of_the_interpreter_is_not_lost(
    suite_folder: Path, tmp_path: Path, moment: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CALLBACK, moment, *arguments(suite_folder, tmp_path)],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
    )
    assert done.returncode == 75, done.stderr
    assert "the same command resumes it" in done.stderr
    assert not (tmp_path / "out" / "scores.csv").exists()
    records = list((tmp_path / "out" / "records").rglob("full-*.json"))
    assert len(records) == (0 if moment == "batch" else 2)


def raised(number: int) -> bool:
    """Whether a signal raises where it comes."""
    try:
        os.kill(os.getpid(), number)
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.fault("F49", "F71")
@pytest.mark.parametrize("number", STOPS)
def test_loops_are_told_when_they_ask_and_nothing_else_waits(number: int) -> None:
    before = signal.getsignal(number)
    with hearing_signals(to_the_end=False):
        stop_if_requested()
        assert settled(3) == 3
    with hearing_signals(to_the_end=False):
        loops_ask(True)
        assert not raised(number)
        with pytest.raises(KeyboardInterrupt):
            stop_if_requested()
        assert settled(0) == 75
    with hearing_signals(to_the_end=False):
        assert raised(number) and is_requested()
        assert settled(2) == 75
        assert not raised(number), "the code is decided"
    assert not is_requested()
    assert signal.getsignal(number) is before


@pytest.mark.fault("F71")
@pytest.mark.parametrize("first", STOPS)
def test_f71_the_second_signal_ends_at_once(first: int) -> None:
    script = f"""
import os, signal, sys
from geneb_jax.interruption import hearing_signals, loops_ask
with hearing_signals(to_the_end=True):
    loops_ask(True)
    os.kill(os.getpid(), {int(first)})
    print("noted", flush=True)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        print("still there", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (75, "noted\n")
    assert "second signal" in done.stderr and "ended at once" in done.stderr


@pytest.mark.fault("F71")
@pytest.mark.parametrize("number", STOPS)
def test_f71_an_error_that_a_signal_turned_into_is_still_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    from geneb_jax.cli.main import command
    from geneb_jax.errors import ModelError

    def broken(**_: object) -> None:
        assert raised(number)
        raise ModelError("a library said no")

    monkeypatch.setattr(command, "main", broken)
    with pytest.raises(SystemExit) as stop:
        main(["list", "tasks"])
    assert stop.value.code == 75
    assert "a library said no" in (said := capsys.readouterr().err) and "resumes" in said


@pytest.mark.fault("F71")
def test_f71_signals_while_the_interpreter_is_taken_down_change_no_code() -> None:
    script = """
import atexit, os, signal, sys
from geneb_jax.cli.main import main
atexit.register(os.kill, os.getpid(), signal.SIGTERM)
sys.argv = ["geneb-jax", "list", "probes"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.fault("F71")
def test_f71_a_signal_within_an_import_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an import of a C++ library is interrupted, the whole process may be ended by it."""
    (tmp_path / "slow_to_import.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "until = time.monotonic() + 0.2\n"
        "while time.monotonic() < until:\n"
        "    pass\n"
        "whole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with hearing_signals(to_the_end=False):
        with pytest.raises(KeyboardInterrupt):
            import slow_to_import

            for _ in range(10_000):
                time.sleep(0.01)
        assert sys.modules.pop("slow_to_import").whole and slow_to_import.whole
        assert settled(0) == 75


@pytest.mark.fault("F71")
def test_f71_a_signal_inside_an_evaluated_text_is_no_death_by_sigint(tmp_path: Path) -> None:
    # As a module, which is what remembers; and twice, as whatever is imported on the way out the
    # first time evaluates texts, too, and forgets.
    script = """
import sys
from geneb_jax.cli import main as module
def broken(**_):
    exec("import os, signal; os.kill(os.getpid(), signal.SIGTERM); [0 for _ in range(99)]")
module.command.main = broken
sys.argv = ["geneb-jax"]
try:
    module.main()
except SystemExit:
    module.main()
"""
    (tmp_path / "child.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "child"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 75 and "resumes" in done.stderr


def hears(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has handlers of its own for SIGTERM (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.sweep
@pytest.mark.fault("F49", "F71")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(200))
def test_f71_sigterm_at_two_hundred_random_moments(
    suite_folder: Path, tmp_path: Path, seed: int
) -> None:
    command = [sys.executable, "-m", "geneb_jax", *arguments(suite_folder, tmp_path)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    while not hears(process):  # before that nothing of ours has run
        time.sleep(0.005)
    page = tmp_path / "out" / "report.html"
    try:
        process.communicate(timeout=random.Random(seed).uniform(0, 8))
    except subprocess.TimeoutExpired:
        done_before = page.exists()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 75 or (process.returncode == 0 and done_before), said.decode()
    assert subprocess.run(command, env=environment(tmp_path), capture_output=True).returncode == 0
    assert page.exists()
