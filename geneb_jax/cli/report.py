"""``geneb-jax report``: the HTML report, figures and tables, from runs or the published scores."""

from __future__ import annotations

from pathlib import Path

import click

from geneb_jax.cli.panel_options import (
    elsewhere_options,
    folders_argument,
    panel_options,
    read_panel,
)

__all__ = ["command"]


@click.command()
@folders_argument
@panel_options
@elsewhere_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write. Default: the run's own folder, or geneb-report for none or several.",
)
def command(
    runs: tuple[Path, ...],
    no_published: bool,
    sizes: str,
    suite: str | None,
    submissions: tuple[Path, ...],
    metric: str,
    out: Path | None,
) -> None:
    """Write report.html and figures/ (SVG, and CSV of their data).

    RUN is the output folder of a run; with none, the report is of the published models. The page is
    one file that opens from disk and asks the network for nothing.

    \b
    Examples:
      geneb-jax report
      geneb-jax report out
      geneb-jax report out-a out-b --out both
      geneb-jax report out --submissions leaderboard/submissions --metric accuracy
    """
    from geneb_jax.cli.console import link_to
    from geneb_jax.durable_files import require_writable_folder
    from geneb_jax.report import write_panel_report

    target = out or (runs[0] if len(runs) == 1 else Path("geneb-report"))
    require_writable_folder(target, option="--out")
    panel = read_panel(
        runs,
        suite=suite,
        published=not no_published,
        sizes=sizes,
        submissions=submissions,
        metric=metric,
    )
    path = write_panel_report(target, panel)
    click.echo(f"report: {path}")
    click.echo(f"open: {link_to(path)}", err=True)
