"""``geneb-jax bench embed``: how fast this device embeds with a model."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import click

__all__ = ["command"]

_DTYPES = ("float32", "bfloat16", "float16")


def _ranges(context: click.Context, option: click.Parameter, text: str) -> list[tuple[int, int]]:
    """``500,200-2000`` as pairs of shortest and longest."""
    found = []
    for part in text.split(","):
        shortest, _, longest = part.strip().partition("-")
        try:
            found.append((int(shortest), int(longest or shortest)))
        except ValueError:
            raise click.BadParameter(f"{part!r} is neither a length nor a range of two") from None
        if not 0 < found[-1][0] <= found[-1][1]:
            raise click.BadParameter(f"{part!r}: lengths start at 1, a range at its shorter end")
    return found


def _budgets(context: click.Context, option: click.Parameter, text: str | None) -> list[int | None]:
    if text is None:
        return [None]
    try:
        budgets = [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} is no comma list of whole numbers") from None
    if min(budgets) < 1:
        raise click.BadParameter("a batch holds at least one token")
    return list(budgets)


def _dtypes(context: click.Context, option: click.Parameter, text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in _DTYPES:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(_DTYPES)}")
    return names


@click.command()
@click.option("-m", "--model", default="tiny-nt-v2", show_default=True, help="Model id or folder.")
@click.option(
    "--weights",
    type=click.Choice(["random", "pretrained"]),
    default="random",
    show_default=True,
    help="random needs no download.",
)
@click.option("--path", type=click.Path(path_type=Path), help="Weights of the model named by id.")
@click.option(
    "--lengths",
    default="500",
    show_default=True,
    callback=_ranges,
    help="Lengths in bp, comma list; 200-2000 draws them evenly between the two.",
)
@click.option("--batch-tokens", callback=_budgets, help="Token budgets of a batch, comma list.")
@click.option(
    "--dtype", "dtypes", default="float32", show_default=True, callback=_dtypes, help="Comma list."
)
@click.option("--devices", type=click.IntRange(min=1), help="Local devices; default: all.")
@click.option("--seconds", default=3.0, show_default=True, help="Least time of a measurement.")
@click.option("--offline", is_flag=True, help="Open no network connection.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    model: str,
    weights: Any,
    path: Path | None,
    lengths: list[tuple[int, int]],
    batch_tokens: list[int | None],
    dtypes: list[str],
    devices: int | None,
    seconds: float,
    offline: bool,
    as_json: bool,
) -> None:
    """Sequences and tokens a second of a model, on random sequences.

    Each length, token budget and dtype is one measurement. Compiling is shown apart; the rates
    include tokenizing. Memory is that of the largest compiled program on one device. The share of
    the peak is shown for accelerators whose data sheet is known.

    \b
    Examples:
      geneb-jax bench embed -m DNABERT-S --lengths 500,200-2000
      geneb-jax bench embed -m nucleotide-transformer-v2-50m-multi-species \\
          --batch-tokens 16384,65536 --dtype float32,bfloat16 --json
    """
    from dataclasses import asdict

    import jax

    from geneb_jax.cli.console import print_json
    from geneb_jax.embed.throughput import measure
    from geneb_jax.models import LoadOptions, load_encoder

    found = jax.local_device_count()
    if devices is not None and devices > found:
        raise click.UsageError(f"--devices {devices}: there are {found} here")
    rows = []
    for dtype in dtypes:
        options = LoadOptions(weights=weights, path=path, dtype=dtype, offline=offline)
        encoder = load_encoder(model, options)
        rows += [
            measure(
                encoder,
                shortest_bp=shortest,
                longest_bp=longest,
                batch_tokens=budget,
                devices=devices,
                seconds=seconds,
            )
            for (shortest, longest), budget in product(lengths, batch_tokens)
        ]
    if as_json:
        device = jax.local_devices()[0].device_kind
        measured = [asdict(row) for row in rows]
        print_json(
            {
                "model_id": encoder.identity.model_id,
                "parameters": encoder.parameter_count,
                "device": device,
                "measurements": measured,
            }
        )
        return
    _print_table(rows)


def _print_table(rows: list[Any]) -> None:
    from geneb_jax.cli.console import print_table

    columns = (
        *("bp", "dtype", "devices", "batch tokens", "sequences/s", "tokens/s", "padding"),
        *("compile, s", "MiB", "GFLOP/s", "of peak"),
    )
    print_table(
        columns,
        [
            (
                _range(row.shortest_bp, row.longest_bp),
                row.dtype,
                row.devices,
                row.batch_tokens,
                f"{row.sequences_per_second:.1f}",
                _shown(row.tokens_per_second, "{:.0f}"),
                _shown(row.padding_share, "{:.1%}"),
                _shown(row.compile_seconds, "{:.2f}"),
                _shown(row.program_bytes, "{:.0f}", divided_by=2**20),
                _shown(row.flops_per_second, "{:.0f}", divided_by=1e9),
                _shown(row.utilisation, "{:.1%}"),
            )
            for row in rows
        ],
        right=columns[2:],
    )


def _range(shortest: int, longest: int) -> str:
    return str(shortest) if shortest == longest else f"{shortest}-{longest}"


def _shown(value: float | None, form: str, *, divided_by: float = 1.0) -> str | None:
    return None if value is None else form.format(value / divided_by)
