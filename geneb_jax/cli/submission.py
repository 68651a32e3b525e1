"""``geneb-jax submission``: write the files that GENEB accepts, and refuse those it would not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from geneb_jax.benchmark import Suite

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
@click.option("--suite", "suite_name", help="Suite of the run; default: the one run.json names.")
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
    from dataclasses import replace

    from geneb_jax.cli.console import note, print_json
    from geneb_jax.errors import SelectionError, SubmissionError
    from geneb_jax.results import read_scores, submission_gaps, write_submission
    from geneb_jax.runs.encoder_facts import submission_meta

    rows = read_scores(out)
    facts, suite = _run_of(out, suite_name)
    scored = tuple(dict.fromkeys(row.model_id for row in rows))
    unknown = [model_id for model_id in models if model_id not in scored]
    if unknown:
        raise SelectionError(
            f"no scores of the model {unknown[0]!r}",
            where=out,
            hint=f"scored here: {', '.join(scored) or 'none'}",
        )
    chosen = tuple(dict.fromkeys(models)) or scored
    given = {name: value for name, value in stated.items() if value is not None}
    if given and len(chosen) > 1:
        raise click.UsageError("What is said of a model needs one --model to say it of.")
    gaps = {
        model_id: ("its weights are random: a control, not a submission",)
        if facts.get(model_id, {}).get("weights") == "random"
        else submission_gaps(model_id, rows, suite)
        for model_id in chosen
    }
    written: dict[str, str] = {}
    for model_id in chosen:
        if gaps[model_id]:
            continue
        meta = replace(submission_meta({"model_id": model_id, **facts.get(model_id, {})}), **given)
        written[model_id] = str(write_submission(out, model_id, meta, rows, suite))
        defaults = [f"{name}={getattr(meta, name)!r}" for name in stated if name not in given]
        if defaults:
            note(f"{model_id}: not stated, so taken as known or neutral: {', '.join(defaults)}")
    incomplete = {model_id: found for model_id, found in gaps.items() if found}
    if not written:
        model_id, found = next(iter(incomplete.items()), ("", ("the run has no scores",)))
        raise SubmissionError(
            f"nothing to submit{f' of {model_id}' if model_id else ''}: {_first(found)}",
            where=out,
            hint="run what is missing into the same folder first",
        )
    for model_id, found in incomplete.items():
        note(f"{model_id} is not written: {_first(found)}")
    if as_json:
        print_json({"written": written, "incomplete": {k: list(v) for k, v in incomplete.items()}})
    else:
        for path in written.values():
            click.echo(path)
    return 1 if incomplete else 0


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


def _run_of(out: Path, suite_name: str | None) -> tuple[dict[str, Any], Suite]:
    """What run.json knows of the models, and the suite of the run."""
    from geneb_jax.benchmark import load_suite
    from geneb_jax.errors import DataError, SelectionError
    from geneb_jax.results import read_run_json

    try:
        run = read_run_json(out)
    except DataError:
        run = {}  # scores.csv is enough; the models are then known from the registry only
    name = suite_name or run.get("suite", "geneb")
    try:
        suite = load_suite(name)
    except SelectionError as error:
        if suite_name is not None:
            raise
        raise SelectionError(
            f"the run's suite {name!r} is not built in", where=out, hint="name its folder: --suite"
        ) from error
    models = run.get("models", {})
    return {key: value for key, value in models.items() if isinstance(value, dict)}, suite


def _first(gaps: tuple[str, ...]) -> str:
    more = f" (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""
    return gaps[0] + more
