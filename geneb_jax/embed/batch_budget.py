"""How many tokens a batch holds, and what a smaller number means for whose embeddings these are.

The last bits of an embedding depend on the shape of its batch, so a model has one number of tokens
a batch on each kind of device. More than that changes nothing. Fewer, for a device with too little
memory, is another way to compute: halves of the model's own number only, and named in the identity,
so that the rows of the two are never mixed. A model whose arithmetic is exact takes any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import jax

from geneb_jax.embed.batch_plan import SMALL_PARAMETERS
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.encoder import Encoder, TokenEncoder, TokenizedBatch, TokenizedSequence

__all__ = ["BATCH_TOKENS", "batch_tokens_in_force", "limited"]

#: Tokens of a batch by platform, where the encoder does not say otherwise. On CPU as few as run at
#: full speed; on accelerators enough to fill the arithmetic units, few enough that attention over
#: 2048 tokens stays below a gigabyte.
BATCH_TOKENS = {"cpu": 512, "gpu": 32768, "tpu": 32768}
#: For small models at least so many: with 1.4 million parameters 512 take a fifth longer.
_SMALL_MODEL_TOKENS = 1024


def batch_tokens_in_force(encoder: TokenEncoder, asked: int | None, platform: str) -> int:
    """Tokens of a batch on one device, for a caller who asks for at most so many.

    Returns:
        The model's own number on this platform, or the first of its halves that is not more than
        ``asked``; ``asked`` itself where shapes do not matter.

    Raises:
        ValueError: if ``asked`` is not positive.
    """
    if asked is not None and asked < 1:
        raise ValueError(f"batch_tokens must be positive, got {asked}")
    own = _own_tokens(encoder, platform)
    if asked is None:
        return own
    if encoder.any_rows:
        return asked
    while own > asked:
        own //= 2
    return max(1, own)


def _own_tokens(encoder: TokenEncoder, platform: str) -> int:
    usual = BATCH_TOKENS.get(platform, BATCH_TOKENS["cpu"])
    small = (encoder.parameter_count or SMALL_PARAMETERS) < SMALL_PARAMETERS
    return encoder.batch_tokens or (max(usual, _SMALL_MODEL_TOKENS) if small else usual)


class _Limited(TokenEncoder):
    """An encoder with smaller batches than its own, under an identity that says so."""

    def __init__(self, encoder: TokenEncoder, batch_tokens: int) -> None:
        self._encoder = encoder
        self.batch_tokens = self._own_batch_tokens = batch_tokens
        self.spec = encoder.spec
        self.pad_id = encoder.pad_id
        self.unknown_id = encoder.unknown_id
        self.exact_length = encoder.exact_length
        self.length_multiple = encoder.length_multiple
        self.longest_tokens = encoder.longest_tokens
        self.products = encoder.products
        self.overlong = encoder.overlong
        self.counts_whole = encoder.counts_whole

    @property
    def params(self) -> Any:
        """The encoder's, read when they are first asked for."""
        return self._encoder.params

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder's, with the number of tokens."""
        return replace(self._encoder.identity, batch_tokens=str(self.batch_tokens))

    @property
    def width(self) -> int:
        """Length of one embedding."""
        return self._encoder.width

    @property
    def vectors(self) -> tuple[tuple[str, int], ...]:
        """The encoder's."""
        return self._encoder.vectors

    @property
    def parameter_count(self) -> int | None:
        """The encoder's."""
        return self._encoder.parameter_count

    @property
    def layer_count(self) -> int | None:
        """The encoder's."""
        return self._encoder.layer_count

    def variant(self, layer: int, pooling: str | None) -> TokenEncoder:
        """The encoder's, with the same number of tokens."""
        other = self._encoder.variant(layer, pooling)
        assert isinstance(other, TokenEncoder)
        return _Limited(other, self._own_batch_tokens)

    def joined(self, members: Sequence[Encoder]) -> TokenEncoder:
        """The encoder's, with the same number of tokens."""
        inside = [one._encoder if isinstance(one, _Limited) else one for one in members]
        together = self._encoder.joined(inside)
        assert isinstance(together, TokenEncoder)
        return _Limited(together, self._own_batch_tokens)

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """As the encoder does."""
        return self._encoder.tokenize(sequence)

    def tokenize_many(self, sequences: Sequence[str]) -> TokenizedBatch:
        """As the encoder does."""
        return self._encoder.tokenize_many(sequences)

    def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
        """As the encoder does."""
        return self._encoder.pooled(params, ids, mask)


@overload
def limited(encoder: TokenEncoder, batch_tokens: int | None) -> TokenEncoder: ...
@overload
def limited(encoder: Encoder, batch_tokens: int | None) -> Encoder: ...


def limited(encoder: Encoder, batch_tokens: int | None) -> Encoder:
    """The encoder that computes with at most so many tokens a batch and device.

    Returns:
        The encoder itself where that changes no bit; else one with another identity.
    """
    if batch_tokens is None or not isinstance(encoder, TokenEncoder) or encoder.any_rows:
        return encoder
    platform = jax.default_backend()
    allowed = batch_tokens_in_force(encoder, batch_tokens, platform)
    return encoder if allowed == _own_tokens(encoder, platform) else _Limited(encoder, allowed)
