"""How a model is to be loaded: one frozen value that can be kept, compared and sent elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Literal

from geneb_jax.errors import SelectionError
from geneb_jax.overlong import parse_overlong

__all__ = ["DTYPES", "LoadOptions"]

DTYPES = ("auto", "float32", "bfloat16", "float16")
_WEIGHTS = ("pretrained", "random")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Options of :func:`~geneb_jax.models.loading.load_encoder`, checked when they are made.

    Attributes:
        path: Folder or file with the weights of the model named by id, instead of a download.
        revision: Hub commit, branch or tag; a registered model's pinned commit when None.
        weights: ``random`` gives an untrained network of the true size, without any download of
            weights.
        seed: Decides random weights.
        dtype: Compute dtype, one of :data:`DTYPES`; ``auto`` is settled by
            :func:`~geneb_jax.models.loading.settled_options`, before anything depends on it.
        pooling: One of :data:`geneb_jax.models.pooling.POOLINGS`, or ``geneb`` for what the
            benchmark's extractor does; the model's default when None.
        layer: Hidden state to pool: 0 the embeddings, -1 the last.
        offline: Open no socket.
        allow_remote_code: ``ORG/MODEL@COMMIT`` or a folder whose own code ``torch:`` may run.
        overlong: What happens to a sequence longer than the context, as
            :func:`geneb_jax.overlong.parse_overlong` reads it; the model's own way when None, which
            is to cut it off but for models that were published with another.

    Raises:
        SelectionError: for an unknown dtype, kind of weights, pooling or policy.
    """

    path: str | os.PathLike[str] | None = None
    revision: str | None = None
    weights: Literal["pretrained", "random"] = "pretrained"
    seed: int = 0
    dtype: str = "float32"
    pooling: str | None = None
    layer: int = -1
    offline: bool = False
    allow_remote_code: str | None = None
    overlong: str | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise SelectionError(
                f"unknown dtype {self.dtype!r}", hint=f"known are {', '.join(DTYPES)}"
            )
        if self.weights not in _WEIGHTS:
            raise SelectionError(
                f"unknown weights {self.weights!r}", hint=f"known are {' and '.join(_WEIGHTS)}"
            )
        if self.overlong is not None:
            parse_overlong(self.overlong)
        if self.pooling not in (None, "geneb"):
            from geneb_jax.models.pooling import require_pooling  # brings JAX

            require_pooling(self.pooling)

    def at(self, revision: str | None) -> LoadOptions:
        """The same at the revision that was written behind a model's name; None changes nothing.

        Raises:
            SelectionError: if another one was asked for beside it.
        """
        if revision is None:
            return self
        if self.revision not in (None, revision):
            raise SelectionError(
                f"the name says revision {revision!r}, and beside it {self.revision!r} is asked for"
            )
        return replace(self, revision=revision)

    @property
    def untrained(self) -> bool:
        """Whether weights are drawn and not read."""
        return self.weights == "random"

    @property
    def pooling_of_its_own(self) -> str | None:
        """The pooling that was asked for by name; None where the model's or the benchmark's is."""
        return None if self.pooling == "geneb" else self.pooling
