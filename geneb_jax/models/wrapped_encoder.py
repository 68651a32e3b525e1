"""A user's own Flax module as a model: batched, compiled and stored like the native ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from geneb_jax.errors import ModelError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.object_adapter import TRIAL
from geneb_jax.models.adapters.reachable import ContentDigest
from geneb_jax.models.encoder import BATCH_RULES, TokenEncoder, TokenizedBatch, TokenizedSequence
from geneb_jax.models.pooling import pool, require_pooling
from geneb_jax.models.precision import computed_products, float32_products
from geneb_jax.tokenizers import Tokenizer

__all__ = ["WrappedEncoder"]

_LOG = logging.getLogger(__name__)
#: Relative: what padding may move a row by, which is rounding.
_ROUNDING = 1e-5
#: What a module does when its own pooling is used.
_OWN = "its own"

Tokenize = Callable[[str], Any]


class WrappedEncoder(TokenEncoder):
    """See :func:`geneb_jax.wrap`, whose arguments these are."""

    def __init__(
        self,
        module: Any,
        tokenizer: Tokenizer | Tokenize,
        *,
        variables: Any = None,
        name: str | None = None,
        pooling: str = "mean",
        pad_id: int | None = None,
        max_tokens: int | None = None,
        key: str | None = None,
    ) -> None:
        require_pooling(pooling)
        self._name = name or type(module).__name__
        self._call, self.params = _callable(module, variables, self._name)
        self._tokenizer = tokenizer
        own = tokenizer if isinstance(tokenizer, Tokenizer) else None
        self.pad_id = pad_id if pad_id is not None else own.pad_id if own is not None else 0
        self.unknown_id = None if own is None else own.unknown_id
        self.longest_tokens = max_tokens
        if max_tokens is None and own is not None:
            self.longest_tokens = own.max_tokens
        self.products = computed_products("float32")
        self._pooling = pooling
        self._shape = self._traced_shape()
        self._identity = EncoderIdentity(
            model_id=self._name,
            revision="local",
            weights=key or self._content(module, variables),
            tokenizer=own.digest if own is not None else "its own",
            pooling=pooling if len(self._shape) == 3 else _OWN,
            layer=-1,
            dtype="float32",
            code=f"wrapped/1+{BATCH_RULES}",
        )
        self.exact_length = self._moved_by_padding()

    def _content(self, module: Any, variables: Any) -> str:
        content = ContentDigest((module, variables, self._tokenizer, self.pad_id))
        if not content.opaque:
            return content.hexdigest()
        raise ModelError(
            f"it holds {', '.join(content.opaque[:3])}, which cannot be looked into",
            where=self._name,
            cause="embeddings are stored under a key that must change whenever they would",
            hint="give key=..., such as the checkpoint's name and version",
        )

    def _traced_shape(self) -> tuple[int, ...]:
        ids = jax.ShapeDtypeStruct((2, 8), jnp.int32)
        mask = jax.ShapeDtypeStruct((2, 8), jnp.bool_)
        try:
            shape: tuple[int, ...] = jax.eval_shape(self._call, self.params, ids, mask).shape
        except Exception as error:
            raise ModelError(
                f"called with ids int32 [2, 8] and mask bool [2, 8] it failed with "
                f"{type(error).__name__}: {error}",
                where=self._name,
            ) from error
        if shape[:-1] not in ((2, 8), (2,)):
            raise ModelError(
                f"gave {list(shape)} for ids [2, 8], expected [2, 8, width] or [2, width]",
                where=self._name,
            )
        return shape

    def _moved_by_padding(self) -> bool:
        """Whether padding changes a row; such a module is given equal lengths only."""
        tokens = self.tokenize(TRIAL[0]).ids
        if len(tokens) == 0:
            return False
        rows = []
        for length in (len(tokens), len(tokens) + 8):
            if self.longest_tokens is not None and length > self.longest_tokens:
                return False
            ids = np.full((1, length), self.pad_id, np.int32)
            ids[0, : len(tokens)] = tokens
            mask = np.arange(length)[None] < len(tokens)
            rows.append(np.asarray(self.pooled(self.params, ids, mask), np.float64))
        apart = np.abs(rows[0] - rows[1]).max()
        if apart <= _ROUNDING * np.abs(rows[0]).max():
            return False
        _LOG.warning(
            "%s: padding changes its embeddings, so batches hold equal lengths only; it should "
            "leave out what its mask does", self._name
        )  # fmt: skip
        return True

    def renamed(self, name: str, *, revision: str, weights: str | None = None) -> WrappedEncoder:
        """The same model under the name, revision and digest of what declares it."""
        self._name = name
        weights = weights or self._identity.weights
        self._identity = replace(self._identity, model_id=name, revision=revision, weights=weights)
        return self

    @property
    def identity(self) -> EncoderIdentity:
        """The store key of this encoder's embeddings."""
        return self._identity

    @property
    def width(self) -> int:
        """Length of one embedding."""
        return self._shape[-1]

    @property
    def parameter_count(self) -> int:
        """Numbers in the module's state."""
        return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(self.params))

    def tokenize_many(self, sequences: Sequence[str]) -> TokenizedBatch:
        """The same for many sequences."""
        own = self._tokenizer
        if isinstance(own, Tokenizer) and self.longest_tokens == own.max_tokens:
            return own.tokenize_batch(sequences)
        return super().tokenize_many(sequences)

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence.

        Raises:
            ModelError: if there are more than ``max_tokens``, or they are no ids.
        """
        if isinstance(self._tokenizer, Tokenizer):
            found = self._tokenizer.tokenize(sequence)
            self._require_room(sequence, len(found.ids))
            return found
        given = self._tokenizer(sequence)
        given = given["input_ids"] if isinstance(given, Mapping) else getattr(given, "ids", given)
        ids = np.asarray(given)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ModelError(
                f"its tokenizer gave {ids.dtype} {list(ids.shape)}, expected ids [token]",
                where=self._name,
            )
        self._require_room(sequence, len(ids))
        unknown = sum(letter not in "ACGTacgt" for letter in sequence)
        return TokenizedSequence(ids.astype(np.int32), unknown_bp=unknown)

    def _require_room(self, sequence: str, count: int) -> None:
        """Refuse what is too long: what is cut must be counted, and only a tokenizer can."""
        if self.longest_tokens is not None and count > self.longest_tokens:
            raise ModelError(
                f"a sequence of {len(sequence)} letters has {count} tokens, more than "
                f"{self.longest_tokens}",
                where=self._name,
                hint="shorten the sequences, or give a Tokenizer of ours that cuts at this number",
            )

    def pooled(self, params: Any, ids: Any, mask: Any) -> jax.Array:
        """Pooled embeddings float32 ``[row, dim]`` of a token batch."""
        ids, mask = jnp.asarray(ids, jnp.int32), jnp.asarray(mask, bool)
        with jax.default_matmul_precision(float32_products()):
            values = self._call(params, ids, mask)
        if len(self._shape) == 3:
            return pool(self._pooling, values, mask)
        # A module that pools by itself knows nothing of rows without any token.
        return jnp.where(mask.any(1)[:, None], values.astype(jnp.float32), 0)


def _callable(module: Any, variables: Any, name: str) -> tuple[Callable[..., Any], Any]:
    """The module as a pure function of (arrays, ids, mask), and its arrays."""
    if isinstance(module, nnx.Module):
        if variables is not None:
            raise ModelError(
                "an nnx module holds its own arrays; variables are Linen's", where=name
            )
        definition, state = nnx.split(module)

        def call(params: Any, ids: Any, mask: Any) -> Any:
            network: Any = nnx.merge(definition, params)
            network.eval()  # dropout off; the user's own object stays as it is
            return network(ids, mask)

        return call, state
    if not callable(getattr(module, "apply", None)):
        raise ModelError(f"{type(module).__name__} is no Flax module", where=name)
    if variables is None:
        raise ModelError("a Linen module needs its variables", where=name, hint="variables=...")
    return lambda params, ids, mask: module.apply(params, ids, mask), variables
