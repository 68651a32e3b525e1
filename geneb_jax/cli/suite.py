"""``geneb-jax suite``: make a suite of files at hand, or of a published benchmark's files."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from geneb_jax.data.layouts import ImportedSuite, ImportOptions

__all__ = ["command"]

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def command() -> None:
    """Make a suite: of task files at hand, or of a published benchmark's files."""


def _reading_options(function: Command) -> Command:
    options = (
        click.option(
            "--columns",
            multiple=True,
            metavar="ROLE=COLUMN,...",
            help="Which column is what: sequence, label, split, name, task, chromosome, start, "
            "end, strand. Usual names are known.",
        ),
        click.option(
            "--splits",
            multiple=True,
            metavar="VALUE=PART,...",
            help="What the values of the split column mean: train, test or dev.",
        ),
        click.option(
            "--dev",
            type=click.Choice(["drop", "train"]),
            default="drop",
            show_default=True,
            help="Dev (validation) rows: counted and not used, or train rows. Never test rows.",
        ),
        click.option(
            "--genome",
            type=click.Path(path_type=Path),
            help="FASTA file that stretches are cut from. Default: the one in the source.",
        ),
        click.option(
            "--labels",
            type=click.Path(path_type=Path),
            help="Table of names and labels for FASTA or BED. Default: the one beside the file.",
        ),
        click.option(
            "--test-share",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            help="Where a source has no split: this share of its sequences becomes test rows, a "
            "sequence with its repeats and its other strand on one side.",
        ),
        click.option("--name", help="The suite's name. Default: the source's."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_reading_options
def init(folder: Path, name: str | None, as_json: bool, **values: Any) -> None:
    """Write FOLDER/suite.toml for the task files that are there.

    CSV files with the columns text, label (integers) and split are used as they are. Other forms
    (columns of other names, TSV, JSON lines, parquet, FASTA with labels, train and test files,
    labels that are text) are copied to FOLDER/suite-tasks; your own files are never touched.

    \b
    Examples:
      geneb-jax suite init my_tasks
      geneb-jax suite init my_tasks --columns sequence=promoter,label=active,split=fold
      geneb-jax run --suite my_tasks -m kmer-4
    """
    from geneb_jax.cli.data import reading_progress
    from geneb_jax.data.layouts import init_suite

    with reading_progress("reading") as show:
        suite = init_suite(folder, _options(values), name=name, on_task=show)
    _say(suite, as_json=as_json)


@command.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the suite; new or empty.",
)
@_reading_options
def import_(source: Path, target: Path, name: str | None, as_json: bool, **values: Any) -> None:
    """Read a published benchmark's files from SOURCE and write them as a suite.

    Known are GUE and GUE+, the Nucleotide Transformer's tasks (parquet, FASTA), Genomic Benchmarks
    (text files, interval lists), OmniGenBench (JSON lines), the Plant Genomic Benchmark, BEND (BED
    and genome), DNALongBench's table of enhancers, and tables and FASTA files in general. The
    folder appears whole or not at all; its import.json says what was read, with digests.

    \b
    Examples:
      geneb-jax suite import GUE --to gue
      geneb-jax suite import bend/data --genome GRCh38.fa --to bend
      geneb-jax suite import table.tsv --columns sequence=seq,label=target,split=fold --to mine
      geneb-jax run --suite mine -m kmer-4
    """
    from geneb_jax.cli.data import reading_progress
    from geneb_jax.data.layouts import import_suite

    with reading_progress("reading") as show:
        suite = import_suite(source, target, _options(values), name=name, on_task=show)
    _say(suite, as_json=as_json)


def _options(values: dict[str, Any]) -> ImportOptions:
    from geneb_jax.data.layouts import ImportOptions, read_column_option, read_split_option

    return ImportOptions(
        columns=read_column_option(values["columns"]),
        splits=read_split_option(values["splits"]),
        dev=values["dev"],
        genome=values["genome"],
        labels=values["labels"],
        test_share=values["test_share"],
    )


def _say(suite: ImportedSuite, *, as_json: bool) -> None:
    from geneb_jax.cli.console import note, print_json
    from geneb_jax.data.layouts import summary

    follow = f"geneb-jax run --suite {shlex.quote(str(suite.folder))} -m kmer-4"
    if as_json:
        print_json(
            {
                "folder": str(suite.folder),
                "name": suite.name,
                "tasks": [task.as_dict() for task in suite.tasks],
                "left_out": {"/".join(one.names): one.sentence for one in suite.left_out},
                "unread": list(suite.unread),
                "next": follow,
            }
        )
        return
    first, *rest = summary(suite)
    click.echo(first)
    for line in rest:
        note(line)
    note(f"next: {follow}")
