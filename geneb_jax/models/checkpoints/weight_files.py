"""Which files of a checkpoint folder are its weights: those that transformers reads, or an error.

``AutoModel.from_pretrained`` takes the first that exists of ``model.safetensors``, its index,
``pytorch_model.bin`` and its index (transformers 5.24, ``_get_resolved_checkpoint_files``); what an
earlier save left beside it is not looked at. The same order holds here, and other weights that lie
there are named, because nothing but their names tells which of them were meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.checkpoint import SAFETENSORS_SUFFIX, TORCH_SUFFIXES
from geneb_jax.plain_files import is_plain_file
from geneb_jax.strict_json import read_json

__all__ = ["WeightFiles", "choose_weight_files", "find_weight_files"]

#: In transformers' order of preference.
_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_INDEX = ".index.json"
#: Files that trainers leave beside the weights, and weights that are no whole model.
_NOT_WEIGHTS = {
    "adapter_model.bin",
    "adapter_model.safetensors",
    "optimizer.bin",
    "optimizer.pt",
    "rng_state.pth",
    "scaler.pt",
    "scheduler.pt",
    "training_args.bin",
}
#: One a process, where training ran on several devices.
_RANDOM_STATE = re.compile(r"rng_state_\d+\.pth")
_OTHER_KINDS = {
    ".gguf": "GGUF weights are quantised or renamed for another program",
    ".h5": "TensorFlow weights are not read",
    ".msgpack": "Flax weights are not read",
    ".onnx": "ONNX graphs are not read",
}
_SHARDS_AT_MOST = 10_000
_LONGEST_NAME_BYTES = 255  # no file system has longer ones


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files that are read, in order, and what is said of others that could have been meant."""

    files: tuple[Path, ...]
    note: str | None = None


def find_weight_files(path: Path) -> tuple[Path, ...]:
    """The files of :func:`choose_weight_files`."""
    return choose_weight_files(path).files


def choose_weight_files(path: Path) -> WeightFiles:
    """The weight files at ``path``: a folder's, or the file itself.

    Raises:
        CheckpointError: if there is no such path, no weight file, or several that no index orders.
    """
    if is_plain_file(path):
        return WeightFiles((path,))
    if not path.is_dir():
        there = path.exists()
        raise CheckpointError(
            "is neither a plain file nor a folder" if there else "there is no such file or folder",
            where=path,
        )
    present = [name for name in _NAMES if _lies_in(path, name)]
    if not present:
        return _by_ending(path)
    chosen = _files_of(path / present[0])
    left = [name for name in present[1:] if _is_whole(path / name, chosen)]
    return WeightFiles(chosen, _note(path, present[0], left) if left else None)


def _lies_in(folder: Path, name: str) -> bool:
    """Whether a name is taken; what takes it must be a plain file."""
    path = folder / name
    if not path.exists() and not path.is_symlink():
        return False
    if is_plain_file(path):
        return True
    what = "a link to nothing" if not path.exists() else "no plain file"
    raise CheckpointError(f"is {what}", where=path, hint="put the weight file in its place")


def _files_of(path: Path) -> tuple[Path, ...]:
    return _shards(path) if path.name.endswith(_INDEX) else (path,)


def _is_whole(path: Path, chosen: tuple[Path, ...]) -> bool:
    """Whether other weights are all there: an index without its shards names nothing."""
    try:
        files = _files_of(path)
    except CheckpointError:
        return False
    return files != chosen and all(is_plain_file(file) for file in files)


def _note(folder: Path, chosen: str, left: list[str]) -> str:
    return (
        f"{folder} holds more than one set of weights: {chosen} is read, as transformers does, "
        f"and {', '.join(left)} is not; if another was meant, move {chosen} away"
    )


def _by_ending(folder: Path) -> WeightFiles:
    """The only weight file of a folder that has none under the usual names."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror})", where=folder) from error
    found = {
        suffixes: [
            file
            for file in entries
            if file.suffix in suffixes
            and file.name not in _NOT_WEIGHTS
            and not _RANDOM_STATE.fullmatch(file.name)
        ]
        for suffixes in ((SAFETENSORS_SUFFIX,), TORCH_SUFFIXES)
    }
    safe, others = found.values()
    chosen = safe or others
    if len(chosen) == 1:
        _lies_in(folder, chosen[0].name)
        left = [file.name for file in others] if safe else []
        note = _note(folder, chosen[0].name, left) if left else None
        return WeightFiles((chosen[0],), note)
    if chosen:
        raise CheckpointError(
            f"several weight files and no index: {', '.join(file.name for file in chosen)}",
            where=folder,
            hint="name the file itself instead of the folder",
        )
    foreign = next((file for file in entries if file.suffix in _OTHER_KINDS), None)
    raise CheckpointError(
        "no weight files",
        where=folder,
        cause=None if foreign is None else f"{foreign.name}: {_OTHER_KINDS[foreign.suffix]}",
        hint=f"looked for {', '.join((SAFETENSORS_SUFFIX, *TORCH_SUFFIXES))}",
    )


def _shards(index: Path) -> tuple[Path, ...]:
    """The files that an index names, each once, in alphabetical order as transformers reads them.

    Raises:
        CheckpointError: if it is no index, or a name leads out of the folder.
    """
    try:
        content = read_json(index)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot be read as JSON ({error})", where=index) from error
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            "is not an index of weight files",
            where=index,
            cause="it has no object weight_map that gives each tensor's file",
        )
    for tensor, name in weight_map.items():
        if not isinstance(name, str):
            shown = type(name).__name__
            raise CheckpointError(
                f"weight_map gives a {shown} and no file name for the tensor {tensor[:80]}",
                where=index,
            )
    names = sorted(set(weight_map.values()))
    outside = next((name for name in names if not _is_file_name(name)), None)
    if outside is not None:
        raise CheckpointError(f"names a file outside its folder: {outside[:200]!r}", where=index)
    longest = max(len(name.encode()) for name in names)
    if longest > _LONGEST_NAME_BYTES:
        raise CheckpointError(f"gives a file a name of {longest} bytes", where=index)
    if len(names) > _SHARDS_AT_MOST:
        raise CheckpointError(f"names {len(names)} files, at most {_SHARDS_AT_MOST}", where=index)
    return tuple(index.parent / name for name in names)


def _is_file_name(name: str) -> bool:
    """Whether a text is a plain file name on every system."""
    return name not in ("", ".", "..") and not set(name) & set("/\\:\0")
