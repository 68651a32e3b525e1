"""``geneb-jax submission``: write the files that GENEB accepts, and refuse those it would not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from geneb_jax.results import ModelFacts, RunRecord, SubmissionMeta

__all__ = ["command"]

REFUSED = 2


@click.group()
def command() -> None:
    """Write and validate submission files.

    \b
    Examples:
      geneb-jax submission write --out out --model my-model --params 117000000 \\
          --url https://huggingface.co/me/my-model --submitted-by 'Ada L.'
      geneb-jax submission validate out/submissions/my-model.json
    """


@command.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Output folder of a finished run; the file goes to OUT/submissions.",
)
@click.option(
    "--model", "models", multiple=True, help="Model id. Repeatable; default: every complete one."
)
@click.option("--suite", "suite_name", help="Suite of the run; default: the one recorded in it.")
@click.option("--display", help="Name to show; default: as in run.json, else the model id.")
@click.option(
    "--params",
    type=click.IntRange(min=0),
    help="Number of parameters; default: as in run.json, else 0.",
)
@click.option("--url", help="Where the model is; default: its hub page, else empty.")
@click.option(
    "--zero-shot/--no-zero-shot",
    default=None,
    help="Whether pretraining never saw the tasks' data.",
)
@click.option("--training-data", help="What it was pretrained on; default: as in run.json.")
@click.option("--submitted-by", help="Who submits; default: empty.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def write(
    out: Path, models: tuple[str, ...], suite_name: str | None, as_json: bool, **stated: Any
) -> int:
    """Write OUT/submissions/<model_id>.json from the scores in OUT.

    Only for trained models with every task, regime and seed of the benchmark, scored with its
    probe, its C and the reference solver. Exit codes: 0 all written; 1 some not; 2 none written.
    """
    from geneb_jax.cli.console import note, print_json
    from geneb_jax.errors import SubmissionError
    from geneb_jax.results import read_run_folder, submission_obstacles, write_submission

    run = read_run_folder(out, suite_name)
    rows, suite = run.scores, run.suite
    chosen = _chosen(models, tuple(dict.fromkeys(row.model_id for row in rows)), out)
    given = {name: value for name, value in stated.items() if value is not None}
    if given and len(chosen) > 1:
        raise click.UsageError("What is said of a model needs one --model to say it of.")
    facts = _facts_of(chosen, run.record)
    gaps = submission_obstacles(facts.values(), rows, suite)
    written: dict[str, str] = {}
    for label in chosen:
        if not gaps[label]:
            meta = _meta(facts[label], given, stated)
            written[label] = str(write_submission(out, label, meta, rows, suite))
    incomplete = {label: found for label, found in gaps.items() if found}
    if not written:
        label, found = next(iter(incomplete.items()), ("", ("the run has no scores",)))
        raise SubmissionError(
            f"nothing to submit{f' of {label}' if label else ''}: {_first(found)}",
            where=out,
            hint="run what is missing into the same folder first",
        )
    for label, found in incomplete.items():
        note(f"{label} is not written: {_first(found)}")
    if as_json:
        print_json({"written": written, "incomplete": {k: list(v) for k, v in incomplete.items()}})
    else:
        for path in written.values():
            click.echo(path)
    return 1 if incomplete else 0


def _chosen(asked: tuple[str, ...], scored: tuple[str, ...], out: Path) -> tuple[str, ...]:
    """The labels asked for, or all that have scores."""
    from geneb_jax.errors import SelectionError

    unknown = [label for label in asked if label not in scored]
    if unknown:
        raise SelectionError(
            f"no scores of the model {unknown[0]!r}",
            where=out,
            hint=f"scored here: {', '.join(scored) or 'none'}",
        )
    return tuple(dict.fromkeys(asked)) or scored


def _facts_of(labels: tuple[str, ...], record: RunRecord | None) -> dict[str, ModelFacts]:
    """What run.json says of each model; of one that it does not name, the label alone."""
    from geneb_jax.results import ModelFacts

    known = record.models if record else {}
    return {label: known.get(label, ModelFacts(label)) for label in labels}


def _meta(facts: ModelFacts, given: dict[str, Any], stated: dict[str, Any]) -> SubmissionMeta:
    """What the submission says of the model; says on stderr what was not stated."""
    from dataclasses import replace

    from geneb_jax.cli.console import note
    from geneb_jax.results import SubmissionMeta

    meta = replace(SubmissionMeta.of(facts), **given)
    defaults = [f"{name}={getattr(meta, name)!r}" for name in stated if name not in given]
    if defaults:
        note(f"{facts.label}: not stated, so taken as known or neutral: {', '.join(defaults)}")
    return meta


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--suite", "suite_name", default="geneb", show_default=True, help="The benchmark.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def validate(files: tuple[Path, ...], suite_name: str, as_json: bool) -> int:
    """Say what the benchmark would refuse in each FILE.

    Exit codes: 0 every file is accepted; 2 some file is not.
    """
    from geneb_jax.benchmark import load_suite
    from geneb_jax.cli.console import plain, print_json
    from geneb_jax.models import registry
    from geneb_jax.results import validate_submission

    suite = load_suite(suite_name)
    verdicts = [(path, validate_submission(path, suite, official_ids=registry())) for path in files]
    if as_json:
        print_json(
            [
                {"file": str(path), "valid": not problems, "problems": problems}
                for path, problems in verdicts
            ]
        )
    else:
        for path, problems in verdicts:
            for problem in problems or ("ok",):
                click.echo(plain(f"{path}: {problem}"))
    return REFUSED if any(problems for _, problems in verdicts) else 0


def _first(gaps: tuple[str, ...]) -> str:
    more = f" (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""
    return gaps[0] + more
