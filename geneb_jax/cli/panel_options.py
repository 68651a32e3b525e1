"""What stats, report, compare and recommend share: runs, the published scores, sizes in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from geneb_jax.analysis import Panel

__all__ = [
    "SIZE",
    "elsewhere_options",
    "folders_argument",
    "panel_options",
    "read_panel",
    "regime_option",
    "suite_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e[0-9]+)?)\s*([kmb]?)", re.IGNORECASE)


class _Size(click.ParamType):  # with a type behind it from click 8.3 on
    """A number of parameters: 100M, 1.2B, 86000000, 1e8."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = _SIZE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not a number of parameters such as 100M or 1.2B", param, ctx)
        return float(found.group(1)) * _UNITS[found.group(2).lower()]


SIZE = _Size()

folders_argument = click.argument(
    "runs",
    nargs=-1,
    metavar="[RUN]...",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
suite_option = click.option(
    "--suite", help="Suite of the runs: a name or a folder. Default: the one recorded in them."
)
regime_option = click.option("--regime", default="full", show_default=True, help="Regime.")


def panel_options(command: Command) -> Command:
    """Add the options that choose whose scores count."""
    options = (
        click.option("--no-published", is_flag=True, help="Leave the published models out."),
        click.option(
            "--sizes",
            type=click.Choice(["best", "meta", "readme", "paper"]),
            default="best",
            show_default=True,
            help="Size column of the published models (docs/statistics.md).",
        ),
        suite_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def elsewhere_options(command: Command) -> Command:
    """Add the options on other people's results and on which score counts."""
    options = (
        click.option(
            "--submissions",
            multiple=True,
            metavar="DIR|FILE",
            type=click.Path(path_type=Path, exists=True),
            help="Submission files of the benchmark, or a folder of them. Repeatable.",
        ),
        click.option(
            "--metric",
            type=click.Choice(["mcc", "accuracy", "macro_f1", "auroc", "auprc", "neg_brier"]),
            default="mcc",
            show_default=True,
            help="Which score, larger being better (neg_brier: the Brier score, its sign turned). "
            "The paper's 40 models are known by MCC alone, submissions by the first three.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_panel(
    folders: Sequence[Path],
    *,
    suite: str | None,
    published: bool,
    sizes: Any = "best",
    submissions: Sequence[Path] = (),
    metric: str = "mcc",
    quiet: bool = False,
) -> Panel:
    """Read run folders and put them beside the published models; say on stderr what is amiss."""
    from geneb_jax.analysis import build_panel
    from geneb_jax.benchmark import load_suite
    from geneb_jax.cli.console import note
    from geneb_jax.results import read_run_folder, read_submissions

    found, told = read_submissions(submissions, load_suite("geneb"))
    panel = build_panel(
        [read_run_folder(folder, suite) for folder in folders],
        published=published,
        sizes=sizes,
        submissions=found,
        metric=metric,
    )
    if quiet:
        return panel
    for text in (*told, *panel.notices):
        note(text)
    if panel.suite.simulated:
        note("The tasks of this suite are simulated: its scores say nothing about real genomes.")
    return panel
