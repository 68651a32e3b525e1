"""Whether one forward for several layers gives, on this device, the bits of each layer alone.

On CPU tests hold every family to it. Compilers of accelerators fuse by rules of their own, so there
it is looked at before a row is stored under a key that promises it.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from geneb_jax.embed.fill import embed_sequences
from geneb_jax.models.encoder import Encoder, TokenEncoder

__all__ = ["alike_alone"]

#: Sequences that are looked at, the middle ones by length: a shape that is met anyway.
_LOOKED_AT = 4


def alike_alone(
    joint: Encoder,
    members: Sequence[Encoder],
    texts: Sequence[str],
    *,
    batch_tokens: int | None = None,
    platform: str | None = None,
) -> bool:
    """Whether some vectors are the same to the bit from one forward and alone.

    Args:
        joint: The variants side by side.
        members: The variants, of which the first, the middle and the last one are run alone.
        texts: The sequences of the run.
        batch_tokens: Most tokens of a batch on one device.
        platform: ``cpu``, ``gpu`` or ``tpu``; JAX's own when None.

    Returns:
        True on CPU and for models that the engine does not compile, without looking.
    """
    if (
        (platform or jax.default_backend()) == "cpu"
        or not isinstance(joint, TokenEncoder)
        or not texts
    ):
        return True
    middle = len(texts) // 2
    some = sorted(texts, key=len)[middle : middle + _LOOKED_AT]
    rows = embed_sequences(joint, some, batch_tokens=batch_tokens)
    parts = np.split(rows, np.cumsum([one.width for one in members])[:-1], axis=1)
    looked_at = sorted({0, len(members) // 2, len(members) - 1})
    return all(
        embed_sequences(members[at], some, batch_tokens=batch_tokens).tobytes()
        == np.ascontiguousarray(parts[at]).tobytes()
        for at in looked_at
    )
