"""Bring a suite's task files from the Hugging Face hub, at the pinned revision.

The protocol of a fetch:

1. files that an earlier fetch brought, and whose SHA-256 is still right, are done;
2. offline, the rest is copied from the hub client's own cache if it is there; no socket is opened;
3. online, the hub says size and hash of each wanted file at the pinned commit;
4. each file is downloaded into a staging folder, its size and hash are checked, and only then is it
   renamed to its place, so that a file in its place is whole and right;
5. the manifest ``fetched.json`` is rewritten after each file, so that an interrupted fetch goes on
   where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from geneb_jax.benchmark import DatasetPin, Suite, Task, require_task_id
from geneb_jax.data.hub_client import HubClient, RemoteFile, sha256_of
from geneb_jax.data.sources import TaskSource
from geneb_jax.durable_files import require_writable_folder, write_text
from geneb_jax.errors import ConfigError, DownloadError, OutputError
from geneb_jax.places import cache_folder

__all__ = ["FetchReport", "fetch_suite", "fetched_data_folder"]

_MANIFEST = "fetched.json"
_STAGING = ".fetching"
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


def fetched_data_folder(suite: Suite) -> Path:
    """Where ``geneb-jax data fetch`` puts a suite's files unless told otherwise."""
    revision = suite.dataset.revision[:12] if suite.dataset else "local"
    return cache_folder() / "data" / f"{suite.name}-{revision}"


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
            offline=offline,
            tell=on_file,
        )


def _fetch_locked(
    chosen: Sequence[Task],
    wanted: Sequence[str],
    destination: Path,
    client: HubClient,
    *,
    offline: bool,
    tell: Callable[[int, int, str], None] | None,
) -> FetchReport:
    _refuse_foreign_files(chosen, destination)
    manifest = _Manifest(destination, client.pin)
    missing = [path for path in wanted if not manifest.holds(path)]
    present = len(wanted) - len(missing)
    if not missing:
        return FetchReport(destination, present, 0, 0)
    if offline:
        copied = _copy_from_cache(client, missing, manifest)
        return FetchReport(destination, present, len(missing), copied)
    received = _download(client, missing, manifest, done=present, total=len(wanted), tell=tell)
    return FetchReport(destination, present, len(missing), received)


class _Manifest:
    """The list of fetched files with their SHA-256, on disk beside them."""

    def __init__(self, folder: Path, pin: DatasetPin) -> None:
        self._folder = folder
        self._pin = pin
        self._files: dict[str, dict[str, Any]] = {}
        path = folder / _MANIFEST
        if not path.exists():
            return
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            known = document["repository"], document["revision"]
            files = {str(name): dict(facts) for name, facts in document["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # A damaged list only costs a second download.
        if known != (pin.repository, pin.revision):
            raise OutputError(
                f"the folder holds files of {known[0]} at revision {known[1]}",
                where=folder,
                hint="choose another folder with --data-dir",
            )
        self._files = files

    def holds(self, path: str) -> bool:
        """Whether a file is in its place and unchanged since it was fetched."""
        facts = self._files.get(path)
        local = self._folder / path
        if facts is None or not local.is_file() or local.is_symlink():
            return False
        return local.stat().st_size == facts.get("bytes") and sha256_of(local) == facts.get(
            "sha256"
        )

    def accept(self, staged: Path, path: str) -> int:
        """Move a checked file to its place, list it, and return its size in bytes."""
        target = self._folder / path
        size, digest = staged.stat().st_size, sha256_of(staged)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.resolve().is_relative_to(self._folder.resolve()):
                raise OutputError("a link leads out of the folder", where=target)
            staged.replace(target)
        except OSError as error:
            raise OutputError(f"cannot move the file ({error.strerror})", where=target) from error
        self._files[path] = {"bytes": size, "sha256": digest}
        document = {
            "repository": self._pin.repository,
            "revision": self._pin.revision,
            "files": dict(sorted(self._files.items())),
        }
        write_text(self._folder / _MANIFEST, json.dumps(document, indent=1) + "\n")
        return size

    def staging(self) -> Path:
        """The folder for files on their way."""
        return self._folder / _STAGING

    def clear_staging(self) -> None:
        """Remove what is left of files on their way."""
        shutil.rmtree(self.staging(), ignore_errors=True)


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


def _copy_from_cache(client: HubClient, missing: Sequence[str], manifest: _Manifest) -> int:
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
        copied += manifest.accept(staged, path)
    manifest.clear_staging()
    if absent:
        shown = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise DownloadError(
            f"{len(absent)} of the wanted files are not on this machine: {shown}",
            cause="offline, nothing is downloaded",
            hint="run the same command without --offline where there is a network",
        )
    return copied


def _download(
    client: HubClient,
    missing: Sequence[str],
    manifest: _Manifest,
    *,
    done: int,
    total: int,
    tell: Callable[[int, int, str], None] | None,
) -> int:
    """Online: download files a few at a time; the first failure stops the rest."""
    received = 0
    with client.session():
        remote = _describe(client, missing)
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            pending: dict[Future[Path], str] = {
                pool.submit(client.download, remote[path], manifest.staging()): path
                for path in missing
            }
            try:
                while pending:
                    ready, _ = wait(pending, return_when=FIRST_COMPLETED)
                    for future in ready:
                        path = pending.pop(future)
                        received += manifest.accept(future.result(), path)
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
