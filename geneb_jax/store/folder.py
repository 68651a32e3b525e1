"""What a store asks of the place it is in: small files by name beside the array of tensorstore."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from geneb_jax.errors import StoreError

__all__ = ["ChangedMeanwhileError", "Folder", "full_or_unwritable"]


class ChangedMeanwhileError(Exception):
    """The file was replaced by somebody else since it was read."""


class Folder(ABC):
    """Small files by name, and the place of the array."""

    #: Whether :meth:`names` shows one moment, whatever is written and deleted meanwhile.
    lists_at_once = False

    def __init__(self, place: str) -> None:
        self.place = place

    @abstractmethod
    def array_kvstore(self) -> Any:
        """The key-value store of the array, as tensorstore takes it."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """A file's bytes, ``None`` where there is no such file."""

    @abstractmethod
    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file atomically and durably."""

    @abstractmethod
    def replace(self, name: str, content: bytes) -> None:
        """Write a file atomically, but only if it is still as this object last read or wrote it.

        It need not survive a power cut: what is written so says what living processes do.

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

    def is_odd(self, name: str) -> bool:
        """Whether something that is no plain file lies there, which a library would wait for."""
        return False

    def make_room(self, name: str) -> None:
        """Delete a file of the array, and what was written of it, before it is written anew."""
        self.delete(name)

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
    def open_bytes(self, name: str) -> Any:
        """A file's bytes as an array, uint8 ``[n]``, mapped where that works; None for no file."""

    @abstractmethod
    def claiming(self) -> Any:
        """As :meth:`writing`, but for the claims of work alone, which stop no commit."""

    @abstractmethod
    def writing(self) -> Any:
        """A context in which this process is the writer, as far as the place has such a thing."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Free space, ``None`` where there is no such figure."""

    @abstractmethod
    def prepare(self) -> None:
        """Create the place and prove that it can be written."""


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
