"""The first screen: what to use, how sure that is, where the run's models stand, what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis import (
    Leaderboard,
    LeaderboardRow,
    PairIntervals,
    Panel,
    ScoreCube,
    Statistics,
)
from geneb_jax.report.boards import row_decimals
from geneb_jax.report.wording import decimals_of, metric_title
from geneb_jax.results import listed

__all__ = ["SMALL", "Answer", "Hold", "answers", "held_back", "own_row"]

#: Up to so many parameters a model counts as small.
SMALL = 1e8
_NAMES = 2
#: What a model of the run is, by its weights, where it is not the best of the run's.
_KINDS = {"pretrained": "trained model", "none": "k-mer counts", "random": "untrained control"}
_KINDS_MANY = {
    "pretrained": "trained models", "none": "sets of k-mer counts", "random": "untrained controls",
}  # fmt: skip
#: The best of what, where a baseline ranks above it.
_BEST_OF = {"pretrained": "trained ", "none": "k-mer counts ", "random": ""}


@dataclass(frozen=True, slots=True)
class Answer:
    """One question of the first screen.

    Attributes:
        key: What the question is: ``best``, ``small``, ``yours``, ``against``, ``few`` or ``held``.
        question: The question, in few words.
        name: The answer: a model, or a verdict.
        value: Its number, or "".
        interval: The number's 95% interval, or "".
        detail: How sure that is, and what it stands beside.
        model: Label of the model that is spoken of, or "".
    """

    key: str
    question: str
    name: str
    value: str
    interval: str
    detail: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """A task on which a model lies behind: its score, and the best one with whose it is."""

    task: int
    label: str
    score: float
    best: float
    best_title: str

    @property
    def gap(self) -> float:
        """How far behind."""
        return self.best - self.score


def answers(
    board: Leaderboard, panel: Panel, statistics: Statistics, pairs: PairIntervals
) -> tuple[Answer, ...]:
    """The cards of the first screen, of a run or of the published models alone."""
    ranked = [row for row in board.rows if row.rank is not None]
    if not ranked:
        return ()
    # Who asks what to use wants a trained model: k-mer counts and untrained controls are what it
    # must beat, and where one of them wins the card says so.
    first = next((row for kind in _KINDS for row in ranked if row.model.weights == kind), ranked[0])
    cards: list[Answer | None] = [_best(board, ranked, first)]
    fits = (row for row in ranked if row.model.params and row.model.params <= SMALL)
    small = next((row for row in fits if not row.model.baseline), None)
    mine = own_row(board)
    if small is not None and (mine is None or small is not mine):
        cards.append(_small(board, ranked, small))
    if mine is None:
        cards.append(_lead(ranked, pairs))
        cards.append(_leaders(board, statistics))
        return tuple(card for card in cards if card is not None)
    if mine is not first or any(row.model.source != "user" for row in ranked):
        cards.append(_yours(board, ranked, mine))
    cards.append(_against(board, mine, pairs))
    cards.append(_held(panel, board, mine))
    return tuple(card for card in cards if card is not None)


def own_row(board: Leaderboard) -> LeaderboardRow | None:
    """The best of the run's ranked models: a trained one, else k-mer counts, else a control."""
    own = [row for row in board.rows if row.rank is not None and row.model.source == "user"]
    for kind in ("pretrained", "none", "random"):
        found = next((row for row in own if row.model.weights == kind), None)
        if found is not None:
            return found
    return None


def _best(board: Leaderboard, ranked: Sequence[LeaderboardRow], first: LeaderboardRow) -> Answer:
    count = f"{board.tasks} {'task' if board.tasks == 1 else 'tasks'}"
    # Whoever ranks above it is a baseline, and the card says so.
    kind = "" if first is ranked[0] else _BEST_OF[first.model.weights]
    return Answer(
        "best",
        f"Best {kind}of {len(ranked)} on {count}",
        first.model.title,
        *_value(board, first),
        f"{_rivals(ranked, first)}{_ties(ranked, first)}",
        first.model.label,
    )


def _small(board: Leaderboard, ranked: Sequence[LeaderboardRow], row: LeaderboardRow) -> Answer:
    return Answer(
        "small",
        "Best up to 100M parameters",
        row.model.title,
        *_value(board, row),
        f"Rank {row.rank} of {len(ranked)}{_range(row)}.",
        row.model.label,
    )


