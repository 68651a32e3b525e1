"""Batches of a torch model, and what becomes of its hidden states.

A row's last bits follow from the shape that it ran in, so shapes follow from a sequence's own
length, and batches are filled up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from geneb_jax.models.pooling import NORMALIZED

__all__ = ["pooled", "shaped_batches"]

#: Device kind -> tokens and most rows of a batch.
_BATCHES = {"cpu": (2048, 16)}
_BATCHES_ELSEWHERE = (16384, 64)
#: Lengths in an octave, as a power of two: at most an eighth of a row is padding.
_RUNGS_LOG2 = 3


def shaped_batches(
    lengths: Sequence[int], *, device: str, limit: int | None, masked: bool
) -> Iterator[tuple[list[int], int, int]]:
    """Positions of one rung, longest first, with the shape they run in: tokens and rows.

    Args:
        lengths: Tokens of each sequence; those without any are in no batch.
        device: Its kind, as torch calls it.
        limit: Longest input in tokens; None for none.
        masked: Whether the model takes a mask; without one nothing is padded.
    """
    rungs: dict[int, list[int]] = {}
    for at, length in enumerate(lengths):
        if length:
            rungs.setdefault(_rung(length, limit) if masked else length, []).append(at)
    budget, most = _BATCHES.get(device, _BATCHES_ELSEWHERE)
    for rung in sorted(rungs, reverse=True):
        count = min(max(budget // rung, 1), most)
        for first in range(0, len(rungs[rung]), count):
            yield rungs[rung][first : first + count], rung, count


def _rung(length: int, limit: int | None) -> int:
    """The length that a sequence of so many tokens is padded to."""
    step = 1 << max(length.bit_length() - 1 - _RUNGS_LOG2, 0)
    rung = -(-length // step) * step
    return max(length, min(rung, limit or rung))


def pooled(name: str, hidden: Any, mask: Any, lengths: Any) -> Any:
    """Hidden states ``[row, token, width]`` as ``[row, width]``.

    Args:
        name: The pooling.
        hidden: A tensor.
        mask: Bool ``[row, token]``, on the same device.
        lengths: Tokens of each row.
    """
    import torch

    if name.endswith(NORMALIZED):
        rows = pooled(name.removesuffix(NORMALIZED), hidden, mask, lengths)
        return torch.nn.functional.normalize(rows, dim=1)
    if name == "mean":
        return (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
    if name == "max":
        return hidden.masked_fill(~mask[:, :, None], -torch.inf).amax(1)
    offset = {"cls": lengths, "last": 1, "penultimate": 2}[name]
    index = lengths - offset
    rows = hidden[torch.arange(len(lengths)), index.clamp(min=0)]
    return rows * (index >= 0)[:, None].to(rows)
