"""Attention with linear biases (Press et al. 2022), in the symmetric form of encoders."""

from __future__ import annotations

import numpy as np

__all__ = ["alibi_slopes", "symmetric_alibi"]


def alibi_slopes(head_count: int) -> np.ndarray:
    """Slope of each head, float64 ``[head]``.

    For a power of two, 2^(-8/n), 2^(-16/n), ...; for other counts the slopes of the next smaller
    power of two, then every second slope of the next larger one.
    """
    power = 1 << (head_count.bit_length() - 1)
    slopes = _geometric(power)
    if power < head_count:
        slopes = np.concatenate([slopes, _geometric(2 * power)[::2][: head_count - power]])
    return slopes


def symmetric_alibi(head_count: int, length: int) -> np.ndarray:
    """What is added to the logits: -slope * |i - j|, float32 ``[1, head, length, length]``."""
    positions = np.arange(length)
    distance = np.abs(positions[:, None] - positions[None, :])
    return (-alibi_slopes(head_count)[:, None, None] * distance)[None].astype(np.float32)


def _geometric(count: int) -> np.ndarray:
    return 2.0 ** (-8.0 * np.arange(1, count + 1) / count)
