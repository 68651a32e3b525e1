"""A model that turns sequences into vectors: the library's front door."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from geneb_jax.embed.fill import embed_sequences
from geneb_jax.embed.forward import Forward
from geneb_jax.embed.progress import ProgressCallback
from geneb_jax.errors import ModelError
from geneb_jax.models import LoadOptions, known_spec
from geneb_jax.models.encoder import Encoder, TokenEncoder, TokenizedSequence
from geneb_jax.models.variants import chosen_variants

__all__ = ["Model", "load_model"]


_OWN: tuple[None, None] = (None, None)


class Model:
    """A loaded model; make one with :func:`load_model`."""

    def __init__(
        self, id_or_path: Any, options: LoadOptions, *, batch_tokens: int | None = None
    ) -> None:
        """Hold how the encoder is loaded for any pooling and layer.

        Args:
            id_or_path: As of :func:`load_model`.
            options: How to load it; its pooling and layer are the model's own.
            batch_tokens: Most tokens of a batch.
        """
        self._id_or_path = id_or_path
        self._options = options
        self._batch_tokens = batch_tokens
        self._encoders: dict[tuple[str | None, int | None], tuple[Encoder, Forward | None]] = {}
        self._together: tuple[object, Encoder, Forward | None] | None = None

    def _encoder(self, pooling: str | None, layer: int | None) -> tuple[Encoder, Forward | None]:
        key = (pooling, layer)
        if key not in self._encoders:
            encoder = self._load(pooling, layer)
            forward = None
            own = self._encoders.get(_OWN)
            if isinstance(encoder, TokenEncoder):
                if own is not None:
                    encoder = encoder.with_parameters_of(own[0])
                forward = Forward(encoder, batch_tokens=self._batch_tokens)
            # The model's own variant stays, of the others the latest one.
            self._encoders = {_OWN: own} if own is not None else {}
            self._encoders[key] = (encoder, forward)
        return self._encoders[key]

    def _load(self, pooling: str | None, layer: int | None) -> Encoder:
        from geneb_jax.models import load_encoder

        options = replace(
            self._options,
            pooling=self._options.pooling if pooling is None else pooling,
            layer=self._options.layer if layer is None else layer,
        )
        return load_encoder(self._id_or_path, options)

    @property
    def encoder(self) -> Encoder:
        """The encoder with the model's own pooling and layer."""
        return self._encoder(None, None)[0]

    @property
    def spec(self) -> Any:
        """What is known of the model: its ``ModelSpec``; its identity where it has none."""
        identity = self.encoder.identity
        own = getattr(self.encoder, "spec", None)
        return own or known_spec(identity.model_id) or identity

    @property
    def width(self) -> int:
        """Length of one embedding."""
        return self.encoder.width

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """Token ids of one sequence, and what the model's policy dropped or did not know.

        Raises:
            ModelError: if the model does its own tokenizing.
        """
        if not isinstance(sequence, str):
            raise TypeError(f"a sequence must be a string, not {_called(sequence)}")
        encoder = self.encoder
        if not isinstance(encoder, TokenEncoder):
            raise ModelError(
                "the model tokenizes by itself and does not show its tokens",
                where=encoder.identity.model_id,
            )
        return encoder.tokenize(sequence)

    def embed(
        self,
        sequences: Sequence[str],
        *,
        pooling: str | None = None,
        layer: int | None = None,
        progress: bool | ProgressCallback = False,
    ) -> np.ndarray:
        """Embed sequences.

        Args:
            sequences: Texts, in any order and of any lengths; many at a time is fastest. A list, a
                tuple, an array or a pandas column.
            pooling: How token vectors become one; the model's own by default.
            layer: Index into the hidden states; the model's own by default.
            progress: True for a bar on stderr or in the notebook; or a function that is called with
                :class:`~geneb_jax.embed.progress.EmbedProgress` a few times a second.

        Returns:
            float32 ``[len(sequences), width]``. A row does not depend on the others.

        Raises:
            TypeError: if ``sequences`` is not a sequence of texts; says which entry is not.
        """
        encoder, forward = self._encoder(pooling, layer)
        return self._rows(encoder, forward, _texts(sequences), progress)

    def embed_layers(
        self,
        sequences: Sequence[str],
        *,
        layers: Literal["all"] | Sequence[int] = "all",
        pooling: str | Sequence[str] | None = None,
        progress: bool | ProgressCallback = False,
    ) -> dict[tuple[int, str], np.ndarray]:
        """Embed sequences at several layers and poolings by one forward.

        Args:
            sequences: As of :meth:`embed`.
            layers: ``all``, or hidden states: 0 the embeddings, -1 the last.
            pooling: One or more names; the model's own by default.
            progress: As of :meth:`embed`.

        Returns:
            (layer, pooling) -> float32 ``[len(sequences), width]``, the same to the bit as
            :meth:`embed` gives for that layer and pooling. Layers count from 0 to the number of
            layers, the last.

        Raises:
            SelectionError: if the model has no such layer, or makes its vectors in its own way.
        """
        texts, (own, _) = _texts(sequences), self._encoder(None, None)
        poolings = [pooling] if pooling is None or isinstance(pooling, str) else pooling
        members = [variant for _, variant in chosen_variants(own, layers, poolings)]
        whose = tuple(member.identity for member in members)
        if self._together is None or self._together[0] != whose:
            encoder, forward = own.joined(members), None
            if isinstance(encoder, TokenEncoder):
                forward = Forward(encoder, batch_tokens=self._batch_tokens)
            self._together = whose, encoder, forward
        _, encoder, forward = self._together
        rows = self._rows(encoder, forward, texts, progress)
        parts = np.split(rows, np.cumsum([member.width for member in members])[:-1], axis=1)
        last = -1 if own.layer_count is None else own.layer_count
        names = [(last if one.layer == -1 else one.layer, one.pooling) for one in whose]
        return dict(zip(names, parts, strict=True))

    def _rows(
        self,
        encoder: Encoder,
        forward: Forward | None,
        texts: list[str],
        progress: bool | ProgressCallback,
    ) -> np.ndarray:
        if progress is False or progress is None:
            return embed_sequences(encoder, texts, forward=forward)
        if progress is True:
            from geneb_jax.embed.progress_bar import progress_bar

            with progress_bar() as tell:
                return embed_sequences(encoder, texts, forward=forward, progress=tell)
        return embed_sequences(encoder, texts, forward=forward, progress=progress)

    def encode(self, sentences: Any, **options: Any) -> np.ndarray:
        """Embed as sentence-transformers' and MTEB's encoders do; see :func:`encode`."""
        from geneb_jax.embed.sentence_interface import encode

        return encode(self, sentences, options)

    def __repr__(self) -> str:
        encoder = self.encoder
        identity = encoder.identity
        variant = [f"width {encoder.width}", f"{identity.pooling} pooling"]
        if isinstance(encoder, TokenEncoder):
            longest = encoder.longest_tokens
            variant.append("any length" if longest is None else f"up to {longest:,} tokens")
        variant += [identity.dtype, f"on {_device()}"]
        if identity.weights.startswith("random:"):
            variant.insert(0, "untrained")
        return f"<Model {identity.model_id}: {', '.join(variant)}>"


