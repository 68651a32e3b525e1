"""What float32 products lose by each algorithm of an accelerator, emulated on CPU.

``python -m bench.product_errors`` prints a table: the largest error of a product of matrices, over
the largest number of the result, against float64, and the same over what plain float32 loses. The
algorithms are those of ``jax.lax.DotAlgorithmPreset``: operands are split into parts of 8 or 11
bits, parts are multiplied exactly, and added up in float32. ``geneb_jax.models.precision`` chooses
by this table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

__all__ = ["ALGORITHMS", "emulated", "error_of"]

#: Algorithm to (rounding, parts of an operand, pairs of parts that are multiplied, largest first).
ALGORITHMS: dict[str, tuple[str, int, tuple[tuple[int, int], ...]]] = {
    "BF16_BF16_F32": ("bf16", 1, ((0, 0),)),
    "TF32_TF32_F32": ("tf32", 1, ((0, 0),)),
    "BF16_BF16_F32_X3": ("bf16", 2, ((0, 1), (1, 0), (0, 0))),
    "TF32_TF32_F32_X3": ("tf32", 2, ((0, 1), (1, 0), (0, 0))),
    "BF16_BF16_F32_X6": ("bf16", 3, ((1, 1), (0, 2), (2, 0), (0, 1), (1, 0), (0, 0))),
    "BF16_BF16_F32_X9": (
        "bf16",
        3,
        ((2, 2), (1, 2), (2, 1), (1, 1), (0, 2), (2, 0), (0, 1), (1, 0), (0, 0)),
    ),
    "F32_F32_F32": ("none", 1, ((0, 0),)),
}
_TF32_DROPPED_BITS = 13


def _tf32(x: np.ndarray) -> np.ndarray:
    """Rounded to 11 bits of mantissa, to nearest, ties to even."""
    bits = x.view(np.uint32).astype(np.uint64)
    half = np.uint64(1 << (_TF32_DROPPED_BITS - 1))
    odd = (bits >> np.uint64(_TF32_DROPPED_BITS)) & np.uint64(1)
    rounded = (bits + half - np.uint64(1) + odd) >> np.uint64(_TF32_DROPPED_BITS)
    return (rounded << np.uint64(_TF32_DROPPED_BITS)).astype(np.uint32).view(np.float32)


_ROUND: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bf16": lambda x: x.astype(jnp.bfloat16).astype(np.float32),
    "tf32": _tf32,
    "none": lambda x: x,
}


def emulated(name: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``left @ right``, float32 matrices, as an accelerator computes it by this algorithm.

    A product of two parts is exact in float32 (at most 22 bits), so float32 products of parts added
    up in float32 are the algorithm, but for the order of the sum.
    """
    kind, count, pairs = ALGORITHMS[name]
    parts = []
    for rest in (left, right):
        split = []
        for _ in range(count):
            part = _ROUND[kind](rest)
            split.append(part)
            rest = rest - part
        parts.append(split)
    total = np.zeros((left.shape[0], right.shape[1]), np.float32)
    for a, b in pairs:
        total += parts[0][a] @ parts[1][b]
    return total


def error_of(name: str, depth: int, *, rows: int = 256, columns: int = 256, seed: int = 0) -> float:
    """Largest error over the largest number of the result, of normal matrices."""
    generator = np.random.default_rng(seed)
    left = generator.standard_normal((rows, depth), dtype=np.float32)
    right = generator.standard_normal((depth, columns), dtype=np.float32)
    exact = left.astype(np.float64) @ right.astype(np.float64)
    return float(np.abs(emulated(name, left, right) - exact).max() / np.abs(exact).max())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depth", type=int, action="append", help="length of the sums; repeatable")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    depths = asked.depth or [64, 512, 4096, 16384]
    for name in ALGORITHMS:
        errors = {depth: error_of(name, depth) for depth in depths}
        if asked.json:
            print(json.dumps({"algorithm": name, "errors": errors}))
        else:
            print(f"{name:18}" + "".join(f"{depth:7}: {errors[depth]:.1e}" for depth in depths))


if __name__ == "__main__":
    main()
