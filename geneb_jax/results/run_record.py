"""run.json: what ran, on what, with which versions, how long; fit to be shown to strangers."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from geneb_jax import durable_files
from geneb_jax.errors import DataError
from geneb_jax.results.redaction import redacted_data
from geneb_jax.results.strict_json import read_json

__all__ = ["RUN_FILE", "installed_versions", "read_run_json", "utc_now", "write_run_json"]

RUN_FILE = "run.json"

_SCHEMA_VERSION = 1
_LARGEST_BYTES = 64 * 2**20
_DEEPEST = 32
_PACKAGES = (
    "geneb-jax",
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "scipy",
    "optax",
    "tensorstore",
    "tokenizers",
    "safetensors",
    "torch",
    "transformers",
)


def utc_now() -> str:
    """This moment in UTC as ISO 8601 with seconds: for people to read, never for logic."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def installed_versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Versions of the installed ones of ``packages``, and of Python; imports none of them."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def write_run_json(out: Path, content: Mapping[str, Any]) -> Path:
    """Write ``out/run.json`` atomically: versions and platform, then ``content``, redacted.

    Args:
        out: The run's output folder.
        content: Plain data (mappings, sequences, texts, finite numbers, booleans, None), such as
            suite, models with identities, settings, devices, timings in seconds, counted notes.

    Raises:
        ValueError: if a number is not finite.
        TypeError: if something is not plain data.
        OutputError: if the file cannot be written.
    """
    record = {
        "schema_version": _SCHEMA_VERSION,
        "written_utc": utc_now(),
        "versions": installed_versions(),
        "platform": {
            "system": platform.system(),
            "machine": platform.machine(),
            "byte_order": sys.byteorder,
        },
        **content,
    }
    path = out / RUN_FILE
    text = json.dumps(redacted_data(record), ensure_ascii=False, allow_nan=False, indent=2)
    durable_files.write_text(path, text + "\n")
    return path


def read_run_json(out: Path) -> dict[str, Any]:
    """Read ``out/run.json``.

    Raises:
        DataError: if it is absent, damaged or of another schema version.
    """
    path = out / RUN_FILE
    try:
        record = read_json(path, largest_bytes=_LARGEST_BYTES, deepest=_DEEPEST)
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", where=path, hint="name a run's output folder"
        ) from error
    except ValueError as error:
        raise DataError(str(error), where=path) from error
    if not isinstance(record, dict) or record.get("schema_version") != _SCHEMA_VERSION:
        raise DataError(f"not a run record of schema version {_SCHEMA_VERSION}", where=path)
    return record
