"""What tables, reports and submissions say of a model besides its scores, from its encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from geneb_jax.errors import SelectionError
from geneb_jax.models import Encoder, find_spec
from geneb_jax.results import ModelFacts, weights_kind

__all__ = ["model_facts", "require_known_models"]


def require_known_models(names: Sequence[str]) -> None:
    """Refuse a misspelt model before anything is read or written.

    A folder, a file's class (``path.py:Class``), a hub id (``org/name``) and what ``torch:`` names
    are looked at when the model is loaded.

    Raises:
        SelectionError: naming near matches.
    """
    for name in names:
        if name.startswith("torch:"):
            continue
        if "/" not in name and "\\" not in name and not Path(name.split(":")[0]).exists():
            find_spec(name)


def model_facts(encoder: Encoder) -> ModelFacts:
    """Facts for run.json: display name, parameters, labels, which weights, the identity.

    A model outside the registry has its own name and the number of its parameters; its labels are
    unknown and left out.
    """
    identity = encoder.identity
    facts = ModelFacts(
        label=identity.model_id,
        identity=identity,
        width=encoder.width,
        weights=weights_kind(identity.weights),
    )
    try:
        spec = find_spec(identity.model_id)
    except SelectionError:
        return replace(facts, params=encoder.parameter_count)
    return replace(
        facts,
        display=spec.display,
        params=spec.parameters,
        architecture=spec.labels.architecture,
        tokenization=spec.labels.tokenization,
        corpus=spec.labels.corpus,
        url=f"https://huggingface.co/{spec.source.hub_id}" if spec.source.hub_id else "",
    )
