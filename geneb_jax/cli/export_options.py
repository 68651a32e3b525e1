"""The options of vectors in files, and what an export says when it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["column_roles", "columns_option", "export_option", "say_exported"]

Command = TypeVar("Command", bound=Callable[..., Any])


def column_roles(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """A callback that reads ``sequence=seq,name=id`` pairs."""
    from geneb_jax.data.sequence_files import COLUMN_ROLES

    roles: dict[str, str] = {}
    for pair in (part for text in values for part in text.split(",") if part.strip()):
        role, mark, column = (part.strip() for part in pair.partition("="))
        if role not in COLUMN_ROLES or not mark or not column:
            raise click.BadParameter(
                f"{pair.strip()!r} is not ROLE=COLUMN with a role of {', '.join(COLUMN_ROLES)}"
            )
        roles[role] = column
    return roles


columns_option = click.option(
    "--columns",
    multiple=True,
    callback=column_roles,
    metavar="ROLE=COLUMN,...",
    help="Which columns of CSV and TSV files are the sequence, name, label and split, where their "
    "names do not say so: sequence=seq,label=target.",
)


def export_option(what: str, *, required: bool = False) -> Callable[[Command], Command]:
    """``--export FILE`` of a verb that writes ``what``."""
    return click.option(
        "--export",
        type=click.Path(path_type=Path),
        required=required,
        help=f"Write {what} to this file: .npz, .parquet or .h5ad, by its ending.",
    )


def say_exported(
    path: Path, rows: int, width: int, model: str, *, as_json: bool, more: Mapping[str, Any]
) -> None:
    """Say what was written: a line, or JSON."""
    from geneb_jax.cli.console import plain, print_json

    if as_json:
        print_json({"file": str(path), "rows": rows, "width": width, "model": model, **more})
    else:
        click.echo(plain(f"{path}: {rows:,} vectors of {width} numbers, made by {model}"))
