"""How a run ends: its result in a sentence, the report to click on, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from geneb_jax.analysis import LayerCurves, Leaderboard, SweepLine
    from geneb_jax.results import ScoreRow
    from geneb_jax.runs.outcome import RunOutcome

__all__ = ["next_command", "print_sweep", "problem_lines", "show_outcome", "sweep_document"]

#: Tasks or models that a line of failures names.
_NAMED = 3


def show_outcome(outcome: RunOutcome, *, as_json: bool) -> int:
    """Print the leaderboard, the result, where the report is, what failed and what comes next.

    Returns:
        The exit code.
    """
    from geneb_jax.analysis import (
        input_sentences,
        layer_curves,
        one_class_sentences,
        sweep_lines,
    )
    from geneb_jax.analysis.layer_curves import layers_document
    from geneb_jax.cli.console import link_to, note, plain, print_json
    from geneb_jax.report import leaderboard_rows, result_sentence
    from geneb_jax.results import RunScores

    for label, count in outcome.waiting.items():
        note(
            f"{label}: {count:,} sequences are in the hands of other parts; the part that ends "
            "last probes. If one was lost, run any part again."
        )
    if outcome.report is None:
        if as_json:
            print_json({"suite": outcome.suite.name, "waiting": dict(outcome.waiting)})
        return 0 if outcome.complete else 1
    board = leaderboard_rows(outcome.suite, outcome.rows, outcome.run, outcome.out)
    run = RunScores(outcome.suite, outcome.rows, outcome.run, outcome.out)
    sweep = [line for line in sweep_lines([run]) if line.model_id in outcome.labels]
    shown = set(outcome.labels)
    layers = [one for one in layer_curves([run]) if shown & {s.label for s in one.scores}]
    # Of layers that training rows chose among, the best on the test rows is nobody's result.
    passed = {s.label for one in layers if one.chosen for s in one.scores if s != one.chosen}
    reported = [label for label in outcome.labels if label not in passed] or outcome.labels
    result, following = result_sentence(board, reported), next_command(outcome, board)
    if as_json:
        document = _document(outcome, board, sweep) | {"layers": layers_document(layers)}
        print_json({**document, "result": result, "next": following})
    else:
        _print_tables(board, sweep)
        _print_layers(layers)
    for line in board.notes:
        note(line)
    for line in input_sentences(_shown(outcome), outcome.suite, outcome.labels):
        note(line)
    for line in one_class_sentences(_shown(outcome), outcome.suite, outcome.labels):
        note(f"warning: {line}")
    if outcome.suite.simulated:
        note("The tasks of this suite are simulated: its scores say nothing about real genomes.")
    for path in outcome.submissions:
        note(f"submission: {path}")
    for line in problem_lines(outcome.problems):
        note(f"failed: {line}")
    if result:
        click.echo(plain(result), err=as_json)
    click.echo(f"report: {plain(outcome.report)}", err=as_json)
    click.echo(f"open: {link_to(outcome.report)}", err=as_json)
    if following:
        click.echo(f"next: {plain(following)}", err=as_json)
    return 0 if outcome.complete else 1


def _document(
    outcome: RunOutcome, board: Leaderboard, sweep: Sequence[SweepLine]
) -> dict[str, object]:
    """What ``--json`` prints, but for the sentences."""
    return {
        "suite": outcome.suite.name,
        "simulated": outcome.suite.simulated,
        "leaderboard": [
            {
                "model_id": row.model.label,
                "rank": row.rank,
                "source": row.model.source,
                "macro": dict(row.macro),
                "micro": dict(row.micro),
                "tasks_scored": dict(row.scored),
            }
            for row in board.rows
        ],
        "sweep": sweep_document(sweep),
        "notes": list(board.notes),
        "report": str(outcome.report),
        "submissions": [str(path) for path in outcome.submissions],
        "problems": dict(outcome.problems),
        "waiting": dict(outcome.waiting),
    }


def _print_tables(board: Leaderboard, sweep: Sequence[SweepLine]) -> None:
    from geneb_jax.cli.console import print_table
    from geneb_jax.report import console_columns, console_rows

    columns = console_columns(board)
    print_table(columns, console_rows(board), title=board.title, right=columns[3:])
    if sweep:
        print_sweep(sweep, "Macro MCC")


def sweep_document(sweep: Sequence[SweepLine]) -> list[dict[str, object]]:
    """The sweep's answer as ``--json`` prints it."""
    return [
        {
            "model_id": line.model_id,
            "regime": line.regime,
            "chosen_C": line.chosen,
            "by_C": {
                f"{C:g}": {"test": value, "held_out": line.held_out.get(C)}
                for C, value in line.test.items()
            },
        }
        for line in sweep
    ]


