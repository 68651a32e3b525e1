"""Devices that programs are compiled for without having one: XLA's description, and what it can do.

``bench/targets/NAME.toml`` holds the figures of the roofline, and names what the compiler is told:
a file beside it (GPU), or a topology that libtpu knows (TPU). The compilers come with the extra
``compile``: the CUDA plugin, its ``ptxas``, libtpu. None of it needs a driver.
"""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["TARGETS", "Target", "mesh_of", "missing_packages", "read_target", "set_environment"]

_FOLDER = Path(__file__).resolve().parent / "targets"
#: Those that programs are compiled for; `cpu.toml` serves dry runs of the accelerator bench.
TARGETS = tuple(sorted(file.stem for file in _FOLDER.glob("*.toml") if file.stem != "cpu"))
_PACKAGES = {"cuda": ("jax_plugins.xla_cuda12", "nvidia.cuda_nvcc"), "tpu": ("libtpu",)}
#: cuDNN as JAX numbers it, of a target: 9.10.0. No later: its text says what the target has.
_CUDNN = 91000


@dataclass(frozen=True, slots=True)
class Target:
    """A device and its peaks; bytes, bytes a second, seconds, operations a second."""

    name: str
    platform: str
    description: str
    memory_bytes: int
    tokens: int
    bandwidth: float
    launch_seconds: float
    host_sync_seconds: float
    attention_flops: float
    peaks: Mapping[str, float]

    def flops(self, kind: str) -> float:
        """Operations a second of products of this dtype or algorithm; the slowest of unknown."""
        return self.peaks.get(kind) or min(self.peaks.values())


def read_target(name: str) -> Target:
    """Read ``bench/targets/NAME.toml``.

    Raises:
        KeyError: for a name that is not there.
    """
    if name not in (*TARGETS, "cpu"):
        raise KeyError(f"unknown target {name!r}: known are {', '.join(TARGETS)}")
    text = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    peaks = text.pop("flops")
    return Target(name=name, peaks=peaks, **text)


def missing_packages(target: Target) -> list[str]:
    """Modules that compiling for the target needs and that are not installed."""
    missing = []
    for name in _PACKAGES[target.platform]:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            missing.append(name)
    return missing


def set_environment() -> None:
    """What the compilers read from the environment; before JAX is imported, here or in a child."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    # No chip is opened, so none needs to be locked against another process.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # A program that stands in the cache was not compiled: its refusals would not be seen.
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    try:
        nvcc = importlib.util.find_spec("nvidia.cuda_nvcc")
    except ModuleNotFoundError:
        nvcc = None
    if nvcc is not None and nvcc.submodule_search_locations:
        folder = next(iter(nvcc.submodule_search_locations))
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_cuda_data_dir={folder}".strip()
        os.environ["PATH"] = os.pathsep.join([f"{folder}/bin", os.environ.get("PATH", "")])


def mesh_of(target: Target, devices: int) -> Any:
    """Devices of a target along one axis ``data``: programs are lowered and compiled for them.

    From here on, this process takes the target for its backend: our code asks JAX for its name.

    Raises:
        ValueError: for more devices than the target's topology has.
    """
    import jax
    import numpy as np
    from jax.experimental import topologies

    if target.platform == "cuda":
        config = (_FOLDER / target.description).read_text(encoding="utf-8")
        topology = topologies.get_topology_desc(
            f"{target.name}-{devices}", "cuda", target_config=config, topology=f"1x1x{devices}"
        )
        _let_cudnn_be_there()
    else:
        name = target.description if devices <= 4 else "v5e:2x4"
        topology = topologies.get_topology_desc(platform="tpu", topology_name=name)
    if len(topology.devices) < devices:
        raise ValueError(f"{target.name} is described with {len(topology.devices)} devices")
    jax.default_backend = lambda: "gpu" if target.platform == "cuda" else target.platform
    return jax.sharding.Mesh(np.array(topology.devices[:devices]), ("data",))


def _let_cudnn_be_there() -> None:
    """JAX asks the installed cuDNN and the present device whether attention can be fused."""
    import jax._src.cudnn.fused_attention_stablehlo as fused

    fused.check_cudnn_version = lambda: _CUDNN
    fused.check_compute_capability = lambda capability: float(capability) <= 9.0
    fused.is_cuda_compute_capability_equal = lambda capability: float(capability) == 9.0
