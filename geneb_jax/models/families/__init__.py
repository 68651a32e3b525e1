"""The architectures, one module each; see :mod:`geneb_jax.models.family` for what one defines."""

from __future__ import annotations

__all__: list[str] = []
