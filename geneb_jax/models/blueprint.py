"""What a name means: a model before its parameters, from its TOML or from its folder's own files.

1. A built-in id, a registered one, a folder, or ``org/name`` on the hub.
2. Family, config and tokenizer, from the TOML or from config.json and the tokenizer's files.
3. Its weights, open and hashed; no value in them is read here.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from geneb_jax.errors import DownloadError, ModelError, SelectionError
from geneb_jax.models.checkpoints.config_json import read_config_json
from geneb_jax.models.checkpoints.file_digests import DigestedFile, check_pinned
from geneb_jax.models.checkpoints.folder_weights import (
    Weights,
    find_folder_parts,
    open_weights,
    stored_tensors,
)
from geneb_jax.models.checkpoints.hub import HubSnapshot, download_checkpoint, download_files
from geneb_jax.models.family import Family, config_as_dict, family_for_folder, find_family
from geneb_jax.models.layers.parameters import parameter_shapes
from geneb_jax.models.load_options import LoadOptions
from geneb_jax.models.model_folder import (
    looks_like_a_path,
    model_folder,
    named_path,
    no_folder,
    split_revision,
)
from geneb_jax.models.registry import find_spec, known_spec
from geneb_jax.models.sentence_folder import read_sentence_folder
from geneb_jax.models.spec import (
    ContextSpec,
    Labels,
    ModelSpec,
    PoolingSpec,
    SourceSpec,
    TokenizerSpec,
)
from geneb_jax.tokenizers import LibraryTokenizer, Tokenizer, build_tokenizer, shipped_file

__all__ = ["Blueprint", "find_blueprint"]

_LOG = logging.getLogger(__name__)
#: Two texts of whose tokens the difference is counted; without a period that a vocabulary may know.
_LABEL_TEXT = "".join(random.Random(0).choices("ACGT", k=48))  # noqa: S311


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A model before its parameters: everything that needs no weight to be known.

    Attributes:
        spec: What is known of it.
        family: Its architecture.
        config: Its sizes and switches.
        tokenizer: Text to ids.
        revision: Commit of the weights, ``local`` for the user's own, ``built-in`` without any.
        weights: Its weights; None for an untrained model.
    """

    spec: ModelSpec
    family: Family[Any]
    config: Any
    tokenizer: Tokenizer
    revision: str
    weights: Weights | None = None


def find_blueprint(id_or_path: str | Path, options: LoadOptions) -> Blueprint:
    """Settle what a name means.

    Raises:
        SelectionError: for an unknown model.
        CheckpointError: if config and tokenizer do not fit together, or there are no weights.
        DownloadError: if files cannot be had.
        ModelError: if the model's family does not run here, or its files must be fetched by hand.
    """
    name = str(id_or_path)
    if not isinstance(id_or_path, Path):
        name, revision = split_revision(name)
        options = options.at(revision)
    folder = named_path(name)
    # An id means the registered model even beside a folder of its name: ./ID is the folder.
    if isinstance(id_or_path, Path) or (
        options.path is None and known_spec(name) is None and folder.is_dir()
    ):
        folder = model_folder(folder, revision=options.revision)
        return _of_folder(folder, HubSnapshot.at(folder), options)
    try:
        spec = find_spec(name)
    except SelectionError:
        if looks_like_a_path(name):
            raise no_folder(name) from None
        if "/" not in name or options.path is not None:
            raise
        folder = _of_hub(name, options)
        return _of_folder(folder, HubSnapshot(name, folder.name), options)
    return _of_registered(spec, options)


def _of_hub(name: str, options: LoadOptions) -> Path:
    """The files of a hub repository; that the name was taken for one is said where it fails."""
    try:
        return download_checkpoint(name, revision=options.revision, offline=options.offline)
    except DownloadError as error:
        raise DownloadError(
            f"there is no folder {name} here, and as a hub id: {error.what}",
            where=error.where,
            cause=error.cause,
            hint=error.hint,
        ) from error


def _of_registered(spec: ModelSpec, options: LoadOptions) -> Blueprint:
    if options.revision is not None and spec.source.hub_id is None:
        raise SelectionError(
            f"{spec.model_id} has no revisions: it is in no repository of the hub",
            hint=f"-m {spec.model_id}",
        )
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=spec.model_id)
    tokenizer = build_tokenizer(
        spec.tokenizer.kind,
        spec.tokenizer.options,
        limit=spec.context.limit,
        rows=config.vocab_size,
        find_file=partial(_tokenizer_file, spec, options),
    )
    blueprint = Blueprint(spec, family, config, tokenizer, "built-in")
    if spec.source.kind == "built-in" or options.untrained:
        return blueprint
    if options.path is not None:
        path = Path(options.path)
        snapshot = HubSnapshot.at(path if path.is_dir() else path.parent)
        weights = open_weights(path, adapter=path if path.is_dir() else None)
        return dataclasses.replace(
            blueprint,
            spec=dataclasses.replace(spec, notes=(*spec.notes, *_told(weights.notes))),
            weights=weights,
            revision="local" if snapshot is None else snapshot.revision,
        )
    pins = spec.weight_files()
    names = [pin.name for pin in pins]
    if spec.source.hub_id is None:
        raise _by_hand(spec, ", ".join(names))
    revision = options.revision or spec.source.revision
    folder = download_files(spec.source.hub_id, names, revision=revision, offline=options.offline)
    files = tuple(folder / name for name in names)
    pinned = pins if revision == spec.source.revision else ()
    weights = open_weights(folder, files=files, pinned=pinned)
    return dataclasses.replace(blueprint, weights=weights, revision=folder.name)