def _yours(board: Leaderboard, ranked: Sequence[LeaderboardRow], row: LeaderboardRow) -> Answer:
    own = [other for other in ranked if other.model.source == "user"]
    question = "Yours" if len(own) == 1 else f"Best of your {len(own)} models"
    if own[0] is not row:  # k-mer counts or a control are ahead of what was trained
        alike = sum(other.model.weights == row.model.weights for other in own)
        question = f"Your {_KINDS[row.model.weights]}"
        question = (
            question if alike == 1 else f"Best of your {alike} {_KINDS_MANY[row.model.weights]}"
        )
    return Answer(
        "yours",
        question,
        row.model.title,
        *_value(board, row),
        f"Rank {row.rank} of {len(ranked)}{_range(row)}. {_ties(ranked, row)}",
        row.model.label,
    )


def _against(board: Leaderboard, mine: LeaderboardRow, pairs: PairIntervals) -> Answer | None:
    """The run's best model against its k-mer counts; of k-mers alone, against the next of them."""
    own = [r for r in board.rows if r.rank is not None and r.model.source == "user"]
    others = [row for row in own if row.model.weights == "none" and row is not mine]
    if mine.model.weights == "none":
        others = [row for row in own if row is not mine and not row.model.untrained]
    else:
        others = others[:1]
    if not others:
        if mine.model.weights == "none":
            return None
        return Answer(
            "against",
            "Better than k-mer counts?",
            "Not known",
            "",
            "",
            "This run has no k-mer counts to compare with: -m kmer-6 adds them.",
        )
    other = others[0]
    question = (
        f"Better than {other.model.title}?"
        if mine.model.weights == "none"
        else f"Better than k-mers ({other.model.title})?"
    )
    found = _difference(board.regime, mine, other, pairs)
    return Answer("against", question, *found, _over(pairs), mine.model.label)


def _lead(ranked: Sequence[LeaderboardRow], pairs: PairIntervals) -> Answer | None:
    """Of the published models alone: whether the first is told from the second."""
    if len(ranked) < 2:
        return None
    first, second = ranked[:2]
    regime = next(name for name, value in first.macro.items() if value is not None)
    return Answer(
        "against",
        f"Is it better than {second.model.title}?",
        *_difference(regime, first, second, pairs),
        f"{_over(pairs)} A click on a model shows its difference to every other.",
        first.model.label,
    )


def _difference(
    regime: str, one: LeaderboardRow, two: LeaderboardRow, pairs: PairIntervals
) -> tuple[str, str, str]:
    """The verdict, the difference and its interval."""
    first, second = one.macro[regime], two.macro[regime]
    difference = (first or 0.0) - (second or 0.0)
    low = high = np.nan
    if one.model.label in pairs.labels and two.model.label in pairs.labels:
        a, b = (pairs.labels.index(row.model.label) for row in (one, two))
        low, high = float(pairs.low[a, b]), float(pairs.high[a, b])
    if not np.isfinite(low):
        return "Not known", _minus(f"{difference:+.3f}"), ""
    digits = max(decimals_of(low, high), 3)  # an end at -0.004 is not zero
    interval = _minus(f"95%: {low:+.{digits}f} to {high:+.{digits}f}")
    verdict = "Yes" if low > 0 else "No, worse" if high < 0 else "Cannot be told"
    return verdict, _minus(f"{difference:+.{digits}f}"), interval


def _over(pairs: PairIntervals) -> str:
    if not pairs.over:
        return "No interval: fewer than five tasks, and no predictions to resample."
    return f"By the 95% interval of the difference, over {pairs.over}."


def _leaders(board: Leaderboard, statistics: Statistics) -> Answer | None:
    found = statistics.category_leaders.get(board.regime, {})
    leaders = {name for names in found.values() for name in names}
    if len(leaders) < 2:
        return None
    means = statistics.mean_macro
    shown = ", ".join(f"{name} {value:.2f}" for name, value in means.items() if value is not None)
    return Answer(
        "few",
        "One model for everything?",
        "No",
        f"{len(leaders)} models lead {len(board.categories)} categories",
        "",
        f"Mean over models by training rows: {shown}.",
    )


