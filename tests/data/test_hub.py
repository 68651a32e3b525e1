"""Fetching from a hub on the loopback interface, with every fault a network has."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from geneb_jax.benchmark import DatasetPin, Suite, Task, load_suite
from geneb_jax.cli.main import command
from geneb_jax.data import (
    FetchReport,
    TaskSource,
    fetch_suite,
    find_task_files,
    pinned_files,
    read_task,
    task_fingerprint,
)
from geneb_jax.errors import ConfigError, DownloadError, OutputError
from geneb_jax.sealed_files import write_sealed
from tests.hub_server import COMMIT, Hub, serve

REPOSITORY, REVISION = "org/tasks", COMMIT
#: As the hub's addresses name it.
DATASET = f"datasets/{REPOSITORY}"
TASKS = ("first", "second.x")
SUITE = Suite(
    "toys",
    "Toys",
    tuple(Task(name, name, "c") for name in TASKS),
    load_suite("geneb").protocol,
    dataset=DatasetPin(REPOSITORY, REVISION),
)
FIRST_TRAIN = "tasks/first/train.csv"


def contents() -> dict[str, bytes]:
    files = {"README.md": b"toys", ".gitattributes": b""}
    for number, name in enumerate(TASKS):
        files[f"tasks/{name}/train.csv"] = b"text,label\n" + b"ACGT,0\nAC,1\n" * (5 + number)
        files[f"tasks/{name}/test.csv"] = b"text,label\n" + b"GG,1\n" * (3 + number)
    return files


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


@pytest.fixture
def hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Iterator[Hub]:
    """A running hub; at the end nothing may have been written to stdout or stderr."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    with serve(Hub({DATASET: contents()})) as state:
        yield state
    from huggingface_hub.utils import close_session

    close_session()
    written = capfd.readouterr()
    assert written.out == ""
    assert written.err == ""


