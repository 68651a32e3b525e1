"""Sequences longer than the context, as the mean over windows.

A window is a piece of the text, embedded as any text is: its row's bits depend on it and the
identity alone. So this works for whatever embeds texts, and for rows of any shape.

- A text of at most ``size`` letters that the context holds is one window: its row is what it would
  be without the policy, to the bit.
- Of a longer one, windows of ``size`` letters begin every ``stride`` letters; the last one is moved
  back so that it ends with the text and has ``size`` letters too (as SpliceBERT's published
  extractor does it). No letter is left out.
- A window with more tokens than the context holds (letters that take a token each, a stretch that
  BPE knows no words for) is made shorter until it fits; the next one begins where it ends or
  earlier.
- The rows are averaged in float64, in the order of the text, each with the weight of its tokens
  (letters, where a model does not show its tokens). For mean pooling that is the mean over all
  token vectors of all windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.models.encoder import Encoder

__all__ = ["WindowBlock", "mean_over_windows", "window_blocks", "window_starts"]

#: Letters of the windows that are embedded together: a megabase streams through in a few of these.
_BLOCK_LETTERS = 1 << 21
_NORMALIZED = "+normalize"


@dataclass(frozen=True, slots=True, eq=False)
class WindowBlock:
    """Windows that are embedded together; a sequence's may go on in the next block.

    Attributes:
        owners: Which text each is of, int64 ``[w]``, ascending.
        spans: First letter and the one behind the last, int64 ``[w, 2]``.
        texts: The windows.
        tokens: Their tokens; their letters where the model does not show tokens. int64 ``[w]``.
        unknown_tokens: Tokens that the vocabulary does not know; None where nobody says which.
        unknown_bp: Unknown letters, of windows that are a whole text; -1 of all others.
    """

    owners: np.ndarray
    spans: np.ndarray
    texts: tuple[str, ...]
    tokens: np.ndarray
    unknown_tokens: np.ndarray | None
    unknown_bp: np.ndarray


@dataclass(frozen=True, slots=True)
class _Window:
    owner: int
    start: int
    stop: int
    tokens: int
    unknown_tokens: int | None
    unknown_bp: int = -1


def window_starts(length: int, size: int, stride: int, *, first: int = 0) -> range | list[int]:
    """First letters of windows that cover ``length`` letters from ``first`` on."""
    if length - first <= size:
        return [first]
    starts = list(range(first, length - size + 1, stride))
    if starts[-1] != length - size:
        starts.append(length - size)
    return starts


def window_blocks(encoder: Encoder, texts: Sequence[str]) -> Iterator[WindowBlock]:
    """Cut texts into windows under the encoder's policy, a block at a time.

    Args:
        encoder: Its ``overlong`` is of windows, with a settled size.
        texts: The sequences.
    """
    held: list[_Window] = []
    letters = 0
    for window in _windows(encoder, texts):
        held.append(window)
        letters += window.stop - window.start
        if letters >= _BLOCK_LETTERS:
            yield _block(texts, held)
            held, letters = [], 0
    if held:
        yield _block(texts, held)


def _block(texts: Sequence[str], windows: Sequence[_Window]) -> WindowBlock:
    known = windows[0].unknown_tokens is not None
    return WindowBlock(
        owners=np.array([one.owner for one in windows], np.int64),
        spans=np.array([(one.start, one.stop) for one in windows], np.int64),
        texts=tuple(texts[one.owner][one.start : one.stop] for one in windows),
        tokens=np.array([one.tokens for one in windows], np.int64),
        unknown_tokens=np.array([one.unknown_tokens for one in windows], np.int64)
        if known
        else None,
        unknown_bp=np.array([one.unknown_bp for one in windows], np.int64),
    )


def _windows(encoder: Encoder, texts: Sequence[str]) -> Iterator[_Window]:
    """The windows of all texts, in order; texts that fit are looked at many at a time."""
    size = encoder.overlong.size
    assert size is not None
    first = 0
    while first < len(texts):
        last, letters = first, 0
        while last < len(texts) and letters < _BLOCK_LETTERS and len(texts[last]) <= size:
            letters += len(texts[last])
            last += 1
        if last == first:
            yield from _long(encoder, texts[first], first)
            first += 1
            continue
        short = texts[first:last]
        counts = encoder.counts_of(short)
        for at, text in enumerate(short):
            if counts is None:
                yield _Window(first + at, 0, len(text), len(text), None)
            elif counts.cut_bp[at]:
                yield from _long(encoder, text, first + at)
            else:
                unknown = None if counts.unknown_tokens is None else int(counts.unknown_tokens[at])
                yield _Window(
                    first + at,
                    0,
                    len(text),
                    int(counts.tokens[at]),
                    unknown,
                    int(counts.unknown_bp[at]),
                )
        first = last


def _long(encoder: Encoder, text: str, owner: int) -> Iterator[_Window]:
    """The windows of one text that is longer than a window or the context."""
    size, stride = encoder.overlong.size, encoder.overlong.stride
    assert size is not None and stride is not None
    most = max(1, _BLOCK_LETTERS // size)
    # Windows that are tokenized ahead: in vain where one of them is shortened, so few at first.
    ahead, first = 1, 0
    while True:
        starts = window_starts(len(text), size, stride, first=first)
        again, begin = None, 0
        while begin < len(starts) and again is None:
            some = starts[begin : begin + ahead]
            begin, ahead = begin + ahead, min(2 * ahead, most)
            spans = [(start, min(start + size, len(text))) for start in some]
            for span, window in zip(spans, _counted(encoder, text, owner, spans), strict=True):
                if window is not None:
                    yield window
                    continue
                shorter = _shortened(encoder, text, owner, *span)
                yield shorter
                if shorter.stop == len(text):
                    return
                again, ahead = shorter, 1
                break
        if again is None:
            return
        first = again.start + min(stride, again.stop - again.start)
        anchored = len(text) - size
        if again.start < anchored < first:
            first = anchored


def _counted(
    encoder: Encoder, text: str, owner: int, spans: Sequence[tuple[int, int]]
) -> list[_Window | None]:
    """Windows with their tokens; None for one that the context does not hold."""
    counts = encoder.counts_of([text[start:stop] for start, stop in spans])
    if counts is None:
        return [_Window(owner, start, stop, stop - start, None) for start, stop in spans]
    return [
        None
        if counts.cut_bp[at]
        else _Window(
            owner,
            start,
            stop,
            int(counts.tokens[at]),
            None if counts.unknown_tokens is None else int(counts.unknown_tokens[at]),
        )
        for at, (start, stop) in enumerate(spans)
    ]


def _shortened(encoder: Encoder, text: str, owner: int, start: int, stop: int) -> _Window:
    """The window cut on the right until the context holds it; a letter remains."""
    while True:
        counts = encoder.counts_of([text[start:stop]])
        assert counts is not None
        cut = int(counts.cut_bp[0])
        if not cut or stop - start <= 1:
            unknown = None if counts.unknown_tokens is None else int(counts.unknown_tokens[0])
            return _Window(owner, start, stop, int(counts.tokens[0]), unknown)
        stop = max(start + 1, stop - cut)


def mean_over_windows(
    encoder: Encoder,
    texts: Sequence[str],
    rows_of: Callable[[tuple[str, ...]], np.ndarray],
    *,
    done: Callable[[int, int], None] = lambda sequences, bp: None,
    seen: Callable[[WindowBlock], None] = lambda block: None,
) -> np.ndarray:
    """Embed texts in windows.

    Args:
        encoder: Its policy, and who counts tokens.
        texts: The sequences.
        rows_of: Embeds some texts: float32 ``[text, ...]``; NaN or infinity where it cannot.
        done: Called with (sequences, letters) that are finished.
        seen: Called with each block, for whoever counts.

    Returns:
        float32 ``[len(texts), ...]``.
    """
    unit_length = _of_unit_length(encoder)
    rows = np.empty((len(texts), encoder.width), np.float32)
    total = _Total()
    for block in window_blocks(encoder, texts):
        part = rows_of(block.texts)
        if part.shape[1:] != rows.shape[1:]:
            rows = np.empty((len(texts), *part.shape[1:]), np.float32)
        seen(block)
        finished = 0
        for at, owner in enumerate(block.owners.tolist()):
            if owner != total.owner:
                finished += total.write(rows, unit_length)
                total = _Total(owner)
            total.add(part[at], int(block.tokens[at]))
        done(finished, _new_letters(block))
    done(total.write(rows, unit_length), 0)
    return rows


def _of_unit_length(encoder: Encoder) -> list[slice]:
    """Columns of those vectors of a row that have length one each."""
    found, first = [], 0
    for pooling, width in encoder.vectors:
        if pooling.endswith(_NORMALIZED):
            found.append(slice(first, first + width))
        first += width
    return found


def _new_letters(block: WindowBlock) -> int:
    """Letters of a block that no earlier window of it has; overlaps between blocks count twice."""
    same = block.owners[1:] == block.owners[:-1]
    before = np.where(same, block.spans[:-1, 1], 0)
    begins = np.maximum(block.spans[1:, 0], before)
    return int((block.spans[1:, 1] - begins).sum() + block.spans[0, 1] - block.spans[0, 0])


class _Total:
    """The weighted sum of one sequence's windows so far."""

    def __init__(self, owner: int = -1) -> None:
        self.owner = owner
        self._count = self._weight = 0
        self._only = self._sum = np.zeros(0)

    def add(self, row: np.ndarray, tokens: int) -> None:
        """The next window."""
        if not self._count:
            self._only, self._sum = row.copy(), row.astype(np.float64) * tokens
        else:
            self._sum += row.astype(np.float64) * tokens
        self._count += 1
        self._weight += tokens

    def write(self, rows: np.ndarray, unit_length: Sequence[slice]) -> int:
        """Put the mean in its place; the number of sequences that this finished."""
        if self.owner < 0:
            return 0
        if self._count == 1:
            rows[self.owner] = self._only
            return 1
        mean = self._sum / max(self._weight, 1)
        for columns in unit_length:
            part = mean[..., columns]
            length = np.sqrt((part * part).sum(axis=-1, keepdims=True))
            mean[..., columns] = part / np.maximum(length, 1e-12)
        rows[self.owner] = mean
        return 1
