"""A click group whose verbs are modules, imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """A group that knows its verbs by name and help line alone until one is used.

    Args:
        verbs: Verb -> its one line in ``--help``.
        module: Name of a verb's module, ``{}`` standing for the verb; it holds ``command``.
        arguments: Those of :class:`click.Group`.
    """

    def __init__(self, *, verbs: Mapping[str, str], module: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._verbs = verbs
        self._module = module

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order given."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command; its module is imported here."""
        if cmd_name not in self._verbs:
            return None
        module = importlib.import_module(self._module.format(cmd_name))
        verb: click.Command = module.command
        return verb

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help lines without importing a verb."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(self._verbs.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown verb, naming near ones."""
        if args and not args[0].startswith("-") and args[0] not in self._verbs:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self._verbs, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"No verb {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)
