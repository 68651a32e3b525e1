"""An option whose values are ours, and what installed packages add to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from geneb_jax.plugins import plug_ins

__all__ = ["OpenChoice"]


class OpenChoice(click.Choice[str]):
    """A choice that is closed only where no package adds to it; the request checks what it lets by.

    Help lists ours; ``geneb-jax list probes`` lists all.

    Args:
        choices: Ours.
        groups: Groups of entry points that may add names.
    """

    def __init__(self, choices: Sequence[str], groups: str | Sequence[str]) -> None:
        super().__init__(choices)
        self._groups = (groups,) if isinstance(groups, str) else tuple(groups)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The value, if it is ours or a package may have it."""
        if value not in self.choices and any(plug_ins(group) for group in self._groups):
            return str(value)
        return super().convert(value, param, ctx)
