"""``geneb-jax recommend``: the best model for a category under a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.panel_options import (
    SIZE,
    panel_options,
    read_panel,
    regime_option,
)

if TYPE_CHECKING:
    from geneb_jax.analysis import Candidate, Recommendation

__all__ = ["command"]


@click.command()
@click.option(
    "-c",
    "--category",
    "categories",
    multiple=True,
    help="Category, case ignored. Repeatable: their mean. Default: all (the macro mean).",
)
@regime_option
@click.option("--max-params", type=SIZE, help="Largest size: 100M, 1.2B, 86000000.")
@click.option(
    "--min-sequences-per-second",
    type=click.FloatRange(min=0.0),
    help="Least embedding throughput, as measured in your runs.",
)
@click.option(
    "--min-tokens-per-second",
    type=click.FloatRange(min=0.0),
    help="The same in tokens of the model's own tokenizer.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Output folder of a run whose models count too. Repeatable.",
)
@panel_options
@click.option("--top", type=click.IntRange(min=1), default=8, show_default=True, help="Rows shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    categories: tuple[str, ...],
    regime: str,
    max_params: float | None,
    min_sequences_per_second: float | None,
    min_tokens_per_second: float | None,
    runs: tuple[Path, ...],
    no_published: bool,
    sizes: str,
    suite: str | None,
    top: int,
    as_json: bool,
) -> None:
    """Which model to take for a kind of task, and how sure that is.

    Models whose paired 95% interval to the best includes zero are marked as equals; the smallest of
    those within 0.02 of it is named. Throughput is known of models of your runs only.

    \b
    Examples:
      geneb-jax recommend --category 'Splice Sites' --max-params 300M
      geneb-jax recommend -c 'TF Binding' -c Enhancers --regime 10shot
      geneb-jax recommend --run out --min-sequences-per-second 500
    """
    from geneb_jax.analysis import Budget, recommend
    from geneb_jax.cli.console import note, print_json, print_table
    from geneb_jax.report import size_text
    from geneb_jax.results import listed

    panel = read_panel(runs, suite=suite, published=not no_published, sizes=sizes)
    budget = Budget(max_params, min_sequences_per_second, min_tokens_per_second)
    answer = recommend(panel.comparable, categories, regime=regime, budget=budget)
    if as_json:
        print_json(_document(answer, simulated=panel.suite.simulated))
        return
    names = ", ".join(answer.categories) if categories else "all categories"
    print_table(
        ("model", "params", "mcc", "behind", "interval", "equal"),
        [
            (
                c.model.title,
                size_text(c.model.params),
                f"{c.mcc:.4f}",
                f"{answer.best.mcc - c.mcc:.4f}",
                "" if c.behind is None else f"{c.behind.low:.4f} to {c.behind.high:.4f}",
                "yes" if c.equal else "",
            )
            for c in answer.candidates[:top]
        ],
        title=f"{names}, {regime}, {answer.tasks} tasks",
        right=("params", "mcc", "behind"),
    )
    smallest = answer.smallest_equal
    if smallest is not None and smallest.model != answer.best.model:
        note(f"smallest model close to the best and not told from it: {smallest.model.title}")
    if answer.unlimited != answer.best.model:
        note(
            f"best without the limits: {answer.unlimited.title}, {answer.unlimited_mcc:.4f} "
            f"({answer.unlimited_mcc - answer.best.mcc:+.4f})"
        )
    if answer.tasks < 5:
        note(f"{answer.tasks} task(s): the order says little beyond these very tasks")
    if answer.left_out:
        note(f"not considered, a score or figure is not known: {listed(answer.left_out, 5)}")


def _document(answer: Recommendation, *, simulated: bool) -> dict[str, Any]:
    return {
        "categories": list(answer.categories),
        "regime": answer.regime,
        "tasks": answer.tasks,
        "simulated": simulated,
        "best": _candidate(answer.best),
        "margin": answer.margin,
        "smallest_equal": None
        if answer.smallest_equal is None
        else answer.smallest_equal.model.label,
        "unlimited": {"model_id": answer.unlimited.label, "mcc": answer.unlimited_mcc},
        "candidates": [_candidate(candidate) for candidate in answer.candidates],
        "left_out": list(answer.left_out),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    behind = candidate.behind
    return {
        "model_id": candidate.model.label,
        "params": candidate.model.params,
        "mcc": candidate.mcc,
        "behind": None if behind is None else behind.estimate,
        "interval": None if behind is None else [behind.low, behind.high],
        "equal": candidate.equal,
    }
