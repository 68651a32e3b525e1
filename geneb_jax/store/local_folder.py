"""A store in a folder of a local or shared file system.

It has one writer at a time, by a lock that the system releases when its holder dies.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout

from geneb_jax.durable_files import flush_folder, require_writable_folder, write_bytes
from geneb_jax.errors import OutputError, StoreError
from geneb_jax.plain_files import NotTheFileError, is_plain_file, open_plain
from geneb_jax.store.folder import Folder, full_or_unwritable

__all__ = ["LocalFolder"]

_LOG = logging.getLogger(__name__)
_SECONDS_BEFORE_NOTICE = 1.0


class LocalFolder(Folder):
    """A folder of a local or shared file system."""

    LOCK_NAME, CLAIMS_LOCK_NAME = ".writer.lock", ".claims.lock"

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path
        # Threads of this process (a commit, the beat of a claim) wait for each other at the second
        # of each pair, so that the notice on other processes speaks of other processes.
        self._writing = FileLock(str(path / self.LOCK_NAME)), threading.RLock()
        self._claiming = FileLock(str(path / self.CLAIMS_LOCK_NAME)), threading.RLock()

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
            with os.fdopen(open_plain(self._file(name)), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except NotTheFileError as error:
            raise StoreError(str(error), where=self.path / name) from error
        except OSError as error:
            raise StoreError(f"cannot read ({error.strerror})", where=self.path / name) from error

    def write(self, name: str, content: bytes | memoryview) -> None:
        """See :meth:`Folder.write`."""
        try:
            write_bytes(self._file(name), content)
        except OutputError as error:
            raise full_or_unwritable(self, len(content), error) from error

    def replace(self, name: str, content: bytes) -> None:
        """See :meth:`Folder.replace`; a lock already keeps others away."""
        path = self._file(name)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise full_or_unwritable(self, len(content), error) from error

    def names(self, prefix: str) -> list[str]:
        """See :meth:`Folder.names`."""
        top = self._file(prefix)
        return sorted(
            f"{prefix}{folder[len(str(top)) :]}/{name}"
            for folder, _, names in os.walk(top)
            for name in names
            if not name.startswith(".")
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

    def is_odd(self, name: str) -> bool:
        """See :meth:`Folder.is_odd`: a pipe, a device, a folder."""
        path = self._file(name)
        return path.exists() and not is_plain_file(path)

    def make_room(self, name: str) -> None:
        """See :meth:`Folder.make_room`.

        tensorstore writes into a lock file beside the name and renames it. One that a killed writer
        left is written over from its start and not cut, so its last bytes would end the new file.
        """
        self.delete(name)
        self.delete(f"{name}.__lock")

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

    def open_bytes(self, name: str) -> np.ndarray | None:
        """See :meth:`Folder.open_bytes`."""
        try:
            return np.memmap(self._file(name), np.uint8, "r")
        except FileNotFoundError:
            return None
        except ValueError:  # there is nothing to map in an empty file
            return np.zeros(0, np.uint8)
        except OSError as error:
            raise StoreError(f"cannot read ({error.strerror})", where=self.path / name) from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer's lock; wait, with a notice, while another process holds it.

        The lock is the operating system's: it ends with its holder, however that ends, so a lock
        file left by a killed process stops nobody.
        """
        with self._held(*self._writing):
            yield

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Hold the lock of the claims, in the same way."""
        with self._held(*self._claiming):
            yield

    @contextmanager
    def _held(self, lock: BaseFileLock, threads: threading.RLock) -> Iterator[None]:
        with threads:
            try:
                try:
                    lock.acquire(timeout=_SECONDS_BEFORE_NOTICE)
                except Timeout:
                    _LOG.warning("%s: another process writes here; waiting for it", self.place)
                    lock.acquire()
            except (OSError, NotImplementedError) as error:
                raise StoreError(
                    f"cannot lock the store ({error})",
                    where=lock.lock_file,
                    hint="choose a folder on a file system with locks, or another one with --store",
                ) from error
            try:
                yield
            finally:
                lock.release()

    def free_bytes(self) -> int | None:
        """Free bytes of the file system."""
        return shutil.disk_usage(self.path).free

    def prepare(self) -> None:
        """Create the folder and prove that a file can be written in it."""
        for name in ("manifest.json", "manifest.d", "rows", "index", "array/c"):
            self._file(name)
        if not self.path.is_dir() or not os.access(self.path, os.W_OK):
            require_writable_folder(self.path, option="--store")
