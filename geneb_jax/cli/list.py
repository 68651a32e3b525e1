"""``geneb-jax list``: what can be run, on what."""

from __future__ import annotations

from typing import Any

import click

from geneb_jax.cli.panel_options import SIZE

__all__ = ["command"]


@click.group()
def command() -> None:
    """List models, tasks, categories, probes, presets and plug-ins."""


_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_suite = click.option("--suite", default="geneb", show_default=True, help="Suite name or folder.")


@command.command()
@click.option("--max-params", type=SIZE, help="Largest size: 100M, 1.2B, 86000000.")
@_as_json
def models(max_params: float | None, as_json: bool) -> None:
    """The paper's 40 models, later entries, the built-in ones: names, sizes, what is downloaded.

    -m takes each of a model's names, in any case: the id, the name in tables and in the paper, and
    the hub id. "download" is what the first use fetches, "untrained" what --weights random does.

    \b
    Examples:
      geneb-jax list models
      geneb-jax list models --max-params 100M
      geneb-jax list models --json | jq '.[] | select(.native)'
    """
    from geneb_jax.cli.console import print_json, print_table
    from geneb_jax.models import built_in_models, is_native, registry
    from geneb_jax.models.downloads import tokenizer_bytes, weight_bytes
    from geneb_jax.models.registry import paper_names

    listing: list[dict[str, Any]] = [
        {
            "model_id": spec.model_id,
            "display": spec.display,
            "paper_name": paper_names().get(spec.model_id),
            "published": spec.model_id in registry(),
            "family": spec.family,
            "native": is_native(spec),
            "parameters": spec.parameters,
            "context": spec.context.limit,
            "context_unit": spec.context.unit,
            "tokenizer": spec.tokenizer.kind,
            "pooling": spec.pooling.default,
            "pooling_geneb": spec.pooling.geneb,
            "licence": spec.licence.weights or spec.licence.code,
            "oracle_available": spec.oracle_available,
            "source": spec.source.hub_id or spec.source.kind,
            "hub_id": spec.source.hub_id,
            "download_bytes": weight_bytes(spec) + tokenizer_bytes(spec),
            "random_download_bytes": tokenizer_bytes(spec),
        }
        for spec in (*registry().values(), *built_in_models().values())
        if max_params is None or (spec.parameters or 0) <= max_params
    ]
    if as_json:
        print_json(listing)
        return
    print_table(
        ("model", "name", "hub id", "parameters", "context", "download", "untrained", "licence"),
        [
            (
                entry["model_id"],
                _both_names(entry["display"], entry["paper_name"]),
                entry["hub_id"] or ("" if entry["source"] == "built-in" else "by hand"),
                _count(entry["parameters"]),
                f"{entry['context']} {entry['context_unit']}" if entry["context"] else "any",
                _bytes(entry["download_bytes"]),
                f"fetches {_bytes(entry['random_download_bytes'])}"
                if entry["random_download_bytes"]
                else "no download",
                entry["licence"] or "unknown",
            )
            for entry in listing
        ],
        right=("parameters", "download"),
    )


@command.command()
@_suite
@_as_json
def tasks(suite: str, as_json: bool) -> None:
    """The tasks of a suite in their official order."""
    from geneb_jax.benchmark import load_suite
    from geneb_jax.cli.console import print_json, print_table

    rows = [(task.task_id, task.category, task.label) for task in load_suite(suite).tasks]
    if as_json:
        names = ("task_id", "category", "label")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    print_table(("task", "category", "label"), rows)


@command.command()
@_suite
@_as_json
def categories(suite: str, as_json: bool) -> None:
    """The categories of a suite and how many tasks each has."""
    from collections import Counter

    from geneb_jax.benchmark import load_suite
    from geneb_jax.cli.console import print_json, print_table

    counts = Counter(task.category for task in load_suite(suite).tasks)
    if as_json:
        print_json([{"category": name, "tasks": count} for name, count in counts.items()])
        return
    print_table(("category", "tasks"), counts.items(), right=("tasks",))


@command.command()
@_as_json
def probes(as_json: bool) -> None:
    """The probes and solvers that run and probe know."""
    from geneb_jax.cli.console import print_json, print_table
    from geneb_jax.runs.probe_kinds import probe_kinds, probe_names

    rows = [("probe", name, says) for name, says in probe_names().items()]
    solvers = (kind.solvers.items() for kind in probe_kinds().values())
    rows += [("solver", name, says) for found in solvers for name, says in found]
    if as_json:
        names = ("kind", "name", "description")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    print_table(("kind", "name", "what"), rows)


@command.command()
@_as_json
def plugins(as_json: bool) -> None:
    """What installed packages add: models, suites, probes, solvers; nothing of them is imported.

    docs/extending.md says how a package does that.
    """
    from geneb_jax.cli.console import print_json, print_table
    from geneb_jax.plugins import GROUPS, plug_ins

    found = [one for group in GROUPS for one in plug_ins(group).values()]
    columns = ("kind", "name", "package", "place")
    rows = [
        (
            one.group.rpartition(".")[2].removesuffix("s"),
            one.name,
            one.origin + "".join(f", and {rival}: refused" for rival in one.rivals),
            one.place,
        )
        for one in found
    ]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    print_table(columns, rows)


@command.command()
@_as_json
def presets(as_json: bool) -> None:
    """The run files that --config takes by name: what they reproduce, hardware, time, command."""
    from dataclasses import asdict

    from geneb_jax.cli.console import print_json, print_table
    from geneb_jax.runs.presets import presets as all_presets

    found = all_presets().values()
    if as_json:
        print_json([asdict(preset) for preset in found])
        return
    print_table(
        ("preset", "reproduces", "hardware", "time", "command"),
        [(one.name, one.reproduces, one.hardware, one.time, one.command) for one in found],
    )


def _both_names(display: str, paper: str | None) -> str:
    """The name in tables, and that of the paper where they differ in more than case."""
    if paper is None or paper.lower() == display.lower():
        return paper or display
    return f"{display} ({paper})"


def _bytes(size: int) -> str:
    """A size in decimal units, as the hub shows sizes."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B" if size else "nothing"


def _count(parameters: Any) -> str | None:
    if not parameters:
        return None
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return str(parameters)
