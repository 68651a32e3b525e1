"""How the MLP probe is trained."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MLPRecipe"]


@dataclass(frozen=True, slots=True)
class MLPRecipe:
    """How the probe is trained; the defaults are scikit-learn's.

    Attributes:
        hidden: Units of the hidden layer.
        learning_rate: Of Adam.
        batch_rows: Rows of a minibatch.
        l2: Penalty on the weights, divided by the rows of the minibatch.
        held_out: Share of the training rows kept for early stopping.
        patience: Epochs without gain before the stop.
        gain: Smallest rise in held-out accuracy (or fall in training loss) that counts.
        max_epochs: Most passes over the training rows.
    """

    hidden: int = 256
    learning_rate: float = 1e-3
    batch_rows: int = 200
    l2: float = 1e-4
    held_out: float = 0.1
    patience: int = 10
    gain: float = 1e-4
    max_epochs: int = 200
