"""Made-up embeddings with the spectrum of real ones, for benches and trials of any size."""

from __future__ import annotations

import numpy as np

__all__ = ["decaying_features"]


def decaying_features(
    rows: int, width: int, classes: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features whose singular values fall like 1/k in a random basis, and labels they half explain.

    Args:
        rows: n.
        width: d.
        classes: K.
        seed: Of the draw.

    Returns:
        Features float32 ``[n, d]`` and labels int64 ``[n]``: the largest of linear logits plus
        Gumbel noise.
    """
    rng = np.random.default_rng(seed)
    rank = np.arange(1, width + 1)
    hidden = rng.standard_normal((rows, width), dtype=np.float32)
    weights = rng.standard_normal((width, classes)) * (0.2 * rank[:, None] ** -0.2)
    logits = hidden @ weights.astype(np.float32) + rng.gumbel(size=(rows, classes))
    basis = np.linalg.qr(rng.standard_normal((width, width), dtype=np.float32))[0]
    hidden *= (0.3 * np.sqrt(width) / rank).astype(np.float32)
    return hidden @ basis, np.argmax(logits, axis=1)
