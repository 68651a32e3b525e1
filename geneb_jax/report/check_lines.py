"""What is wrong with a run, a line a kind of fault: also what was looked for and not found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from geneb_jax.analysis import Leaderboard, Panel, Statistics
from geneb_jax.report.answers import own_row

__all__ = ["CheckLine", "check_lines"]

_SILENCE = {
    "coverage": ("Missing scores", "every fit of every model has a score"),
    "inputs": ("Sequences", "nothing cut off, unknown or empty, as far as the models say"),
    "one class": ("Constant answers", "no probe takes every test row for one class"),
    "protocol": ("Probe", "the benchmark's settings"),
}


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One line: whether something is wrong, what was looked at, and what was found.

    Attributes:
        wrong: Whether the reader should know before trusting a number.
        name: What was looked at.
        words: The finding, or that there is none.
        rest: Further sentences.
    """

    wrong: bool
    name: str
    words: str
    rest: tuple[str, ...] = ()


def check_lines(board: Leaderboard, panel: Panel, statistics: Statistics) -> tuple[CheckLine, ...]:
    """The lines of a run, faults first; none without a run."""
    if not panel.checks:
        return ()
    lines = [_data(panel)]
    for check in panel.checks:
        if check.name in _SILENCE:
            name, silence = _SILENCE[check.name]
            words, *rest = check.found or (silence,)
            lines.append(CheckLine(bool(check.found), name, words, tuple(rest)))
    lines += [*_leakage(board, panel, statistics), *_chance(board, statistics), _controls(panel)]
    return tuple(sorted(lines, key=lambda line: not line.wrong))


def _data(panel: Panel) -> CheckLine:
    found = next((check.found for check in panel.checks if check.name == "data"), ())
    own = {model.label for model in panel.cube.models if model.source == "user"}
    standing: dict[str, str] = {}
    for label in own:
        standing |= {task: str(word) for task, word in panel.cube.data.get(label, {}).items()}
    if found:
        return CheckLine(True, "Data", found[0], tuple(found[1:]))
    if panel.suite.simulated:
        return CheckLine(False, "Data", "simulated: made from stated rules")
    counts = Counter(word for word in standing.values() if word)
    if not counts:
        return CheckLine(False, "Data", "nothing is stated of how near they are to a benchmark's")
    shown = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    return CheckLine(False, "Data", f"{len(standing)} tasks: {shown}")


def _leakage(board: Leaderboard, panel: Panel, statistics: Statistics) -> Iterator[CheckLine]:
    if not panel.predictions or board.metric != "mcc":
        yield CheckLine(False, "Leakage", "not looked for: no predictions were kept")
        return
    entries = [one for one in statistics.leakage_free if one.regime == board.regime]
    worst = max(entries, key=lambda one: (one.leaked, one.resembling or 0), default=None)
    if worst is None or not (worst.affected or worst.resembling):
        yield CheckLine(False, "Leakage", "no test row found that is a training row too")
        return
    titles = {model.label: model.title for model in panel.cube.models}
    mine = own_row(board)
    shown = next((one for one in entries if mine and one.model_id == mine.model.label), worst)
    parts = []
    if shown.leaked:
        parts.append(f"{shown.leaked:,} test rows are training rows too")
        if shown.clean_macro is not None:
            parts.append(f"macro {shown.macro:.3f} becomes {shown.clean_macro:.3f} without them")
    if shown.resembling:
        parts.append(f"{shown.resembling:,} with reverse complements and near repeats")
        if shown.distinct_macro is not None:
            parts.append(f"{shown.distinct_macro:.3f} without those")
    name = titles.get(shown.model_id, shown.model_id)
    yield CheckLine(True, "Leakage", f"{'; '.join(parts)} ({name})")


def _chance(board: Leaderboard, statistics: Statistics) -> Iterator[CheckLine]:
    mine = own_row(board)
    count = statistics.tasks_at_chance.get(mine.model.label) if mine else None
    if mine is None or count is None:
        return
    words = f"{mine.model.title} is no better than guessing on {count} of its tasks"
    yield CheckLine(count > 0, "Guessing", words if count else "above it on every task")


def _controls(panel: Panel) -> CheckLine:
    own = [model for model in panel.cube.models if model.source == "user"]
    trained = [model for model in own if model.weights == "pretrained"]
    lacking = []
    if trained and not any(model.untrained for model in own):
        lacking.append("no untrained control (--weights random)")
    if not any(model.weights == "none" for model in own):
        lacking.append("no k-mer counts (-m kmer-6)")
    there = " and ".join(lacking) or "what a model must beat is in the run"
    return CheckLine(bool(lacking), "Controls", there)
