"""A model where a general benchmark expects an encoder: ``encode(sentences, **options)``.

Written against the call of sentence-transformers 6 (one text or a list of them) and of MTEB 2 (an
iterable of batches that hold ``text``). Options that would change vectors are applied or refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from geneb_jax.embed.model import Model

__all__ = ["encode"]

#: They change no vector here: batches are the engine's, and there is one form for all tasks.
_WITHOUT_EFFECT = {
    "batch_size", "convert_to_numpy", "hf_split", "hf_subset", "prompt_type", "task_metadata",
    "task_name",
}  # fmt: skip
_REFUSED = {
    "convert_to_tensor": (False, "it gives NumPy arrays; torch.from_numpy makes a tensor of one"),
    "device": (None, "JAX places it"),
    "output_value": ("sentence_embedding", "it gives one vector a text"),
    "precision": ("float32", "vectors are float32"),
    "prompt": (None, "nothing is put before a DNA sequence"),
    "prompt_name": (None, "nothing is put before a DNA sequence"),
    "truncate_dim": (None, "vectors are whole"),
}


def encode(model: Model, sentences: Any, options: Mapping[str, Any]) -> np.ndarray:
    """Embed what a sentence encoder is given.

    Args:
        model: The model.
        sentences: One text; a list of texts; or an iterable of batches, mappings with a list under
            ``text``.
        options: ``normalize_embeddings`` divides rows by their length, ``show_progress_bar`` shows
            a bar; batch sizes and names of tasks have no effect.

    Returns:
        float32 ``[width]`` for one text, else ``[n, width]``.

    Raises:
        TypeError: for an unknown option, or sentences of another kind.
        ValueError: for an option that would give other vectors than this model has.
    """
    normalize = bool(options.get("normalize_embeddings", False))
    for name, value in options.items():
        if name in ("normalize_embeddings", "show_progress_bar") or name in _WITHOUT_EFFECT:
            continue
        if name not in _REFUSED:
            raise TypeError(f"encode has no option {name!r}")
        usual, why = _REFUSED[name]
        if value not in (None, usual):
            raise ValueError(f"encode takes no {name}={value!r}: {why}")
    texts = [sentences] if isinstance(sentences, str) else _texts(sentences)
    rows = model.embed(texts, progress=bool(options.get("show_progress_bar")))
    if normalize:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return rows[0] if isinstance(sentences, str) else rows


def _texts(sentences: Any) -> list[str]:
    texts: list[str] = []
    for one in sentences:
        if isinstance(one, Mapping):
            if "text" not in one:
                raise TypeError(f"a batch has {', '.join(map(str, one))}, but no text")
            texts += one["text"]
        else:
            texts.append(one)
    return texts