def forbid_sockets(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """From here on make every way to the network fail, and list what was tried."""
    tried: list[object] = []

    def refuse(*arguments: object, **settings: object) -> None:
        tried.append(arguments)
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo", "socketpair"):
        monkeypatch.setattr(socket, name, refuse)
    return tried


def fetch(hub: Hub, folder: Path, **settings: object) -> FetchReport:
    return fetch_suite(SUITE, folder, endpoint=hub.url, **settings)  # type: ignore[arg-type]


def start_fetching(hub: Hub, suite: Path, folder: Path) -> subprocess.Popen[bytes]:
    """The same in a process of its own, which writes where this one does."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom geneb_jax.benchmark import load_suite\n"
        "from geneb_jax.data import fetch_suite\n"
        "fetch_suite(load_suite(sys.argv[1]), Path(sys.argv[2]), endpoint=sys.argv[3])\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(suite), str(folder), hub.url],
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
    )


def write_suite(parent: Path) -> Path:
    """The suite as a folder, for the command line."""
    folder = parent / "suite"
    folder.mkdir()
    tasks = ", ".join(f'{{ id = "{name}", category = "c" }}' for name in TASKS)
    (folder / "suite.toml").write_text(
        f'name = "toys"\ntitle = "Toys"\ntasks = [{tasks}]\n'
        f'[dataset]\nrepository = "{REPOSITORY}"\nrevision = "{REVISION}"\n'
    )
    return folder


def assert_whole(folder: Path) -> None:
    for path, content in contents().items():
        if path.startswith("tasks/"):
            assert (folder / path).read_bytes() == content, path
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    names.discard(".fetching.lock")
    assert names == {"fetched.json", *(path for path in contents() if path.startswith("tasks/"))}


def test_fetched_files_are_whole_and_readable(hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = fetch(hub, tmp_path / "data", on_file=lambda done, total, path: seen.append(
        (done, total)))  # fmt: skip
    size = sum(len(content) for path, content in contents().items() if path.startswith("tasks/"))
    assert report == FetchReport(tmp_path / "data", 0, 4, size)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert_whole(tmp_path / "data")
    found = find_task_files(SUITE, tmp_path / "data")
    assert found.tasks == SUITE.tasks
    table = read_task(SUITE.tasks[0], TaskSource(tmp_path / "data"))
    assert len(table.train_sequences) == 10
    assert hub.gets("README.md") == 0


def test_large_files_come_through_the_redirect(hub: Hub, tmp_path: Path) -> None:
    hub.large |= {FIRST_TRAIN}
    fetch(hub, tmp_path / "data")
    assert ("GET", f"/cdn/{DATASET}//{FIRST_TRAIN}") in hub.requests
    assert_whole(tmp_path / "data")


def test_a_second_fetch_asks_nobody(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(hub, tmp_path)
    tried = forbid_sockets(monkeypatch)
    report = fetch(hub, tmp_path)
    assert (report.present, report.fetched) == (4, 0)
    assert tried == []


@pytest.mark.fault("F50")
def test_offline_opens_no_socket(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(hub, tmp_path, tasks=SUITE.tasks[:1])
    hub.requests.clear()
    tried = forbid_sockets(monkeypatch)
    assert fetch(hub, tmp_path, tasks=SUITE.tasks[:1], offline=True).present == 2
    with pytest.raises(DownloadError) as caught:
        fetch(hub, tmp_path, offline=True)
    assert "2 of the wanted files" in caught.value.message
    assert "tasks/second.x/train.csv, tasks/second.x/test.csv" in caught.value.message
    assert "--offline" in caught.value.message
    assert tried == []
    assert hub.requests == []


def test_offline_takes_files_from_the_clients_cache(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import hf_hub_download

    hub.large |= {FIRST_TRAIN}
    for path in contents():
        hf_hub_download(
            REPOSITORY, path, repo_type="dataset", endpoint=hub.url,
            revision=REVISION, cache_dir=tmp_path / "hub-cache",
            tqdm_class=SilentBar,
        )  # fmt: skip
    tried = forbid_sockets(monkeypatch)
    report = fetch(hub, tmp_path / "data", offline=True)
    assert report.fetched == 4
    assert_whole(tmp_path / "data")
    # The cached snapshot is itself a folder that can be read.
    snapshot = next((tmp_path / "hub-cache").glob("datasets--*/snapshots/*"))
    direct = read_task(SUITE.tasks[0], TaskSource(snapshot))
    assert direct.digest == read_task(SUITE.tasks[0], TaskSource(tmp_path / "data")).digest
    # A damaged file of the cache is not used.
    for path in (FIRST_TRAIN, "tasks/first/test.csv"):
        blob = (snapshot / path).resolve()
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    with pytest.raises(DownloadError, match="2 of the wanted files"):
        fetch(hub, tmp_path / "again", offline=True)
    assert tried == []


class SilentBar:
    """The least that the library asks of a progress bar."""

    def __init__(self, *arguments: object, **settings: object) -> None:
        return

    def __enter__(self) -> SilentBar:
        return self

    def __exit__(self, *details: object) -> None:
        return

    def update(self, count: float | None = 1) -> None:
        return


@pytest.mark.parametrize("fault", [500, 502, 503, 429])
@pytest.mark.fault("F50")
def test_passing_faults_are_tried_again(
    hub: Hub, tmp_path: Path, waits: list[float], fault: int
) -> None:
    hub.faults["api"] = [fault, fault]
    hub.faults[FIRST_TRAIN] = [fault, fault]
    fetch(hub, tmp_path / "data")
    assert_whole(tmp_path / "data")
    assert waits


@pytest.mark.fault("F50")
def test_a_wait_that_the_hub_asks_for_is_kept(hub: Hub, tmp_path: Path, waits: list[float]) -> None:
    hub.headers["Retry-After"] = "17"
    hub.faults["api"] = [429]
    notes: list[str] = []
    fetch(hub, tmp_path / "data", on_note=notes.append)
    assert 17.0 in waits
    assert any("429" in note and "17 s" in note for note in notes)


@pytest.mark.parametrize("fault", ["cut", "corrupt", "longer", "silent cut"])
@pytest.mark.fault("F50")
def test_a_damaged_body_is_fetched_again(
    hub: Hub, tmp_path: Path, waits: list[float], fault: str
) -> None:
    hub.faults[FIRST_TRAIN] = [fault]
    fetch(hub, tmp_path / "data")
    assert hub.gets(FIRST_TRAIN) > 1
    assert_whole(tmp_path / "data")


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("fault", [404, 403, 500, 429, "cut", "corrupt", "longer", "silent cut"])
@pytest.mark.fault("F50")
def test_a_lasting_fault_ends_and_keeps_the_rest(
    hub: Hub, tmp_path: Path, waits: list[float], fault: int | str, ranges: bool
) -> None:
    hub.ranges = ranges
    fetch(hub, tmp_path / "data", tasks=SUITE.tasks[1:])
    hub.always[FIRST_TRAIN] = fault
    with pytest.raises(DownloadError) as caught:
        fetch(hub, tmp_path / "data")
    assert FIRST_TRAIN in caught.value.message
    assert "\n" not in caught.value.message
    assert not (tmp_path / "data" / FIRST_TRAIN).exists()
    assert len(hub.requests) < 60
    if isinstance(fault, int):
        assert str(fault) in caught.value.message
    # Once the fault is gone the same call finishes, and what was there is not fetched again.
    hub.always.clear()
    hub.requests.clear()
    report = fetch(hub, tmp_path / "data")
    assert report.present >= 2
    assert hub.gets("second.x/train.csv") == 0
    assert_whole(tmp_path / "data")


@pytest.mark.fault("F50")
def test_a_killed_fetch_is_resumed(hub: Hub, tmp_path: Path) -> None:
    """SIGKILL while one file hangs half-way; the next fetch brings only what is missing."""
    hub.always[FIRST_TRAIN] = "hang"
    folder = tmp_path / "data"
    child = start_fetching(hub, write_suite(tmp_path), folder)
    try:
        assert hub.hanging.wait(timeout=60)
        expected = ["tasks/first/test.csv", "tasks/second.x/test.csv", "tasks/second.x/train.csv"]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (folder / "fetched.json").exists():
                known = json.loads((folder / "fetched.json").read_text())["content"]["files"]
                if sorted(known) == expected:
                    break
            time.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    assert not (folder / FIRST_TRAIN).exists()
    hub.release.set()
    hub.always.clear()
    hub.requests.clear()
    report = fetch(hub, folder)
    assert (report.present, report.fetched) == (3, 1)
    assert hub.gets() == 1
    assert_whole(folder)


def test_the_library_is_quiet_in_a_process_that_had_not_met_it(hub: Hub, tmp_path: Path) -> None:
    """It gives its logger a handler when first imported; the retries it logs stay off stderr."""
    hub.faults[FIRST_TRAIN] += ["cut", "cut"]
    child = start_fetching(hub, write_suite(tmp_path), tmp_path / "data")
    assert child.wait(timeout=120) == 0
    assert hub.gets(FIRST_TRAIN) == 3
    assert_whole(tmp_path / "data")


@pytest.mark.fault("F50")
def test_an_endless_download_ends(
    hub: Hub, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut answers that each bring something, from a hub that ignores ranges."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 64)
    hub.repositories[DATASET][FIRST_TRAIN] = b"text,label\n" + b"ACGTACGT,0\nACC,1\n" * 400
    hub.ranges = False
    hub.always[FIRST_TRAIN] = "cut"
    with pytest.raises(DownloadError, match="cut off again and again"):
        fetch(hub, tmp_path / "data")
    assert hub.gets(FIRST_TRAIN) < 30


def test_unknown_dataset_and_unknown_file(hub: Hub, tmp_path: Path, waits: list[float]) -> None:
    hub.always["api"] = 404
    with pytest.raises(DownloadError, match=r"404 \(not found\)"):
        fetch(hub, tmp_path / "data")
    assert waits == []
    hub.always.clear()
    del hub.repositories[DATASET]["tasks/second.x/test.csv"]
    with pytest.raises(DownloadError, match=r"the dataset has no tasks/second\.x/test\.csv"):
        fetch(hub, tmp_path / "data")
    assert hub.gets() == 0


def test_another_commit_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.commits[DATASET] = "f" * 40
    with pytest.raises(DownloadError, match="not the pinned one"):
        fetch(hub, tmp_path / "data")


def test_nobody_there(tmp_path: Path, hub: Hub, waits: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DownloadError, match="cannot fetch its list of files"):
        fetch_suite(SUITE, tmp_path / "data", endpoint=f"http://127.0.0.1:{port}")
    assert len(waits) == 3


def test_changed_and_lost_files_are_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch(hub, tmp_path / "data")
    (tmp_path / "data" / FIRST_TRAIN).write_bytes(b"text,label\nX,0\n")
    (tmp_path / "data" / "tasks/second.x/test.csv").unlink()
    hub.requests.clear()
    assert fetch(hub, tmp_path / "data").fetched == 2
    assert_whole(tmp_path / "data")


@pytest.mark.parametrize("damage", ["{", "edited"])
def test_a_list_that_is_not_believed_is_made_anew_from_the_hub(hub, tmp_path, damage) -> None:
    folder = tmp_path / "data"
    fetch(hub, folder)
    whole = (folder / "fetched.json").read_text()
    (folder / FIRST_TRAIN).write_bytes(b"text,label\nX,0\n")
    if damage == "edited":
        digest = hashlib.sha256(b"text,label\nX,0\n").hexdigest()
        old = json.loads(whole)["content"]["files"][FIRST_TRAIN]["sha256"]
        damage = whole.replace(old, digest)
    (folder / "fetched.json").write_text(damage)
    assert pinned_files(SUITE, folder) is None
    # What is in its place with the hash that the hub states is not brought again.
    assert fetch(hub, folder).fetched == 1
    assert_whole(folder)
    assert (folder / "fetched.json").read_text() == whole


@pytest.mark.fault("F67")
def test_files_are_verified_until_one_byte_differs(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    fetch(hub, folder)
    pinned, source = pinned_files(SUITE, folder), TaskSource(folder)
    assert pinned is not None
    for task in SUITE.tasks:
        for part in ("train", "test"):
            path = f"tasks/{task.task_id}/{part}.csv"
            assert pinned.sha256[path] == hashlib.sha256(contents()[path]).hexdigest()
        said = pinned.verified_as(task, task_fingerprint(task, source))
        assert said == f"org/tasks@{REVISION} from {hub.url}"
    first, second = SUITE.tasks
    content = bytearray((folder / FIRST_TRAIN).read_bytes())
    content[-2] ^= 1
    (folder / FIRST_TRAIN).write_bytes(content)
    assert pinned.verified_as(first, task_fingerprint(first, source)) == ""
    assert pinned.verified_as(second, task_fingerprint(second, source)) != ""


@pytest.mark.fault("F34")
def test_a_link_is_replaced_not_followed(hub: Hub, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("mine")
    (tmp_path / "data/tasks/first").mkdir(parents=True)
    (tmp_path / "data" / FIRST_TRAIN).symlink_to(outside)
    with pytest.raises(OutputError, match="leads out of the folder"):
        fetch(hub, tmp_path / "data")
    assert outside.read_text() == "mine"


def test_folders_with_other_files_are_refused(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "first.csv").write_text("text,label,split\n")
    with pytest.raises(OutputError, match="already holds a file of the task first"):
        fetch(hub, tmp_path / "flat")
    fetch(hub, tmp_path / "data")
    manifest = json.loads((tmp_path / "data" / "fetched.json").read_text())
    content = {**manifest["content"], "revision": "f" * 40}
    write_sealed(tmp_path / "data" / "fetched.json", manifest["kind"], content)
    with pytest.raises(OutputError, match="at revision ffff"):
        fetch(hub, tmp_path / "data")


def test_a_suite_without_a_dataset(tmp_path: Path) -> None:
    plain = Suite("p", "P", SUITE.tasks, SUITE.protocol)
    with pytest.raises(ConfigError, match="no dataset on the hub"):
        fetch_suite(plain, tmp_path)


def test_a_client_switched_off_by_its_own_variable(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        fetch(hub, tmp_path / "data")
    assert hub.requests == []


def test_the_command_fetches_and_says_so(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_suite(tmp_path)
    arguments = ["data", "fetch", "--suite", str(folder), "--endpoint", hub.url, "--json"]
    monkeypatch.setenv("GENEB_JAX_CACHE", str(tmp_path / "cache"))
    for fetched in (4, 0):
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 0
        assert result.stderr == ""
        report = json.loads(result.stdout)
        assert (report["fetched"], report["present"]) == (fetched, 4 - fetched)
    assert Path(report["folder"]) == tmp_path / "cache" / "data" / f"toys-{REVISION[:12]}"
    assert_whole(Path(report["folder"]))
