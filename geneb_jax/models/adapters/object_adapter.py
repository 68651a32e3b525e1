"""Objects and classes of the user's own as models: GENEB extractors, and anything with ``embed``.

Two forms are taken as they are:

- a GENEB extractor: ``Class(name_model=..., device=...)`` with
  ``extract_embeddings(sequences, batch_size)``;
- any object with ``embed(list[str])``.

Both give an array ``[n, width]``. ``path.py:Class`` runs the user's own file, in this process.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.errors import ModelError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.user_file import construct, own_files
from geneb_jax.models.checkpoints.file_digests import file_sha256
from geneb_jax.models.checkpoints.hub import HubSnapshot
from geneb_jax.models.encoder import SequenceEncoder

__all__ = [
    "TRIAL",
    "ObjectEncoder",
    "described",
    "encoder_from_file",
    "encoder_from_object",
    "rows_of",
]

_LOG = logging.getLogger(__name__)
_BATCH = 8  # the benchmark's harness
#: Three lengths: a model whose rows depend on the batch shows it on these.
TRIAL = ("ACGTTGCAAC", "GATTACATTCAGGCATTA" * 3, "TTGACCGATA" * 12)
_TRIAL_TOLERANCE = 1e-3

Embed = Callable[[Sequence[str]], np.ndarray]


class ObjectEncoder(SequenceEncoder):
    """A function from texts to rows, with a name.

    Args:
        embed: Gives ``[n, width]`` for ``n`` texts.
        identity: The store key.
        width: Length of one embedding.
        parameter_count: None where it is not known.
    """

    def __init__(
        self, *, embed: Embed, identity: EncoderIdentity, width: int, parameter_count: int | None
    ) -> None:
        self._embed = embed
        self._identity = identity
        self._width = width
        self._parameter_count = parameter_count

    @property
    def identity(self) -> EncoderIdentity:
        """The store key of this encoder's embeddings."""
        return self._identity

    @property
    def width(self) -> int:
        """Length of one embedding."""
        return self._width

    @property
    def parameter_count(self) -> int | None:
        """Number of parameters of the torch modules that the object holds, None without any."""
        return self._parameter_count

    def embed(self, sequences: Sequence[str]) -> np.ndarray:
        """Embed texts: float32 ``[len(sequences), width]``."""
        return self._embed(sequences)


def encoder_from_object(
    model: Any, *, model_id: str | None = None, weights: str | None = None
) -> ObjectEncoder:
    """Wrap an object with ``embed`` or ``extract_embeddings``.

    Args:
        model: The object.
        model_id: Its name in records; its ``model_id`` attribute or its class's name when None.
        weights: Anything that changes whenever its embeddings would: a digest, a version. When
            None, the bytes of the torch modules it holds; without any, stored embeddings are never
            used again.

    Raises:
        ModelError: if it has neither method, or does not give one finite row a text.
    """
    name = model_id or getattr(model, "model_id", None) or type(model).__name__
    modules = _torch_modules(model)
    if weights is None:
        weights = _state_digest(modules) if modules else f"object:{uuid.uuid4().hex}"
    return _encoder(model, name=str(name), weights=weights, modules=modules)


def encoder_from_file(file: Path, name: str, *, name_model: str | None) -> ObjectEncoder:
    """Run a file and wrap what it calls ``name``: a class, a function that makes one, an object.

    Args:
        file: A Python file.
        name: In that file.
        name_model: Given to a class that asks for ``name_model``: a folder or a hub id.

    Raises:
        SelectionError: if there is no such file or name.
        ModelError: if the file or the class fails, or the class asks for more than is known.
    """
    model = construct(file, name, name_model=name_model)
    label, digest, modules = described(model, file, name, name_model=name_model)
    return _encoder(model, name=label, weights=digest, modules=modules)


