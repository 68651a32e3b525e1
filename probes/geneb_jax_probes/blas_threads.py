"""Keep the threads of BLAS off the cores that XLA computes on.

XLA on CPU calls LAPACK for the small blocks of a Cholesky factor, through SciPy's OpenBLAS. After
every threaded call its workers spin for tens of milliseconds, waiting for the next one, on the
cores that the following products need: a sweep of five C at (10000, 1024) took 1.6 times as long.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]

_lock = threading.Lock()
_users = 0
_limit: Any = None


@cache
def _pools() -> ThreadpoolController:
    # What XLA calls is loaded by this import; a controller sees only what is loaded.
    import scipy.linalg.cython_lapack  # noqa: F401

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS at one thread; the last of overlapping uses gives it back what it had."""
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _pools().limit(limits=1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limit.restore_original_limits()
                _limit = None
