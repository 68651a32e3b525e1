"""Many texts in one stretch of bytes: a million sequences need not be a million objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap
from typing import Any, overload

import numpy as np

from geneb_jax.data.byte_spool import ByteSpool

__all__ = ["TextBuffer", "text_lengths", "texts_at"]


#: Of the file, read at a time and given back.
_WINDOW_BYTES = 8 * 2**20
#: Texts whose pages are left to the next one who asks.
_FEW = 64


class TextBuffer(Sequence[str]):
    """A sequence of texts, each made when it is asked for.

    Costs the letters, in memory or in a file (:class:`ByteSpool`), and 8 bytes of memory a text; a
    ``str`` of Python costs 57 bytes more than its letters.

    Args:
        texts: The texts, taken one after the other.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = ByteSpool()
        self._ends: list[np.ndarray] = [np.zeros(1, np.int64)]
        self._letters: list[np.ndarray] | None = None
        self.extend(list(texts))

    def extend(self, texts: Sequence[str]) -> None:
        """Append texts."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        joined = "".join(texts).encode("utf-8", "surrogatepass")
        sizes = lengths
        if len(joined) != int(lengths.sum()):
            self._letters = self._letters or [self._sizes()]
            sizes = np.fromiter(
                (len(text.encode("utf-8", "surrogatepass")) for text in texts), np.int64, len(texts)
            )
        if self._letters is not None:
            self._letters.append(lengths)
        self._ends.append(np.cumsum(sizes) + len(self._bytes))
        self._bytes.append(joined)

    def _joined(self) -> np.ndarray:
        """Where texts end, int64 ``[n + 1]``, the first one 0."""
        if len(self._ends) > 1:
            self._ends[:] = [np.concatenate(self._ends)]
        return self._ends[0]

    def _sizes(self) -> np.ndarray:
        return np.diff(self._joined())

    @property
    def lengths(self) -> np.ndarray:
        """Letters of each text, int64 ``[n]``."""
        return self._sizes() if self._letters is None else np.concatenate(self._letters)

    def __len__(self) -> int:
        return len(self._joined()) - 1

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        """A text, or a tuple of texts."""
        rows = range(len(self))[at]  # negative ones count from the end; beyond it is an error
        if isinstance(rows, range):
            return self.take(np.array(rows, np.int64))
        return self.take(np.array([rows], np.int64))[0]

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), 4096):
            yield from self[first : first + 4096]

    def take(self, positions: np.ndarray) -> tuple[str, ...]:
        """The texts at these positions, int64 ``[m]``."""
        ends, buffer = self._joined(), self._bytes.reader()
        firsts, lasts = ends[positions], ends[positions + 1]
        if not self._bytes.on_disk:
            return tuple(_texts(buffer, firsts, lasts))
        # In the order of the file, and never more of it in memory than a window.
        order = np.argsort(firsts, kind="stable")
        firsts, lasts = firsts[order], lasts[order]
        windows = np.flatnonzero(np.diff(firsts // _WINDOW_BYTES)) + 1
        found: list[str] = []
        for some in np.split(np.arange(len(order)), windows):
            found += _texts(buffer, firsts[some], lasts[some])
            if len(windows) or len(some) > _FEW:
                self._bytes.forget()
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return tuple(map(found.__getitem__, place.tolist()))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TextBuffer):
            same = np.array_equal(self._joined(), other._joined())
            return same and self._bytes.reader()[:] == other._bytes.reader()[:]
        return isinstance(other, tuple) and tuple(self) == other

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        content = bytes(self._bytes.reader()[:])
        return _restored, (content, self._joined(), self._letters and self.lengths)


def _texts(buffer: bytearray | mmap, firsts: np.ndarray, lasts: np.ndarray) -> list[str]:
    spans = zip(firsts.tolist(), lasts.tolist(), strict=True)
    return [buffer[first:last].decode("utf-8", "surrogatepass") for first, last in spans]


def _restored(content: bytes, ends: np.ndarray, letters: np.ndarray | None) -> TextBuffer:
    buffer = TextBuffer()
    buffer._bytes.append(content)
    buffer._ends = [ends]
    buffer._letters = None if letters is None else [letters]
    return buffer


def text_lengths(texts: Sequence[str]) -> np.ndarray:
    """Letters of each text, int64 ``[n]``."""
    if isinstance(texts, TextBuffer):
        return texts.lengths
    return np.fromiter(map(len, texts), np.int64, len(texts))


def texts_at(texts: Sequence[str], positions: np.ndarray) -> tuple[str, ...]:
    """The texts at these positions, int64 ``[m]``."""
    if isinstance(texts, TextBuffer):
        return texts.take(positions)
    return tuple(texts[at] for at in positions.tolist())
