"""Seconds of all layers (and poolings) from one forward, over those of the last layer alone.

``python -m bench.layers`` prints a JSON line a set of variants: NT-v2-50M's shape with random
weights, sequences of one length, embedding alone (no store), after compiling. The two sides take
turns, so that other work on the machine slows both; a ratio is of the best of ``--rounds`` turns
each, by the clock and in CPU seconds of the process. With ``--check`` every layer and pooling also
runs by itself, and ``same_bits`` says whether its vectors are the same to the bit.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from geneb_jax.embed import Forward, embed_sequences
from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder
from geneb_jax.models.variants import chosen_variants

MODEL = "nucleotide-transformer-v2-50m-multi-species"
#: What is measured: poolings of all layers.
SETS = (("mean",), ("mean", "cls", "last"))


def main() -> None:
    """Measure both sets of variants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--bp", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="compare the bits of every layer")
    chosen = parser.parse_args()
    letters = np.random.default_rng(0).choice(list("ACGT"), (chosen.rows, chosen.bp))
    texts = ["".join(row) for row in letters]
    encoder = load_encoder(chosen.model, LoadOptions(weights="random"))
    assert isinstance(encoder, TokenEncoder)
    alone = Forward(encoder)
    for poolings in SETS:
        members = [variant for _, variant in chosen_variants(encoder, "all", poolings)]
        joint = encoder.joined(members)
        assert isinstance(joint, TokenEncoder)
        together = Forward(joint)
        rows = embed_sequences(joint, texts, forward=together)
        embed_sequences(encoder, texts, forward=alone)
        turns: dict[str, list[tuple[float, float]]] = {"last": [], "all": []}
        for _ in range(chosen.rounds):
            for name, one, forward in (("last", encoder, alone), ("all", joint, together)):
                clock, cpu = time.perf_counter(), time.process_time()
                embed_sequences(one, texts, forward=forward)
                turns[name].append((time.perf_counter() - clock, time.process_time() - cpu))
        best = {name: np.min(found, axis=0) for name, found in turns.items()}
        result = {
            "model": chosen.model,
            "variants": len(members),
            "poolings": list(poolings),
            "rows": chosen.rows,
            "bp": chosen.bp,
            "last_layer_seconds": round(float(best["last"][0]), 3),
            "all_layers_seconds": round(float(best["all"][0]), 3),
            "ratio": round(float(best["all"][0] / best["last"][0]), 3),
            "cpu_ratio": round(float(best["all"][1] / best["last"][1]), 3),
        }
        if chosen.check:
            parts = np.split(rows, np.cumsum([one.width for one in members])[:-1], axis=1)
            result["same_bits"] = all(
                embed_sequences(one, texts).tobytes() == part.tobytes()
                for one, part in zip(members, parts, strict=True)
            )
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
