"""Models that are not native: ``torch:NAME``, ``path.py:Class``, and objects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from geneb_jax.errors import SelectionError
from geneb_jax.models.encoder import SequenceEncoder

__all__ = ["load_adapted"]


def load_adapted(
    model: Any,
    *,
    path: str | Path | None,
    revision: str | None,
    weights: str,
    seed: int,
    dtype: str,
    pooling: str | None,
    layer: int,
    offline: bool,
    allow_remote_code: str | None,
) -> SequenceEncoder | None:
    """The encoder of a model that an adapter runs; None where the name is of another kind.

    Raises:
        SelectionError: for options that the adapter cannot honour.
        GenebError: see the adapters.
    """
    from geneb_jax.models.adapters.torch_adapter import PREFIX, load_torch_encoder
    from geneb_jax.models.adapters.user_file import split_file_class

    name = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    if name is not None and name.startswith(PREFIX):
        from geneb_jax.models.adapters.remote_code import parse_allowed_code

        if path is not None:
            raise SelectionError(f"{PREFIX} takes the folder itself", hint=f"-m {PREFIX}{path}")
        return load_torch_encoder(
            name.removeprefix(PREFIX),
            revision=revision,
            weights=weights,
            seed=seed,
            dtype=dtype,
            pooling=pooling,
            layer=layer,
            offline=offline,
            allowed=parse_allowed_code(allow_remote_code) if allow_remote_code else None,
        )
    if allow_remote_code is not None:
        raise SelectionError(
            "remote code runs in the torch adapter only",
            hint=f"name the model as {PREFIX}{name or 'ORG/MODEL'}",
        )
    named = split_file_class(name) if name is not None else None
    if name is not None and named is None:
        return None
    own = {"weights": "pretrained", "dtype": "float32", "layer": -1}
    asked = {"weights": weights, "dtype": dtype, "layer": layer}
    differing = [option for option in own if own[option] != asked[option]]
    if pooling not in (None, "geneb"):
        differing.append("pooling")
    if differing:
        raise SelectionError(
            f"{name or type(model).__name__} decides {', '.join(differing)} by itself"
        )
    from geneb_jax.models.adapters.object_adapter import encoder_from_file, encoder_from_object

    if named is None:
        return encoder_from_object(model)
    return encoder_from_file(*named, name_model=None if path is None else str(path))
