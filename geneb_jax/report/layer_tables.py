"""Scores by layer and pooling: the table of a run's end, the report's table, what they say."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.analysis import LayerCurves, LayerScore
from geneb_jax.report.tables import Table

__all__ = ["console_layers", "layer_name", "layer_sentences", "layer_table"]

#: The mark of the layer and pooling that held-out training rows chose.
MARK = "*"


def layer_name(layer: int) -> str:
    """``last`` for -1, which is how an identity counts it."""
    return "last" if layer == -1 else str(layer)


def console_layers(curves: LayerCurves) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows for a terminal: a row a layer, a column a pooling."""
    cells = {(one.layer, one.pooling): one for one in curves.scores}
    rows = [
        (
            layer_name(layer),
            *(_cell(cells.get((layer, pooling)), curves.chosen) for pooling in curves.poolings),
        )
        for layer in curves.layers
    ]
    return ("layer", *curves.poolings), rows


def _cell(score: LayerScore | None, chosen: LayerScore | None) -> str:
    if score is None:
        return "-"
    return f"{score.test:.4f}" + (MARK if score == chosen else "")


def layer_sentences(curves: Sequence[LayerCurves]) -> list[str]:
    """What the layers say, a sentence a model whose layer could be chosen."""
    said = []
    for one in curves:
        chosen, best = one.chosen, one.best
        if chosen is None or one.price is None:
            continue
        price = (
            "also the best of them there"
            if best == chosen
            else f"the best of {len(one.scores)} there, {_named(best)}, has {best.test:.4f}: "
            f"whoever chose by test rows would report up to {one.price:.4f} too much"
        )
        said.append(
            f"{one.model_id}: {_named(chosen)} by held-out training rows (MCC "
            f"{chosen.held_out:.4f} there, {chosen.test:.4f} on the test rows; {price})"
        )
    return said


def _named(score: LayerScore) -> str:
    layer = "the last layer" if score.layer == -1 else f"layer {score.layer}"
    return f"{layer}, {score.pooling}"


def layer_table(curves: Sequence[LayerCurves]) -> Table:
    """Every layer and pooling with its category means, for the report and its CSV."""
    categories = list(
        dict.fromkeys(name for one in curves for score in one.scores for name in score.categories)
    )
    return Table(
        "layers",
        "Score by layer and pooling",
        (
            "model_id",
            "regime",
            "layer",
            "pooling",
            "mcc",
            "held_out",
            "chosen",
            "tasks",
            *categories,
        ),
        tuple(
            (
                one.model_id,
                one.regime,
                layer_name(score.layer),
                score.pooling,
                score.test,
                score.held_out,
                MARK if score == one.chosen else None,
                one.tasks,
                *(score.categories.get(name) for name in categories),
            )
            for one in curves
            for score in one.scores
        ),
        "mcc: mean of the category means on the test rows, over the tasks that all layers have; "
        "then each category's own. held_out: mcc on thirds of the training rows that the probe did "
        f"not see. {MARK}: what these choose. The best mcc of many layers is chosen by the test "
        "rows, and flatters itself.",
    ).without_empty_columns()
