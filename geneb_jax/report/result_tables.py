"""The tables of scores and choices: leaderboard, categories, tasks, pairs, recommendations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geneb_jax.analysis import (
    CLOSE,
    FEWEST_TASKS,
    Candidate,
    Recommendation,
    ScoreCube,
    Statistics,
    recommend,
)
from geneb_jax.errors import SelectionError
from geneb_jax.report.tables import Cell, Table, bounds
from geneb_jax.results import listed

__all__ = [
    "EVERYTHING",
    "best_within",
    "category_answers",
    "category_table",
    "choice_table",
    "leaderboard_table",
    "own_place",
    "pair_table",
    "score_table",
    "task_table",
]

#: What the row over all categories is called.
EVERYTHING = "all categories"


def leaderboard_table(statistics: Statistics) -> Table:
    """The ranking with every model's facts, intervals and coverage."""
    regimes = statistics.regimes
    rows = []
    for line in statistics.leaderboard:
        facts = line.model
        ranks = line.rank_range
        rows.append(
            (
                line.rank,
                line.tie_group,
                facts.label,
                facts.title,
                facts.source,
                facts.params,
                *(line.macro[name] for name in regimes),
                *(line.interval or (None, None)),
                *((ranks.low, ranks.high) if ranks else (None, None)),
                *(line.micro[name] for name in regimes),
                *(statistics.models[facts.label].scored[name] for name in regimes),
            )
        )
    return Table(
        "leaderboard",
        "Leaderboard",
        (
            "rank",
            "tie_group",
            "model_id",
            "display",
            "source",
            "params",
            *(f"macro_{name}" for name in regimes),
            "macro_low",
            "macro_high",
            "rank_low",
            "rank_high",
            *(f"micro_{name}" for name in regimes),
            *(f"tasks_{name}" for name in regimes),
        ),
        tuple(rows),
        f"Ranked by macro MCC, {statistics.regime}; 95% intervals by bootstrap over "
        f"{_intervals_over(statistics)}; ranks and tie groups by the same comparisons.",
        spans=tuple((f"macro_{name}", "macro_low", "macro_high") for name in regimes),
    )


def _intervals_over(statistics: Statistics) -> str:
    found = {line.interval_over for line in statistics.leaderboard if line.interval_over}
    return " and ".join(sorted(found)) or "tasks, none with fewer than five of them"


def category_table(statistics: Statistics) -> Table:
    """Category means of the ranking regime."""
    names = statistics.categories
    return Table(
        "categories",
        f"MCC by category, {statistics.regime}",
        ("model_id", *names),
        tuple(
            (line.model.label, *(line.category[name] for name in names))
            for line in statistics.leaderboard
        ),
    )


def score_table(cube: ScoreCube) -> Table:
    """Every score: a row a model, regime and task; what was not scored is absent."""
    rows: list[tuple[Cell, ...]] = []
    for m, r, t in np.argwhere(np.isfinite(cube.mcc)).tolist():
        spread = float(cube.seed_sd[m, r, t])
        task = cube.tasks[t]
        rows.append(
            (
                cube.model_ids[m],
                cube.regimes[r],
                task.task_id,
                task.category,
                float(cube.mcc[m, r, t]),
                spread if np.isfinite(spread) else None,
                cube.data.get(cube.model_ids[m], {}).get(task.task_id, ""),
            )
        )
    return Table(
        "scores",
        "Scores by task",
        ("model_id", "regime", "task_id", "category", "mcc", "seed_sd", "data"),
        tuple(rows),
        "MCC is the mean over seeds; the published scores keep no seeds. data: how near the files "
        "of a run's task are to the benchmark's.",
    )


def task_table(cube: ScoreCube, regime: str, *, most: int = 6) -> Table:
    """Every task: who is first, the field, and the run's models (the first ``most`` of them)."""
    scores = cube.in_regime(regime)
    mine = np.flatnonzero(cube.of_user).tolist()
    own, rest = mine[:most], [cube.model_ids[k] for k in mine[most:]]
    rows: list[tuple[Cell, ...]] = []
    for place, task in enumerate(cube.tasks):
        column = scores[:, place]
        known = np.flatnonzero(np.isfinite(column))
        if not len(known):
            continue
        best = int(known[np.argmax(column[known])])
        scored = (float(column[k]) if np.isfinite(column[k]) else None for k in own)
        rows.append(
            (
                task.label,
                task.category,
                cube.models[best].title,
                float(column[best]),
                float(np.median(column[known])),
                len(known),
                *scored,
            )
        )
    return Table(
        "tasks",
        f"Tasks, {regime}",
        (
            "task",
            "category",
            "best_model",
            "best",
            "median",
            "models",
            *(cube.model_ids[k] for k in own),
        ),
        tuple(rows),
        "best and median are over every model that has the task."
        + (f" Not shown here, but in stats --export: {listed(rest)}." if rest else ""),
        3,
    )


