"""A user's own Flax module as a :class:`~geneb_jax.embed.model.Model`."""

from __future__ import annotations

from typing import Any

from geneb_jax.embed.model import Model
from geneb_jax.models import LoadOptions
from geneb_jax.models.wrapped_encoder import WrappedEncoder

__all__ = ["wrap"]


def wrap(
    module: Any,
    tokenizer: Any,
    *,
    variables: Any = None,
    name: str | None = None,
    pooling: str = "mean",
    pad_id: int | None = None,
    max_tokens: int | None = None,
    key: str | None = None,
) -> Model:
    """Make a model of a Flax module: batched, compiled, pooled and stored like those that ship.

    Args:
        module: An ``nnx.Module``, or a Linen module with ``variables``. It is called with ids int32
            ``[row, token]`` and mask bool ``[row, token]`` (true where there is a token, padding on
            the right) and gives ``[row, token, width]``, or ``[row, width]`` where it pools itself.
        tokenizer: A function from one sequence to its ids (a list, an array, a mapping with
            ``input_ids``, or an object with ``ids``), special tokens included; or a
            :class:`geneb_jax.tokenizers.Tokenizer`, which also counts what it cuts.
        variables: Of a Linen module, what ``init`` gave.
        name: What tables call it; the class's name by default.
        pooling: mean, cls, last, penultimate or max, also with ``+normalize``.
        pad_id: Id of padded positions; the tokenizer's, or 0.
        max_tokens: Most tokens that the module takes. A longer sequence is refused, unless the
            tokenizer is one of ours and cuts it.
        key: Anything that changes whenever the embeddings would. By default a digest of the
            module's arrays and code, and of the tokenizer.

    Returns:
        The model, in float32.

    Raises:
        ModelError: if the module cannot be called so, or it holds what no digest covers and there
            is no ``key``.
        SelectionError: for an unknown pooling.
    """
    encoder = WrappedEncoder(
        module,
        tokenizer,
        variables=variables,
        name=name,
        pooling=pooling,
        pad_id=pad_id,
        max_tokens=max_tokens,
        key=key,
    )
    return Model(encoder, LoadOptions())
