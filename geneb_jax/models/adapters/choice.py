"""Models that are not native: ``torch:NAME``, ``path.py:Class``, objects, those of packages."""

from __future__ import annotations

import os
from typing import Any

from geneb_jax.errors import SelectionError
from geneb_jax.models.adapters.plugged import find_plugged, load_plugged
from geneb_jax.models.encoder import Encoder
from geneb_jax.models.load_options import LoadOptions

__all__ = ["is_adapted", "load_adapted"]


def is_adapted(model: Any) -> bool:
    """Whether an adapter runs what this names."""
    from geneb_jax.models.adapters.torch_adapter import PREFIX
    from geneb_jax.models.adapters.user_file import split_file_class

    if not isinstance(model, str | os.PathLike):
        return True
    name = os.fspath(model)
    if name.startswith(PREFIX) or split_file_class(name) is not None:
        return True
    return find_plugged(name) is not None


def load_adapted(model: Any, options: LoadOptions) -> Encoder | None:
    """The encoder of a model that an adapter runs; None where the name is of another kind.

    Raises:
        SelectionError: for options that the adapter cannot honour.
        GenebError: see the adapters.
    """
    from geneb_jax.models.adapters.torch_adapter import PREFIX, load_torch_encoder
    from geneb_jax.models.adapters.user_file import split_file_class

    name = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    if name is not None and name.startswith(PREFIX):
        if options.path is not None:
            hint = f"-m {PREFIX}{options.path}"
            raise SelectionError(f"{PREFIX} takes the folder itself", hint=hint)
        return load_torch_encoder(name.removeprefix(PREFIX), options)
    if options.allow_remote_code is not None:
        raise SelectionError(
            "remote code runs in the torch adapter only",
            hint=f"name the model as {PREFIX}{name or 'ORG/MODEL'}",
        )
    named = split_file_class(name) if name is not None else None
    plugged = find_plugged(name) if name is not None and named is None else None
    if name is not None and named is None and plugged is None:
        return None
    own = LoadOptions()
    differing = [
        option
        for option in ("weights", "dtype", "layer")
        if getattr(own, option) != getattr(options, option)
    ]
    if options.pooling_of_its_own is not None:
        differing.append("pooling")
    if differing:
        raise SelectionError(
            f"{name or type(model).__name__} decides {', '.join(differing)} by itself",
            hint="leave " + " and ".join(f"--{option}" for option in differing) + " away",
        )
    from geneb_jax.models.adapters.object_adapter import encoder_from_file, encoder_from_object

    if plugged is not None:
        if options.path is not None:
            raise SelectionError(f"{name} is a package's model and takes no --path")
        return load_plugged(plugged)
    if isinstance(model, Encoder):
        return model
    if named is None:
        return encoder_from_object(model)
    return encoder_from_file(
        *named, name_model=None if options.path is None else os.fspath(options.path)
    )
