"""Centre features, and bring them to a size at which their squares are in range."""

from __future__ import annotations

import numpy as np

__all__ = ["centre_and_scale"]

_SAMPLED_ROWS = 256
#: Sizes within this many powers of two of 1 are left alone.
_HARMLESS = 24


def centre_and_scale(X: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean of the rows, and a power of two that brings the rest to a size of about 1.

    Both change no minimum: the intercept takes up the mean, and multiplying X by s divides the
    weights by s and multiplies their penalty by s squared, exactly.

    Returns:
        The mean ``[d]`` float64, rounded to the dtype of X so that subtracting it is undone
        exactly; and the factor, 1 unless squares of X would leave the range of float32.
    """
    mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype).astype(np.float64)
    sample = X[:: max(1, len(X) // _SAMPLED_ROWS)].astype(np.float64) - mean
    size = float(np.sqrt(np.mean(np.square(sample))))
    if not (np.isfinite(size) and size > 0):
        return mean, 1.0
    power = -round(float(np.log2(size)))
    return mean, 2.0**power if abs(power) > _HARMLESS else 1.0
