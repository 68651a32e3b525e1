"""What the embedding engine asks of a model.

Two kinds exist. A :class:`TokenEncoder` gives tokens and a pure function of a token batch, so the
engine owns batching, compilation, placement and streaming. A :class:`SequenceEncoder` turns texts
into vectors by itself (a torch model, a GENEB extractor, any Python object), and the engine only
chooses which texts to hand over. Neither knows the engine, the store or the benchmark.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from geneb_jax.errors import SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.spec import ModelSpec
from geneb_jax.overlong import TRUNCATE, Overlong
from geneb_jax.tokenizers import TokenizedBatch, TokenizedSequence, join_tokens

__all__ = [
    "BATCH_RULES",
    "Encoder",
    "SequenceEncoder",
    "TextCounts",
    "TokenEncoder",
    "TokenizedBatch",
    "TokenizedSequence",
]


#: Version of the rules by which the engine shapes batches (``geneb_jax/embed/batch_plan.py``), part
#: of the identity of every network: raised when they change, since the last bits follow from them.
BATCH_RULES = "batches/2"


@dataclass(frozen=True, slots=True, eq=False)
class TextCounts:
    """What a model makes of some texts, a number a text, int64 ``[n]`` each.

    Attributes:
        tokens: Tokens that it reads, special tokens included.
        cut_bp: Letters that its context has no room for.
        unknown_bp: Letters other than A, C, G, T that its policy mapped or skipped.
        unknown_tokens: Tokens that its vocabulary does not know; None where nobody says which.
    """

    tokens: np.ndarray
    cut_bp: np.ndarray
    unknown_bp: np.ndarray
    unknown_tokens: np.ndarray | None


class Encoder(ABC):
    """The common part: who the model is and how wide its embeddings are."""

    #: What is known of the model besides its weights; None for objects of the user's own.
    spec: ModelSpec | None = None
    #: What becomes of a sequence that the context does not hold; a window's size is settled.
    overlong: Overlong = TRUNCATE
    #: Most tokens of a sequence, special tokens included; None where nothing limits it.
    longest_tokens: int | None = None
    #: Whether a sequence of any length is counted whole, so that windows could only blur it.
    counts_whole: bool = False

    @property
    @abstractmethod
    def identity(self) -> EncoderIdentity:
        """The store key of this encoder's embeddings."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Length of one embedding."""

    @property
    def vectors(self) -> tuple[tuple[str, int], ...]:
        """Pooling and width of each vector in a row: one, unless it is :meth:`joined`."""
        return ((self.identity.pooling, self.width),)

    @property
    def parameter_count(self) -> int | None:
        """Number of parameters, None where the encoder cannot know it."""
        return None

    def counts_of(self, sequences: Sequence[str]) -> TextCounts | None:
        """What the model makes of texts, each read whole; None where it cannot say."""
        return None

    def with_overlong(self, overlong: Overlong) -> Self:
        """The same model under another policy, with the identity that goes with it.

        Args:
            overlong: With a settled size, if it is of windows.
        """
        own = replace(self.identity, overlong="" if overlong == TRUNCATE else str(overlong))
        changed = copy.copy(self)
        changed.overlong = overlong
        changed._identity = own
        return changed

    #: What :attr:`identity` gives.
    _identity: EncoderIdentity

    @property
    def layer_count(self) -> int | None:
        """Number of layers, whose hidden states can be pooled; None where there is no choice."""
        return None

    def variant(self, layer: int, pooling: str | None) -> Encoder:
        """The same model and parameters with another layer and pooling, as loading it would give.

        Args:
            layer: Hidden state: 0 the embeddings, -1 the last.
            pooling: A pooling's name, ``geneb``, or None for the model's own.

        Raises:
            SelectionError: if there is no such layer or pooling, or the model makes its vectors in
                a way of its own.
        """
        raise SelectionError(
            f"{self.identity.model_id} makes its vectors in a way of its own and has no layers or "
            "poolings to choose from",
            hint="leave --layers away, and --pooling, if need be in a command of its own into the "
            "same --out",
        )

    def joined(self, members: Sequence[Encoder]) -> Encoder:
        """One encoder of several variants of this model: a row holds their vectors side by side.

        Each vector is the same to the bit as that of its variant alone.

        Args:
            members: What :meth:`variant` gave.

        Raises:
            SelectionError: as :meth:`variant`.
        """
        raise SelectionError(f"{self.identity.model_id} has no layers or poolings to choose from")


class TokenEncoder(Encoder):
    """A model that the engine batches, pads, compiles and places by itself."""

    #: Pytree of arrays, passed to :meth:`pooled` by the engine (never closed over, so that a
    #: compiled program does not hold a copy of the weights).
    params: Any = None
    #: Id that fills padded positions; masked out, so its value must not matter.
    pad_id: int = 0
    #: Id of tokens that the model's vocabulary does not know; None where nobody says which it is.
    unknown_id: int | None = None
    #: Some models cannot ignore padding; the engine then batches equal lengths only.
    exact_length: bool = False
    #: Every batch is padded to a multiple of this many tokens (1 where the model does not care).
    length_multiple: int = 1
    #: Whether an embedding is the same to the bit in any shape of batch, as counting is.
    any_rows: bool = False

    #: How products are computed on the devices at hand, where the identity's dtype does not say it
    #: (float32 by parts on accelerators); for records.
    products: str = ""

    #: Tokens of a batch that suit this model best; None for the platform's own figure.
    batch_tokens: int | None = None

    def with_parameters_of(self, other: Encoder) -> TokenEncoder:
        """This encoder, on the other's copy of the parameters where both have the same ones."""
        return self

    @abstractmethod
    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence under the model's policy for letters and length.

        May give zero tokens (an empty sequence in a model without special tokens); the engine then
        hands over a row whose mask is all false, and :meth:`pooled` must return zeros, never NaN.
        """

    def tokenize_many(self, sequences: Sequence[str]) -> TokenizedBatch:
        """Tokenize many sequences; override where a vectorised form is faster than one by one."""
        return join_tokens([self.tokenize(sequence) for sequence in sequences])

    def counts_of(self, sequences: Sequence[str]) -> TextCounts:
        """What the model makes of texts; by tokenizing them."""
        return self.counts_of_tokens(self.tokenize_many(sequences))

    def counts_of_tokens(self, batch: TokenizedBatch) -> TextCounts:
        """The same of texts that are tokenized already."""
        unknown = None
        if self.unknown_id is not None:
            seen = np.concatenate([[0], np.cumsum(batch.ids == self.unknown_id)])
            unknown = (seen[batch.starts[1:]] - seen[batch.starts[:-1]]).astype(np.int64)
        return TextCounts(batch.length_tokens, batch.dropped_bp, batch.unknown_bp, unknown)

    @abstractmethod
    def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
        """Embed a token batch: float32 ``[row, dim]``. Pure and traceable.

        Args:
            params: The parameters.
            ids: int32 ``[row, token]``, padded on the right.
            mask: bool ``[row, token]``, true where there is a token.
        """


class SequenceEncoder(Encoder):
    """A model that embeds texts by itself."""

    @abstractmethod
    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        """Embed texts in their order: float32 ``[len(sequences), width]``, finite."""
