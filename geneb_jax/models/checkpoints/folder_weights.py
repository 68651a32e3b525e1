"""The weights that a path means: the files of a folder, with the adapter that lies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.checkpoint import Checkpoint, TensorInfo
from geneb_jax.models.checkpoints.key_map import KeyMap
from geneb_jax.models.checkpoints.lora import ADAPTER_CONFIG, Adapter, merge_adapter, open_adapter
from geneb_jax.models.checkpoints.weight_files import choose_weight_files
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from geneb_jax.models.spec import PinnedFile

__all__ = [
    "TOKENIZER_FILES",
    "FolderParts",
    "Weights",
    "find_folder_parts",
    "open_weights",
    "stored_tensors",
]

_CONFIG = "config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json")


@dataclass(frozen=True, slots=True)
class Weights:
    """Open weights: a checkpoint, an adapter to merge into it, and what is said of both.

    Attributes:
        base: The checkpoint.
        adapter: The adapter, if there is one.
        notes: Sentences for the user: choices that were made.
    """

    base: Checkpoint
    adapter: Adapter | None = None
    notes: tuple[str, ...] = ()

    def checkpoint(self, key_map: KeyMap) -> Checkpoint:
        """The checkpoint that is loaded.

        Raises:
            CheckpointError: if the adapter does not fit the base.
        """
        return (
            self.base if self.adapter is None else merge_adapter(self.base, self.adapter, key_map)
        )


@dataclass(frozen=True, slots=True)
class FolderParts:
    """Where the parts of a model lie; all in one folder unless an adapter lies alone.

    Attributes:
        base: The folder with config.json and weights.
        tokenizer: The folder with the tokenizer's files.
        adapter: The folder with the adapter, None where there is none.
    """

    base: Path
    tokenizer: Path
    adapter: Path | None = None


def find_folder_parts(folder: Path) -> FolderParts:
    """Find the base of an adapter that lies alone; any other folder is its own.

    As transformers does it: a folder with an adapter_config.json and no config.json takes the
    model from ``base_model_name_or_path``, a path from the working directory.

    Raises:
        CheckpointError: if the base is not at hand, or the adapter is not supported.
    """
    if (folder / _CONFIG).exists() or (folder / _CONFIG).is_symlink():
        return FolderParts(folder, folder, folder)
    adapter = open_adapter(folder)
    if adapter is None:
        return FolderParts(folder, folder)
    base = adapter.config.base
    if not base or "\0" in base or not (Path(base) / _CONFIG).is_file():
        needed = repr(base[:200]) if base else "a model that the adapter does not name"
        raise CheckpointError(
            f"the folder holds a LoRA adapter of {needed} and no {_CONFIG}",
            where=folder,
            cause=f"no folder of that name is in {Path.cwd()}" if base else None,
            hint=f"copy {ADAPTER_CONFIG} and the adapter's weights into the folder of its base, or "
            "run where base_model_name_or_path is a folder",
        )
    own = any((folder / name).exists() for name in TOKENIZER_FILES)
    return FolderParts(Path(base), folder if own else Path(base), folder)


def stored_tensors(folder: Path) -> Mapping[str, TensorInfo]:
    """Names and shapes in the weights of a folder; empty where it has none.

    An untrained model has the architecture of the trained one, which the tensors help to decide.

    Raises:
        CheckpointError: if there are weights that cannot be read.
    """
    try:
        files = choose_weight_files(folder).files
    except CheckpointError:
        return {}
    opened = open_checkpoint(files, hashed=False)
    tensors = dict(opened.tensors)
    opened.release()
    return tensors


def open_weights(
    path: Path,
    *,
    files: tuple[Path, ...] = (),
    pinned: tuple[PinnedFile, ...] = (),
    adapter: Path | None = None,
) -> Weights:
    """Open and hash the weights at a path; values are read when asked for.

    Args:
        path: A folder, or a weight file.
        files: The weight files where they are known already; otherwise they are looked for.
        pinned: What each of ``files`` must be; empty where nothing is known of them.
        adapter: The folder to look for an adapter in; None for nowhere.

    Raises:
        CheckpointError: if there are none, or they cannot be read or told apart.
    """
    chosen = None if files else choose_weight_files(path)
    if chosen is not None:
        files = chosen.files
    notes = [] if chosen is None or chosen.note is None else [chosen.note]
    found = None if adapter is None else open_adapter(adapter)
    if found is not None:
        notes.append(found.note)
    return Weights(open_checkpoint(files, pinned=pinned), found, tuple(notes))
