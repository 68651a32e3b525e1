"""How a model is loaded, as data: the same model here, in another process, on another machine."""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax.embed import limited
from geneb_jax.errors import CheckpointError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models import Encoder, LoadOptions, SequenceEncoder, load_encoder
from geneb_jax.models.adapters.harness_encoder import load_as_harness

__all__ = ["EncoderSource", "ModelReference"]


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
        _keep(self, encoder)
        return encoder


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
        encoder = self.source.load()
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

    def release(self) -> None:
        """Give up the loaded model and its parameters."""
        _loaded.pop((self.source, self.identity), None)


#: Loaded models of this process. One that reads its weights when they are needed costs little;
#: of those that hold them from the start, one is kept.
_loaded: dict[tuple[EncoderSource, EncoderIdentity], Encoder] = {}


def _keep(source: EncoderSource, encoder: Encoder) -> None:
    if isinstance(encoder, SequenceEncoder):
        for key in [key for key, one in _loaded.items() if isinstance(one, SequenceEncoder)]:
            del _loaded[key]
    for key in [key for key in _loaded if key[0] == source]:
        del _loaded[key]  # what these files gave before
    _loaded[source, encoder.identity] = encoder
