"""``geneb-jax store``: what is stored, whether it is whole, what may go, and the way out."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.export_options import export_option, say_exported
from geneb_jax.cli.run_options import (
    embedding_options,
    make_request,
    place_options,
    task_options,
)

if TYPE_CHECKING:
    from geneb_jax.store import StoreEntry

__all__ = ["command"]

_store_option = click.option("--store", help="Folder or URL. Default: the user's cache.")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def command() -> None:
    """List, verify, export, compact and prune stored embeddings."""


def _root(store: str | None) -> str:
    from geneb_jax.places import store_folder

    return store or str(store_folder())


def _entries(root: str, patterns: tuple[str, ...]) -> list[StoreEntry]:
    """The stores whose model id or folder name matches a pattern; all without patterns."""
    from geneb_jax.errors import SelectionError
    from geneb_jax.places import store_folder
    from geneb_jax.store import list_stores

    if "://" not in root and not Path(root).expanduser().is_dir() and Path(root) != store_folder():
        raise SelectionError(
            "there is no such folder of stored embeddings",
            where=root,
            hint="check --store; without it, the user's cache is meant",
        )
    entries = list_stores(root)
    chosen = [
        entry
        for entry in entries
        if not patterns
        or any(
            fnmatch.fnmatchcase(name, pattern)
            for pattern in patterns
            for name in (
                entry.name,
                entry.contents.manifest.identity.model_id if entry.contents else "",
            )
        )
    ]
    if patterns and not chosen:
        unread = [entry for entry in entries if entry.contents is None]
        raise SelectionError(
            f"no stored embeddings match {', '.join(patterns)}",
            where=root,
            cause=f"{len(unread)} of {len(entries)} stores there cannot be read, so nobody knows "
            f"whose they are, such as {unread[0].name}: {unread[0].problem}"
            if unread
            else None,
            hint="see: geneb-jax store list",
        )
    return chosen


def _model_id(entry: StoreEntry) -> str:
    return entry.contents.manifest.identity.model_id if entry.contents else ""


@command.command("list")
@_store_option
@_json_option
def list_command(store: str | None, as_json: bool) -> int:
    """Models, rows and bytes of every store; exit code 1 if one cannot be read.

    \b
    Example:
      geneb-jax store list --store embeddings/
    """
    from geneb_jax.cli.console import print_json, print_table

    root = _root(store)
    facts = [_facts(entry) for entry in _entries(root, ())]
    unread = any(fact["problem"] for fact in facts)
    if as_json:
        print_json({"root": root, "stores": facts})
        return int(unread)
    columns = ("model_id", "revision", "pooling", "layer", "dtype", "rows", "width", "bytes")
    print_table(
        (*columns, "store", "note"),
        [
            (*(fact[column] for column in columns), fact["store"], fact["problem"] or _note(fact))
            for fact in facts
        ],
        right=("layer", "rows", "width", "bytes"),
    )
    return int(unread)


def _facts(entry: StoreEntry) -> dict[str, Any]:
    contents = entry.contents
    identity = contents.manifest.identity.as_dict() if contents else {}
    shown = ("model_id", "revision", "pooling", "layer", "dtype")
    return {
        **{name: identity.get(name) for name in shown},
        "rows": contents.row_count if contents else None,
        "width": contents.manifest.width if contents else None,
        "bytes": entry.size_bytes,
        "quarantined_rows": sum(gone.rows for gone in contents.quarantined.values())
        if contents
        else None,
        "store": entry.name,
        "problem": entry.problem,
    }


def _note(fact: dict[str, Any]) -> str:
    rows = fact["quarantined_rows"]
    return f"{rows} rows were quarantined" if rows else ""


@command.command()
@task_options
@embedding_options
@place_options
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="Also embed this many stored sequences of the tasks again and compare; needs -m.",
)
@_json_option
@click.pass_context
def verify(context: click.Context, /, sample: int | None, as_json: bool, **values: Any) -> int:
    """Read every stored row and check it; damaged shards are put in quarantine.

    With --sample, models named with -m embed some of the tasks' sequences again, and the numbers
    are compared with the stored ones.

    \b
    Examples:
      geneb-jax store verify
      geneb-jax store verify -m kmer-4 --data-dir tasks/ --sample 100
    """
    from geneb_jax.cli.console import print_json, print_table
    from geneb_jax.errors import StoreError
    from geneb_jax.store import EmbeddingStore

    root = _root(values["store"])
    if sample is not None and not values["model"]:
        raise click.UsageError("--sample needs the models: -m MODEL, with --data-dir or --suite.")
    rows: list[tuple[str, int | None, str]] = []
    for entry in _entries(root, () if sample is not None else tuple(values["model"])):
        if entry.contents is None:
            rows.append((entry.name, None, entry.problem))
            continue
        try:
            manifest = entry.contents.manifest
            store = EmbeddingStore.open(root, manifest.identity, manifest.width)
            problems = store.verify()
            rows.append((entry.name, len(store), "; ".join(problems) or "ok"))
        except StoreError as error:
            rows.append((entry.name, None, error.message))
    if sample is not None:
        rows += _spot_checks(context, values, sample)
    if as_json:
        names = ("store", "rows", "outcome")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(("store", "rows", "outcome"), rows, right=("rows",))
    return 0 if all(row[2].startswith("ok") for row in rows) else 1


def _spot_checks(
    context: click.Context, values: dict[str, Any], sample: int
) -> list[tuple[str, int | None, str]]:
    """Embed stored sequences again with each model, and say how far the numbers are apart."""
    request = make_request(context, values)

    from geneb_jax.embed import open_store, spot_check
    from geneb_jax.runs.task_choice import TaskTables, choose_tasks
    from geneb_jax.runs.work import encoder_source, load_variants

    sequences = TaskTables(choose_tasks(request)).read().sequences
    outcomes: list[tuple[str, int | None, str]] = []
    loaded = (
        (name, encoder)
        for name in request.model
        for _, encoder in load_variants(request, encoder_source(request, name))
    )
    for name, encoder in loaded:
        store = open_store(_root(request.store), encoder)
        found = spot_check(
            store, encoder, sequences, sample=sample, batch_tokens=request.batch_tokens
        )
        if not found.checked:
            outcome = "nothing of these tasks is stored"
        elif found.passed:
            outcome = f"ok, embedded again: largest relative error {found.largest_error:.1e}"
        else:
            outcome = (
                f"embedded again: relative error {found.largest_error:.1e} is more than "
                f"{found.allowed:.0e}, worst at {found.worst_sequence[:40]}"
            )
        said = f"{name} @layer {encoder.identity.layer} {encoder.identity.pooling}"
        outcomes.append((said if request.many_variants else name, found.checked, outcome))
    return outcomes


@command.command()
@_store_option
@click.option("-m", "--model", multiple=True, help="The model, or the store's name (glob).")
@export_option("the vectors", required=True)
@_json_option
def export(store: str | None, model: tuple[str, ...], export: Path, as_json: bool) -> int:
    """Write a whole store as a file of vectors.

    A store knows no sequences and no names: each vector is named by the digest of its sequence
    (BLAKE2b of 16 bytes, hexadecimal). With names and labels: geneb-jax embed ... --export.

    \b
    Example:
      geneb-jax store export -m kmer-4 --export kmer-4.parquet
    """
    from geneb_jax.errors import SelectionError
    from geneb_jax.vectors import check_export_path

    check_export_path(export)
    root = _root(store)
    chosen = _entries(root, model)
    if len(chosen) != 1:
        names = ", ".join(entry.name for entry in chosen[:6]) + (" ..." if chosen[6:] else "")
        raise SelectionError(
            f"{len(chosen)} stores are meant, and a file of vectors is of one",
            where=root,
            cause=f"they are {names}" if chosen else "nothing was embedded into it yet",
            hint="name one: -m STORE" if chosen else "see: geneb-jax embed --help",
        )
    entry = chosen[0]
    if entry.contents is None:
        raise SelectionError(entry.problem, where=entry.name, hint="see: geneb-jax store verify")

    from geneb_jax.runs.vector_export import export_store
    from geneb_jax.store import EmbeddingStore

    identity, width = entry.contents.manifest.identity, entry.contents.manifest.width
    opened = EmbeddingStore.open(root, identity, width, read_only=True)
    if not len(opened):
        raise SelectionError(
            "the store holds no vectors", where=entry.name, hint="see: geneb-jax embed --help"
        )
    rows = export_store(opened, export)
    say_exported(
        export, rows, width, identity.model_id, as_json=as_json, more={"store": entry.name}
    )
    return 0


@command.command()
@_store_option
@click.option("-m", "--model", multiple=True, help="Only the stores of these models (glob).")
@_json_option
def compact(store: str | None, model: tuple[str, ...], as_json: bool) -> int:
    """Merge small shards and what the manifest says of them: fewer files, opened faster.

    Every row that is moved is checked. Killed in the middle, it loses nothing; other processes may
    read and write meanwhile. Exit code 1 if a store cannot be read.

    \b
    Examples:
      geneb-jax store compact
      geneb-jax store compact -m 'kmer-*' --store s3://bucket/embeddings
    """
    from geneb_jax.cli.console import print_json, print_table
    from geneb_jax.store import EmbeddingStore

    root = _root(store)
    columns = ("store", "rows", "shards_before", "shards_after", "deleted_files", "problem")
    done: list[tuple[str, int | None, int | None, int | None, int | None, str]] = []
    for entry in _entries(root, model):
        if entry.contents is None:
            done.append((entry.name, None, None, None, None, entry.problem))
            continue
        manifest = entry.contents.manifest
        found = EmbeddingStore.open(root, manifest.identity, manifest.width).compact()
        counts = (found.rows, found.shards_before, found.shards_after, found.deleted_files)
        done.append((entry.name, *counts, ""))
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in done])
    else:
        print_table(columns, done, right=columns[1:5])
    return int(any(problem for *_, problem in done))


@command.command()
@_store_option
@click.option("-m", "--model", multiple=True, help="Delete the stores of these models (glob).")
@click.option("--damaged", is_flag=True, help="Delete stores whose manifest cannot be read.")
@click.option("--dry-run", is_flag=True, help="Say what would go, delete nothing.")
@_json_option
def prune(
    store: str | None, model: tuple[str, ...], damaged: bool, dry_run: bool, as_json: bool
) -> None:
    """Delete what is not needed: quarantined shards and remnants of killed writers.

    Whole stores go only when they are named with -m, or are unreadable and --damaged is given.

    \b
    Examples:
      geneb-jax store prune --dry-run
      geneb-jax store prune -m 'kmer-*'
    """
    from geneb_jax.cli.console import print_json, print_table
    from geneb_jax.store import delete_store, prune_remnants

    root = _root(store)
    gone: list[tuple[str, str]] = []
    for entry in _entries(root, model):
        if model or (damaged and entry.contents is None):
            gone.append((entry.name, "the whole store"))
            if not dry_run:
                delete_store(root, entry)
        else:
            gone += [(entry.name, name) for name in prune_remnants(root, entry, dry_run=dry_run)]
    if as_json:
        names = ("store", "deleted")
        print_json(
            {"dry_run": dry_run, "gone": [dict(zip(names, row, strict=True)) for row in gone]}
        )
    else:
        print_table(("store", "would delete" if dry_run else "deleted"), gone)