def held_back(cube: ScoreCube, label: str, regime: str) -> list[Hold]:
    """The tasks of a model, the widest gap to the best other model first.

    A model that nobody beats on a task is not held back by it; where there is no other model, or
    none ahead, the lowest scores come first.
    """
    scores = cube.in_regime(regime)
    row = cube.model_index(label)
    # Untrained controls count as nobody: what they win is chance.
    rivals = [
        k
        for k, model in enumerate(cube.models)
        if k != row and not (model.source == "user" and model.untrained)
    ]
    holds = []
    for place, task in enumerate(cube.tasks):
        if not np.isfinite(scores[row, place]):
            continue
        known = [k for k in rivals if np.isfinite(scores[k, place])]
        best = max(known, key=lambda k: scores[k, place], default=row)
        holds.append(
            Hold(
                place,
                task.label,
                float(scores[row, place]),
                float(scores[best, place]),
                cube.models[best].title,
            )
        )
    ahead = sorted((one for one in holds if one.gap > 0), key=lambda one: -one.gap)
    return ahead or sorted(holds, key=lambda one: one.score)


def _held(panel: Panel, board: Leaderboard, mine: LeaderboardRow) -> Answer | None:
    found = held_back(panel.shown, mine.model.label, board.regime)
    if not found:
        return None
    worst = found[0]
    behind = worst.gap > 0
    title = f"What holds {mine.model.title} back?" if behind else "Its lowest score"
    value = f"{worst.score:.2f}"
    if behind:
        value += f"; {worst.best_title} {worst.best:.2f}"
    rest = [f"{one.label} ({one.score:.2f}, best {one.best:.2f})" for one in found[1:3]]
    detail = f"Then {' and '.join(rest)}." if rest else ""
    return Answer("held", title, worst.label, value, "", detail, mine.model.label)


def _ties(ranked: Sequence[LeaderboardRow], row: LeaderboardRow) -> str:
    if row.tie_group is None:
        return (
            "How sure is not known: no interval over fewer than five tasks."
            if (row.interval is None)
            else "Ties are not known: not every model kept its predictions."
        )
    tied = [o.model.title for o in ranked if o.tie_group == row.tie_group and o is not row]
    if not tied:
        # Alone though others further down cannot be told from it: they must not seem to contradict.
        following = ranked[ranked.index(row) + 1 :][:1]
        told = f": {following[0].model.title}, the next, is told from it" if following else ""
        return f"Tie group {row.tie_group}, alone{told}."
    return f"Tie group {row.tie_group}: with {listed(tied, _NAMES)}."


def _rivals(ranked: Sequence[LeaderboardRow], first: LeaderboardRow) -> str:
    """How many are not told to be worse than the best trained one, and which baselines are not."""
    above = ranked.index(first)
    control = f"{_above(ranked[:above])} above it. " if above else ""
    tied = [
        row.model.title
        for row in ranked[above + 1 :]
        if row.model.baseline and row.tie_group is not None and row.tie_group == first.tie_group
    ]
    if first.rank_range is None or len(ranked) < 2:
        return control
    better = first.rank_range.low - 1
    others = first.rank_range.high - first.rank_range.low
    if better:
        control = control[:-2] + (
            ", told to be better. "
            if better == above
            else f", {better} of them told to be better. "
        )
    if others:
        beside = f", {listed(tied, 1)} (a baseline) among them" if tied else ""
        return f"{control}{others} of {len(ranked) - 1} others cannot be told from it{beside}. "
    return control or "Every other model is told to be worse. "


def _above(rows: Sequence[LeaderboardRow]) -> str:
    """Who of the baselines ranks, with the verb."""
    untrained = all(row.model.untrained for row in rows)
    if len(rows) > 1:
        return f"{len(rows)} {'untrained controls' if untrained else 'baselines'} rank"
    return (
        "An untrained control ranks" if untrained else f"{rows[0].model.title} (a baseline) ranks"
    )


def _range(row: LeaderboardRow) -> str:
    span = row.rank_range
    return f" ({span.low} to {span.high} by what can be told apart)" if span else ""


def _value(board: Leaderboard, row: LeaderboardRow) -> tuple[str, str]:
    macro = row.macro[board.regime]
    if macro is None:
        return "", ""
    digits = row_decimals(row)
    shown = _minus(f"macro {metric_title(board.metric)} {macro:.{digits}f}")
    if row.interval is None:
        return shown, ""
    low, high = row.interval
    return shown, _minus(f"95%: {low:.{digits}f} to {high:.{digits}f}")


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")
