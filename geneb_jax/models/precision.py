"""What is computed where: what ``--dtype auto`` stands for, and float32 on accelerators.

Products of float32 matrices have a price of their own on accelerators: at full precision no tensor
core takes part, at the default one three digits are left. Between lie algorithms that split each
operand and add up products of the parts. ``python -m bench.product_errors`` measures what each one
loses, emulated on CPU; float32 here is the cheapest that stays below :data:`LARGEST_ERROR`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import jax

__all__ = [
    "AUTO",
    "LARGEST_ERROR",
    "PRODUCTS",
    "Products",
    "auto_dtype",
    "computed_products",
    "float32_products",
    "using_products",
]

AUTO = "auto"
#: Of a product of float32 matrices, over the largest number of the result.
LARGEST_ERROR = 1e-6


class Products(NamedTuple):
    """An algorithm for products of float32 matrices.

    Attributes:
        name: As ``jax.default_matmul_precision`` takes it.
        error: Largest error measured, over sums of 64 to 16,384 terms; plain float32 has 5.0e-7.
        cost: Time of a product, that of bfloat16 being 1: a guess from data sheets, until
            ``python -m bench.accelerator`` has measured it.
    """

    name: str
    error: float
    cost: float


#: ``highest`` is plain float32 on GPU, and six products of bfloat16 on TPU.
PRODUCTS: dict[str, tuple[Products, ...]] = {
    "gpu": (
        Products("BF16_BF16_F32", 2.5e-3, 1.0),
        Products("TF32_TF32_F32", 3.3e-4, 2.2),
        Products("BF16_BF16_F32_X3", 4.7e-6, 3.1),
        Products("TF32_TF32_F32_X3", 5.6e-7, 5.4),
        Products("BF16_BF16_F32_X6", 3.5e-7, 6.2),
        Products("BF16_BF16_F32_X9", 3.5e-7, 9.3),
        Products("highest", 5.0e-7, 13.0),
    ),
    "tpu": (
        Products("default", 2.5e-3, 1.0),
        Products("high", 4.7e-6, 3.0),
        Products("highest", 3.5e-7, 6.0),
    ),
}
#: GPUs before this one have neither TF32 nor bfloat16.
_FEWEST_CAPABILITY = 8.0
_CHOSEN: ContextVar[str | None] = ContextVar("float32_products", default=None)


def auto_dtype() -> str:
    """What ``auto`` is on the devices at hand: bfloat16, but float32 on CPU and old GPUs."""
    return "bfloat16" if _has_tensor_cores() else "float32"


def computed_products(dtype: str) -> str:
    """How products of this dtype are computed here, for records; empty where it says so itself."""
    if dtype != "float32" or jax.default_backend() == "cpu":
        return ""
    return f"float32 by {float32_products()}"


def float32_products() -> str:
    """The name of the algorithm that products of float32 matrices run by on the default platform.

    ``highest`` on CPU, where float32 costs what it costs.
    """
    chosen = _CHOSEN.get()
    if chosen is not None:
        return chosen
    if not _has_tensor_cores():
        return "highest"
    known = PRODUCTS[jax.default_backend()]
    good = [one for one in known if one.error < LARGEST_ERROR]
    return min(good, key=lambda one: one.cost).name


@contextmanager
def using_products(name: str) -> Iterator[None]:
    """Compute float32 products by this algorithm, for measurements; what is traced here only."""
    token = _CHOSEN.set(name)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def _has_tensor_cores() -> bool:
    platform = jax.default_backend()
    if platform != "gpu":
        return platform in PRODUCTS
    capability = getattr(jax.local_devices()[0], "compute_capability", None)
    return capability is None or float(capability) >= _FEWEST_CAPABILITY
