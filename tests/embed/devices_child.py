"""A process with eight host devices: embeds with all of them and with one, and compares the bits.

Run by the tests: ``python devices_child.py MODEL CHANGES``, where CHANGES is JSON over the model's
published config. Prints JSON: whether bits are equal, rows of the shapes, and devices that held a
part of a batch.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from geneb_jax.embed import Forward, Placement
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.family import find_family
from geneb_jax.models.layers.parameters import random_parameters
from geneb_jax.models.native_encoder import NativeEncoder
from geneb_jax.models.registry import find_spec
from geneb_jax.tokenizers import TokenizedSequence, join_tokens


def encoder(model_id: str, changes: dict[str, Any]) -> NativeEncoder:
    """A published model with other sizes, untrained."""
    spec = find_spec(model_id)
    family = find_family(spec.family)
    config = family.read_config({**spec.config, **changes}, where=model_id)
    module = family.module(config)
    return NativeEncoder(
        spec=spec,
        family=family,
        config=config,
        read_parameters=lambda: random_parameters(module, seed=0, dtype="float32"),
        tokenizer=SimpleNamespace(pad_id=0, max_tokens=config.longest_tokens, unknown_id=None),  # type: ignore[arg-type]
        identity=EncoderIdentity(model_id, "", "", "", "mean", -1, "float32", family.code),
    )


def main() -> None:
    """Compare."""
    model = encoder(sys.argv[1], json.loads(sys.argv[2]))
    generator = np.random.default_rng(0)
    letters = min(model.config.vocab_size, 12)
    lengths = [*[40] * 23, *[96] * 50, 3]
    ids = [generator.integers(min(7, letters - 4), letters, n).astype(np.int32) for n in lengths]
    tokens = join_tokens([TokenizedSequence(one, dropped_bp=0, unknown_bp=0) for one in ids])
    found, shapes, spread = {}, {}, {}
    for devices in (8, 1):
        forward = Forward(model, placement=Placement(jax.devices()[:devices]))
        rows, buckets = forward.embed(tokens)
        found[devices] = rows
        shapes[devices] = sorted((bucket.length_tokens, bucket.rows) for bucket in buckets)
        parts = forward.placement.put_rows(np.zeros((buckets[0].rows, 2)))[0].addressable_shards
        spread[devices] = sorted({part.data.shape[0] for part in parts}), len(parts)
    same = found[8].tobytes() == found[1].tobytes()
    print(json.dumps({"same": same, "shapes": shapes, "parts": spread, "ok": bool(found[1].any())}))


if __name__ == "__main__":
    main()
