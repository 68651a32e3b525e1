"""The two kinds of place a store can be in: a local folder, or a prefix of a bucket.

Both hold a few small files by name (manifest, row files) beside the array that tensorstore writes.

- A local folder has one writer at a time, by a lock that the system releases when its holder dies.
- A bucket has no locks. A slot is claimed by creating a key that must not exist yet, and the
  manifest is replaced only if it is still the one that was read, so that writers on many hosts
  append to one store and none overwrites another.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from geneb_jax.durable_files import flush_folder, require_writable_folder, write_bytes
from geneb_jax.errors import OutputError, StoreError
from geneb_jax.store.tensorstore_context import shared_context

__all__ = ["ChangedMeanwhileError", "Folder", "LocalFolder", "RemoteFolder", "open_folder"]

_LOG = logging.getLogger(__name__)
_SECONDS_BEFORE_NOTICE = 1.0
#: A request of a few kilobytes to a bucket that takes longer than this is not under way.
_SECONDS_OF_SILENCE = 60.0


class ChangedMeanwhileError(Exception):
    """The file was replaced by somebody else since it was read."""


class Folder(ABC):
    """Small files by name, and the place of the array."""

    def __init__(self, place: str) -> None:
        self.place = place

    @abstractmethod
    def array_kvstore(self) -> Any:
        """The key-value store of the array, as tensorstore takes it."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """A file's bytes, ``None`` where there is no such file."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically and durably."""

    @abstractmethod
    def replace(self, name: str, content: bytes) -> None:
        """As :meth:`write`, but only if the file is still as this object last read or wrote it.

        Raises:
            ChangedMeanwhileError: if it is not.
        """

    @abstractmethod
    def names(self, prefix: str) -> list[str]:
        """Names of the files below ``prefix/``, sorted."""

    @abstractmethod
    def all_names(self) -> list[str]:
        """Names of all files, the array's and hidden ones included, sorted."""

    @abstractmethod
    def size_bytes(self) -> int | None:
        """Bytes of all files together, None where only reading them would tell."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the empty place itself, where there is such a thing."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file if it is there."""

    @abstractmethod
    def delete_unchanged(self, name: str) -> bool:
        """Delete a file if it is still as this object last read or wrote it; whether it was."""

    @abstractmethod
    def set_aside(self, name: str, aside: str) -> None:
        """Move a file out of the way, to be looked at by people; nothing if it is not there."""

    @abstractmethod
    def claim(self, slot: int) -> bool:
        """Make a slot of the array ours; false if another writer has it."""

    @abstractmethod
    def writing(self) -> Any:
        """A context in which this process is the writer, as far as the place has such a thing."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Free space, ``None`` where there is no such figure."""

    @abstractmethod
    def prepare(self) -> None:
        """Create the place and prove that it can be written."""