def pair_table(statistics: Statistics) -> Table:
    """Controlled pairs, the user's included."""
    return Table(
        "controlled-pairs",
        "Controlled pairs",
        ("model_a", "model_b", "factor", "label_a", "label_b", "delta", "low", "high", "stated"),
        tuple(
            (
                entry.pair.model_a,
                entry.pair.model_b,
                entry.pair.factor,
                entry.label_a,
                entry.label_b,
                entry.macro,
                *bounds(entry.interval),
                entry.pair.stated,
            )
            for entry in statistics.controlled_pairs
        ),
        "delta: macro MCC of the first minus the second, with its 95% bootstrap interval over "
        "tasks; stated: as the paper prints it.",
        spans=(("delta", "low", "high"),),
    )


def category_answers(
    cube: ScoreCube, regime: str
) -> tuple[Mapping[str, Recommendation], tuple[str, ...]]:
    """The recommendation for all categories, then for each; and those that no model has whole."""
    answers: dict[str, Recommendation] = {}
    absent: list[str] = []
    for name in (EVERYTHING, *cube.categories):
        try:
            answers[name] = recommend(cube, () if name == EVERYTHING else (name,), regime=regime)
        except SelectionError:
            absent.append(name)
    return answers, tuple(absent)


def choice_table(
    cube: ScoreCube,
    regime: str,
    *,
    limits: Sequence[float] = (1e8, 3e8),
    found: tuple[Mapping[str, Recommendation], tuple[str, ...]] | None = None,
) -> Table:
    """Which model for which category: the best, its margin, its equals, small ones, and yours.

    Args:
        cube: The scores.
        regime: The regime.
        limits: Numbers of parameters that the best small models keep to.
        found: What :func:`category_answers` gave for the same cube, where it is at hand.
    """
    answers, absent = found or category_answers(cube, regime)
    sources = {model.source for model in cube.models}
    rows: list[tuple[Cell, ...]] = []
    for name, answer in answers.items():
        equal = sum(candidate.equal for candidate in answer.candidates)
        baseline = answer.baselines[0] if answer.baselines else None
        smallest = answer.smallest_equal
        second = answer.candidates[1] if len(answer.candidates) > 1 else None
        # With few tasks an interval over tasks holds almost anything.
        telling = answer.tasks >= FEWEST_TASKS
        lead = second.behind if second and telling else None
        rows.append(
            (
                name,
                answer.tasks,
                answer.best.model.title,
                answer.best.mcc,
                second.model.title if second else None,
                answer.margin,
                lead.low if lead else None,
                lead.high if lead else None,
                equal - 1 if telling else None,
                smallest.model.title if smallest else None,
                *(_best_within(answer, limit) for limit in limits),
                baseline.model.title if baseline else None,
                baseline.mcc if baseline else None,
                (", ".join(one.model.title for one in answer.not_beaten) or "none")
                if baseline
                else None,
                *(_best_own(answer) if len(sources) > 1 else (None, None, None)),
            )
        )
    return Table(
        "choice",
        f"Which model for which category, {regime}",
        (
            "category",
            "tasks",
            "best",
            "mcc",
            "second",
            "margin",
            "margin_low",
            "margin_high",
            "not_told_apart",
            "smallest_equal",
            *(f"best_to_{limit / 1e6:g}M" for limit in limits),
            "baseline",
            "baseline_mcc",
            "not_beaten",
            "yours",
            "yours_mcc",
            "yours_rank",
        ),
        tuple(rows),
        "best: of the trained models. margin: lead over the second, with its 95% interval over the "
        "category's tasks. not told apart: other models whose paired interval to the best includes "
        f"zero. Both are given from {FEWEST_TASKS} tasks on. smallest equal: the smallest not "
        f"told apart and within {CLOSE:g} of the best. baseline: the best of k-mer counts and "
        "untrained controls; not beaten: those that the best model is not shown to beat. yours: "
        "the best of the run's trained models, else of its k-mer counts; its rank counts everybody."
        + (f" No model has every task of: {', '.join(absent)}." if absent else ""),
        3,
        (("margin", "margin_low", "margin_high"),),
    ).without_empty_columns()


def _best_own(answer: Recommendation) -> tuple[Cell, Cell, Cell]:
    """Name, score and place of :func:`own_place`."""
    candidate, rank = own_place(answer)
    if candidate is None:
        return None, None, None
    return candidate.model.title, candidate.mcc, rank


def own_place(answer: Recommendation) -> tuple[Candidate | None, int]:
    """The user's best trained model, else their k-mer counts, and its place among all."""
    everyone = (*answer.candidates, *answer.baselines)
    for one in everyone:
        if one.model.source == "user" and not one.model.untrained:
            return one, sum(other.mcc > one.mcc for other in everyone) + 1
    return None, 0


def best_within(answer: Recommendation, limit: float) -> Candidate | None:
    """The best trained model of at most ``limit`` parameters."""
    fits = (
        one
        for one in answer.candidates
        if one.model.params and one.model.params <= limit and not one.model.baseline
    )
    return next(fits, None)


def _best_within(answer: Recommendation, limit: float) -> str | None:
    found = best_within(answer, limit)
    return f"{found.model.title} ({found.mcc:.3f})" if found else None
