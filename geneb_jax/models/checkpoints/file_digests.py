"""SHA-256 of files that are read as what was hashed, or not at all.

A :class:`DigestedFile` is opened once. Its digest and its readers use the same descriptor, and
:meth:`DigestedFile.require_unchanged` says whether anything was written to it in between. Digests
of large files are remembered by path, device, inode, size, and the times of the last change of
content and of status; the last one cannot be set back by a program.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from geneb_jax.durable_files import write_text
from geneb_jax.errors import CheckpointError, OutputError
from geneb_jax.models.spec import PinnedFile
from geneb_jax.places import cache_folder
from geneb_jax.plain_files import NotTheFileError, git_lfs_pointer, open_plain
from geneb_jax.strict_json import read_json

__all__ = ["DigestedFile", "FileSignature", "check_pinned", "combined_sha256", "file_sha256"]

_REMEMBERED_FROM_BYTES = 1 << 22  # hashing less takes no time worth a cache
_REMEMBERED_SECONDS = 30 * 24 * 3600
#: Clocks of file systems tick, some every two seconds: two changes within a tick look like one, so
#: times tell nothing of a file that has just been changed.
_TICK_NS = 2 * 10**9
#: Where an open descriptor has a path of its own: the same file, whatever became of its name.
_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")


class FileSignature(NamedTuple):
    """What a change of a file changes."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileSignature:
        """The signature in a stat result."""
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)

    @property
    def is_settled(self) -> bool:
        """Whether another change from now on would show."""
        return max(self.mtime_ns, self.ctime_ns) + _TICK_NS < time.time_ns()


class DigestedFile:
    """A file that is hashed and read through one descriptor.

    Args:
        path: The file.

    Raises:
        CheckpointError: if there is no such file, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest: str | None = None
        self._descriptor: int | None = None
        self._closing: weakref.finalize | None = None
        self._open()
        self.signature = self._now()
        self._settled = self.signature.is_settled
        self._refuse_pointer()

    @property
    def address(self) -> Path:
        """A path for libraries that open files by name; it is this file while this is open.

        Raises:
            CheckpointError: if it has to be opened again and is no longer the same.
        """
        self._reopen()
        addresses = (Path(folder, str(self._descriptor)) for folder in _DESCRIPTORS)
        return next((address for address in addresses if address.exists()), self.path)

    def sha256(self, *, recall: bool = True) -> str:
        """SHA-256 (hex) of the content.

        Args:
            recall: Whether a digest will do that an earlier process computed.

        Raises:
            CheckpointError: if the file changes meanwhile.
        """
        if self._digest is not None:
            return self._digest
        self._reopen()
        remembers = self._settled and self.signature.size_bytes >= _REMEMBERED_FROM_BYTES
        key = "|".join(map(str, (self.path.resolve(), *self.signature)))
        known = _recall(key) if recall and remembers else None
        self._digest = known or self._hash()
        self._require(self._now())
        if remembers and known is None:
            _remember(key, self._digest)
        return self._digest

    def require_unchanged(self) -> None:
        """Make sure that what was read since it was hashed is what was hashed.

        Raises:
            CheckpointError: if the file was written to, replaced, or is gone.
        """
        if self.address == self.path:  # no path of its own: the name has to mean the same file
            try:
                self._require(FileSignature.of(self.path.stat()))
            except OSError as error:
                raise self._changed() from error
        self._require(self._now())
        if not self._settled and self._digest is not None:
            self._settled = self.signature.is_settled
            if self._hash() != self._digest:
                raise self._changed()

    def close(self) -> None:
        """Give up the descriptor; the next use opens the file again and looks whether it is it."""
        if self._closing is not None:
            self._closing()
        self._descriptor = self._closing = None

    def read_bytes(self, *, largest_bytes: int) -> bytes:
        """The whole content of a small file, through the descriptor that is hashed.

        Raises:
            CheckpointError: if it is larger.
        """
        self._reopen()
        assert self._descriptor is not None
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            content = file.read(largest_bytes + 1)
        if len(content) > largest_bytes:
            raise CheckpointError(f"is larger than {largest_bytes} bytes", where=self.path)
        return content

    def _open(self) -> None:
        try:
            descriptor = open_plain(self.path)
        except NotTheFileError as error:
            raise CheckpointError(str(error), where=self.path) from error
        except FileNotFoundError as error:
            linked = self.path.is_symlink()
            raise CheckpointError(
                "this weight file is missing",
                where=self.path,
                cause=error.strerror if linked else None,
            ) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CheckpointError(f"cannot be opened ({reason})", where=self.path) from error
        self._descriptor = descriptor
        self._closing = weakref.finalize(self, os.close, descriptor)

    def _refuse_pointer(self) -> None:
        assert self._descriptor is not None
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            pointer = git_lfs_pointer(file.read(2048))
        if pointer:
            raise CheckpointError(
                "is a Git LFS pointer, not the weights",
                where=self.path,
                cause="the repository was cloned without git-lfs, or downloaded as an archive",
                hint="`git lfs pull` in the clone brings the file",
            )

    def _reopen(self) -> None:
        """Open the file again after :meth:`close`, if it is still the same."""
        if self._descriptor is not None:
            return
        self._open()
        try:
            self._require(self._now())
        except CheckpointError:
            self.close()
            raise

    def _now(self) -> FileSignature:
        assert self._descriptor is not None
        return FileSignature.of(os.fstat(self._descriptor))

    def _hash(self) -> str:
        assert self._descriptor is not None
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _require(self, signature: FileSignature) -> None:
        if signature != self.signature:
            raise self._changed()

    def _changed(self) -> CheckpointError:
        return CheckpointError(
            "changed while it was read",
            where=self.path,
            cause="the file was written to, moved, replaced or deleted after it was hashed",
            hint="let whatever does that finish, then run the same command again",
        )


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's content; that of a large one may be remembered.

    Raises:
        CheckpointError: if there is no such file, or it changes meanwhile.
    """
    file = DigestedFile(path)
    try:
        return file.sha256()
    finally:
        file.close()


