"""A population of test rows with two probes' guesses, whose MCC is known: for coverage tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["RowPopulation"]


class RowPopulation:
    """Rows of two classes: (label, first guess, second guess) with their shares.

    Args:
        share: Shares of (0, 0, 0), (0, 0, 1), (0, 1, 0) ... (1, 1, 1), adding up to one.
    """

    def __init__(self, share: Sequence[float]) -> None:
        self.share = np.array(share)
        self.kinds = np.array([(y, a, b) for y in (0, 1) for a in (0, 1) for b in (0, 1)])

    def mcc(self, guess: int) -> float:
        """The population's MCC of guess 1 or 2, from its confusion matrix."""
        cells = np.zeros((2, 2))
        np.add.at(cells, (self.kinds[:, 0], self.kinds[:, guess]), self.share)
        over = cells[0, 0] * cells[1, 1] - cells[0, 1] * cells[1, 0]
        return over / np.sqrt(np.prod(cells.sum(axis=0)) * np.prod(cells.sum(axis=1)))

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Labels, first and second guesses of a random test set: int64 ``[3, row]``."""
        return self.kinds[rng.choice(len(self.kinds), rows, p=self.share)].T
