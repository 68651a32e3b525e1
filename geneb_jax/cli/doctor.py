"""``geneb-jax doctor``: what this machine offers, which versions, where caches are."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import click

from geneb_jax.cli.extras import EXTRAS, accelerator_advice, install_command, missing_packages

__all__ = ["command"]

LIBRARIES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "tensorstore",
    "safetensors",
    "tokenizers",
    "huggingface-hub",
    "torch",
    "transformers",
)


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _free_bytes(folder: Path) -> int:
    """Free space where ``folder`` is or will be, in bytes."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def examine() -> dict[str, Any]:
    """Collect the facts that decide what runs here and how fast."""
    import jax

    from geneb_jax import __version__
    from geneb_jax.places import cache_folder, store_folder

    devices = [
        {"platform": device.platform, "kind": device.device_kind, "id": device.id}
        for device in jax.devices()
    ]
    lacking = missing_packages(_version)
    platforms = {device["platform"] for device in devices}
    shadow = importlib.util.find_spec("kernels")
    return {
        "geneb_jax": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu_count": os.cpu_count(),
        "devices": devices,
        "libraries": {library: _version(library) for library in LIBRARIES},
        "cache": {"folder": str(cache_folder()), "free_bytes": _free_bytes(cache_folder())},
        "store": {"folder": str(store_folder()), "free_bytes": _free_bytes(store_folder())},
        "hub_offline": os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"),
        "missing_extras": {
            name: {
                "packages": packages,
                "purpose": EXTRAS[name].purpose,
                "install": install_command(name),
            }
            for name, packages in lacking.items()
        },
        "accelerators": accelerator_advice(platforms, lacking, os.environ),
        "foreign_kernels_package": bool(shadow and shadow.origin),
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """Devices, versions, cache places; extras that are missing, and how to get them.

    \b
    Example:
      geneb-jax doctor
    """
    from geneb_jax.cli.console import print_json, print_table

    facts = examine()
    if as_json:
        print_json(facts)
        return
    rows: list[tuple[str, object]] = [
        ("geneb-jax", facts["geneb_jax"]),
        ("python", facts["python"]),
        ("system", f"{facts['system']}, {facts['cpu_count']} CPUs"),
    ]
    rows += [
        (f"device {device['id']}", f"{device['platform']}: {device['kind']}")
        for device in facts["devices"]
    ]
    rows += [(name, version or "not installed") for name, version in facts["libraries"].items()]
    rows += [
        (place, f"{facts[place]['folder']} ({facts[place]['free_bytes'] / 2**30:.1f} GiB free)")
        for place in ("cache", "store")
    ]
    rows += [
        (f"without [{name}]", f"no {extra['purpose']}: {extra['install']}")
        for name, extra in facts["missing_extras"].items()
    ]
    rows += [("note", sentence) for sentence in facts["accelerators"]]
    print_table(("what", "found"), rows)
