"""Several layers and poolings of one network as one encoder: one forward, all their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp

from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.encoder import Encoder, TokenEncoder, TokenizedBatch, TokenizedSequence
from geneb_jax.models.layers.network import HiddenStates
from geneb_jax.models.layers.parameters import Parameters
from geneb_jax.models.native_encoder import NativeEncoder
from geneb_jax.models.pooling import pool

__all__ = ["Layers", "NativeVariants", "chosen_variants", "joint_identity"]

#: Every hidden state, or some of them; none for the encoder's own.
Layers = Literal["all"] | Sequence[int]


def chosen_variants(
    encoder: Encoder, layers: Layers, poolings: Sequence[str | None]
) -> list[tuple[str | None, Encoder]]:
    """Every chosen layer with every chosen pooling, each once, layers from the first to the last.

    Args:
        encoder: The model.
        layers: ``all`` or hidden states: 0 the embeddings, -1 the last.
        poolings: Names; None for the model's own.

    Returns:
        The pooling as it was asked for, and the encoder, for each variant. They share parameters.

    Raises:
        SelectionError: if the model has no such layer or pooling, or no choice of any.
        ModelError: if the benchmark's pooling cannot be done one sequence at a time.
    """
    wanted = [encoder.identity.layer] if not layers else list(layers) if layers != "all" else []
    if layers == "all":
        # A model without layers says so when it is asked for one.
        wanted = [*range(encoder.layer_count or 0), -1]
    found: dict[EncoderIdentity, tuple[str | None, Encoder]] = {}
    for pooling in poolings:
        for layer in wanted:
            variant = encoder.variant(int(layer), pooling)
            found.setdefault(variant.identity, (pooling, variant))
    return list(found.values())


def joint_identity(identities: Sequence[EncoderIdentity]) -> EncoderIdentity:
    """Who makes the vectors of several variants at once; the key of no store, for messages alone.

    Args:
        identities: Of the variants, which differ in layer and pooling.
    """
    said = "|".join(f"{one.pooling}@{one.layer}" for one in identities)
    return replace(identities[0], pooling=said, layer=-1)


class NativeVariants(TokenEncoder):
    """Variants of one network; a row is their vectors side by side.

    Each vector is the same to the bit as that of its variant alone. So the program is the
    variants' own in everything that decides bits: the same loop over layers, ended by what the
    deepest variant alone ends with; the vectors of the layers before are pooled in the loop, from
    the state that a layer is given and never from what it gives, since that sum would be fused with
    the pooling.

    Args:
        members: The variants, of one network: they differ in layer and pooling alone.
    """

    def __init__(self, members: Sequence[NativeEncoder]) -> None:
        first = members[0]
        self.members = tuple(members)
        self.spec = first.spec
        self.pad_id = first.pad_id
        self.unknown_id = first.unknown_id
        self.longest_tokens = first.longest_tokens
        self.exact_length = first.exact_length
        self.length_multiple = first.length_multiple
        self.products = first.products
        self.batch_tokens = first.batch_tokens
        self.overlong = first.overlong
        self.counts_whole = first.counts_whole

    @property
    def params(self) -> Parameters:
        """The network's, read when they are first asked for."""
        return self.members[0].params

    @property
    def identity(self) -> EncoderIdentity:
        """See :func:`joint_identity`."""
        return joint_identity([member.identity for member in self.members])

    @property
    def width(self) -> int:
        """Numbers of all vectors together."""
        return sum(member.width for member in self.members)

    @property
    def vectors(self) -> tuple[tuple[str, int], ...]:
        """Those of the members."""
        return tuple((member.identity.pooling, member.width) for member in self.members)

    @property
    def parameter_count(self) -> int:
        """The network's."""
        return self.members[0].parameter_count

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """As each of them does."""
        return self.members[0].tokenize(sequence)

    def tokenize_many(self, sequences: Sequence[str]) -> TokenizedBatch:
        """As each of them does."""
        return self.members[0].tokenize_many(sequences)

    def pooled(self, params: Parameters, ids: Any, mask: Any) -> jax.Array:
        """All vectors float32 ``[row, width]``, in the order of the members."""
        last = self.members[0].layer_count
        wanted = [
            (last if one.identity.layer == -1 else one.identity.layer, one.identity.pooling)
            for one in self.members
        ]
        top = max(layer for layer, _ in wanted)
        # Whether the deepest state is pooled with those before it, where the network runs few rows
        # at a time.
        within = self.members[0].pools_in_groups and top < last
        inner = list(dict.fromkeys(p for layer, p in wanted if within or layer < top))

        def vectors(states: HiddenStates) -> list[jax.Array]:
            return [pool(pooling, states.values, states.mask) for pooling in inner]

        states = self.members[0].hidden_states(
            params, ids, mask, layer=top, each=vectors if inner else None
        )
        rows = [
            pool(pooling, states.values, states.mask)
            if layer == top and not within
            else states.inner[inner.index(pooling)][layer]
            for layer, pooling in wanted
        ]
        return jnp.concatenate(rows, axis=1)
