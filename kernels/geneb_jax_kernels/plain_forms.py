"""Whether kernels that bring a compiler of their own may be used where a program is traced.

A fused kernel (cuDNN's, or one of Pallas) can be refused when the program around it is compiled, on
one device and for one shape. Whoever compiles then traces anew in :func:`plain_forms`, where every
kernel takes the form that XLA compiles by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

__all__ = ["fused_kernels_allowed", "plain_forms"]

_FUSED: ContextVar[bool] = ContextVar("fused_kernels", default=True)


def fused_kernels_allowed() -> bool:
    """Whether what is being traced may use kernels that XLA does not compile by itself."""
    return _FUSED.get()


@contextmanager
def plain_forms() -> Iterator[None]:
    """Trace without fused kernels.

    JAX keeps what it traced by shapes alone, so its caches are emptied on both ways; compiled
    programs that somebody holds stay as they are.
    """
    jax.clear_caches()
    token = _FUSED.set(False)
    try:
        yield
    finally:
        _FUSED.reset(token)
        jax.clear_caches()
