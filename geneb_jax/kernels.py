"""Pure array kernels, by name; the package behind them is :mod:`geneb_jax_kernels`.

Each is imported when it is first asked for: naming this module does not import JAX.
"""

from __future__ import annotations

import importlib
from typing import Any

#: Public name to its module; the reference forms that tests compare with stay behind.
_HOMES = {
    "ColumnPieces": "ragged_loss",
    "FACTOR_TILE": "factor_products",
    "ListedRows": "ragged_loss",
    "PAIRWISE_ROWS": "rounded_loss",
    "PIECE_ROWS": "ragged_loss",
    "Pieces": "ragged_loss",
    "attention_pooling": "attention_pooling",
    "binary_terms": "logistic_loss",
    "causal_depthwise_convolution": "causal_depthwise_convolution",
    "confusion_counts": "confusion",
    "factor_products": "factor_products",
    "fft_convolution": "fft_convolution",
    "fft_length": "fft_convolution",
    "fused_factor_products": "factor_products",
    "fused_gradient": "fused_ragged_loss",
    "fused_kernels_allowed": "plain_forms",
    "fused_products": "fused_ragged_loss",
    "fused_relative_attention": "fused_relative_attention",
    "fused_residuals": "fused_ragged_loss",
    "fused_selective_scan": "fused_selective_scan",
    "host_gram": "gram",
    "inverse_cholesky": "gram",
    "kmer_counts": "kmer_counts",
    "kmer_frequencies": "kmer_counts",
    "log1p_unit": "logistic_loss",
    "loss_and_gradient": "logistic_loss",
    "modal_filter": "modal_filter",
    "multinomial_terms": "logistic_loss",
    "pairwise_sum": "rounded_loss",
    "plain_forms": "plain_forms",
    "pointwise_terms": "logistic_loss",
    "ragged_loss": "ragged_loss",
    "ragged_products": "ragged_loss",
    "relative_attention": "relative_shift",
    "relative_attention_of_rows": "relative_shift",
    "relative_shift": "relative_shift",
    "rounded": "rounded_loss",
    "rounded_terms": "rounded_loss",
    "running_sum": "rounded_loss",
    "selective_scan": "selective_scan",
    "squared_length": "rounded_loss",
    "ssd": "ssd",
    "ssd_by_products": "ssd_products",
    "weighted_gram": "gram",
    "weighted_terms": "logistic_loss",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a kernel's module when the kernel is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"geneb_jax_kernels.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The kernels; what this module itself needs is not part of it."""
    return list(__all__)
