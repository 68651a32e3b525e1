"""A torch loop on the same card, where torch is there and finds one: what users have today.

Blocks of the sizes of published encoders, with torch's own fused attention, in bfloat16: no
rotation and no embedding table, which favours torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

__all__ = ["torch_lines"]

#: What it stands beside: (width, heads, inner width, layers).
_SIZES = {
    "nucleotide-transformer-v2-50m-multi-species": (512, 16, 2048, 12),
    "nucleotide-transformer-2.5b-multi-species": (2560, 20, 10240, 32),
}
_ROWS, _TOKENS, _RUNS = 64, 512, 5


def torch_lines(*, dry: bool) -> Iterator[dict[str, Any]]:
    """Milliseconds and tokens a second of each size, or why there is none."""
    try:
        import torch
    except ImportError:
        yield {"what": "torch loop", "error": "torch is not installed"}
        return
    if not (dry or torch.cuda.is_available()):
        yield {"what": "torch loop", "error": "torch finds no card"}
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = {"a small one": (32, 2, 64, 2)} if dry else _SIZES
    rows, tokens = (2, 16) if dry else (_ROWS, _TOKENS)
    for name, (width, heads, inner, count) in sizes.items():
        layer = torch.nn.TransformerEncoderLayer(
            width, heads, inner, activation="gelu", batch_first=True, norm_first=True, dropout=0.0
        )
        network = torch.nn.TransformerEncoder(layer, count, enable_nested_tensor=False)
        network = network.to(device, torch.bfloat16).eval()
        x = torch.randn(rows, tokens, width, device=device, dtype=torch.bfloat16)
        taken = []
        with torch.inference_mode():
            for _ in range(1 + _RUNS):
                began = time.perf_counter()
                network(x).float().mean(dim=1).cpu()
                taken.append(1e3 * (time.perf_counter() - began))
        measured = sorted(taken[1:])[_RUNS // 2]
        yield {
            "what": f"torch {torch.__version__} blocks of {name}",
            "milliseconds": measured,
            "tokens_per_second": rows * tokens / measured * 1e3,
        }
