"""What could be installed beside the core, and which accelerators are there without being used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["EXTRAS", "Extra", "accelerator_advice", "install_command", "missing_packages"]


class Extra(NamedTuple):
    """One extra of pyproject.toml.

    Attributes:
        packages: Distributions that make it work, as they are called once installed.
        purpose: What for.
    """

    packages: tuple[str, ...]
    purpose: str


#: Extras for users, by name; tests hold them to pyproject.toml.
EXTRAS: Mapping[str, Extra] = {
    "torch": Extra(
        ("torch", "transformers", "peft"), "-m torch:..., .bin and .pth checkpoints, extractors"
    ),
    "export": Extra(("pyarrow", "anndata", "h5py"), "--export to .parquet and .h5ad"),
    "formats": Extra(("pyarrow", "pyfaidx"), "suite import of parquet files and genomes"),
    "cluster": Extra(("distributed",), "--scheduler: many workers"),
    "cuda": Extra(("jax-cuda12-plugin",), "NVIDIA GPUs"),
    "tpu": Extra(("libtpu",), "TPUs"),
}
_ACCELERATED = ("cuda", "tpu")


def install_command(extra: str) -> str:
    """How an extra is installed."""
    return f"pip install 'geneb-jax[{extra}]'"


def missing_packages(version: Callable[[str], str | None]) -> dict[str, list[str]]:
    """Extra -> its packages that are not there; accelerators' only where one is in the machine.

    Args:
        version: Distribution -> its installed version, or None.
    """
    present = {"cuda": nvidia_gpu(), "tpu": tpu()}
    return {
        name: missing
        for name, extra in EXTRAS.items()
        if (name not in _ACCELERATED or present[name])
        and (missing := [one for one in extra.packages if version(one) is None])
    }


def nvidia_gpu() -> bool:
    """Whether an NVIDIA driver is loaded here."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def tpu() -> bool:
    """Whether the machine is a TPU's host."""
    return any(Path("/dev").glob("accel[0-9]*")) or "TPU_WORKER_ID" in os.environ


def accelerator_advice(
    platforms: set[str], lacking: Mapping[str, list[str]], environment: Mapping[str, str]
) -> list[str]:
    """Sentences on accelerators that are idle, and on the memory of those that are used.

    Args:
        platforms: Of the devices that JAX found: ``cpu``, ``gpu``, ``tpu``.
        lacking: See :func:`missing_packages`.
        environment: Environment variables.
    """
    said = []
    for extra, platform, there, what in (
        ("cuda", "gpu", nvidia_gpu(), "an NVIDIA GPU"),
        ("tpu", "tpu", tpu(), "a TPU"),
    ):
        if not there or platform in platforms:
            continue
        if extra in lacking:
            said.append(f"{what} is here and JAX does not use it: {install_command(extra)}")
        else:
            said.append(
                f"{what} is here and JAX does not use it, though its plug-in is installed: the "
                "driver may be too old, or JAX_PLATFORMS or CUDA_VISIBLE_DEVICES hides it"
            )
    if not platforms - {"cpu"}:
        return [*said, *([] if said else ["no accelerator: models and probes run on the CPU"])]
    preallocates = environment.get("XLA_PYTHON_CLIENT_PREALLOCATE", "true").lower() in ("true", "1")
    if "gpu" in platforms and preallocates:
        share = environment.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.75")
        said.append(
            f"JAX takes {share} of the GPU's memory at its first use and keeps it; beside another "
            "program set XLA_PYTHON_CLIENT_PREALLOCATE=false, or another share with "
            "XLA_PYTHON_CLIENT_MEM_FRACTION"
        )
    return said
