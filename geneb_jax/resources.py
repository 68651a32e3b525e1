"""Read the files under ``configs/``, which ship as the package ``geneb_jax._configs``."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["config_folder"]


def config_folder() -> Traversable:
    """The folder of shipped configuration: ``models/``, ``benchmarks/``, ``published/`` and others.

    Run uninstalled, from a checkout, the mapping ``geneb_jax._configs -> configs`` does not exist;
    the folder beside the package is the same one.
    """
    try:
        return resources.files("geneb_jax._configs")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parent.parent / "configs"
