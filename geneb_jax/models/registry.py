"""The models known by name: GENEB's 40, and the built-in ones that need no checkpoint."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from geneb_jax.errors import SelectionError
from geneb_jax.models.spec import (
    ContextSpec,
    Labels,
    Licences,
    ModelSpec,
    PoolingSpec,
    SourceSpec,
    TokenizerSpec,
    read_spec,
)
from geneb_jax.resources import config_folder

__all__ = ["built_in_models", "find_spec", "is_native", "native_families", "registry"]

KMER_SIZES = range(1, 7)


@cache
def registry() -> Mapping[str, ModelSpec]:
    """GENEB's 40 models by model id, in alphabetical order of their ids."""
    return _read_folder("models")


@cache
def built_in_models() -> Mapping[str, ModelSpec]:
    """Models that need no checkpoint: k-mer frequencies, and small untrained controls."""
    specs = {f"kmer-{k}": _kmer_spec(k) for k in KMER_SIZES}
    return MappingProxyType(specs | dict(_read_folder("models/built_in")))


@cache
def native_families() -> frozenset[str]:
    """Families that run here: the modules of :mod:`geneb_jax.models.families`, by name."""
    families = Path(__file__).parent / "families"
    return frozenset(module.name for module in pkgutil.iter_modules([str(families)]))


def is_native(spec: ModelSpec) -> bool:
    """Whether the model's family runs here."""
    return spec.family in native_families()


def find_spec(model_id: str) -> ModelSpec:
    """The model of this id, or of this hub id.

    Raises:
        SelectionError: if there is none; the hint names near matches.
    """
    known = {**registry(), **built_in_models()}
    if model_id in known:
        return known[model_id]
    for spec in registry().values():
        if spec.source.hub_id == model_id:
            return spec
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(model_id.lower(), list(by_lower), n=3, cutoff=0.5)
    parts = [name for low, name in by_lower.items() if model_id.lower() in low and low not in near]
    names = [by_lower[low] for low in near] + parts[:3]
    everything = "`geneb-jax list models` shows all; a checkpoint folder or a hub id works too"
    hint = f"near matches: {', '.join(names)}; {everything}" if names else everything
    raise SelectionError(f"unknown model {model_id!r}", hint=hint)


def _read_folder(path: str) -> Mapping[str, ModelSpec]:
    folder = config_folder()
    for part in path.split("/"):
        folder = folder / part
    specs = {}
    for file in sorted(folder.iterdir(), key=lambda item: item.name.lower()):
        if file.name.endswith(".toml"):
            spec = read_spec(file.read_text(encoding="utf-8"), where=file.name)
            specs[spec.model_id] = spec
    return MappingProxyType(specs)


def _kmer_spec(k: int) -> ModelSpec:
    return ModelSpec(
        model_id=f"kmer-{k}",
        display=f"{k}-mer frequencies",
        family="kmer",
        parameters=0,
        labels=Labels(architecture="counts", tokenization="k-mer", corpus="none"),
        source=SourceSpec(kind="built-in"),
        config={"k": k},
        tokenizer=TokenizerSpec(kind="none"),
        context=ContextSpec(limit=None, unit="bp"),
        pooling=PoolingSpec(geneb="none", default="none"),
        licence=Licences(code="Apache-2.0"),
        notes=("Overlapping windows of A, C, G, T; windows with other letters are skipped.",),
    )
