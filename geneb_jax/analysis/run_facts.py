"""What run.json and the published table say of a run's models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geneb_jax.analysis.cube import ModelFacts

__all__ = ["model_facts"]


def model_facts(
    run: Mapping[str, Any], known: Mapping[str, ModelFacts] | None = None
) -> dict[str, ModelFacts]:
    """What run.json and the published table say of a run's models.

    Args:
        run: run.json; ``models`` is a list of mappings with ``model_id`` and, where known,
            ``display``, ``params``, ``architecture``, ``tokenization``, ``corpus``, ``weights`` and
            ``sequences_per_second``.
        known: Facts of models by id, used where run.json is silent.
    """
    entries = run.get("models", [])
    if isinstance(entries, Mapping):
        entries = [{"model_id": name, **_mapping(entry)} for name, entry in entries.items()]
    facts: dict[str, ModelFacts] = {}
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("model_id"), str):
            continue
        name = entry["model_id"]
        base = replace((known or {}).get(name, ModelFacts(name, name)), source="user")
        facts[name] = replace(
            base,
            display=_text(entry, "display") or base.display,
            params=_whole(entry, "params") or base.params,
            architecture=_text(entry, "architecture") or base.architecture,
            tokenization=_text(entry, "tokenization") or base.tokenization,
            corpus=_text(entry, "corpus") or base.corpus,
            weights=_weights(entry) or base.weights,
            sequences_per_second=_positive(entry, "sequences_per_second"),
            tokens_per_second=_token_rate(entry),
        )
    return facts


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        return ""
    # Control characters and direction marks of a name must reach neither a terminal nor a page.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in value)


def _weights(entry: Mapping[str, Any]) -> str:
    """Which weights: "pretrained", "random" or "none", the model's identity deciding."""
    identity = entry.get("identity")
    said = _text(identity, "weights") if isinstance(identity, Mapping) else ""
    if said == "none" or said.startswith("random"):
        return said.split(":")[0]
    return _text(entry, "weights")


def _whole(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _positive(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if usable else None  # type: ignore[arg-type]


def _token_rate(entry: Mapping[str, Any]) -> float | None:
    """Tokens embedded per second, from the counts of the run's embedding."""
    embedding = entry.get("embedding")
    if not isinstance(embedding, Mapping):
        return None
    tokens, seconds = _positive(embedding, "tokens"), _positive(embedding, "seconds")
    return tokens / seconds if tokens and seconds else None


def _mapping(entry: object) -> Mapping[str, Any]:
    return entry if isinstance(entry, Mapping) else {}