class LocalFolder(Folder):
    """A folder of a local or shared file system."""

    LOCK_NAME = ".writer.lock"

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path
        self._lock = FileLock(str(path / self.LOCK_NAME))
        # Threads of this process (a commit, the beat of a claim) wait for each other here, so that
        # the notice on other processes speaks of other processes.
        self._threads = threading.RLock()

    def array_kvstore(self) -> Any:
        """The ``array/`` folder as a tensorstore file driver."""
        return {"driver": "file", "path": f"{(self.path / 'array').absolute()}/"}

    def _file(self, name: str) -> Path:
        """The path of a name; links inside a store are refused: nothing is written outside."""
        path = self.path
        for part in name.split("/"):
            if path.is_symlink():
                break
            path = path / part
        if path.is_symlink():
            raise StoreError(
                "a symbolic link inside a store is not followed",
                where=path,
                hint="replace the link by the folder or file that it points to",
            )
        return path

    def read(self, name: str) -> bytes | None:
        """See :meth:`Folder.read`."""
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read ({error.strerror})", where=self.path / name) from error

    def write(self, name: str, content: bytes) -> None:
        """See :meth:`Folder.write`."""
        try:
            write_bytes(self._file(name), content)
        except OutputError as error:
            raise full_or_unwritable(self, len(content), error) from error

    def replace(self, name: str, content: bytes) -> None:
        """See :meth:`Folder.replace`; the writer's lock already keeps others away."""
        self.write(name, content)

    def names(self, prefix: str) -> list[str]:
        """See :meth:`Folder.names`."""
        folder = self._file(prefix)
        if not folder.is_dir():
            return []
        return sorted(
            f"{prefix}/{path.name}" for path in folder.iterdir() if not path.name.startswith(".")
        )

    def all_names(self) -> list[str]:
        """See :meth:`Folder.all_names`; links are names, and are not followed."""
        return sorted(
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if path.is_symlink() or not path.is_dir()
        )

    def size_bytes(self) -> int:
        """See :meth:`Folder.size_bytes`."""
        return sum((self.path / name).lstat().st_size for name in self.all_names())

    def remove(self) -> None:
        """Remove the folder with its lock file."""
        shutil.rmtree(self.path)

    def delete(self, name: str) -> None:
        """See :meth:`Folder.delete`; a link is deleted itself, not what it points to."""
        parent, _, last = name.rpartition("/")
        path = (self._file(parent) if parent else self.path) / last
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def delete_unchanged(self, name: str) -> bool:
        """See :meth:`Folder.delete_unchanged`; the writer's lock already keeps others away."""
        self.delete(name)
        return True

    def set_aside(self, name: str, aside: str) -> None:
        """See :meth:`Folder.set_aside`."""
        source, target = self._file(name), self._file(aside)
        if not source.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            self.delete(aside)
        source.replace(target)
        flush_folder(target.parent)
        flush_folder(source.parent)

    def claim(self, slot: int) -> bool:
        """Always true: only the holder of the lock asks."""
        return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer's lock; wait, with a notice, while another process holds it.

        The lock is the operating system's: it ends with its holder, however that ends, so a lock
        file left by a killed process stops nobody.
        """
        with self._threads:
            try:
                try:
                    self._lock.acquire(timeout=_SECONDS_BEFORE_NOTICE)
                except Timeout:
                    _LOG.warning("%s: another process writes here; waiting for it", self.place)
                    self._lock.acquire()
            except (OSError, NotImplementedError) as error:
                raise StoreError(
                    f"cannot lock the store ({error})",
                    where=self.path / self.LOCK_NAME,
                    hint="choose a folder on a file system with locks, or another one with --store",
                ) from error
            try:
                yield
            finally:
                self._lock.release()

    def free_bytes(self) -> int | None:
        """Free bytes of the file system."""
        return shutil.disk_usage(self.path).free

    def prepare(self) -> None:
        """Create the folder and prove that a file can be written in it."""
        for name in ("manifest.json", "rows", "array/c"):
            self._file(name)
        if not self.path.is_dir() or not os.access(self.path, os.W_OK):
            require_writable_folder(self.path, option="--store")


class RemoteFolder(Folder):
    """A prefix of a bucket, through a tensorstore key-value driver (``gs://``, ``s3://``, ...)."""

    def __init__(self, url: str) -> None:
        super().__init__(url.rstrip("/") + "/")
        import tensorstore as ts

        opening = ts.KvStore.open(self.place, context=shared_context())
        self._files = self._done(opening, refused="cannot open the store")
        self._seen: dict[str, bytes] = {}

    def array_kvstore(self) -> Any:
        """The keys below ``array/``."""
        return self.place + "array/"

    def _done(self, future: Any, *, refused: str = "the bucket refused a request") -> Any:
        """Wait for a request; the driver below tries again by itself, for longer than anybody."""
        try:
            return future.result(timeout=_SECONDS_OF_SILENCE)
        except TimeoutError as error:
            raise StoreError(
                f"no answer within {_SECONDS_OF_SILENCE:.0f} s",
                where=self.place,
                cause="there is no such bucket or server, or no way to it from here",
                hint="check --store and the network, then run the same command again: what was "
                "committed is kept",
            ) from error
        except ValueError as error:
            raise StoreError(refused, where=self.place, cause=str(error).split(" [")[0]) from error

    def read(self, name: str) -> bytes | None:
        """See :meth:`Folder.read`."""
        found = self._done(self._files.read(name))
        self._seen[name] = found.stamp.generation
        return bytes(found.value) if found.state == "value" else None

    def write(self, name: str, content: bytes) -> None:
        """See :meth:`Folder.write`; an object appears whole or not at all."""
        self._seen[name] = self._done(self._files.write(name, content)).generation

    def replace(self, name: str, content: bytes) -> None:
        """See :meth:`Folder.replace`; the bucket compares generations."""
        if name not in self._seen:
            self.read(name)
        stamp = self._done(self._files.write(name, content, if_equal=self._seen[name]))
        if not stamp.generation:
            raise ChangedMeanwhileError
        self._seen[name] = stamp.generation

    def names(self, prefix: str) -> list[str]:
        """See :meth:`Folder.names`."""
        import tensorstore as ts

        span = ts.KvStore.KeyRange(f"{prefix}/", f"{prefix}0")  # "0" follows "/"
        return sorted(key.decode() for key in self._done(self._files.list(span)))

    def all_names(self) -> list[str]:
        """See :meth:`Folder.all_names`."""
        return sorted(key.decode() for key in self._done(self._files.list()))

    def size_bytes(self) -> int | None:
        """Unknown."""
        return None

    def remove(self) -> None:
        """Nothing to remove: a prefix without objects does not exist."""

    def delete(self, name: str) -> None:
        """See :meth:`Folder.delete`."""
        self._done(self._files.write(name, None))

    def delete_unchanged(self, name: str) -> bool:
        """See :meth:`Folder.delete_unchanged`; the bucket compares generations."""
        if name not in self._seen:
            self.read(name)
        stamp = self._done(self._files.write(name, None, if_equal=self._seen.pop(name)))
        return bool(stamp.generation)

    def set_aside(self, name: str, aside: str) -> None:
        """See :meth:`Folder.set_aside`."""
        content = self.read(name)
        if content is not None:
            self.write(aside, content)
            self.delete(name)

    def claim(self, slot: int) -> bool:
        """Create the slot's claim; false if it exists."""
        name = f"claims/{slot:06d}"
        if self.read(name) is not None:
            return False
        try:
            self.replace(name, b"")
        except ChangedMeanwhileError:
            return False
        return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nothing to hold: claims and conditional writes do the work of a lock."""
        yield

    def free_bytes(self) -> int | None:
        """Unknown."""
        return None

    def prepare(self) -> None:
        """Nothing to create; the first write tells."""


def full_or_unwritable(folder: Folder, needed_bytes: int, error: Exception) -> StoreError:
    """The one error for a write that failed: with the bytes needed and the bytes free."""
    free = folder.free_bytes()
    room = "" if free is None else f", {free} bytes are free"
    return StoreError(
        f"cannot write {needed_bytes} bytes{room}",
        where=folder.place,
        cause=str(error).split(" [")[0].rstrip("."),
        hint="free some space or choose another folder with --store, then run the same command "
        "again: what was committed is kept",
    )


def open_folder(root: str | os.PathLike[str], name: str) -> Folder:
    """The folder of a key below ``root``, which is a path or a URL."""
    text = os.fspath(root)
    if "://" in text:
        return RemoteFolder(f"{text.rstrip('/')}/{name}")
    return LocalFolder(Path(text).expanduser() / name)