def _tokenizer_file(spec: ModelSpec, options: LoadOptions, name: str) -> Path:
    """A tokenizer's file: beside the user's weights, shipped with the package, or on the hub."""
    path = None if options.path is None else Path(options.path)
    beside = None if path is None else (path if path.is_dir() else path.parent) / name
    if beside is not None and beside.is_file():
        return beside
    revision = options.revision or spec.source.revision
    pinned = revision == spec.source.revision
    pins = [file for file in spec.tokenizer.files if file.name == name and pinned]
    shipped = shipped_file(pins[0].sha256) if pins else None
    if shipped is not None:
        return shipped
    if spec.source.hub_id is None:
        raise _by_hand(spec, name)
    folder = download_files(spec.source.hub_id, [name], revision=revision, offline=options.offline)
    if pins:
        file = DigestedFile(folder / name)
        check_pinned(file, pins[0])
        file.close()
    return folder / name


def _of_folder(folder: Path, snapshot: HubSnapshot | None, options: LoadOptions) -> Blueprint:
    if not folder.is_dir():
        raise no_folder(folder)
    sentence = read_sentence_folder(folder)
    parts = find_folder_parts(folder if sentence is None else sentence.network)
    config_json = read_config_json(parts.base)
    family = family_for_folder(config_json)
    config = family.from_config_json(config_json)
    weights = None if options.untrained else open_weights(parts.base, adapter=parts.adapter)
    tensors = stored_tensors(parts.base) if weights is None else weights.base.tensors
    config = family.settled(config, tensors, where=str(parts.base))
    found = family.folder_tokenizer(parts.tokenizer, config_json, config)
    tokenizer, said, pooling = found.tokenizer, list(found.notes), "mean"
    if sentence is not None:
        declared = config_json.optional("max_position_embeddings", int, None)
        longest = config.longest_tokens or declared
        tokenizer = sentence.tokenizer(tokenizer, longest=longest)
        said += [*sentence.notes, *sentence.overruled(options.pooling)]
        pooling = sentence.pooling
    notes = _told((*(() if weights is None else weights.notes), *said))
    name = folder.resolve().name if snapshot is None else snapshot.hub_id
    spec = ModelSpec(
        model_id=name,
        display=name,
        family=family.name,
        parameters=sum(
            variable.get_value().size
            for variable in parameter_shapes(family.module(config)).values()
        ),
        labels=Labels(
            architecture=family.name,
            tokenization=_tokenization_label(tokenizer),
            corpus="unknown",
        ),
        source=SourceSpec(kind="folder")
        if snapshot is None
        else SourceSpec(kind="hub", hub_id=snapshot.hub_id, revision=snapshot.revision),
        config=config_as_dict(config),
        tokenizer=TokenizerSpec(kind="folder"),
        context=ContextSpec(limit=tokenizer.max_tokens),
        pooling=PoolingSpec(geneb="mean", default=pooling),
        notes=notes,
    )
    return Blueprint(
        spec,
        family,
        config,
        tokenizer,
        revision="local" if snapshot is None else snapshot.revision,
        weights=weights,
    )


def _told(notes: Iterable[str | None]) -> tuple[str, ...]:
    """Say what had to be chosen or assumed, and keep it."""
    said = tuple(note for note in notes if note)
    for note in said:
        _LOG.warning("%s", note)
    return said


def _tokenization_label(tokenizer: Tokenizer) -> str:
    """The paper's label (table 4) of what the tokenizer does: SN, BPE or k-mer.

    A token a letter is SN (single nucleotide) whatever the kind of its file.
    """
    whole, half = (tokenizer.tokenize(text) for text in (_LABEL_TEXT, _LABEL_TEXT[::2]))
    letters = len(_LABEL_TEXT) - whole.dropped_bp - (len(_LABEL_TEXT[::2]) - half.dropped_bp)
    if len(whole.ids) - len(half.ids) >= letters:
        return "SN"
    subwords = isinstance(tokenizer, LibraryTokenizer) and tokenizer.model != "WordLevel"
    return "BPE" if subwords else "k-mer"


def _by_hand(spec: ModelSpec, names: str) -> ModelError:
    return ModelError(
        f"{names} of {spec.model_id} cannot be downloaded automatically",
        cause=spec.source.instructions,
        hint=f"download it by hand, then `-m {spec.model_id} --path FOLDER`",
    )
