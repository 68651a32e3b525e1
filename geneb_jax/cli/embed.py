"""``geneb-jax embed``: the first half of run, or the user's own sequences as named vectors."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from geneb_jax.cli.export_options import columns_option, export_option, say_exported
from geneb_jax.cli.run_options import (
    embedding_options,
    make_request,
    part_option,
    place_options,
    scheduler_option,
    task_options,
)

if TYPE_CHECKING:
    from geneb_jax.embed import EmbedReport
    from geneb_jax.runs.request import RunRequest

__all__ = ["command"]

#: What embeds files when no model is named: it needs no download.
_USUAL_MODEL = "kmer-4"


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@export_option("named vectors")
@columns_option
@task_options
@embedding_options
@place_options
@part_option
@scheduler_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(
    context: click.Context,
    /,
    files: tuple[Path, ...],
    export: Path | None,
    columns: dict[str, str],
    as_json: bool,
    **values: Any,
) -> int:
    """Embed sequences: of your own FILES into one file of vectors, or of tasks into the store.

    FILES are FASTA, CSV, TSV or text with a sequence a line, also .gz. --export X.npz, X.parquet
    or X.h5ad then holds their vectors in order, with names, labels where there are any, and what
    made them. Without FILES: the distinct sequences of the chosen tasks go into the store.

    Nothing is embedded twice; the same command continues a killed one.

    \b
    Examples:
      geneb-jax embed -m kmer-6 seqs.fa --export seqs.parquet
      geneb-jax embed -m checkpoints/my-model table.csv --columns sequence=seq --export x.h5ad
      geneb-jax embed -m kmer-6 --data-dir tasks/ --store embeddings/
    """
    if files:
        return _embed_files(context, files, export, columns, values, as_json=as_json)
    if columns:
        raise click.UsageError("--columns is about FILES, and none is named.")
    return _embed_tasks(make_request(context, values), export, as_json=as_json)


def _embed_files(
    context: click.Context,
    files: tuple[Path, ...],
    export: Path | None,
    columns: dict[str, str],
    values: dict[str, Any],
    *,
    as_json: bool,
) -> int:
    for option in ("data_dir", "suite", "task", "out"):
        if context.get_parameter_source(option) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"--{option.replace('_', '-')} is about tasks, and files of sequences are named: "
                "give one or the other."
            )
    if values["part"] is not None:
        raise click.UsageError(
            "--part divides the sequences of tasks, and files of sequences are named: leave it "
            "away, or embed each file by itself into an --export of its own."
        )
    if values["scheduler"] is not None:
        raise click.UsageError(
            "--scheduler divides the sequences of tasks, and files of sequences are named: leave "
            "it away."
        )
    if export is None:
        raise click.UsageError(
            "say where the vectors go: --export X.npz, X.parquet or X.h5ad, by its ending."
        )
    named = values["model"] or values.get("config")
    request = make_request(context, values, extra=None if named else {"model": [_USUAL_MODEL]})
    _require_one_embedding(request)

    from geneb_jax.cli.console import note
    from geneb_jax.cli.progress import ConsoleObserver
    from geneb_jax.data import list_sequences
    from geneb_jax.places import store_folder
    from geneb_jax.runs.compiled_programs import keep_compiled_programs
    from geneb_jax.runs.encoder_facts import require_known_models
    from geneb_jax.runs.vector_export import export_files
    from geneb_jax.runs.work import encoder_source
    from geneb_jax.vectors import check_export_path

    require_known_models(request.model)
    check_export_path(export)
    if not named:
        note(f"no model is named: {_USUAL_MODEL} it is; -m MODEL takes another one")
    listed = list_sequences(files, columns)
    keep_compiled_programs()
    source = encoder_source(request, request.model[0])
    root = request.store or str(store_folder())
    with ConsoleObserver() as observer:
        report = export_files(source, root, listed, columns, export, observer)
    for sentence in _said_of(report, len(listed)):
        note(sentence)
    width = source.load().width
    more = {"report": asdict(report), "columns": list(listed.columns)}
    say_exported(export, len(listed), width, report.model_id, as_json=as_json, more=more)
    return 0


def _require_one_embedding(request: RunRequest) -> None:
    if len(request.model) > 1:
        raise click.UsageError(
            f"a file of vectors is of one model, and {len(request.model)} are named: export them "
            "one by one."
        )
    if request.many_variants:
        raise click.UsageError(
            "a file of vectors is of one layer and one pooling, and several are asked for: embed "
            "the tasks without --export first, then export one by one; nothing is embedded twice."
        )


def _said_of(report: EmbedReport, total: int) -> list[str]:
    """Sentences on what the model did not take of the sequences, and how it read long ones."""
    from geneb_jax.embed.first_look import cut_off, in_windows, other_letters

    said = (cut_off(report, total), in_windows(report, total), other_letters(report, total))
    return [sentence for sentence in said if sentence is not None]


def _embed_tasks(request: RunRequest, export: Path | None, *, as_json: bool) -> int:
    from geneb_jax.cli.console import note, print_json, print_table
    from geneb_jax.cli.progress import ConsoleObserver
    from geneb_jax.runs.compiled_programs import keep_compiled_programs
    from geneb_jax.runs.embed_stage import anything_missing, embed_models
    from geneb_jax.runs.executors import Executor, SerialExecutor, open_executor, prepare_driver
    from geneb_jax.runs.vector_export import export_tasks
    from geneb_jax.runs.work import plan_work
    from geneb_jax.vectors import check_export_path

    if export is not None:
        check_export_path(export)
        _require_one_embedding(request)
    prepare_driver(request)
    keep_compiled_programs()
    reports: dict[str, dict[str, Any]] = {}
    exported: tuple[int, int] | None = None
    with ExitStack() as stack:
        observer = stack.enter_context(ConsoleObserver())
        work = plan_work(request, observer)
        executor: Executor = SerialExecutor()
        if request.scheduler is not None and anything_missing(work, observer):
            executor = stack.enter_context(open_executor(request, observer))
        failed = dict(work.problems)
        for group in work.groups:
            done = embed_models(work, group, observer, executor)
            for model, embedded in zip(group, done, strict=True):
                failed |= {task.task_id: why for task, why in embedded.unusable.items()}
                if export is not None and not embedded.unusable:
                    rows = export_tasks(work, model, export, observer)
                    exported = rows, model.reference.width
                reports[model.facts.label] = asdict(embedded.report)
            group[0].reference.release()
    failed |= {task.task_id: why for task, why in work.tables.failures.items()}
    if as_json:
        written = {"file": str(export), "rows": exported[0]} if exported else {}
        print_json({"models": reports, "problems": failed, **written})
    else:
        columns = ("embedded", "reused", "tokens", "padding_share", "seconds")
        print_table(
            ("model", *columns),
            [
                (name, *(_cell(report.get(column)) for column in columns))
                for name, report in reports.items()
            ],
            right=columns,
        )
    for label, report in reports.items():
        if report["left_to_others"]:
            note(
                f"{label}: {report['left_to_others']:,} sequences are in the hands of other parts. "
                "If one was lost, run any part again."
            )
        if exported is not None and export is not None:
            say_exported(export, *exported, next(iter(reports)), as_json=False, more={})
    for what, why in failed.items():
        note(f"failed: {what}: {why}")
    return 1 if failed else 0


def _cell(value: object) -> object:
    return f"{value:.3g}" if isinstance(value, float) else value
