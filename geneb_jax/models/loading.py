"""From a name to an encoder: registered model, hub repository, or checkpoint folder.

1. Decide what is meant: a built-in id, a folder, one of the 40, or ``org/name`` on the hub.
2. Settle architecture and tokenizer, from the TOML or from the folder's own files.
3. Fill the parameters, from the weight files or from a seed.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from geneb_jax.errors import CheckpointError, ModelError, SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.choice import load_adapted
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.config_json import read_config_json
from geneb_jax.models.checkpoints.file_digests import check_pinned, combined_sha256, file_sha256
from geneb_jax.models.checkpoints.hub import download_checkpoint, download_files
from geneb_jax.models.checkpoints.memory import require_memory
from geneb_jax.models.checkpoints.weight_files import find_weight_files
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from geneb_jax.models.encoder import Encoder
from geneb_jax.models.family import Family, config_as_dict, family_for_folder, find_family
from geneb_jax.models.layers.network import require_layer
from geneb_jax.models.layers.parameters import Parameters, parameter_shapes, random_parameters
from geneb_jax.models.native_encoder import NativeEncoder
from geneb_jax.models.pooling import POOLINGS, require_pooling
from geneb_jax.models.registry import built_in_models, find_spec, registry
from geneb_jax.models.spec import (
    ContextSpec,
    Labels,
    ModelSpec,
    PoolingSpec,
    SourceSpec,
    TokenizerSpec,
)
from geneb_jax.tokenizers import Tokenizer, build_tokenizer, definition_digest, shipped_file

__all__ = ["DTYPES", "load_encoder"]

DTYPES = ("float32", "bfloat16", "float16")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A model before its parameters: everything that needs no weight to be known."""

    spec: ModelSpec
    family: Family[Any]
    config: Any
    tokenizer: Tokenizer
    files: tuple[Path, ...]
    revision: str
    pinned: bool = False


def load_encoder(
    id_or_path: Any,
    *,
    path: str | Path | None = None,
    revision: str | None = None,
    weights: Literal["pretrained", "random"] = "pretrained",
    seed: int = 0,
    dtype: str = "float32",
    pooling: str | None = None,
    layer: int = -1,
    offline: bool = False,
    allow_remote_code: str | None = None,
) -> Encoder:
    """Load a model.

    Args:
        id_or_path: A model id (``geneb-jax list models``), a hub id ``org/name``, or a folder with
            config.json and weights. ``torch:`` before an id, hub id or folder runs it with
            transformers; ``path.py:Class`` and objects:
            :mod:`geneb_jax.models.adapters.object_adapter`.
        path: Folder or file with the weights of the model named by id, instead of a download.
        revision: Hub commit, branch or tag; a registered model's pinned commit when None.
        weights: ``random`` gives an untrained network of the true size, without any download of
            weights.
        seed: Decides random weights.
        dtype: Compute dtype: float32, bfloat16 or float16.
        pooling: One of :data:`geneb_jax.models.pooling.POOLINGS`, or ``geneb`` for what the
            benchmark's extractor does; the model's default when None.
        layer: Hidden state to pool: 0 the embeddings, -1 the last.
        offline: Open no socket.
        allow_remote_code: ``ORG/MODEL@COMMIT`` or a folder whose own code ``torch:`` may run.

    Raises:
        SelectionError: for an unknown model, pooling, layer or dtype.
        CheckpointError: if config, tokenizer and weights do not fit together.
        DownloadError: if files cannot be had.
        ModelError: if the model's family does not run here.
    """
    if dtype not in DTYPES:
        raise SelectionError(f"unknown dtype {dtype!r}", hint=f"known are {', '.join(DTYPES)}")
    if weights not in ("pretrained", "random"):
        raise SelectionError(f"unknown weights {weights!r}", hint="known are pretrained and random")
    adapted = load_adapted(
        id_or_path,
        path=path,
        revision=revision,
        weights=weights,
        seed=seed,
        dtype=dtype,
        pooling=pooling,
        layer=layer,
        offline=offline,
        allow_remote_code=allow_remote_code,
    )
    if adapted is not None:
        return adapted
    kmer = re.fullmatch(r"kmer-(\d+)", str(id_or_path))
    if kmer:
        find_spec(str(id_or_path))
        from geneb_jax.models.families.kmer import build_kmer_encoder

        return build_kmer_encoder(int(kmer[1]))
    untrained = weights == "random"
    plan = _plan(id_or_path, path=path, revision=revision, offline=offline, untrained=untrained)
    untrained = untrained or plan.spec.source.kind == "built-in"
    pooling_name = _pooling(plan.spec, pooling)
    layer = require_layer(layer, plan.config.layer_count)
    module = plan.family.module(plan.config)
    if untrained:
        fill = partial(random_parameters, module, seed=seed, dtype=dtype)
        weights_digest = f"random:{seed}"
    else:
        weights_digest = _weights_digest(plan)
        key_map = plan.family.key_map(plan.config)
        fitted = fit_checkpoint(module, open_checkpoint(plan.files), key_map)
        fill = partial(fitted.load, dtype=dtype)

    def read_parameters() -> Parameters:
        require_memory(parameter_shapes(module), dtype=dtype, model_id=plan.spec.model_id)
        return fill()

    identity = EncoderIdentity(
        model_id=plan.spec.model_id,
        revision=f"random:{seed}" if weights == "random" else plan.revision,
        weights=weights_digest,
        tokenizer=plan.tokenizer.digest,
        pooling=pooling_name,
        layer=layer,
        dtype=dtype,
        code=plan.family.code,
        config=definition_digest(config_as_dict(plan.config)),
    )
    return NativeEncoder(
        spec=plan.spec,
        family=plan.family,
        config=plan.config,
        read_parameters=read_parameters,
        tokenizer=plan.tokenizer,
        identity=identity,
    )


