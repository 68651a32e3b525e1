"""What a table calls a model: its name, what sets the variant apart, and a hash only where needed.

A label is made when a table is made, from all identities that stand in it. So no order of commands
changes it, and two folders called ``checkpoint-500`` are told apart in every table they share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from geneb_jax.errors import SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.results.model_facts import UNTRAINED

__all__ = ["labels_of", "require_label", "variant_of"]

_SHORT_DTYPES = {"bfloat16": "bf16", "float16": "fp16"}
_MARK_DIGITS = 6
_LONGEST = 120


def variant_of(
    identity: EncoderIdentity, *, own_pooling: str | None, own_overlong: str = ""
) -> tuple[str, ...]:
    """What sets an identity apart from the model as it usually runs.

    Args:
        identity: The identity.
        own_pooling: The model's own pooling; None where it has no choice of one.
        own_overlong: The policy for overlong sequences that the model runs with unasked, as in an
            identity; empty for cutting them off.

    Returns:
        Such as ``("untrained", "@layer 6", "cls", "windows 1024/512", "bf16")``; empty for the
        usual.
    """
    parts = []
    if identity.revision.startswith("random:"):
        seed = identity.revision.removeprefix("random:")
        parts.append(UNTRAINED if seed == "0" else f"{UNTRAINED} seed {seed}")
    if identity.layer != -1:
        parts.append(f"@layer {identity.layer}")
    if own_pooling is not None and identity.pooling != own_pooling:
        parts.append(identity.pooling)
    if identity.overlong != own_overlong:
        parts.append(_policy_said(identity.overlong))
    if identity.dtype in _SHORT_DTYPES:
        parts.append(_SHORT_DTYPES[identity.dtype])
    if identity.harness_batch is not None:
        parts.append(f"as harness, batch {identity.harness_batch}")
    return tuple(parts)


def _policy_said(overlong: str) -> str:
    """``windows:1024:512`` as ``windows 1024/512``."""
    kind, *numbers = (overlong or "truncate").split(":")
    words = {"truncate": "truncated", "refuse": "overlong refused"}
    return " ".join(filter(None, (words.get(kind, kind), "/".join(numbers))))


def labels_of(wanted: Mapping[str, str]) -> dict[str, str]:
    """A label for each identity, no two alike.

    Args:
        wanted: Identity (8 hexadecimal digits or more) -> the label it would have alone.

    Returns:
        Identity -> that label, with `` #`` and six digits of the identity (all of them where six
        are not enough) behind it where two would share it.
    """
    marks = dict.fromkeys(wanted, "")
    while True:
        found = {identity: label + marks[identity] for identity, label in wanted.items()}
        shared = Counter(label.casefold() for label in found.values())
        crowded = [identity for identity, label in found.items() if shared[label.casefold()] > 1]
        if not crowded:
            return found
        for identity in crowded:  # a label of the user's may look like a marked one: look again
            marks[identity] = f" #{identity if marks[identity] else identity[:_MARK_DIGITS]}"


def require_label(label: str) -> str:
    """A label that a user gave, if every table can show it.

    Raises:
        SelectionError: if it is empty, too long, or holds what a terminal or a file cannot show.
    """
    if not label or label != label.strip() or not label.isprintable() or len(label) > _LONGEST:
        raise SelectionError(
            f"the name {label[:40]!r} cannot stand in a table",
            where="--name",
            hint=f"give 1 to {_LONGEST} printable characters, without spaces around them",
        )
    return label
