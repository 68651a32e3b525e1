"""``geneb-jax submission``: write the files that GENEB accepts, and refuse those it would not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from geneb_jax.results import ModelFacts, RunScores, SubmissionMeta

__all__ = ["command"]

REFUSED = 2


@click.group()
def command() -> None:
    """Write, bundle and validate submission files.

    \b
    Examples:
      geneb-jax submission write --out out --model my-model --params 117000000 \\
          --url https://huggingface.co/me/my-model --submitted-by 'Ada L.'
      geneb-jax submission bundle out --out bundle --model my-model
      geneb-jax submission validate out/submissions/my-model.json
    """


def statement_options(function: Any) -> Any:
    """Add what an author may say of the model, and which model it is said of."""
    options = (
        click.option("--suite", "suite_name", help="Suite; default: the one the run is of."),
        click.option("--display", help="Name to show; default: as the run has it."),
        click.option(
            "--params",
            type=click.IntRange(min=0),
            help="Number of parameters; default: as the run has it, else 0.",
        ),
        click.option("--url", help="Where the model is; default: its hub page, else empty."),
        click.option(
            "--zero-shot/--no-zero-shot",
            default=None,
            help="Whether pretraining never saw the tasks' data.",
        ),
        click.option("--training-data", help="What it was pretrained on; default: as in the run."),
        click.option("--submitted-by", help="Who submits; default: empty."),
        click.option(
            "--unverified",
            is_flag=True,
            help="Take scores of data unlike the benchmark's too; the file then says so.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    )
    for option in reversed(options):
        function = option(function)
    return function


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
@statement_options
def write(
    out: Path,
    models: tuple[str, ...],
    suite_name: str | None,
    unverified: bool,
    as_json: bool,
    **stated: Any,
) -> int:
    """Write OUT/submissions/<model_id>.json from the scores in OUT.

    Only for trained models with every task, regime and seed of the benchmark, scored on its data
    with its probe, its C and the reference solver (scikit-learn up to 1.8, as the published ones).
    Exit codes: 0 all written; 1 some not; 2 none.
    """
    from geneb_jax.cli.console import note, print_json
    from geneb_jax.results import note_submissions, read_run_folder, write_submission

    run = read_run_folder(out, suite_name)
    ready = _ready(run, models, stated, out, unverified=unverified)
    written = {
        label: write_submission(out, label, meta, run.scores, run.suite, unverified=unverified)
        for label, meta in ready.metas.items()
    }
    note_submissions(out, list(written.values()))
    for label, found in ready.incomplete.items():
        note(f"{label} is not written: {_first(found)}")
    if as_json:
        print_json(
            {
                "written": {label: str(path) for label, path in written.items()},
                "incomplete": {k: list(v) for k, v in ready.incomplete.items()},
            }
        )
    else:
        for path in written.values():
            click.echo(path)
    return 1 if ready.incomplete else 0


@command.command()
@click.argument("run", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--run", "run_option", type=click.Path(path_type=Path, file_okay=False), hidden=True)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write the bundle to. If it is the run's own, to its subfolder bundle.",
)
@click.option("-m", "--model", "models", multiple=True, help="Model id; default: the only one.")
@statement_options
def bundle(
    run: Path | None,
    run_option: Path | None,
    out: Path,
    models: tuple[str, ...],
    suite_name: str | None,
    unverified: bool,
    as_json: bool,
    **stated: Any,
) -> int:
    """Write what a pull request to the benchmark needs, from the output folder RUN.

    The submission, an extractor module with the harness's interface that loads the same model, and
    a model card with the facts that are known. Copy the folder over a checkout of the benchmark.

    \b
    Examples:
      geneb-jax submission bundle out --out bundle --model my-model --submitted-by 'Ada L.'
    """
    from geneb_jax.cli.console import note, print_json
    from geneb_jax.durable_files import require_writable_folder
    from geneb_jax.report.submission_bundle import write_bundle
    from geneb_jax.results import read_run_folder

    source = run or run_option or out
    found = read_run_folder(source, suite_name)
    target = out / "bundle" if source.resolve() == out.resolve() else out
    ready = _ready(found, models, stated, source, unverified=unverified)
    if len(ready.metas) > 1:
        raise click.UsageError(
            f"A bundle is of one --model: {', '.join(ready.metas)} are complete."
        )
    ((label, meta),) = ready.metas.items()
    require_writable_folder(target, option="--out")
    written = write_bundle(
        target,
        ready.facts[label],
        meta,
        found.scores,
        found.suite,
        versions=found.versions,
        unverified=unverified,
    )
    if written.unstated:
        note(f"the card says that nobody stated: {', '.join(written.unstated).lower()}")
    paths = {
        "submission": str(written.submission),
        "extractor": str(written.extractor),
        "model_card": str(written.card),
    }
    if as_json:
        print_json({"model_id": label, **paths, "unstated": list(written.unstated)})
    else:
        for path in paths.values():
            click.echo(path)
    return 0


@dataclass(frozen=True, slots=True)
class _Ready:
    """The models that can be submitted, with what is said of them, and why the others cannot."""

    facts: dict[str, ModelFacts]
    metas: dict[str, SubmissionMeta]
    incomplete: dict[str, tuple[str, ...]]


def _ready(
    run: RunScores,
    models: tuple[str, ...],
    stated: dict[str, Any],
    where: Path,
    *,
    unverified: bool,
) -> _Ready:
    """Sort out what can be submitted.

    Raises:
        SubmissionError: if nothing can.
    """
    from geneb_jax.errors import SubmissionError
    from geneb_jax.results import ModelFacts, submission_obstacles, way_to_submit

    chosen = _chosen(models, tuple(dict.fromkeys(row.model_id for row in run.scores)), where)
    given = {name: value for name, value in stated.items() if value is not None}
    if given and len(chosen) > 1:
        raise click.UsageError("What is said of a model needs one --model to say it of.")
    facts = {label: run.model_facts.get(label, ModelFacts(label)) for label in chosen}
    gaps = submission_obstacles(facts.values(), run.scores, run.suite, unverified=unverified)
    incomplete = {label: found for label, found in gaps.items() if found}
    if len(incomplete) == len(chosen):
        label, found = next(iter(incomplete.items()), ("", ("the run has no scores",)))
        raise SubmissionError(
            f"nothing to submit{f' of {label}' if label else ''}: {_first(found)}",
            where=where,
            hint=way_to_submit(found[0]),
        )
    return _Ready(
        facts,
        {label: _meta(facts[label], given, stated) for label, found in gaps.items() if not found},
        incomplete,
    )


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
    """Say what the benchmark would refuse in each FILE, and what we would rather not see.

    An error is what the benchmark's own check refuses; a file that has only warnings is accepted.
    Exit codes: 0 every file is accepted; 2 some file is not.
    """
    from geneb_jax.benchmark import load_suite
    from geneb_jax.cli.console import plain, print_json
    from geneb_jax.models.registry import paper_names
    from geneb_jax.results import validate_submission

    suite = load_suite(suite_name)
    verdicts = [
        (path, validate_submission(path, suite, official_ids=paper_names())) for path in files
    ]
    if as_json:
        print_json(
            [
                {
                    "file": str(path),
                    "valid": verdict.accepted,
                    "problems": verdict.errors,
                    "warnings": verdict.warnings,
                }
                for path, verdict in verdicts
            ]
        )
    else:
        for path, verdict in verdicts:
            for problem in verdict.errors or ("ok",):
                click.echo(plain(f"{path}: {problem}"))
            for warning in verdict.warnings:
                click.echo(plain(f"{path}: warning: {warning}"))
    return 0 if all(verdict.accepted for _, verdict in verdicts) else REFUSED


def _first(gaps: tuple[str, ...]) -> str:
    more = f" (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""
    return gaps[0] + more
