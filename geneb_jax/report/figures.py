"""The figures, over the published models and the user's, each with its data.

Numbers are the paper's where it has the figure: 2 Pareto frontier of size and macro MCC, 3 heatmap
of categories, 5 few-shot degradation, 6 high-variance tasks; 7, controlled pairs with intervals, is
ours, and so is 1, the leaderboard (:mod:`geneb_jax.report.figure_standing`). The paper's radar
plots, figure 4, show what the heatmap shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.analysis import PairDifference, ScoreCube
from geneb_jax.report.figure_contrasts import high_variance_figure, pairs_figure
from geneb_jax.report.figure_few_shot import few_shot_figure
from geneb_jax.report.figure_heatmap import heatmap_figure
from geneb_jax.report.figure_pareto import pareto_figure
from geneb_jax.report.figure_parts import Figure

__all__ = ["draw_figures"]


def draw_figures(
    cube: ScoreCube, regime: str, pairs: Sequence[PairDifference] = ()
) -> tuple[Figure, ...]:
    """Every figure the models allow; those without data are left out.

    Args:
        cube: Scores; models that lack a task in the regime are not drawn.
        regime: Regime of the figures that are of one regime.
        pairs: Controlled pairs over the same cube.
    """
    whole = cube.select_models(cube.complete(regime))
    drawn = (
        pareto_figure(whole, regime),
        heatmap_figure(whole, regime),
        few_shot_figure(whole, regime),
        high_variance_figure(whole, regime),
        pairs_figure(whole, pairs),
    )
    return tuple(figure for figure in drawn if figure is not None)
