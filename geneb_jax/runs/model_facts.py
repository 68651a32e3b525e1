"""What tables, reports and submissions say of a model besides its scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geneb_jax.errors import SelectionError
from geneb_jax.models import Encoder, find_spec
from geneb_jax.results import SubmissionMeta

__all__ = ["model_facts", "require_known_models", "submission_meta"]


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


def model_facts(encoder: Encoder) -> dict[str, Any]:
    """Facts for run.json: display name, parameters, labels, which weights, the identity.

    A model outside the registry has its own name and the number of its parameters; its labels are
    unknown and left out.
    """
    identity = encoder.identity
    facts: dict[str, Any] = {
        "model_id": identity.model_id,
        "display": identity.model_id,
        "identity": identity.as_dict(),
        "width": encoder.width,
        "weights": "random" if identity.weights.startswith("random") else "pretrained",
    }
    try:
        spec = find_spec(identity.model_id)
    except SelectionError:
        if (count := encoder.parameter_count) is not None:
            facts["params"] = count
        return facts
    return facts | {
        "display": spec.display,
        "params": spec.parameters,
        "architecture": spec.labels.architecture,
        "tokenization": spec.labels.tokenization,
        "corpus": spec.labels.corpus,
    }


def submission_meta(facts: dict[str, Any]) -> SubmissionMeta:
    """The submission's ``meta`` from run.json's facts; what nobody stated stays empty.

    ``zero_shot`` is false, as the benchmark's own runner has it: only the author can say that the
    pretraining never saw the tasks' data, with `geneb-jax submission write --zero-shot`.
    """
    try:
        spec = find_spec(facts["model_id"])
    except SelectionError:
        url = ""
    else:
        url = f"https://huggingface.co/{spec.source.hub_id}" if spec.source.hub_id else ""
    return SubmissionMeta(
        display=facts.get("display", facts["model_id"]),
        params=int(facts.get("params") or 0),
        url=url,
        training_data=facts.get("corpus", ""),
    )
