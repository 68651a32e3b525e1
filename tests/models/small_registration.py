"""A small checkpoint in the place of a published one."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from geneb_jax.models import ModelSpec
from geneb_jax.models.spec import PinnedFile


def register(
    spec: ModelSpec, content: bytes, sizes: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Register a small checkpoint under a published id: other sizes, its own hash."""
    pinned = PinnedFile("model.safetensors", hashlib.sha256(content).hexdigest(), len(content))
    changed = replace(spec, weights=(pinned,), config={**spec.config, **sizes})
    table = MappingProxyType({spec.model_id: changed})
    # By its path: the package's attribute of this name is the function.
    module = importlib.import_module("geneb_jax.models.registry")
    monkeypatch.setattr(module, "registry", lambda: table)
