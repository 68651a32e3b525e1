"""GENEB as an accelerated engine: embed DNA with frozen foundation models, probe, compare.

>>> import geneb_jax
>>> model = geneb_jax.load_model("kmer-4")
>>> model.embed(["ACGTACGT", "GGGCCC"]).shape
(2, 256)

Heavy libraries load on first use: importing this package loads neither jax, torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["__version__", "load_model", "run", "wrap"]
__version__ = "0.1.0"

if TYPE_CHECKING:
    from geneb_jax.embed import load_model as load_model
    from geneb_jax.embed.wrapping import wrap as wrap
    from geneb_jax.runs import run as run


#: Packages for users that are there as attributes, too: ``geneb_jax.probes.LogisticProbe``.
_PACKAGES = ("kernels", "probes")


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from geneb_jax.embed import load_model

        return load_model
    if name == "run":
        from geneb_jax.runs import run

        return run
    if name == "wrap":
        from geneb_jax.embed.wrapping import wrap

        return wrap
    if name in _PACKAGES:
        from importlib import import_module

        return import_module(f"geneb_jax.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
