"""Objects and classes of the user's own as models: GENEB extractors, and anything with ``embed``.

Two forms are taken as they are:

- a GENEB extractor: ``Class(name_model=..., device=...)`` with
  ``extract_embeddings(sequences, batch_size)``;
- any object with ``embed(list[str])``, or, as sentence-transformers and MTEB have it,
  ``encode(list[str])``.

Both give an array ``[n, width]``. ``path.py:Class`` runs the user's own file, in this process.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from geneb_jax.errors import CheckpointError, ModelError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.opened_files import checkpoint_files, opened_files
from geneb_jax.models.adapters.reachable import ContentDigest
from geneb_jax.models.adapters.user_file import construct, own_files, package_name
from geneb_jax.models.checkpoints.file_digests import file_sha256
from geneb_jax.models.checkpoints.hub import HubSnapshot
from geneb_jax.models.encoder import Encoder, SequenceEncoder

if TYPE_CHECKING:
    from geneb_jax.models.wrapped_encoder import WrappedEncoder

__all__ = [
    "TRIAL",
    "MadeFromFile",
    "ObjectEncoder",
    "encoder_from_file",
    "encoder_from_object",
    "make_from_file",
    "parameter_count",
    "rows_of",
]

_LOG = logging.getLogger(__name__)
_BATCH = 8  # the benchmark's harness
#: Three lengths: a model whose rows depend on the batch shows it on these.
TRIAL = ("ACGTTGCAAC", "GATTACATTCAGGCATTA" * 3, "TTGACCGATA" * 12)
#: Relative to the largest number: a difference below it is rounding, and no fault of the model's.
_ROUNDING = 1e-5

Embed = Callable[[Sequence[str]], np.ndarray]
Tried = TypeVar("Tried")


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
            None, a digest of all that the object holds
            (:class:`~geneb_jax.models.adapters.reachable.ContentDigest`); where that holds no
            array or cannot be looked into, stored embeddings are never used again.

    Raises:
        ModelError: if it has neither method, or does not give one finite row a text.
    """
    name = str(model_id or getattr(model, "model_id", None) or type(model).__name__)
    embed = _embedder(model, where=name)
    width = embed(list(TRIAL)).shape[1]
    if weights is None:
        content = ContentDigest(model)
        weights = _kept_if_whole(content, content.hexdigest(), where=name)
        if not content.array_count:
            weights = _unrepeated()
    return _encoder(model, embed, name=name, weights=weights, width=width)


def encoder_from_file(file: Path, name: str, *, name_model: str | None) -> Encoder:
    """Run a file and wrap what it calls ``name``: a class, a function that makes one, an object.

    Args:
        file: A Python file.
        name: In that file.
        name_model: Given to a class that asks for ``name_model``: a folder or a hub id.

    Raises:
        SelectionError: if there is no such file or name.
        ModelError: if the file or the class fails, or the class asks for more than is known.
    """
    where = f"{file}:{name}"

    def tried(model: Any) -> tuple[Embed, int]:
        embed = _embedder(model, where=where)
        return embed, embed(list(TRIAL)).shape[1]

    made = make_from_file(file, name, name_model=name_model, trial=tried)
    wrapped = _wrapped(made.model)
    if wrapped is not None:
        return wrapped.renamed(made.label, revision="local", weights=made.weights)
    embed, width = made.tried
    guarded = made.with_known_files_only(embed)
    return _encoder(made.model, guarded, name=made.label, weights=made.weights, width=width)


@dataclass(frozen=True, slots=True, eq=False)
class MadeFromFile(Generic[Tried]):
    """A model that a user's file made, and all that it was made of.

    Attributes:
        model: The object.
        label: What it is called.
        weights: A digest of everything that decides its embeddings.
        tried: What the trial gave.
        files: The files it was made of -> SHA-256.
        folders: The file's folder and the ``name_model`` folder, in which it may open no others.
        where: ``path.py:Class``, for messages.
    """

    model: Any
    label: str
    weights: str
    tried: Tried
    files: Mapping[Path, str]
    folders: tuple[Path, ...]
    where: str

    def with_known_files_only(self, embed: Embed) -> Embed:
        """Refuse a file of the model's that is opened only now: the model's key has none of it."""

        def guarded(texts: Sequence[str]) -> np.ndarray:
            with opened_files() as opened:
                rows = embed(texts)
            late = [
                path
                for path in opened.paths()
                if path not in self.files and any(map(path.is_relative_to, self.folders))
            ]
            if late:
                raise ModelError(
                    f"it opened {late[0]} for some sequences only, after its key was made",
                    where=self.where,
                    hint="open the file when the object is made, so that its content is in the key",
                )
            return rows

        return guarded

    def require_same_files(self) -> None:
        """Make sure that the object, made again from its files now, is the same.

        Raises:
            CheckpointError: if a file is another one, or gone.
        """
        for path, digest in self.files.items():
            if file_sha256(path) != digest:
                raise CheckpointError(
                    "was changed while the run was going on",
                    where=path,
                    hint="run the same command again: it embeds with the model as it is now",
                )