def _plan(
    id_or_path: str | Path,
    *,
    path: str | Path | None,
    revision: str | None,
    offline: bool,
    untrained: bool,
) -> _Plan:
    name = str(id_or_path)
    registered = name in registry() or name in built_in_models()
    folder = Path(name).expanduser()
    # An id means the registered model even beside a folder of its name: ./ID is the folder.
    if isinstance(id_or_path, Path) or (path is None and not registered and folder.is_dir()):
        return _plan_folder(folder, model_id=None, revision="local", untrained=untrained)
    try:
        spec = find_spec(name)
    except SelectionError:
        if name.startswith((".", "/", "~")) or name.count("/") > 1:
            raise _no_folder(name) from None
        if "/" not in name or path is not None:
            raise
        folder = download_checkpoint(name, revision=revision, offline=offline)
        return _plan_folder(folder, model_id=name, revision=folder.name, untrained=untrained)
    return _plan_registered(
        spec,
        path=None if path is None else Path(path),
        revision=revision,
        offline=offline,
        untrained=untrained,
    )


def _plan_registered(
    spec: ModelSpec, *, path: Path | None, revision: str | None, offline: bool, untrained: bool
) -> _Plan:
    family = find_family(spec.family)
    config = family.read_config(spec.config, where=spec.model_id)
    hub_revision = revision or spec.source.revision
    pinned = revision in (None, spec.source.revision)

    def find_file(name: str) -> Path:
        beside = None if path is None else (path if path.is_dir() else path.parent) / name
        if beside is not None and beside.is_file():
            return beside
        pins = [file for file in spec.tokenizer.files if file.name == name and pinned]
        shipped = shipped_file(pins[0].sha256) if pins else None
        if shipped is not None:
            return shipped
        if spec.source.hub_id is None:
            raise _by_hand(spec, name)
        folder = download_files(spec.source.hub_id, [name], revision=hub_revision, offline=offline)
        if pins:
            check_pinned(folder / name, pins[0])
        return folder / name

    tokenizer = build_tokenizer(
        spec.tokenizer.kind,
        spec.tokenizer.options,
        limit=spec.context.limit,
        rows=config.vocab_size,
        find_file=find_file,
    )
    plan = _Plan(spec, family, config, tokenizer, (), "built-in")
    if spec.source.kind == "built-in":
        return plan
    if untrained:
        return plan
    if path is not None:
        return dataclasses.replace(plan, files=find_weight_files(path), revision="local")
    if spec.source.hub_id is None:
        raise _by_hand(spec, ", ".join(file.name for file in spec.weight_files()))
    names = [file.name for file in spec.weight_files()]
    folder = download_files(spec.source.hub_id, names, revision=hub_revision, offline=offline)
    files = tuple(folder / name for name in names)
    return dataclasses.replace(plan, files=files, revision=folder.name, pinned=pinned)


def _plan_folder(folder: Path, *, model_id: str | None, revision: str, untrained: bool) -> _Plan:
    if not folder.is_dir():
        raise _no_folder(folder)
    config_json = read_config_json(folder)
    family = family_for_folder(config_json)
    config = family.from_config_json(config_json)
    found = family.folder_tokenizer(folder, config_json, config)
    if found.note:
        _LOG.warning("%s", found.note)
    name = model_id or folder.resolve().name
    module = family.module(config)
    parameters = sum(variable.get_value().size for variable in parameter_shapes(module).values())
    spec = ModelSpec(
        model_id=name,
        display=name,
        family=family.name,
        parameters=parameters,
        labels=Labels(architecture=family.name, tokenization="k-mer", corpus="unknown"),
        source=SourceSpec(kind="folder")
        if model_id is None
        else SourceSpec(kind="hub", hub_id=model_id, revision=revision),
        config=config_as_dict(config),
        tokenizer=TokenizerSpec(kind="folder"),
        context=ContextSpec(limit=found.tokenizer.max_tokens),
        pooling=PoolingSpec(geneb="mean", default="mean"),
        notes=(found.note,) if found.note else (),
    )
    files = () if untrained else find_weight_files(folder)
    return _Plan(spec, family, config, found.tokenizer, files, revision)


def _pooling(spec: ModelSpec, asked: str | None) -> str:
    if asked not in (None, "geneb"):
        return require_pooling(str(asked))
    name = spec.pooling.default if asked is None else spec.pooling.geneb
    if name not in POOLINGS:
        raise ModelError(
            f"{spec.model_id}: the benchmark's pooling {name!r} cannot be reproduced one sequence "
            "at a time",
            cause=spec.pooling.reason or None,
            hint=f"the default {spec.pooling.default!r} can",
        )
    return name


def _weights_digest(plan: _Plan) -> str:
    """SHA-256 over the weight files; checked against the pinned ones for a registered download."""
    if not plan.pinned:
        for file in plan.files:
            if not file.is_file():
                raise CheckpointError("this weight file is missing", where=file)
        return combined_sha256([file_sha256(file) for file in plan.files])
    pins = plan.spec.weight_files()
    digests = [check_pinned(file, pin) for file, pin in zip(plan.files, pins, strict=True)]
    return combined_sha256(digests)


def _no_folder(name: object) -> SelectionError:
    return SelectionError(
        f"there is no folder {name}", hint="name a folder with config.json and weights"
    )


def _by_hand(spec: ModelSpec, names: str) -> ModelError:
    return ModelError(
        f"{names} of {spec.model_id} cannot be downloaded automatically",
        cause=spec.source.instructions,
        hint=f"download it by hand, then `-m {spec.model_id} --path FOLDER`",
    )
