"""The sealed list of fetched files: which bytes the pinned revision has, and who has the same.

``fetched.json`` lies beside fetched files and holds, for each, its size, its SHA-256 as downloaded
and the hash by which the hub's tree of the pinned commit names it; the two were compared before the
file was listed. The list carries its own checksum: edited or damaged, it is no list.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geneb_jax.benchmark import DatasetPin, Suite, Task, pin_name
from geneb_jax.data.hub_client import RemoteFile, sha256_of
from geneb_jax.data.sources import fingerprint_of
from geneb_jax.errors import OutputError
from geneb_jax.places import cache_folder
from geneb_jax.sealed_files import read_sealed, write_sealed

__all__ = [
    "FETCHED_FILE",
    "FetchedFiles",
    "PinnedFiles",
    "fetched_data_folder",
    "hub_hash",
    "pinned_files",
]

FETCHED_FILE = "fetched.json"

_KIND = "fetched files 1"
_STAGING = ".fetching"


def fetched_data_folder(suite: Suite) -> Path:
    """Where ``geneb-jax data fetch`` puts a suite's files unless told otherwise."""
    revision = suite.dataset.revision[:12] if suite.dataset else "local"
    return cache_folder() / "data" / f"{suite.name}-{revision}"


@dataclass(frozen=True, slots=True)
class PinnedFiles:
    """The digests of files of the pinned revision.

    Attributes:
        name: ``repository@revision``, and the hub where it was not the usual one.
        sha256: Path in the data set -> SHA-256 of the file, hexadecimal.
    """

    name: str
    sha256: Mapping[str, str]

    def verified_as(self, task: Task, fingerprint: str) -> str:
        """:attr:`name` if files of that fingerprint are the task's at the revision, else empty."""
        parts = {}
        for part in ("train", "test"):
            digest = self.sha256.get(f"tasks/{task.task_id}/{part}.csv")
            if digest is None:
                return ""
            parts[part] = bytes.fromhex(digest)
        return self.name if fingerprint_of(parts) == fingerprint else ""


def pinned_files(suite: Suite, folder: Path) -> PinnedFiles | None:
    """What is known of the pinned revision's files: from the folder itself, or an earlier fetch.

    Args:
        suite: The suite with its pin.
        folder: The folder of task files in use.

    Returns:
        The digests; None where nothing was fetched, or no list of it is believed.
    """
    if suite.dataset is None:
        return None
    for place in (folder, fetched_data_folder(suite)):
        try:
            content = read_sealed(place / FETCHED_FILE, _KIND)
            if (content["repository"], content["revision"]) != (
                suite.dataset.repository,
                suite.dataset.revision,
            ):
                continue
            hub = str(content["endpoint"])
            return PinnedFiles(
                pin_name(suite.dataset) + (f" from {hub}" if hub else ""),
                {str(path): str(facts["sha256"]) for path, facts in content["files"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


class FetchedFiles:
    """The list on its way: read, added to file by file, written whole each time.

    Args:
        folder: Where the files are.
        pin: The revision.
        endpoint: The hub, where another than the usual one.

    Raises:
        OutputError: if the folder holds files of another revision.
    """

    def __init__(self, folder: Path, pin: DatasetPin, endpoint: str | None = None) -> None:
        self._folder = folder
        self._pin = pin
        self._endpoint = endpoint or ""
        self._files: dict[str, dict[str, Any]] = {}
        try:
            content = read_sealed(folder / FETCHED_FILE, _KIND)
            known = content["repository"], content["revision"]
            files = {str(name): dict(facts) for name, facts in content["files"].items()}
            endpoint_then = str(content["endpoint"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # A damaged list only costs that the hub is asked again.
        if known != (pin.repository, pin.revision):
            raise OutputError(
                f"the folder holds files of {known[0]} at revision {known[1]}",
                where=folder,
                hint="choose another folder with --data-dir",
            )
        self._files = files
        # Once from elsewhere, the list as a whole says so.
        self._endpoint = self._endpoint or endpoint_then

    def holds(self, path: str) -> bool:
        """Whether a file is in its place and unchanged since it was fetched."""
        facts = self._files.get(path)
        local = self.place_of(path)
        if facts is None or not local.is_file() or local.is_symlink():
            return False
        return local.stat().st_size == facts.get("bytes") and sha256_of(local) == facts.get(
            "sha256"
        )

    def place_of(self, path: str) -> Path:
        """Where a file is, or would be."""
        return self._folder / path

    def accept(self, staged: Path, path: str, stated: str) -> int:
        """Move a checked file to its place, list it, and return its size in bytes.

        Args:
            staged: The file, whose content has the stated hash.
            path: Its path in the data set.
            stated: The hash by which the hub names it.
        """
        target = self.place_of(path)
        size, digest = staged.stat().st_size, sha256_of(staged)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.resolve().is_relative_to(self._folder.resolve()):
                raise OutputError("a link leads out of the folder", where=target)
            if staged != target:
                staged.replace(target)
        except OSError as error:
            raise OutputError(f"cannot move the file ({error.strerror})", where=target) from error
        self._files[path] = {"bytes": size, "sha256": digest, "hub_hash": stated}
        write_sealed(
            self._folder / FETCHED_FILE,
            _KIND,
            {
                "repository": self._pin.repository,
                "revision": self._pin.revision,
                "endpoint": self._endpoint,
                "files": dict(sorted(self._files.items())),
            },
        )
        return size

    def staging(self) -> Path:
        """The folder for files on their way."""
        return self._folder / _STAGING

    def clear_staging(self) -> None:
        """Remove what is left of files on their way."""
        shutil.rmtree(self.staging(), ignore_errors=True)


def hub_hash(remote: RemoteFile) -> str:
    """The hash by which the hub's tree names a file's content."""
    return f"sha256:{remote.sha256}" if remote.sha256 is not None else f"git:{remote.git_sha1}"
