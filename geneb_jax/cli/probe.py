"""``geneb-jax probe``: the second half of run, or the same probes on the user's own arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.run_options import (
    embedding_options,
    make_request,
    place_options,
    probe_options,
    task_options,
)

if TYPE_CHECKING:
    from geneb_jax.results import ScoreRow

__all__ = ["command"]

#: Options that mean nothing where vectors are given.
_ABOUT_MODELS = ("weights", "path", "dtype", "pooling", "layer", "batch_tokens", "as_harness")


@click.command()
@click.argument("arrays", nargs=-1, type=click.Path(path_type=Path))
@task_options
@embedding_options
@probe_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(
    context: click.Context, /, arrays: tuple[Path, ...], as_json: bool, **values: Any
) -> int:
    """Fit probes on stored embeddings, or on your own arrays.

    ARRAYS are .npz files with X_train, y_train, X_test, y_test; each is a task. With arrays
    the scores are printed; nothing is written unless --out is given. Of several
    --C one is chosen for each task, on held-out training rows.

    \b
    Examples:
      geneb-jax probe -m kmer-6 --data-dir tasks/ --C 0.1,1,10 --out sweep
      geneb-jax probe features.npz --C 0.01,0.1,1,10,100 --solver exact
    """
    if not arrays:
        from geneb_jax.cli.progress import ConsoleObserver
        from geneb_jax.cli.run_outcome import show_outcome
        from geneb_jax.runs.execute import execute

        request = make_request(context, values)
        with ConsoleObserver() as observer:
            outcome = execute(request, observer, stored_only=True)
        return show_outcome(outcome, as_json=as_json)

    meant = ("data_dir", "suite", "task", "model", *_ABOUT_MODELS)
    idle = [name for name in meant if _typed(context, name)]
    if idle:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise click.UsageError(
            f"{options} is about tasks and models, and arrays are named: their vectors are made "
            "already. Leave it away."
        )

    import jax

    from geneb_jax import durable_files
    from geneb_jax.benchmark import load_suite
    from geneb_jax.cli.console import note, print_json, print_table
    from geneb_jax.cli.run_outcome import print_sweep, sweep_document
    from geneb_jax.results import require_no_suite, write_scores_csv
    from geneb_jax.runs.array_tasks import score_array_tasks
    from geneb_jax.runs.units import probe_settings

    out = values["out"] if _typed(context, "out") else None
    request = make_request(context, values, extra={"model": ["arrays"]})
    settings = probe_settings(request, load_suite("geneb"), platform=jax.default_backend())
    if out is not None:
        require_no_suite(Path(out))
    found = score_array_tasks(arrays, settings, model_id=request.name or "arrays", say=note)
    rows = found.rows
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        write_scores_csv(Path(out), rows)
        if found.sweep:
            text = json.dumps(sweep_document(found.sweep), indent=1, allow_nan=False)
            durable_files.write_text(Path(out) / "sweep.json", text + "\n")
    if as_json:
        scored = [row.as_dict() for row in rows]
        print_json({"scores": scored, "sweep": sweep_document(found.sweep)})
    else:
        columns = (
            *("mcc", "accuracy", "macro_f1", "auroc", "auprc", "brier"),
            *("n_train", "n_iter", "grad_norm"),
        )
        print_table(
            ("task", "regime", "seed", "C", *columns, "status"),
            [
                (
                    row.task_id,
                    row.regime,
                    row.seed,
                    f"{row.C:g}",
                    *(_number(getattr(row, column)) for column in columns),
                    row.error or row.status,
                )
                for row in _once_a_fit(rows)
            ],
            right=("seed", "C", *columns),
        )
        if found.sweep:
            print_sweep(found.sweep, "MCC")
    return 1 if any(row.failed for row in rows) else 0


def _once_a_fit(rows: list[ScoreRow]) -> list[ScoreRow]:
    """The rows of the table: a fit that serves every seed is shown once."""
    kept: dict[tuple[Any, ...], ScoreRow] = {}
    for row in rows:
        seed = None if row.regime == "full" and row.probe == "logistic" else row.seed
        kept.setdefault((row.task_id, row.regime, row.C, seed), row)
    return list(kept.values())


def _typed(context: click.Context, name: str) -> bool:
    from click.core import ParameterSource

    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


def _number(value: float | int | None) -> str | None:
    return f"{value:.4g}" if isinstance(value, float) else None if value is None else str(value)
