"""Any transformers ``AutoModel`` as a model: what no native family covers yet.

The whole checkpoint is brought into a folder first; transformers only ever sees that folder.
Weights come from safetensors alone, so nothing is unpickled. Code that the repository brings along
runs only with the user's permission for exactly that commit
(:mod:`geneb_jax.models.adapters.remote_code`).
"""

from __future__ import annotations

from pathlib import Path

from geneb_jax.errors import SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.adapters.folder_files import (
    FolderFiles,
    adapter_base,
    require_bounded_depth,
)
from geneb_jax.models.adapters.remote_code import AllowedCode, parse_allowed_code, require_allowed
from geneb_jax.models.adapters.torch_encoder import TorchEncoder, chosen_pooling
from geneb_jax.models.adapters.torch_opening import (
    longest_input,
    open_with_transformers,
    require_safetensors,
    said_in_one_message,
)
from geneb_jax.models.checkpoints.hub import HubSnapshot, download_repository
from geneb_jax.models.layers.network import require_layer
from geneb_jax.models.load_options import LoadOptions
from geneb_jax.models.model_folder import (
    looks_like_a_path,
    model_folder,
    named_path,
    no_folder,
    split_revision,
)
from geneb_jax.models.registry import find_spec

__all__ = ["PREFIX", "TorchEncoder", "load_torch_encoder"]

#: ``-m torch:NAME`` asks for this adapter.
PREFIX = "torch:"


def load_torch_encoder(name: str, options: LoadOptions) -> TorchEncoder:
    """Load a folder, a registered model or a hub repository with transformers.

    Raises:
        SelectionError: for an unknown model or layer, or a permission that names no commit.
        CheckpointError: if there is code that is not allowed, or no safetensors, or weights lack.
        ModelError: if torch or transformers is not installed, or transformers cannot load it.
    """
    code = options.allow_remote_code
    allowed = parse_allowed_code(code) if code else None
    name, revision = split_revision(name)
    options = options.at(revision)
    folder, snapshot = _bring(name, options, allowed)
    trusted = require_allowed(
        folder,
        name=str(folder.resolve()) if snapshot is None else snapshot.hub_id,
        revision=None if snapshot is None else snapshot.revision,
        allowed=allowed,
    )
    snapshot = snapshot or HubSnapshot.at(folder)
    files = FolderFiles(folder, deep=trusted)
    base = adapter_base(folder) or folder
    if not options.untrained:
        require_safetensors(base)
    require_bounded_depth(base)
    digest = "" if options.untrained else files.weights
    model, tokenizer = open_with_transformers(folder, options, trusted=trusted)
    settings = model.config
    layers = getattr(settings, "num_hidden_layers", None)
    with said_in_one_message("load", folder):
        if getattr(settings, "is_encoder_decoder", False):
            model = model.get_encoder()
        limit = longest_input(tokenizer, settings)
    revision = "local" if snapshot is None else snapshot.revision
    drawn = f"random:{options.seed}"
    identity = EncoderIdentity(
        model_id=PREFIX + (folder.resolve().name if snapshot is None else snapshot.hub_id),
        revision=drawn if options.untrained else revision,
        weights=drawn if options.untrained else digest,
        tokenizer=files.others(str(limit)),
        pooling=chosen_pooling(options.pooling),
        layer=options.layer if layers is None else require_layer(options.layer, layers),
        dtype=options.dtype,
        code=f"torch/{type(model).__name__}/2",
        config=files.config,
    )
    files.require_unchanged()
    with said_in_one_message("run", folder):
        return TorchEncoder(model=model, tokenizer=tokenizer, identity=identity, limit=limit)


def _bring(
    name: str, options: LoadOptions, allowed: AllowedCode | None
) -> tuple[Path, HubSnapshot | None]:
    """Folder with the files, and what was downloaded into it (None for a folder of the user's)."""
    folder = named_path(name)
    if folder.is_dir():
        return model_folder(folder, revision=options.revision), None
    revision = options.revision
    if looks_like_a_path(name):
        raise no_folder(name)
    if "/" not in name:
        spec = find_spec(name)
        if spec.source.hub_id is None:
            raise SelectionError(f"{name} is in no hub repository", hint=f"{PREFIX}FOLDER works")
        name, revision = spec.source.hub_id, revision or spec.source.revision
    if allowed is not None and allowed.name == name:
        revision = revision or allowed.revision
    code = allowed is not None and (allowed.name, allowed.revision) == (name, revision)
    folder = download_repository(name, revision=revision, offline=options.offline, code=code)
    return folder, HubSnapshot(name, folder.name)
