"""What devices can do at most, from their vendors' data sheets; None where that is not known.

Dense operations a second, sparsity not counted. ``float32`` is arithmetic at full precision: on
NVIDIA's devices that of the vector units, as TF32 is not float32. TPUs state none.
"""

from __future__ import annotations

__all__ = ["peak_flops"]

_TERA = 1e12
#: Device kind as JAX names it, its start, to tera-operations a second: 16 bit, float32.
_PEAKS: dict[str, tuple[float, float | None]] = {
    "NVIDIA H100 PCIe": (756, 51),
    "NVIDIA H100 NVL": (835, 60),
    "NVIDIA H100": (989, 67),
    "NVIDIA H200": (989, 67),
    "NVIDIA A100": (312, 19.5),
    "NVIDIA L40S": (362, 91.6),
    "NVIDIA L4": (121, 30.3),
    "NVIDIA A10": (125, 31.2),
    "Tesla V100": (125, 15.7),
    "Tesla T4": (65, 8.1),
    "TPU v4": (275, None),
    "TPU v5 lite": (197, None),
    "TPU v5e": (197, None),
    "TPU v5p": (459, None),
    "TPU v5": (459, None),
    "TPU v6": (918, None),
}


def peak_flops(device_kind: str, dtype: str) -> float | None:
    """Operations a second of one device, for float32, bfloat16 or float16 arithmetic."""
    for name, (half, full) in _PEAKS.items():
        if device_kind.startswith(name):
            peak = full if dtype == "float32" else half
            return None if peak is None else peak * _TERA
    return None
