"""``geneb-jax recommend``: the best model for a category under a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.panel_options import (
    SIZE,
    elsewhere_options,
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
@elsewhere_options
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
    submissions: tuple[Path, ...],
    metric: str,
    top: int,
    as_json: bool,
) -> None:
    """Which trained model to take for a kind of task, and how sure that is.

    K-mer counts and untrained controls of your runs are no answer: they stand below the trained
    models, and those that the best one is not shown to beat are named first. Models whose paired
    95% interval to the best includes zero are marked as equals; the smallest of those within 0.02
    of it is named. Throughput is known of models of your runs only.

    \b
    Examples:
      geneb-jax recommend --category 'Splice Sites' --max-params 300M
      geneb-jax recommend -c 'TF Binding' -c Enhancers --regime 10shot
      geneb-jax recommend --run out --min-sequences-per-second 500
    """
    from geneb_jax.analysis import FEWEST_TASKS, Budget, recommend
    from geneb_jax.cli.console import counted, note, print_json, print_table
    from geneb_jax.results import listed

    panel = read_panel(
        runs,
        suite=suite,
        published=not no_published,
        sizes=sizes,
        submissions=submissions,
        metric=metric,
    )
    budget = Budget(max_params, min_sequences_per_second, min_tokens_per_second)
    answer = recommend(panel.comparable, categories, regime=regime, budget=budget)
    if as_json:
        print_json(_document(answer, simulated=panel.suite.simulated, metric=metric))
        return
    names = ", ".join(answer.categories) if categories else "all categories"
    marks = ("baseline",) if any(one.model.baseline for one in _all(answer)) else ()
    for text in _told(answer):
        note(text)
    print_table(
        ("model", "params", metric, "behind", "interval", "equal", *marks),
        [
            (*_row(answer, one), *(_mark(one) for _ in marks))
            for one in (*answer.candidates[:top], *answer.baselines[:top])
        ],
        title=f"{names}, {regime}, {answer.tasks} tasks",
        right=("params", metric, "behind"),
    )
    smallest = answer.smallest_equal
    if smallest is not None and smallest.model != answer.best.model:
        note(f"smallest model close to the best and not told from it: {smallest.model.title}")
    if answer.unlimited != answer.best.model:
        note(
            f"best without the limits: {answer.unlimited.title}, {answer.unlimited_mcc:.4f} "
            f"({answer.unlimited_mcc - answer.best.mcc:+.4f})"
        )
    if answer.tasks < FEWEST_TASKS:
        note(
            f"{counted(answer.tasks, 'task')}: below {FEWEST_TASKS} there is no interval over "
            "tasks, and the order says little beyond these very tasks"
        )
    if answer.left_out:
        note(f"not considered, a score or figure is not known: {listed(answer.left_out, 5)}")


def _told(answer: Recommendation) -> list[str]:
    """What whoever reads only the first row must know of baselines."""
    from geneb_jax.results import listed

    if answer.best.model.baseline:
        return ["no trained model is among these: k-mer counts and untrained controls only"]
    if not answer.not_beaten:
        return []
    ahead = [one for one in answer.not_beaten if one.mcc >= answer.best.mcc]
    shown = [f"{one.model.title} ({one.mcc:.3f})" for one in answer.not_beaten]
    told = any(one.behind is not None and one.behind.high < 0 for one in ahead)
    verdict = (
        "is worse than a baseline"
        if told
        else "scores no higher than a baseline"
        if ahead
        else "is not shown to beat a baseline"
    )
    return [f"{answer.best.model.title} ({answer.best.mcc:.3f}) {verdict}: {listed(shown, 3)}"]


def _row(answer: Recommendation, candidate: Candidate) -> tuple[str, ...]:
    from geneb_jax.report import decimals_of, size_text

    behind = candidate.behind or next((c.behind for c in answer.candidates if c.behind), None)
    digits = decimals_of(*((behind.low, behind.high) if behind else (None, None)))
    return (
        candidate.model.title,
        size_text(candidate.model.params),
        f"{candidate.mcc:.{digits}f}",
        f"{answer.best.mcc - candidate.mcc:.{digits}f}",
        ""
        if candidate.behind is None
        else f"{candidate.behind.low:.{digits}f} to {candidate.behind.high:.{digits}f}",
        "yes" if candidate.equal else "",
    )


def _all(answer: Recommendation) -> tuple[Candidate, ...]:
    return (*answer.candidates, *answer.baselines)


def _mark(candidate: Candidate) -> str:
    return {"none": "k-mers", "random": "untrained"}.get(candidate.model.weights, "")


def _document(answer: Recommendation, *, simulated: bool, metric: str) -> dict[str, Any]:
    return {
        "metric": metric,
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
        "baselines": [_candidate(candidate) for candidate in answer.baselines],
        "not_beaten": [candidate.model.label for candidate in answer.not_beaten],
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
