"""The numbers that the page carries: what its panels show and its choice of tasks ranks by.

One JSON text. Positions stand for names: a task of the list, a model of the board. Whatever the
page cannot compute itself - intervals, ties - is in it as computed here, or is not shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geneb_jax.analysis import (
    Leaderboard,
    PairIntervals,
    Panel,
    Recommendation,
    ScoreCube,
    Statistics,
    task_bootstrap,
)
from geneb_jax.benchmark import Suite
from geneb_jax.models import known_spec
from geneb_jax.report.boards import size_text
from geneb_jax.report.wording import metric_title
from geneb_jax.results import ModelFacts

__all__ = ["model_link", "page_numbers"]

_DIGITS = 6


def page_numbers(
    board: Leaderboard,
    panel: Panel,
    statistics: Statistics,
    pairs: PairIntervals,
    choices: Mapping[str, Recommendation],
) -> str:
    """The JSON of the first leaderboard.

    Args:
        board: The leaderboard; its rows are the models, in its order.
        panel: Who is compared.
        statistics: Of the same panel and the board's regime.
        pairs: Intervals of the differences between its models.
        choices: Category -> who is best in it and who cannot be told from that.
    """
    cube = panel.cube if panel.common is None else panel.common
    order = [cube.model_index(row.model.label) for row in board.rows]
    own = {(one.model_id, one.task_id): one for one in statistics.own_scores}
    bounds = _category_bounds(cube, board.regime)
    content: dict[str, Any] = {
        "metric": metric_title(board.metric),
        "regimes": list(board.regimes),
        "regime": board.regimes.index(board.regime),
        "categories": list(cube.categories),
        "tasks": [_task(panel.suite, cube, k) for k in range(len(cube.tasks))],
        "over": pairs.over,
        "models": [
            _model(row.model)
            | {
                "rank": row.rank,
                "tie": row.tie_group,
                "range": [row.rank_range.low, row.rank_range.high] if row.rank_range else None,
                "interval": _rounded(row.interval) if row.interval else None,
                "micro": [_number(row.micro[name]) for name in board.regimes],
                "off": list(cube.off_protocol.get(row.model.label, ())),
                "scores": [_rounded(cube.mcc[place, r]) for r in range(len(cube.regimes))],
                "inside": {name: _rounded(pair[place]) for name, pair in bounds.items()},
            }
            for row, place in zip(board.rows, order, strict=True)
        ],
        "equal": {
            name: [one.model.label for one in answer.candidates if one.equal]
            for name, answer in choices.items()
        },
        "pairs": _pairs(board, pairs),
        "own": {
            str(m): {
                str(t): _own(own[row.model.label, task.task_id])
                for t, task in enumerate(cube.tasks)
                if (row.model.label, task.task_id) in own
            }
            for m, row in enumerate(board.rows)
            if row.model.source == "user"
        },
    }
    equal = {row.model.label: m for m, row in enumerate(board.rows)}
    content["equal"] = {
        name: sorted(equal[label] for label in labels if label in equal)
        for name, labels in content["equal"].items()
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def model_link(model: ModelFacts) -> str:
    """Where the model is: what its facts say, else its checkpoint on the hub; or ""."""
    if model.url.startswith("https://"):
        return model.url
    spec = known_spec(model.name)
    hub_id = spec.source.hub_id if spec else None
    return f"https://huggingface.co/{hub_id}" if hub_id else ""


def _model(model: ModelFacts) -> dict[str, Any]:
    return {
        "title": model.title,
        "label": model.label,
        "source": model.source,
        "untrained": model.untrained,
        "size": size_text(model.params),
        "params": model.params,
        "labels": [model.architecture, model.tokenization, model.corpus],
        "identity": model.identity_short,
        "url": model_link(model),
    }


def _task(suite: Suite, cube: ScoreCube, place: int) -> dict[str, Any]:
    task = cube.tasks[place]
    pin = suite.dataset
    folder = f"https://huggingface.co/datasets/{pin.repository}/tree/{pin.revision}" if pin else ""
    return {
        "id": task.task_id,
        "label": task.label,
        "category": cube.categories.index(task.category),
        "rows": int(cube.test_rows[place]) or task.test_rows,
        "classes": list(task.classes),
        "url": f"{folder}/tasks/{task.task_id}" if pin and not suite.simulated else "",
    }


def _own(one: Any) -> list[Any]:
    """Interval, chance, untrained, composition, leaked rows, score without them, data."""
    interval = (one.interval.low, one.interval.high) if one.interval else (None, None)
    numbers = (*interval, one.chance, one.untrained, one.composition)
    return [*map(_number, numbers), one.leaked, _number(one.clean_mcc), one.data or ""]


def _category_bounds(cube: ScoreCube, regime: str) -> dict[str, np.ndarray]:
    """Category -> float64 ``[model, 2]``: 95% interval of its mean, from five tasks on."""
    scores = cube.in_regime(regime)
    found = {}
    for k, name in enumerate(cube.categories):
        inside = scores[:, cube.category_of_task == k]
        resampling = task_bootstrap(np.zeros(inside.shape[1], dtype=np.int64))
        if resampling is None:
            continue
        whole = np.isfinite(inside).all(axis=1)
        bounds = np.full((len(inside), 2), np.nan)
        if whole.any():
            bounds[whole] = np.stack(
                resampling.bounds(inside[whole], limits=cube.score_range), axis=-1
            )
        found[name] = bounds
    return found


def _pairs(board: Leaderboard, pairs: PairIntervals) -> list[list[list[float] | None]]:
    """Model -> each model after it -> the interval of their difference, in the board's order."""
    place = {label: k for k, label in enumerate(pairs.labels)}
    ranked = [place[r.model.label] for r in board.rows if r.rank and r.model.label in place]
    if not pairs.over:
        return []
    return [
        [_bounds(pairs.low[one, two], pairs.high[one, two]) for two in ranked[k + 1 :]]
        for k, one in enumerate(ranked)
    ]


def _bounds(low: float, high: float) -> list[float] | None:
    return [round(float(low), 4), round(float(high), 4)] if np.isfinite(low) else None


def _rounded(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [_number(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def _number(value: float | None) -> float | None:
    return round(value, _DIGITS) if value is not None and np.isfinite(value) else None
