"""Bring a suite's task files from the Hugging Face hub, at the pinned revision.

The protocol of a fetch:

1. files that an earlier fetch brought, and whose SHA-256 is still right, are done;
   online, so are files in their place that have the hash which the hub states;
2. offline, the rest is copied from the hub client's own cache if it is there; no socket is opened;
3. online, the hub says size and hash of each wanted file at the pinned commit;
4. each file is downloaded into a staging folder, its size and hash are checked, and only then is it
   renamed to its place, so that a file in its place is whole and right;
5. the sealed list ``fetched.json`` is rewritten after each file, so that an interrupted fetch goes
   on where it stopped, and a run can say that its files are the pinned revision's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from geneb_jax.benchmark import Suite, Task, require_task_id
from geneb_jax.data.fetched_files import FetchedFiles, hub_hash
from geneb_jax.data.hub_client import HubClient, RemoteFile, file_matches
from geneb_jax.data.sources import TaskSource
from geneb_jax.durable_files import require_writable_folder
from geneb_jax.errors import ConfigError, DownloadError, OutputError

__all__ = ["FetchReport", "fetch_suite"]

_LOCK = ".fetching.lock"
_WORKERS = 4


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch did.

    Attributes:
        folder: Where the files are: a folder that :class:`TaskSource` reads.
        present: Number of files that were there already.
        fetched: Number of files that were downloaded or copied now.
        fetched_bytes: Their size.
    """

    folder: Path
    present: int
    fetched: int
    fetched_bytes: int


def fetch_suite(
    suite: Suite,
    destination: Path,
    *,
    endpoint: str | None = None,
    offline: bool = False,
    tasks: Sequence[Task] | None = None,
    on_file: Callable[[int, int, str], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> FetchReport:
    """Fetch the files of a suite's tasks into ``destination/tasks/<task_id>/{train,test}.csv``.

    Args:
        suite: A suite with a dataset pin.
        destination: The folder; it is created.
        endpoint: Another hub (``https://...``); None: the client's default.
        offline: Open no socket: take what is here or in the hub client's cache.
        tasks: Only these; None: all of the suite.
        on_file: Called with (files done, files wanted, path) after each file.
        on_note: Called with a sentence when the hub client waits or tries again.

    Raises:
        ConfigError: if the suite names no dataset.
        DownloadError: if files are missing offline, or a download fails after bounded retries; what
            was fetched is kept.
        OutputError: if the folder cannot be written, or already holds files of these tasks that did
            not come from a fetch.
    """
    if suite.dataset is None:
        raise ConfigError(
            f"the suite {suite.name} has no dataset on the hub", hint="its files are local"
        )
    chosen = suite.tasks if tasks is None else tuple(tasks)
    wanted = [
        f"tasks/{require_task_id(task.task_id)}/{part}.csv"
        for task in chosen
        for part in ("train", "test")
    ]
    require_writable_folder(destination, option="--data-dir")
    with FileLock(destination / _LOCK):
        return _fetch_locked(
            chosen,
            wanted,
            destination,
            HubClient(suite.dataset, endpoint=endpoint, on_note=on_note),
            endpoint=endpoint,
            offline=offline,
            tell=on_file,
        )


def _fetch_locked(
    chosen: Sequence[Task],
    wanted: Sequence[str],
    destination: Path,
    client: HubClient,
    *,
    endpoint: str | None,
    offline: bool,
    tell: Callable[[int, int, str], None] | None,
) -> FetchReport:
    _refuse_foreign_files(chosen, destination)
    manifest = FetchedFiles(destination, client.pin, endpoint)
    missing = [path for path in wanted if not manifest.holds(path)]
    present = len(wanted) - len(missing)
    if not missing:
        return FetchReport(destination, present, 0, 0)
    if offline:
        copied = _copy_from_cache(client, missing, manifest)
        return FetchReport(destination, present, len(missing), copied)
    with client.session():
        remote = _describe(client, missing)
        absent = [path for path in missing if not _in_place(remote[path], manifest)]
        present = len(wanted) - len(absent)
        received = _download(
            client, remote, absent, manifest, done=present, total=len(wanted), tell=tell
        )
    return FetchReport(destination, present, len(absent), received)


def _in_place(remote: RemoteFile, manifest: FetchedFiles) -> bool:
    """List a file that is there already, if it has the hash that the hub states."""
    local = manifest.place_of(remote.path)
    if not local.is_file() or local.is_symlink() or not file_matches(local, remote):
        return False
    manifest.accept(local, remote.path, hub_hash(remote))
    return True


def _refuse_foreign_files(tasks: Sequence[Task], folder: Path) -> None:
    """A second set of files for one task would make it unreadable; say so before downloading."""
    source = TaskSource(folder)
    for task in tasks:
        for files in source.candidates(task.task_id):
            first = files.paths[0]
            if first.parent.parent != folder / "tasks":
                raise OutputError(
                    f"the folder already holds a file of the task {task.task_id}",
                    where=first,
                    hint="choose an empty folder with --data-dir",
                )


def _copy_from_cache(client: HubClient, missing: Sequence[str], manifest: FetchedFiles) -> int:
    """Offline: take files from the hub client's cache.

    Raises:
        DownloadError: naming what is not there; what was there is copied all the same.
    """
    absent, copied = [], 0
    for path in missing:
        cached = client.cached(path)
        if cached is None:
            absent.append(path)
            continue
        staged = manifest.staging() / path
        try:
            staged.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cached, staged)
        except OSError as error:
            raise OutputError(f"cannot copy the file ({error.strerror})", where=staged) from error
        copied += manifest.accept(staged, path, f"cached:{cached.name}")
    manifest.clear_staging()
    if absent:
        shown = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise DownloadError(
            f"{len(absent)} of the wanted files are not on this machine, or no longer as they were "
            f"fetched: {shown}",
            cause="offline, nothing is downloaded",
            hint="run the same command without --offline where there is a network",
        )
    return copied


def _download(
    client: HubClient,
    remote: Mapping[str, RemoteFile],
    missing: Sequence[str],
    manifest: FetchedFiles,
    *,
    done: int,
    total: int,
    tell: Callable[[int, int, str], None] | None,
) -> int:
    """Online: download files a few at a time; the first failure stops the rest."""
    received = 0
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        pending: dict[Future[Path], str] = {
            pool.submit(client.download, remote[path], manifest.staging()): path for path in missing
        }
        try:
            while pending:
                ready, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    path = pending.pop(future)
                    received += manifest.accept(future.result(), path, hub_hash(remote[path]))
                    done += 1
                    if tell is not None:
                        tell(done, total, path)
        except BaseException:
            for future in pending:
                future.cancel()
            raise
    manifest.clear_staging()
    return received


def _describe(client: HubClient, paths: Sequence[str]) -> Mapping[str, RemoteFile]:
    remote = client.describe()
    absent = [path for path in paths if path not in remote]
    if absent:
        raise DownloadError(
            f"the dataset has no {absent[0]}"
            + (f" and {len(absent) - 1} more of the wanted files" if len(absent) > 1 else ""),
            where=client.name,
            cause="the suite names tasks that are not in the dataset at this revision",
        )
    return remote
