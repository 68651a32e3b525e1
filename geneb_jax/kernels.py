"""Pure array kernels; the package behind it is :mod:`geneb_jax_kernels`."""

from __future__ import annotations

from geneb_jax_kernels import *  # noqa: F403