def _texts(sequences: Any) -> list[str]:
    """The texts as a list, or one sentence on what is not a text.

    Raises:
        TypeError: as said.
    """
    if isinstance(sequences, str | bytes):
        raise TypeError(
            f"sequences must be a list of strings, not one {_called(sequences)}: put it in a list"
        )
    if isinstance(sequences, Iterator):
        raise TypeError(
            f"sequences must be a list of strings, not {_called(sequences)}, which can be read "
            "only once: list(...) makes a list of it"
        )
    try:
        texts = list(sequences)
    except TypeError as error:
        raise TypeError(f"sequences must be a list of strings, not {_called(sequences)}") from error
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            mend = ": .decode() makes a string of it" if isinstance(text, bytes) else ""
            raise TypeError(f"sequences[{at}] must be a string, not {_called(text)}{mend}")
    return texts


def _called(value: object) -> str:
    if value is None:
        return "None"
    return "a generator" if isinstance(value, Generator) else type(value).__name__


def _device() -> str:
    import jax

    device = jax.devices()[0]
    kind = device.device_kind
    return device.platform if kind == device.platform else f"{device.platform} ({kind})"


def load_model(
    id_or_path: Any,
    *,
    revision: str | None = None,
    weights: Literal["pretrained", "random"] = "pretrained",
    seed: int = 0,
    dtype: str = "float32",
    batch_tokens: int | None = None,
    path: str | os.PathLike[str] | None = None,
    offline: bool = False,
    allow_remote_code: str | None = None,
    overlong: str | None = None,
) -> Model:
    """Load a model for embedding.

    Args:
        id_or_path: A model of the registry (``geneb-jax list models``), a hub id, a checkpoint
            folder, ``torch:`` and one of these, ``path.py:Class``, or an object with
            ``embed(list[str])``.
        revision: Hub revision, or ``NAME@REVISION``; the registry's pinned one by default.
        weights: The checkpoint's, or fresh ones drawn with ``seed``.
        seed: For random weights.
        dtype: ``float32`` or ``bfloat16`` arithmetic; the result is float32 always.
        batch_tokens: Most tokens of a batch.
        path: A local checkpoint folder for a model of the registry.
        offline: Open no socket: take what the caches hold.
        allow_remote_code: ``ORG/MODEL@COMMIT`` whose own code ``torch:`` may run.
        overlong: What happens to a sequence longer than the context: ``truncate``,
            ``windows[:SIZE[:STRIDE]]`` (letters; the context's size and half of it by default), or
            ``refuse``. The model's own way by default, which is ``truncate`` for nearly all.

    Raises:
        SelectionError: for an unknown model.
        CheckpointError: if the checkpoint does not fit.
    """
    options = LoadOptions(
        path=path,
        revision=revision,
        weights=weights,
        seed=seed,
        dtype=dtype,
        offline=offline,
        allow_remote_code=allow_remote_code,
        overlong=overlong,
    )
    name = os.fspath(id_or_path) if isinstance(id_or_path, os.PathLike) else id_or_path
    model = Model(name, options, batch_tokens=batch_tokens)
    _ = model.encoder  # Fail here, not at the first sequence.
    return model
