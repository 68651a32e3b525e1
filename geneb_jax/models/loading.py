"""From a name to an encoder: a blueprint, and parameters from weight files or from a seed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.choice import is_adapted, load_adapted
from geneb_jax.models.blueprint import Blueprint, find_blueprint
from geneb_jax.models.checkpoints.assembly import fit_checkpoint
from geneb_jax.models.checkpoints.memory import require_memory
from geneb_jax.models.context import with_policy
from geneb_jax.models.encoder import BATCH_RULES, Encoder
from geneb_jax.models.family import config_as_dict
from geneb_jax.models.layers.network import require_layer
from geneb_jax.models.layers.parameters import Parameters, parameter_shapes, random_parameters
from geneb_jax.models.load_options import LoadOptions
from geneb_jax.models.native_encoder import NativeEncoder
from geneb_jax.models.pooling_choice import chosen_pooling
from geneb_jax.models.precision import AUTO, auto_dtype
from geneb_jax.models.registry import find_spec
from geneb_jax.tokenizers import definition_digest

__all__ = ["load_encoder", "settled_options"]

_DEFAULTS = LoadOptions()
_KMER = re.compile(r"kmer-(\d+)")


def load_encoder(id_or_path: Any, options: LoadOptions = _DEFAULTS) -> Encoder:
    """Load a model.

    Args:
        id_or_path: A model id (``geneb-jax list models``), a hub id ``org/name``, either also with
            ``@REVISION`` behind, or a folder with config.json and weights. ``torch:`` before one
            of these runs it with transformers; ``path.py:Class`` and objects:
            :mod:`geneb_jax.models.adapters.object_adapter`.
        options: Weights, dtype, pooling, layer, where from, and what becomes of overlong sequences.

    Raises:
        SelectionError: for an unknown model or layer.
        CheckpointError: if config, tokenizer and weights do not fit together.
        DownloadError: if files cannot be had.
        ModelError: if the model's family does not run here.
    """
    return with_policy(_load(id_or_path, settled_options(id_or_path, options)), options.overlong)


def _load(id_or_path: Any, options: LoadOptions) -> Encoder:
    adapted = load_adapted(id_or_path, options)
    if adapted is not None:
        return adapted
    kmer = _KMER.fullmatch(str(id_or_path).lower())
    if kmer:
        find_spec(str(id_or_path))
        from geneb_jax.models.families.kmer import build_kmer_encoder

        return build_kmer_encoder(int(kmer[1]), options)
    blueprint = find_blueprint(id_or_path, options)
    pooling = chosen_pooling(blueprint.spec, options.pooling)
    layer = require_layer(options.layer, blueprint.config.layer_count)
    weights, read_parameters = _parameters(blueprint, options)
    identity = EncoderIdentity(
        model_id=blueprint.spec.model_id,
        revision=weights if options.untrained else blueprint.revision,
        weights=weights,
        tokenizer=blueprint.tokenizer.digest,
        pooling=pooling,
        layer=layer,
        dtype=options.dtype,
        code=f"{blueprint.family.code}+{BATCH_RULES}",
        config=definition_digest(config_as_dict(blueprint.config)),
    )
    return NativeEncoder(
        spec=blueprint.spec,
        family=blueprint.family,
        config=blueprint.config,
        read_parameters=read_parameters,
        tokenizer=blueprint.tokenizer,
        identity=identity,
    )


def settled_options(id_or_path: Any, options: LoadOptions) -> LoadOptions:
    """The options with ``auto`` replaced by the dtype that it is for this model, here.

    A run is planned with what this gives: a worker on another device computes in the same dtype.
    Counts, and models that run by their own code, are
    float32 everywhere.
    """
    if options.dtype != AUTO:
        return options
    own = is_adapted(id_or_path) or _KMER.fullmatch(str(id_or_path).lower())
    return replace(options, dtype="float32" if own else auto_dtype())


def _parameters(blueprint: Blueprint, options: LoadOptions) -> tuple[str, Callable[[], Parameters]]:
    """What the identity calls the weights, and how to read or draw exactly these."""
    module = blueprint.family.module(blueprint.config)
    if options.untrained or blueprint.spec.source.kind == "built-in":
        weights = f"random:{options.seed}"
        fill = partial(random_parameters, module, seed=options.seed, dtype=options.dtype)
    else:
        assert blueprint.weights is not None
        key_map = blueprint.family.key_map(blueprint.config)
        checkpoint = blueprint.weights.checkpoint(key_map)
        weights = checkpoint.sha256
        fitted = fit_checkpoint(module, checkpoint, key_map)
        fill = partial(fitted.load, dtype=options.dtype)

    def read() -> Parameters:
        model_id = blueprint.spec.model_id
        require_memory(parameter_shapes(module), dtype=options.dtype, model_id=model_id)
        return fill()

    return weights, read
