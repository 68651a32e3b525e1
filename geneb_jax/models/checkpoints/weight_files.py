"""Find the weight files of a checkpoint folder, by the names that training libraries give them."""

from __future__ import annotations

import json
from pathlib import Path

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.checkpoint import SAFETENSORS_SUFFIX, TORCH_SUFFIXES

__all__ = ["find_weight_files"]

#: Torch files that trainers leave beside the weights.
_NOT_WEIGHTS = {
    "training_args.bin",
    "optimizer.pt",
    "optimizer.bin",
    "scheduler.pt",
    "rng_state.pth",
}


def find_weight_files(path: Path) -> tuple[Path, ...]:
    """The weight files at ``path``: a folder's, or the file itself; safetensors are preferred.

    Raises:
        CheckpointError: if there is no such path, no weight file, or several that no index orders.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise CheckpointError("there is no such file or folder", where=path)
    for stem in ("model.safetensors", "pytorch_model.bin"):
        index = path / f"{stem}.index.json"
        if index.is_file():
            return _shards(index)
        if (path / stem).is_file():
            return (path / stem,)
    for suffixes in ((SAFETENSORS_SUFFIX,), TORCH_SUFFIXES):
        found = sorted(
            file
            for file in path.iterdir()
            if file.suffix in suffixes and file.name not in _NOT_WEIGHTS
        )
        if len(found) == 1:
            return (found[0],)
        if found:
            raise CheckpointError(
                f"several weight files and no index: {', '.join(file.name for file in found)}",
                where=path,
                hint="name the file itself instead of the folder",
            )
    raise CheckpointError(
        "no weight files",
        where=path,
        hint=f"looked for {', '.join((SAFETENSORS_SUFFIX, *TORCH_SUFFIXES))}",
    )


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError("is not an index of weight files", where=index) from error
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(f"names a file outside its folder: {outside[0]}", where=index)
    return tuple(index.parent / name for name in names)
