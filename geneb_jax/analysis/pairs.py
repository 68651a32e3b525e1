"""Controlled pairs: two models alike in all but one choice, and contrasts over such pairs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from geneb_jax.analysis.aggregation import category_means, mean_of
from geneb_jax.analysis.bootstrap import Interval, difference_limits, task_bootstrap
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.published import ControlledPair
from geneb_jax.errors import DataError
from geneb_jax.plain_files import read_plain_text

__all__ = [
    "FACTOR_LABELS",
    "Contrast",
    "PairDifference",
    "contrasts",
    "pair_differences",
    "read_pairs",
]

#: Factor of a pair -> the model label it varies.
FACTOR_LABELS = {
    "architecture": "architecture",
    "pretraining": "corpus",
    "tokenization": "tokenization",
}
_COLUMNS = ("model_a", "model_b", "factor")
_LARGEST_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class PairDifference:
    """a - b: macro with its 95% bootstrap interval over tasks, and each category."""

    pair: ControlledPair
    label_a: str
    label_b: str
    macro: float
    interval: Interval | None
    category: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Mean of ``label_a`` - ``label_b`` over pairs, and in how many of them it is above zero.

    ``within`` is the architecture that the pairs share, "" where they were not split by it.
    """

    factor: str
    label_a: str
    label_b: str
    within: str
    pairs: int
    macro: float
    macro_positive: int
    category: Mapping[str, float]
    category_positive: Mapping[str, int]


def pair_differences(
    cube: ScoreCube, pairs: Sequence[ControlledPair], regime: str
) -> tuple[PairDifference, ...]:
    """Differences of the pairs whose models are both complete in the regime."""
    whole = cube.complete(regime)
    scores = cube.in_regime(regime)
    resampling = task_bootstrap(cube.category_of_task)
    limits = difference_limits(cube.score_range)
    known = set(cube.model_ids)
    found = []
    for pair in pairs:
        if not {pair.model_a, pair.model_b} <= known:
            continue
        a, b = cube.model_index(pair.model_a), cube.model_index(pair.model_b)
        if not (whole[a] and whole[b]):
            continue
        difference = scores[a] - scores[b]
        category = category_means(difference, cube.category_of_task)
        attribute = FACTOR_LABELS.get(pair.factor, "architecture")
        found.append(
            PairDifference(
                pair=pair,
                label_a=getattr(cube.models[a], attribute),
                label_b=getattr(cube.models[b], attribute),
                macro=float(mean_of(category)),
                interval=None
                if resampling is None
                else resampling.interval(difference, limits=limits),
                category=dict(zip(cube.categories, category.tolist(), strict=True)),
            )
        )
    return tuple(found)


def contrasts(
    cube: ScoreCube,
    differences: Sequence[PairDifference],
    *,
    within_architecture: bool = False,
) -> tuple[Contrast, ...]:
    """Average pair differences that vary the same two labels, whichever way round they are listed.

    Args:
        cube: The cube the differences came from (for architectures).
        differences: Pair differences.
        within_architecture: Whether to keep pairs of different architectures apart.
    """
    groups: dict[tuple[str, str, str, str], list[tuple[float, PairDifference]]] = {}
    for entry in differences:
        architecture = cube.models[cube.model_index(entry.pair.model_a)].architecture
        within = architecture if within_architecture else ""
        straight = (entry.pair.factor, entry.label_a, entry.label_b, within)
        turned = (entry.pair.factor, entry.label_b, entry.label_a, within)
        if turned in groups:
            groups[turned].append((-1.0, entry))
        else:
            groups.setdefault(straight, []).append((1.0, entry))
    return tuple(_contrast(key, members) for key, members in groups.items())


def _contrast(
    key: tuple[str, str, str, str], members: Sequence[tuple[float, PairDifference]]
) -> Contrast:
    factor, label_a, label_b, within = key
    macro = np.array([sign * entry.macro for sign, entry in members])
    names = tuple(members[0][1].category)
    table = np.array([[sign * entry.category[name] for name in names] for sign, entry in members])
    return Contrast(
        factor=factor,
        label_a=label_a,
        label_b=label_b,
        within=within,
        pairs=len(members),
        macro=float(macro.mean()),
        macro_positive=int((macro > 0).sum()),
        category=dict(zip(names, table.mean(axis=0).tolist(), strict=True)),
        category_positive=dict(zip(names, (table > 0).sum(axis=0).tolist(), strict=True)),
    )


def read_pairs(path: Path, cube: ScoreCube) -> tuple[ControlledPair, ...]:
    """Read a user's pairs: a CSV with the columns model_a, model_b and factor (any word).

    Raises:
        DataError: if the file cannot be read, a column is missing, or a row pairs a model with
        itself.
        SelectionError: if a model is not in the cube.
    """
    try:
        text = read_plain_text(path, largest_bytes=_LARGEST_BYTES).removeprefix("\ufeff")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read as UTF-8 text ({error})", where=path) from error
    reader = csv.DictReader(StringIO(text))
    missing = set(_COLUMNS) - set(reader.fieldnames or ())
    if missing:
        raise DataError(
            f"the column {sorted(missing)[0]!r} is missing",
            where=f"{path}:1",
            hint=f"the header is {','.join(_COLUMNS)}",
        )
    pairs = []
    for number, row in enumerate(reader, start=2):
        a, b = (cube.model_ids[cube.model_index(row[name] or "")] for name in _COLUMNS[:2])
        if a == b:
            raise DataError(f"{a!r} is paired with itself", where=f"{path}:{number}")
        pairs.append(ControlledPair(a, b, row["factor"] or "other"))
    return tuple(pairs)
