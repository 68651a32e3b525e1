"""How a model is loaded, as data: the same model here, in another process, on another machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from geneb_jax.embed import limited
from geneb_jax.errors import CheckpointError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models import Encoder, LoadOptions, SequenceEncoder, load_encoder
from geneb_jax.models.adapters.harness_encoder import load_as_harness

__all__ = ["EncoderSource", "ModelReference", "joint_encoder", "keep_loaded"]


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """What to load.

    Attributes:
        name: A model id, hub id, folder, ``torch:...`` or ``path.py:Class``.
        options: How.
        batch_tokens: Most tokens of a batch on one device; None for the model's own number.
        harness_batch: Sequences of a batch, for an extractor that is called as the benchmark's
            harness calls it; None for every other model.
    """

    name: str
    options: LoadOptions
    batch_tokens: int | None = None
    harness_batch: int | None = None

    def load(self) -> Encoder:
        """Load it anew; the next :meth:`ModelReference.encoder` of its identity gets this one.

        Raises:
            GenebError: see :func:`geneb_jax.models.load_encoder`.
        """
        encoder: Encoder
        if self.harness_batch is not None:
            encoder = load_as_harness(self.name, self.options, self.harness_batch)
        else:
            encoder = limited(load_encoder(self.name, self.options), self.batch_tokens)
        keep_loaded(self, encoder)
        return encoder

    @property
    def files(self) -> EncoderSource:
        """What is loaded, whichever layer and pooling are taken of it."""
        return replace(self, options=replace(self.options, layer=-1, pooling=None))


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model that a run was planned with: where it comes from, and who it must turn out to be.

    Attributes:
        source: How it is loaded.
        identity: Who it was when the run was planned.
        width: Columns of an embedding.
        store: Root of the embedding store, a folder or a URL.
    """

    source: EncoderSource
    identity: EncoderIdentity
    width: int
    store: str

    def encoder(self) -> Encoder:
        """The model, loaded once a process.

        Raises:
            CheckpointError: if its files give another model than the one that was planned.
            GenebError: see :func:`geneb_jax.models.load_encoder`.
        """
        known = _loaded.get((self.source, self.identity))
        if known is not None:
            return known
        encoder = self._beside_another() or self.source.load()
        if encoder.identity != self.identity:
            raise CheckpointError(
                "loaded again, it is not the model that the run was planned with",
                where=self.source.name,
                cause="its files were changed meanwhile, or it draws some of its weights at random "
                "whenever it is loaded",
                hint="run the same command again; a model that draws weights needs a seed, or a "
                "command of its own",
            )
        return encoder

    def _beside_another(self) -> Encoder | None:
        """This variant of a model of which another layer or pooling is loaded."""
        for source, one in _variants_loaded(self.source):
            if source.harness_batch is None and one.layer_count is not None:
                found = one.variant(self.identity.layer, self.identity.pooling)
                if found.identity == self.identity:
                    keep_loaded(self.source, found)
                    return found
        return None

    def release(self) -> None:
        """Give up the loaded model, its layers and poolings, and their parameters."""
        for key in [key for key in _loaded if key[0].files == self.source.files]:
            del _loaded[key]


def joint_encoder(models: Sequence[ModelReference]) -> Encoder:
    """One encoder of some models: the model itself, or variants of one, side by side in a row.

    Args:
        models: Of the same files; they differ in layer and pooling alone.
    """
    encoders = [model.encoder() for model in models]
    return encoders[0] if len(encoders) == 1 else encoders[0].joined(encoders)


#: Loaded models of this process. One that reads its weights when they are needed costs little;
#: of those that hold them from the start, one is kept.
_loaded: dict[tuple[EncoderSource, EncoderIdentity], Encoder] = {}


def _variants_loaded(source: EncoderSource) -> list[tuple[EncoderSource, Encoder]]:
    return [(key[0], one) for key, one in _loaded.items() if key[0].files == source.files]


def keep_loaded(source: EncoderSource, encoder: Encoder) -> None:
    """The next :meth:`ModelReference.encoder` of this source and identity gets this encoder."""
    if isinstance(encoder, SequenceEncoder):
        others = [
            key
            for key, one in _loaded.items()
            if isinstance(one, SequenceEncoder) and key[0].files != source.files
        ]
        for key in others:
            del _loaded[key]
    for key in [key for key in _loaded if key[0] == source]:
        del _loaded[key]  # what these files gave before
    _loaded[source, encoder.identity] = encoder
