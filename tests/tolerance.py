"""What tests compare by: the table of tolerances' type, and the error that most of it bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: (function, dtype) to the largest allowed error, from tests/tolerances.toml.
Tolerance = Callable[[str, str], float]


def relative_error(ours: Any, theirs: Any) -> float:
    """Largest difference relative to the largest magnitude of the reference, in float64."""
    reference = np.asarray(theirs, np.float64)
    return float(np.abs(np.asarray(ours, np.float64) - reference).max() / np.abs(reference).max())
