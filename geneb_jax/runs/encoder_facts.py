"""What tables, reports and submissions say of a model besides its scores, from its encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from geneb_jax.models import Encoder, find_spec, known_spec
from geneb_jax.models.adapters.plugged import find_plugged
from geneb_jax.models.model_folder import split_revision
from geneb_jax.results import ModelFacts
from geneb_jax.results.labels import variant_of
from geneb_jax.results.model_facts import weights_kind, with_variant

__all__ = ["encoder_facts", "require_known_models"]


def require_known_models(names: Sequence[str]) -> None:
    """Refuse a misspelt model before anything is read or written.

    A folder, a file's class (``path.py:Class``), a hub id (``org/name``) and what ``torch:`` names
    are looked at when the model is loaded.

    Raises:
        SelectionError: naming near matches.
    """
    for name in names:
        if name.startswith("torch:") or find_plugged(name) is not None:
            continue
        if "/" not in name and "\\" not in name and not Path(name.split(":")[0]).exists():
            find_spec(split_revision(name)[0])


def encoder_facts(encoder: Encoder, *, label: str | None = None) -> ModelFacts:
    """Facts for records, tables and submissions: who the model is, and what is known of it.

    A model outside the registry has its own name and the number of its parameters; its labels are
    unknown and left empty.

    Args:
        encoder: The model.
        label: What the user calls it; None for its name and variant.
    """
    identity = encoder.identity
    variant = variant_of(
        identity, own_pooling=_own_pooling(encoder), own_overlong=_own_overlong(encoder)
    )
    facts = ModelFacts(
        label=label or with_variant(identity.model_id, variant),
        name=identity.model_id,
        identity=identity,
        variant=variant,
        display=identity.model_id,
        weights=weights_kind(identity.weights),
        width=encoder.width,
        params=encoder.parameter_count or None,
    )
    spec = known_spec(identity.model_id)
    if spec is None:
        return facts
    return replace(
        facts,
        display=spec.display,
        params=spec.parameters or None,
        architecture=spec.labels.architecture,
        tokenization=spec.labels.tokenization,
        corpus=spec.labels.corpus,
        url=f"https://huggingface.co/{spec.source.hub_id}" if spec.source.hub_id else "",
    )


def _own_overlong(encoder: Encoder) -> str:
    """The model's own policy as identities have it; cutting off is empty there."""
    policy = "truncate" if encoder.spec is None else encoder.spec.context.policy
    return "" if policy == "truncate" else policy


def _own_pooling(encoder: Encoder) -> str | None:
    if encoder.spec is not None:
        return encoder.spec.pooling.default
    return "mean" if encoder.identity.model_id.startswith("torch:") else None
