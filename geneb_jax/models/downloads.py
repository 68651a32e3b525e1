"""What the first use of a registered model downloads, from its specification alone."""

from __future__ import annotations

from geneb_jax.models.spec import ModelSpec
from geneb_jax.tokenizers import is_shipped

__all__ = ["tokenizer_bytes", "weight_bytes"]


def weight_bytes(spec: ModelSpec) -> int:
    """Bytes of the weight files that are loaded; 0 for a built-in model.

    Four a parameter for a file whose size was not published.
    """
    files = spec.weight_files()
    return sum(
        4 * spec.parameters if file.size_bytes is None else file.size_bytes for file in files
    )


def tokenizer_bytes(spec: ModelSpec) -> int:
    """Bytes of the tokenizer's files that do not ship with the package.

    This is also all that an untrained model (``--weights random``) downloads.
    """
    return sum(file.size_bytes or 0 for file in spec.tokenizer.files if not is_shipped(file.sha256))
