"""Words and digits that follow what is shown: the metric's name, no digit that means nothing."""

from __future__ import annotations

import math

__all__ = ["MOST_DECIMALS", "decimals_of", "in_metric", "metric_title"]

#: Decimals of a score that has no interval, and at most: the published scores have four.
MOST_DECIMALS = 4
_FEWEST_DECIMALS = 2
_TITLES = {
    "mcc": "MCC",
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "neg_brier": "negative Brier score",
}


def metric_title(metric: str) -> str:
    """What people call a metric: MCC, accuracy, macro-F1, AUROC, AUPRC."""
    return _TITLES[metric]


def in_metric(text: str, metric: str) -> str:
    """One of our own sentences about MCC, said of another metric."""
    return text.replace("MCC", metric_title(metric))


def decimals_of(low: float | None, high: float | None) -> int:
    """Decimals with which a value and its interval are shown: two digits of half its width.

    A macro of 0.5294 with an interval of 0.49 to 0.57 is 0.529: the fourth digit says nothing.
    """
    if low is None or high is None or not high > low:
        return MOST_DECIMALS
    digits = 1 - math.floor(math.log10((high - low) / 2.0))
    return min(max(digits, _FEWEST_DECIMALS), MOST_DECIMALS)
