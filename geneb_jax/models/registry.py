"""The models known by name: the leaderboard's, and the built-in ones that need no checkpoint."""

from __future__ import annotations

import csv
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

__all__ = [
    "built_in_models",
    "find_spec",
    "is_native",
    "known_spec",
    "native_families",
    "paper_names",
    "registry",
]

KMER_SIZES = range(1, 7)


@cache
def registry() -> Mapping[str, ModelSpec]:
    """The paper's 40 models and the leaderboard's later ones by model id, in alphabetical order."""
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


def known_spec(model_id: str) -> ModelSpec | None:
    """The model of exactly this id or hub id, as identities name it; None where there is none."""
    found = registry().get(model_id) or built_in_models().get(model_id)
    if found is not None:
        return found
    specs = (spec for spec in registry().values() if spec.source.hub_id == model_id)
    return next(specs, None)


@cache
def _names() -> Mapping[str, frozenset[str]]:
    """Every name of every model, in small letters, with the ids that it may mean.

    A model has an id, the name in tables, its name in the paper, and a hub id with its last part.
    """
    names: dict[str, set[str]] = {}
    papers = paper_names()
    for spec in (*registry().values(), *built_in_models().values()):
        hub_id = spec.source.hub_id or ""
        own = (spec.model_id, spec.display, papers.get(spec.model_id, ""), hub_id)
        for name in (*own, hub_id.rpartition("/")[2]):
            if name:
                names.setdefault(name.lower(), set()).add(spec.model_id)
    return MappingProxyType({name: frozenset(ids) for name, ids in names.items()})


@cache
def paper_names() -> Mapping[str, str]:
    """Name in the paper and in reports, by model id."""
    table = (config_folder() / "published" / "models.csv").read_text(encoding="utf-8")
    return {row["model_id"]: row["paper_name"] for row in csv.DictReader(table.splitlines())}


def find_spec(name: str) -> ModelSpec:
    """The model that a name means: its id, the name in tables or in the paper, or its hub id.

    Letters may be of any case.

    Raises:
        SelectionError: if there is none, or several are called so; the hint names them, or near
            matches.
    """
    exact = known_spec(name)
    if exact is not None:
        return exact
    known = {**registry(), **built_in_models()}
    meant = sorted(_names().get(name.lower(), ()))
    if len(meant) == 1:
        return known[meant[0]]
    if meant:
        raise SelectionError(
            f"{len(meant)} models are called {name!r}", hint=f"name one of {', '.join(meant)}"
        )
    model_id, by_lower = name, {low: sorted(ids)[0] for low, ids in _names().items()}
    near = difflib.get_close_matches(model_id.lower(), list(by_lower), n=6, cutoff=0.5)
    parts = [low for low in by_lower if model_id.lower() in low and low not in near]
    names = list(dict.fromkeys(by_lower[low] for low in [*near, *parts]))[:6]
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
