"""Means over groups of models: by architecture, tokenization, corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.analysis.aggregation import aggregate
from geneb_jax.analysis.cube import ScoreCube

__all__ = ["LabelGroup", "label_groups"]


@dataclass(frozen=True, slots=True)
class LabelGroup:
    """Complete models that share a label: their number, mean macro by regime, mean by category."""

    label: str
    count: int
    macro: Mapping[str, float]
    category: Mapping[str, float]


def label_groups(cube: ScoreCube, attribute: str, *, regime: str) -> tuple[LabelGroup, ...]:
    """Group the models that are complete in every regime by a label, best macro mean first.

    These groups differ in much besides the label: they describe, and the controlled pairs compare.

    Args:
        cube: Scores.
        attribute: "architecture", "tokenization" or "corpus".
        regime: Regime of the category means and of the order.
    """
    means = aggregate(cube)
    place = cube.regime_index(regime)
    whole = np.isfinite(cube.mcc).all(axis=(1, 2))
    labels = cube.labels(attribute)
    groups = []
    for label in dict.fromkeys(labels[whole].tolist()):
        rows = whole & (labels == label)
        category = means.category[rows, place].mean(axis=0)
        macro = means.macro[rows].mean(axis=0)
        groups.append(
            LabelGroup(
                label=label,
                count=int(rows.sum()),
                macro=dict(zip(cube.regimes, macro.tolist(), strict=True)),
                category=dict(zip(means.categories, category.tolist(), strict=True)),
            )
        )
    return tuple(sorted(groups, key=lambda group: -group.macro[regime]))