def make_from_file(
    file: Path, name: str, *, name_model: str | None, trial: Callable[[Any], Tried]
) -> MadeFromFile[Tried]:
    """Make what a file calls ``name``, try it, and digest all that it then is made of.

    Args:
        file: A Python file.
        name: In that file.
        name_model: Given to a class that asks for ``name_model``: a folder or a hub id.
        trial: Called with the object once, so that it loads what it loads late.

    Raises:
        SelectionError: if there is no such file or name.
        ModelError: if the file, the class or the trial fails.
        CheckpointError: if a file that it opened changes meanwhile.
    """
    where = f"{file}:{name}"
    beside = Path(name_model).expanduser() if name_model else None
    with opened_files() as opened:
        model = construct(file, name, name_model=name_model)
        tried = trial(model)
    paths = {*own_files(file), *checkpoint_files(opened.paths())}
    folders = [file.resolve().parent]
    if beside is not None and beside.exists():
        inside = [beside] if beside.is_file() else beside.rglob("*")
        paths |= {part.resolve() for part in inside if part.is_file()}
        folders.append(beside.resolve())
    files = {path: file_sha256(path) for path in sorted(paths)}
    places = {str(folder): f"<{at}>" for at, folder in reversed(list(enumerate(folders)))}
    wrapped = _wrapped(model)
    # A wrapped module says itself who it is; around it are compiled programs.
    held = model if wrapped is None else wrapped.identity
    content = ContentDigest(held, places | {package_name(file): "<package>"})
    opened.require_unchanged()
    # A folder counts by what is in it; a hub id stands for itself.
    named = "" if len(folders) > 1 else name_model or ""
    parts = [*files.values(), content.hexdigest(), named]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    snapshot = HubSnapshot.at(beside) if beside is not None else None
    given = snapshot.hub_id if snapshot is not None else Path(name_model or "").name
    return MadeFromFile(
        model=model,
        label=f"{file.stem}.{name}" + (f"@{given}" if name_model else ""),
        weights=_kept_if_whole(content, digest, where=where),
        tried=tried,
        files=files,
        folders=tuple(folders),
        where=where,
    )


def _wrapped(model: Any) -> WrappedEncoder | None:
    """What :func:`geneb_jax.wrap` made, None for any other object."""
    from geneb_jax.models.wrapped_encoder import WrappedEncoder

    encoder = getattr(model, "encoder", None)
    return encoder if isinstance(encoder, WrappedEncoder) else None


def _unrepeated() -> str:
    """What stands for weights that nothing tells apart: another one every time."""
    return f"object:{uuid.uuid4().hex}"


def _kept_if_whole(content: ContentDigest, digest: str, *, where: str) -> str:
    """The digest, if it speaks for all that decides the embeddings."""
    if not content.opaque:
        return digest
    _LOG.warning(
        "%s: it holds %s, which cannot be looked into; its embeddings are not used again by later "
        "runs",
        where,
        ", ".join(content.opaque[:3]),
    )
    return _unrepeated()


def _encoder(model: Any, embed: Embed, *, name: str, weights: str, width: int) -> ObjectEncoder:
    identity = EncoderIdentity(
        model_id=name,
        revision="local",
        weights=weights,
        tokenizer="its own",
        pooling="its own",
        layer=-1,
        dtype="its own",
        code=f"object/{type(model).__name__}/2",
    )
    return ObjectEncoder(
        embed=embed, identity=identity, width=width, parameter_count=parameter_count(model)
    )


def parameter_count(model: Any) -> int | None:
    """Number of parameters of the torch modules that the object holds; None without any."""
    modules = _torch_modules(model)
    counts = [sum(p.numel() for p in module.parameters()) for module in modules.values()]
    return sum(counts) if counts else None


def _embedder(model: Any, *, where: str) -> Embed:
    """The object's method as texts to float32 rows, tried on a few texts."""
    if callable(getattr(model, "extract_embeddings", None)):
        extract: Callable[..., Any] = model.extract_embeddings
        if _depends_on_company(lambda texts: rows_of(extract, texts, _BATCH, where=where), where):
            return lambda texts: rows_of(extract, list(texts), 1, where=where)
        return lambda texts: rows_of(extract, list(texts), _BATCH, where=where)
    methods = [name for name in ("embed", "encode") if callable(getattr(model, name, None))]
    if methods:
        embed: Callable[..., Any] = getattr(model, methods[0])
        if _depends_on_company(lambda texts: rows_of(embed, texts, where=where), where):
            return lambda texts: np.concatenate([rows_of(embed, [t], where=where) for t in texts])
        return lambda texts: rows_of(embed, list(texts), where=where)
    raise ModelError(
        "has none of extract_embeddings(sequences, batch_size), embed(sequences) and "
        "encode(sequences)",
        where=where,
    )


def _depends_on_company(embed: Callable[[list[str]], np.ndarray], where: str) -> bool:
    """Whether a row is another one, be it in its last bit, where other texts are in its batch.

    Several published extractors do (padding that leaks, wrong rows of shorter records), and so
    does rounding wherever a batch has another shape; the order and size of batches would then be
    part of every score, so such a model runs one sequence at a time.
    """
    texts = list(TRIAL)
    alone = np.concatenate([embed([text]) for text in texts])
    try:
        together = embed(texts)
    except ModelError:
        together = None
    if together is not None and np.array_equal(alone, together, equal_nan=True):
        return False
    same_shape = together is not None and together.shape == alone.shape
    apart = np.abs(together - alone).max() if together is not None and same_shape else np.inf
    if not apart <= _ROUNDING * np.abs(alone).max():
        _LOG.warning(
            "%s: its embeddings depend on the batch they are in; it runs one sequence at a time",
            where,
        )
    return True


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
