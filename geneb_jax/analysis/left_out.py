"""What is not in a statistic, and why: nothing leaves a table without a line that says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from geneb_jax.analysis.agreement import settings_apart
from geneb_jax.analysis.cube import ScoreCube
from geneb_jax.analysis.cube_from_scores import ProbeSetting
from geneb_jax.analysis.published import ControlledPair
from geneb_jax.results import listed

__all__ = ["left_out_notes"]


def left_out_notes(
    cube: ScoreCube,
    regime: str,
    pairs: Sequence[ControlledPair],
    unbelieved: Mapping[str, int],
    settings: Mapping[ProbeSetting, ScoreCube],
) -> Iterator[str]:
    """Sentences on what the statistics of a cube leave out.

    Args:
        cube: The models that keep to the protocol.
        regime: The regime of the statistics.
        pairs: The user's pairs.
        unbelieved: Label -> scores without predictions to judge them by.
        settings: The runs' models by probe setting, where there is more than one.
    """
    here = cube.complete(regime)
    everywhere = np.isfinite(cube.mcc).all(axis=(1, 2))
    if names := _names(cube, ~here):
        yield (
            f"{listed(names)}: not ranked and in no mean over models of {regime}, because tasks of "
            f"it are missing (coverage: the leaderboard)."
        )
    if names := _names(cube, here & ~everywhere):
        yield (
            f"{listed(names)}: not in what compares regimes, nor in means by label, because tasks "
            "of another regime are missing."
        )
    if names := _names(cube, here & np.isnan(cube.params)):
        yield (
            f"{listed(names)}: of no known size, so not in what relates score and size (scaling, "
            "tiers, Pareto frontier, smaller beats larger)."
        )
    whole = set(_ids(cube, here))
    for pair in pairs:
        if lacking := [name for name in (pair.model_a, pair.model_b) if name not in whole]:
            yield (
                f"The pair {pair.model_a}, {pair.model_b} is not compared: {listed(lacking)} has "
                f"not every task of {regime}, or is off the protocol."
            )
    if unbelieved:
        yield (
            f"{listed(list(unbelieved))}: {sum(unbelieved.values())} scores have no interval over "
            "test rows and no score without leaked rows, because their predictions were not kept "
            "or do not give the score."
        )
    yield from _of_settings(settings, regime)


def _of_settings(settings: Mapping[ProbeSetting, ScoreCube], regime: str) -> Iterator[str]:
    """Pairs of settings that share nothing, so that the agreement of settings lacks them."""
    if len(settings) < 2:
        return
    for one, two in settings_apart(settings, regime):
        yield (
            f"No model has a common task in both settings {one} and {two}: the agreement of "
            "settings lacks this pair."
        )


def _ids(cube: ScoreCube, chosen: np.ndarray) -> list[str]:
    return [cube.model_ids[row] for row in np.flatnonzero(chosen).tolist()]


def _names(cube: ScoreCube, chosen: np.ndarray) -> list[str]:
    return [cube.models[row].title for row in np.flatnonzero(chosen).tolist()]
