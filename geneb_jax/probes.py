"""Probes on frozen features; the package behind it is :mod:`geneb_jax_probes`."""

from __future__ import annotations

from geneb_jax_probes import *  # noqa: F403
from geneb_jax_probes import __all__ as __all__