def described(
    model: Any, file: Path, name: str, *, name_model: str | None
) -> tuple[str, str, dict[str, Any]]:
    """What a model made from a file is called, a digest of all it was made of, its torch modules.

    Raises:
        ModelError: if a file cannot be read.
    """
    modules = _torch_modules(model)
    parts = [*(file_sha256(part) for part in own_files(file)), _state_digest(modules)]
    beside = Path(name_model).expanduser() if name_model else None
    if beside is not None and beside.exists():
        inside = [beside] if beside.is_file() else sorted(f for f in beside.rglob("*"))
        parts += [file_sha256(part) for part in inside if part.is_file()]
    elif name_model:
        parts.append(name_model)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    snapshot = HubSnapshot.at(beside) if beside is not None else None
    given = snapshot.hub_id if snapshot is not None else Path(name_model or "").name
    label = f"{file.stem}.{name}" + (f"@{given}" if name_model else "")
    return label, digest, modules


def _encoder(model: Any, *, name: str, weights: str, modules: Mapping[str, Any]) -> ObjectEncoder:
    embed = _embedder(model, where=name)
    width = embed(list(TRIAL)).shape[1]
    identity = EncoderIdentity(
        model_id=name,
        revision="local",
        weights=weights,
        tokenizer="its own",
        pooling="its own",
        layer=-1,
        dtype="its own",
        code=f"object/{type(model).__name__}/1",
    )
    counts = [sum(p.numel() for p in module.parameters()) for module in modules.values()]
    return ObjectEncoder(
        embed=embed,
        identity=identity,
        width=width,
        parameter_count=sum(counts) if counts else None,
    )


def _embedder(model: Any, *, where: str) -> Embed:
    """The object's method as texts to float32 rows, tried on a few texts."""
    if callable(getattr(model, "extract_embeddings", None)):
        batch = _independent_batch(model.extract_embeddings, where=where)
        return lambda texts: rows_of(model.extract_embeddings, list(texts), batch, where=where)
    if callable(getattr(model, "embed", None)):
        return lambda texts: rows_of(model.embed, list(texts), where=where)
    raise ModelError(
        "has neither extract_embeddings(sequences, batch_size) nor embed(sequences)", where=where
    )


def _independent_batch(extract: Callable[..., Any], *, where: str) -> int:
    """The harness's batch size where rows do not depend on the batch, otherwise 1.

    Several published extractors do (padding that leaks, wrong rows of shorter records); the order
    and size of batches would then be part of every score.
    """
    texts = list(TRIAL)
    alone = rows_of(extract, texts, 1, where=where)
    try:
        together = rows_of(extract, texts, _BATCH, where=where)
    except ModelError:
        together = None
    scale = np.abs(alone).max()
    if (
        together is not None
        and together.shape == alone.shape
        and np.abs(together - alone).max() <= _TRIAL_TOLERANCE * scale
    ):
        return _BATCH
    _LOG.warning(
        "%s: its embeddings depend on the batch they are in; it runs one sequence at a time", where
    )
    return 1


def rows_of(method: Callable[..., Any], texts: list[str], *more: Any, where: str) -> np.ndarray:
    """Call the user's method; float32 ``[len(texts), width]``."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # our stdout is for results
            result = method(texts, *more)
    except Exception as error:
        raise ModelError(f"failed with {type(error).__name__}: {error}", where=where) from error
    if hasattr(result, "detach"):
        result = result.detach().float().cpu().numpy()
    array = np.asarray(result)
    if array.ndim != 2 or len(array) != len(texts) or array.dtype.kind not in "fiub":
        raise ModelError(
            f"gave {array.dtype} {list(array.shape)} for {len(texts)} sequences, "
            f"expected numbers [{len(texts)}, width]",
            where=where,
        )
    return array.astype(np.float32)


def _torch_modules(model: Any) -> dict[str, Any]:
    """The torch modules among the object's attributes, or the object itself."""
    held = {"": model} if hasattr(model, "state_dict") else dict(getattr(model, "__dict__", {}))
    return {
        name: value
        for name, value in held.items()
        if callable(getattr(value, "state_dict", None))
        and callable(getattr(value, "parameters", None))
    }


def _state_digest(modules: Mapping[str, Any]) -> str:
    """SHA-256 over the values of all tensors."""
    total = hashlib.sha256()
    for attribute, module in sorted(modules.items()):
        for name, tensor in sorted(module.state_dict().items()):
            if not hasattr(tensor, "detach"):
                continue
            kept = tensor.detach().cpu().contiguous().reshape(-1)
            total.update(f"{attribute}.{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            if kept.numel():
                import torch

                total.update(kept.view(torch.uint8).numpy().data)
    return total.hexdigest()
