"""A family's network as the engine wants it: tokens in, one pooled vector a sequence out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.encoder import Encoder, TokenEncoder, TokenizedBatch, TokenizedSequence
from geneb_jax.models.family import Family
from geneb_jax.models.layers.network import Each, HiddenStates, require_layer
from geneb_jax.models.layers.parameters import Parameters, parameter_shapes
from geneb_jax.models.pooling import pool
from geneb_jax.models.pooling_choice import chosen_pooling
from geneb_jax.models.precision import computed_products, float32_products
from geneb_jax.models.spec import ModelSpec
from geneb_jax.tokenizers import Tokenizer

__all__ = ["NativeEncoder"]


class NativeEncoder(TokenEncoder):
    """A Flax model with its parameters, tokenizer and pooling.

    Args:
        spec: What is known of the model.
        family: Its architecture.
        config: Its sizes and switches.
        read_parameters: Gives its parameters, on device, in compute dtype. Called when they are
            first needed: a run that finds every embedding in the store never reads the weights.
        tokenizer: Text to ids.
        identity: The store key; its ``pooling`` and ``layer`` are what :meth:`pooled` computes.
    """

    def __init__(
        self,
        *,
        spec: ModelSpec,
        family: Family[Any],
        config: Any,
        read_parameters: Callable[[], Parameters],
        tokenizer: Tokenizer,
        identity: EncoderIdentity,
    ) -> None:
        self.spec: ModelSpec = spec
        self.config = config
        self._read_parameters = read_parameters
        self.tokenizer = tokenizer
        self.pad_id = tokenizer.pad_id
        self.unknown_id = tokenizer.unknown_id
        self.longest_tokens = tokenizer.max_tokens
        self.exact_length = family.exact_length
        self.length_multiple = family.length_multiple
        self._identity = identity
        self.products = computed_products(identity.dtype)
        module = family.module(config)
        self._definition = nnx.graphdef(module)
        #: Whether the network pools states before its last one by itself, few rows at a time.
        self.pools_in_groups: bool = getattr(module, "pools_in_groups", False)
        self._parameter_count = sum(
            variable.get_value().size for variable in parameter_shapes(module).values()
        )

    @cached_property
    def params(self) -> Parameters:
        """Nested dict of device arrays, read on first use.

        Raises:
            CheckpointError: if a tensor holds NaN or infinities.
        """
        return self._read_parameters()

    def with_parameters_of(self, other: Encoder) -> NativeEncoder:
        """This encoder on the other's copy of the parameters, where they are the same ones.

        Another pooling or layer of a model differs in nothing that is on the device.
        """
        own, its = self._identity, other.identity
        same = all(
            getattr(own, part) == getattr(its, part)
            for part in ("weights", "config", "code", "dtype")
        )
        if not same or not isinstance(other, NativeEncoder):
            return self
        sharing = copy.copy(self)
        sharing.__dict__.pop("params", None)
        sharing._read_parameters = lambda: other.params
        return sharing

    @property
    def identity(self) -> EncoderIdentity:
        """The store key of this encoder's embeddings."""
        return self._identity

    @property
    def width(self) -> int:
        """Length of one embedding; some networks are narrower before their last layer."""
        last: int = self.config.output_width
        return last if self._identity.layer == -1 else getattr(self.config, "inner_width", last)

    @property
    def layer_count(self) -> int:
        """Number of layers: hidden states run from 0 to this."""
        return int(self.config.layer_count)

    def variant(self, layer: int, pooling: str | None) -> NativeEncoder:
        """The same network, pooled otherwise; see :meth:`Encoder.variant`."""
        other = copy.copy(self)
        other.__dict__.pop("params", None)
        other._read_parameters = lambda: self.params
        other._identity = replace(
            self._identity,
            layer=require_layer(layer, self.layer_count),
            pooling=chosen_pooling(self.spec, pooling),
        )
        return other

    def joined(self, members: Sequence[Encoder]) -> TokenEncoder:
        """See :meth:`Encoder.joined`."""
        from geneb_jax.models.variants import NativeVariants

        return NativeVariants([one for one in members if isinstance(one, NativeEncoder)])

    @property
    def parameter_count(self) -> int:
        """Number of parameters that an embedding needs."""
        return self._parameter_count

    def tokenize_many(self, sequences: Sequence[str]) -> TokenizedBatch:
        """The same for many sequences."""
        return self.tokenizer.tokenize_batch(sequences)

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids under the model's policy for letters and length."""
        return self.tokenizer.tokenize(sequence)

    def hidden_states(
        self,
        params: Parameters,
        ids: Any,
        mask: Any,
        *,
        layer: int | None = None,
        each: Each | None = None,
    ) -> HiddenStates:
        """Hidden states of a token batch at one layer; the identity's layer unless given.

        Traceable. ``layer`` counts as in transformers: 0 the embeddings, -1 the last. ``each`` is
        what is kept of all hidden states before it.
        """
        chosen = self._identity.layer if layer is None else layer
        index = require_layer(chosen, self.config.layer_count)
        network = nnx.merge(self._definition, params)
        # float32 means float32: accelerators would otherwise multiply in TF32 or bf16.
        precision = float32_products() if self._identity.dtype == "float32" else "default"
        with jax.default_matmul_precision(precision):
            tokens, there = jnp.asarray(ids, jnp.int32), jnp.asarray(mask)
            return network(tokens, there, layer=index, each=each)

    def pooled(self, params: Parameters, ids: Any, mask: Any) -> jax.Array:
        """Pooled embeddings float32 ``[row, dim]`` of a token batch."""
        name, layer = self._identity.pooling, self._identity.layer
        if self.pools_in_groups and layer != -1:
            kept = self.hidden_states(
                params, ids, mask, each=lambda states: pool(name, states.values, states.mask)
            )
            inner: jax.Array = kept.inner[layer]
            return inner
        hidden = self.hidden_states(params, ids, mask)
        return pool(name, hidden.values, hidden.mask)
