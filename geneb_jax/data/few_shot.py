"""Draw the rows of a few-shot regime, index for index as the reference harness does."""

from __future__ import annotations

import numpy as np

__all__ = ["few_shot_rows"]


def few_shot_rows(labels: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Row numbers of a ``shots``-shot training set.

    The recipe: with ``numpy.random.RandomState(seed)``, for each class of ``numpy.unique(labels)``
    in order, ``choice(rows of that class, size=min(shots, count), replace=False)``; concatenated. A
    class with fewer rows than ``shots`` gives all of them, shuffled. NumPy freezes this generator's
    stream (NEP 19), so the draw is the same with every NumPy version.

    Args:
        labels: Training labels, any dtype that sorts, ``[n]``.
        shots: Rows a class, at least 1.
        seed: Seed of the draw, 0 to 2**32 - 1.

    Returns:
        int64 row numbers into ``labels``, class after class in sorted order, in the drawn order.

    Raises:
        ValueError: if ``shots`` is below 1 or ``labels`` is not one-dimensional.
    """
    if shots < 1:
        raise ValueError(f"shots must be at least 1, not {shots}")
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must have one dimension, not {labels.ndim}")
    generator = np.random.RandomState(seed)
    drawn = [np.empty(0, dtype=np.int64)]
    for label in np.unique(labels):
        rows = np.where(labels == label)[0]
        drawn.append(generator.choice(rows, size=min(shots, len(rows)), replace=False))
    return np.concatenate(drawn).astype(np.int64, copy=False)
