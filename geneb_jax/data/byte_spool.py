"""Bytes that grow, in memory while they are few and in an unnamed file once they are many."""

from __future__ import annotations

import mmap
import tempfile
import weakref
from typing import IO

__all__ = ["ByteSpool"]

#: Beyond this a file holds them.
_IN_MEMORY_BYTES = 32 * 2**20


class ByteSpool:
    """A stretch of bytes to append to and to read parts of, at any time, from any thread.

    What is read from the file is mapped, and given back by :meth:`forget`. The file has no name and
    ends with the process. Where there is no room for it the bytes stay in memory.

    Args:
        in_memory: So many bytes are kept without a file; 32 MiB by default.
    """

    def __init__(self, in_memory: int | None = None) -> None:
        self._limit = _IN_MEMORY_BYTES if in_memory is None else in_memory
        self._held = bytearray()
        self._size = 0
        self._file: IO[bytes] | None = None
        self._map: mmap.mmap | None = None

    def __len__(self) -> int:
        return self._size

    @property
    def on_disk(self) -> bool:
        """Whether a file holds them."""
        return self._file is not None

    def append(self, content: bytes) -> None:
        """Append bytes. One thread at a time."""
        if self._file is None and self._size + len(content) > self._limit:
            self._move_to_file()
        if self._file is not None:
            try:
                _write_all(self._file, content)
            except OSError:  # no room: a mapping that cannot be filled would end the process
                self._back_to_memory()
        if self._file is None:
            self._held += content
        self._size += len(content)

    def reader(self) -> bytearray | mmap.mmap:
        """What holds the bytes; slices of it are the bytes."""
        if self._file is None:
            return self._held
        mapped = self._map
        if mapped is None or len(mapped) != self._size:
            # One that is being read elsewhere is left to its reader.
            mapped = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
            self._map = mapped
        return mapped

    def forget(self) -> None:
        """Give back the memory of what was read from the file; it is read again when asked for."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _move_to_file(self) -> None:
        try:
            # Unbuffered: what was written can be mapped, and an error is this call's.
            file = tempfile.TemporaryFile(buffering=0)
            try:
                _write_all(file, self._held)
            except OSError:
                file.close()
                raise
        except OSError:
            self._limit = 2**62
            return
        weakref.finalize(self, file.close)
        self._file, self._held = file, bytearray()

    def _back_to_memory(self) -> None:
        assert self._file is not None
        self._file.truncate(self._size)
        self._held = bytearray(self.reader()[: self._size]) if self._size else bytearray()
        self._limit, self._map = 2**62, None
        self._file.close()
        self._file = None


def _write_all(file: IO[bytes], content: bytes | bytearray) -> None:
    """An unbuffered file may write less than it was given."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]