def combined_sha256(digests: Sequence[str]) -> str:
    """One SHA-256 for several files' SHA-256, in order; a single file's own for one."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode("ascii")).hexdigest()


def check_pinned(file: DigestedFile, pinned: PinnedFile) -> None:
    """Hash a downloaded file, which must be the pinned one; nothing remembered will do.

    Raises:
        CheckpointError: if the content differs.
    """
    size = file.signature.size_bytes
    digest = file.sha256(recall=False) if pinned.size_bytes in (size, None) else ""
    if digest != pinned.sha256:
        expected = "" if pinned.size_bytes is None else f"{pinned.size_bytes} bytes, "
        raise CheckpointError(
            f"is not the published file: {size} bytes, SHA-256 {digest[:12] or 'not computed'}; "
            f"expected {expected}{pinned.sha256[:12]}",
            where=file.path,
            cause="the download is damaged, or the file was changed",
            hint="delete it and download it again",
        )


def _recall(key: str) -> str | None:
    return _read(_memory()).get(key, (None, 0.0))[0]


def _remember(key: str, digest: str) -> None:
    memory = _memory()
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{memory}.lock"):
            entries = _read(memory) | {key: (digest, time.time())}
            write_text(memory, json.dumps(entries, indent=0, sort_keys=True))
    except (OSError, OutputError):
        pass  # a cache that cannot be written only costs time


def _memory() -> Path:
    return cache_folder() / "file-digests.json"


def _read(memory: Path) -> dict[str, tuple[str, float]]:
    """Digests by key with the time at which they were computed; no longer those too old."""
    try:
        content = read_json(memory)
        oldest = time.time() - _REMEMBERED_SECONDS
        return {
            str(key): (str(digest), float(since))
            for key, (digest, since) in content.items()
            if oldest < since <= time.time()
        }
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        return {}
