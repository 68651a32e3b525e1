"""Smaller models that beat larger ones: how many pairs, where, and by how much."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.published import OUT_OF_DOMAIN_CORPORA

__all__ = [
    "SizeInversion",
    "SizeInversions",
    "in_domain",
    "size_inversions",
    "smaller_beats_larger",
]


@dataclass(frozen=True, slots=True)
class SizeInversion:
    """A model that beats one at least ``factor`` times its size; ``gap`` is smaller - larger."""

    smaller: str
    larger: str
    ratio: float
    gap: float


@dataclass(frozen=True, slots=True)
class SizeInversions:
    """Such pairs among the in-domain models, and their numbers among all.

    Attributes:
        pairs: Pairs by macro mean, largest gap first.
        factor: How many times larger the beaten models are at least.
        models: Models that could be in a pair: those of an in-domain corpus.
        left_out_corpora: Corpora that are not.
        count_all_models: Pairs with the models of those corpora.
        count_by_category: Category -> pairs by its mean, among all models.
    """

    pairs: tuple[SizeInversion, ...]
    factor: float
    models: int
    left_out_corpora: tuple[str, ...]
    count_all_models: int
    count_by_category: Mapping[str, int]


def in_domain(cube: ScoreCube, out_of_domain: Collection[str]) -> ScoreCube:
    """The models whose corpus is not one of ``out_of_domain``."""
    return cube.select_models(
        np.array([model.corpus not in out_of_domain for model in cube.models], dtype=bool)
    )


def smaller_beats_larger(
    cube: ScoreCube,
    regime: str,
    *,
    factor: float = 5.0,
    aggregate_by: str = "macro",
) -> tuple[SizeInversion, ...]:
    """Ordered pairs with ``factor * smaller <= larger`` and a strictly higher score of the smaller.

    Args:
        cube: Scores; models of unknown size or with a withheld mean do not count.
        regime: The regime.
        factor: How many times larger the beaten model must be, above 1.
        aggregate_by: "macro", "micro" or the name of a category.

    Returns:
        The pairs, largest gap first.

    Raises:
        ValueError: if ``factor`` is not above 1.
        SelectionError: if ``aggregate_by`` is no category.
    """
    if not factor > 1.0:
        raise ValueError(f"factor {factor} is not above 1")
    means = aggregate(cube)
    place = cube.regime_index(regime)
    if aggregate_by == "macro":
        score = means.macro[:, place]
    elif aggregate_by == "micro":
        score = means.micro[:, place]
    else:
        score = means.category[:, place, cube.category_index(aggregate_by)]
    size = cube.params
    # Comparisons with NaN are false, which leaves unknown sizes and withheld means out.
    beats = (factor * size[:, None] <= size[None, :]) & (score[:, None] > score[None, :])
    pairs = [
        SizeInversion(
            smaller=cube.model_ids[a],
            larger=cube.model_ids[b],
            ratio=float(size[b] / size[a]),
            gap=float(score[a] - score[b]),
        )
        for a, b in np.argwhere(beats).tolist()
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.gap))


def size_inversions(cube: ScoreCube, regime: str, *, factor: float = 5.0) -> SizeInversions:
    """The paper's count: in-domain models by macro mean, and what other counts would give."""
    inside = in_domain(cube, OUT_OF_DOMAIN_CORPORA)
    return SizeInversions(
        pairs=smaller_beats_larger(inside, regime, factor=factor),
        factor=factor,
        models=len(inside.models),
        left_out_corpora=tuple(sorted(OUT_OF_DOMAIN_CORPORA)),
        count_all_models=len(smaller_beats_larger(cube, regime, factor=factor)),
        count_by_category={
            name: len(smaller_beats_larger(cube, regime, factor=factor, aggregate_by=name))
            for name in cube.categories
        },
    )