def print_sweep(sweep: Sequence[SweepLine], what: str) -> None:
    """The sweep's answer as a table, and a sentence for each C that was chosen.

    Args:
        sweep: Its lines, of at least one model.
        what: The score.
    """
    from geneb_jax.cli.console import plain, print_table
    from geneb_jax.report import console_sweep, sweep_sentences

    names, rows = console_sweep(sweep)
    title = f"{what} on the test rows by C; *: chosen by held-out training rows"
    click.echo()
    print_table(names, rows, title=title, right=names[2:])
    for line in sweep_sentences(sweep):
        click.echo(plain(line))


def _print_layers(layers: Sequence[LayerCurves]) -> None:
    """A table a model: of the regime in which a layer could be chosen, or its first."""
    from geneb_jax.cli.console import plain, print_table
    from geneb_jax.report import console_layers, layer_sentences

    first: dict[str, LayerCurves] = {}
    for one in layers:
        if one.model_id not in first or (one.chosen and not first[one.model_id].chosen):
            first[one.model_id] = one
    for one in first.values():
        names, rows = console_layers(one)
        mark = "; *: chosen by held-out training rows" if one.chosen else ""
        click.echo()
        title = (
            f"{one.model_id}: macro MCC on the test rows by layer and pooling, {one.regime}{mark}"
        )
        print_table(names, rows, title=title, right=names[1:])
    for line in layer_sentences(list(first.values())):
        click.echo(plain(line))


def _shown(outcome: RunOutcome) -> Sequence[ScoreRow]:
    """The rows of the setting that the leaderboard is of."""
    from geneb_jax.analysis import chosen_setting, rows_in

    return rows_in(outcome.rows, chosen_setting(outcome.rows, outcome.suite))


def problem_lines(problems: Mapping[str, str]) -> Iterator[str]:
    """One line for each kind of failure: those that differ in the name alone are one."""
    alike: dict[str, list[str]] = {}
    for name, why in problems.items():
        alike.setdefault(why.replace(name, "\0"), []).append(name)
    for why, names in alike.items():
        if len(names) == 1:
            yield f"{names[0]}: {why.replace(chr(0), names[0])}"
            continue
        shown = ", ".join(names[:_NAMED]) + (" ..." if names[_NAMED:] else "")
        yield f"{len(names)} of them ({shown}): {why.replace(chr(0), 'NAME')}"


def next_command(outcome: RunOutcome, board: Leaderboard) -> str:
    """The command that most users want now; empty where nothing stands out."""
    out = shlex.quote(str(outcome.out))
    if outcome.suite.simulated:
        return "geneb-jax run -m kmer-4 -m YOUR_MODEL_FOLDER --data-dir YOUR_TASKS --out results"
    if outcome.problems:
        return "the same command again, once that is mended: what is finished is kept"
    own = [row.model for row in board.rows if row.model.source == "user"]
    controls = {model.name for model in own if model.untrained}
    # An extractor's or an object's weights are its own affair: --weights is refused for it.
    told = {
        label
        for label, facts in outcome.run.models.items()
        if facts.identity is not None and facts.identity.dtype == "its own"
    }
    bare = [
        m
        for m in own
        if m.weights == "pretrained" and m.name not in controls and m.label not in told
    ]
    if bare:
        return (
            f"the same command with --weights random: the untrained control of "
            f"{bare[0].label} in the same folder"
        )
    ranked = [row for row in board.rows if row.rank is not None]
    first = next((k for k, row in enumerate(ranked) if row.model.source == "user"), None)
    if first is None or len(ranked) < 2:
        return f"geneb-jax stats {out}"
    other = ranked[first - 1 if first else 1]
    pair = " ".join(shlex.quote(row.model.label) for row in (ranked[first], other))
    return f"geneb-jax compare {pair} --run {out}"
