"""A torch model with its tokenizer as an encoder: any layer and pooling, several in one row."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.torch_batches import pooled, shaped_batches
from geneb_jax.models.adapters.torch_tokens import TorchTokens
from geneb_jax.models.encoder import Encoder, SequenceEncoder, TextCounts
from geneb_jax.models.layers.network import require_layer
from geneb_jax.models.pooling import require_pooling
from geneb_jax.models.variants import joint_identity

__all__ = ["TorchEncoder", "chosen_pooling"]


class TorchEncoder(SequenceEncoder):
    """A torch model with its tokenizer.

    Args:
        model: Takes ``input_ids`` and gives hidden states; on its device, in evaluation mode.
        tokenizer: Of transformers.
        identity: The store key; its ``pooling`` and ``layer`` are what :meth:`embed` computes.
        limit: Longest input in tokens; None for none.
        variants: Layers and poolings whose vectors stand side by side in a row; the identity's one
            when None.
        widths: Layer -> width, as far as it is known; learnt from the model otherwise.
    """

    def __init__(
        self,
        *,
        model: Any,
        tokenizer: Any,
        identity: EncoderIdentity,
        limit: int | None,
        variants: Sequence[tuple[int, str]] | None = None,
        widths: dict[int, int] | None = None,
    ) -> None:
        self._variants = tuple(variants or [(identity.layer, identity.pooling)])
        self._model = model
        self._tokenizer = tokenizer
        self._tokens = TorchTokens(tokenizer, limit)
        self._identity = identity
        self._limit = self.longest_tokens = limit
        parameters = inspect.signature(model.forward).parameters
        open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        self._takes_mask = open_ended or "attention_mask" in parameters
        self._widths = {} if widths is None else widths
        layers = [layer for layer, _ in self._variants]
        self._width = 0
        if not set(layers) <= set(self._widths):
            self._width = self.embed(["ACGT"]).shape[1]
            if len(layers) == 1:
                self._widths[layers[0]] = self._width
        else:
            self._width = sum(self._widths[layer] for layer in layers)

    @property
    def identity(self) -> EncoderIdentity:
        """The store key of this encoder's embeddings."""
        return self._identity

    @property
    def width(self) -> int:
        """Length of one embedding."""
        return self._width

    @property
    def vectors(self) -> tuple[tuple[str, int], ...]:
        """Of each layer and pooling that stands in a row."""
        if len(self._variants) == 1:
            return ((self._variants[0][1], self._width),)
        return tuple((pooling, self._widths[layer]) for layer, pooling in self._variants)

    @property
    def parameter_count(self) -> int:
        """Number of the model's parameters."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def layer_count(self) -> int | None:
        """Number of layers; None where the model's config does not say it."""
        count = getattr(getattr(self._model, "config", None), "num_hidden_layers", None)
        return count if isinstance(count, int) else None

    def variant(self, layer: int, pooling: str | None) -> TorchEncoder:
        """The same model, pooled otherwise; see :meth:`Encoder.variant`."""
        count = self.layer_count
        identity = replace(
            self._identity,
            layer=layer if count is None else require_layer(layer, count),
            pooling=chosen_pooling(pooling),
        )
        return self._making(identity, [(identity.layer, identity.pooling)])

    def joined(self, members: Sequence[Encoder]) -> TorchEncoder:
        """See :meth:`Encoder.joined`."""
        identities = [one.identity for one in members]
        variants = [(one.layer, one.pooling) for one in identities]
        return self._making(joint_identity(identities), variants)

    def _making(
        self, identity: EncoderIdentity, variants: Sequence[tuple[int, str]]
    ) -> TorchEncoder:
        made = TorchEncoder(
            model=self._model,
            tokenizer=self._tokenizer,
            identity=identity,
            limit=self._limit,
            variants=variants,
            widths=self._widths,
        )
        # The identity has the policy already; the rows have to be made under it too.
        made.overlong = self.overlong
        return made

    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        """Embed texts: float32 ``[len(sequences), width]``; a text without tokens gives zeros."""
        tokens = self._tokens.ids(sequences)
        rows = np.zeros((len(tokens), self._width), np.float32)
        batches = shaped_batches(
            [len(ids) for ids in tokens],
            device=self._device.type,
            limit=self._limit,
            masked=self._takes_mask,
        )
        for members, length, count in batches:
            part = self._pooled([tokens[at] for at in members], length=length, count=count)
            if not self._width:
                return part
            rows[members] = part
        return rows

    def counts_of(self, sequences: Sequence[str]) -> TextCounts:
        """What the model makes of texts; letters other than A, C, G, T in capitals are unknown."""
        return self._tokens.counts_of(sequences)

    @property
    def _device(self) -> Any:
        return next(self._model.parameters()).device

    def _pooled(self, tokens: Sequence[Sequence[int]], *, length: int, count: int) -> np.ndarray:
        """Rows of a batch; it is filled up with its first sequence to ``count`` rows."""
        import torch

        filled = [*tokens, *[tokens[0]] * (count - len(tokens))]
        lengths = torch.tensor([len(ids) for ids in filled])
        ids = torch.full((count, length), self._tokens.padding)
        for row, found in enumerate(filled):
            ids[row, : len(found)] = torch.tensor(found)
        mask = torch.arange(length)[None, :] < lengths[:, None]
        device = self._device
        inputs = {"input_ids": ids.to(device)}
        if self._takes_mask:
            inputs["attention_mask"] = mask.long().to(device)
        inner = any(layer != -1 for layer, _ in self._variants)
        with torch.inference_mode():
            output = self._model(**inputs, **({"output_hidden_states": True} if inner else {}))
            last = getattr(output, "last_hidden_state", None)
            last = output[0] if last is None else last
            parts = [
                pooled(
                    pooling,
                    (last if layer == -1 else output.hidden_states[layer]).float(),
                    mask.to(device),
                    lengths,
                )
                for layer, pooling in self._variants
            ]
        return torch.cat(parts, dim=1)[: len(tokens)].cpu().numpy()


def chosen_pooling(asked: str | None) -> str:
    """The pooling that was asked for; the mean where that is the model's own or the benchmark's."""
    return "mean" if asked in (None, "geneb") else require_pooling(str(asked))
