"""The files of a folder that transformers may read, hashed once and held until it has read them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from geneb_jax.errors import CheckpointError, ModelError
from geneb_jax.models.adapters.opened_files import may_be_read
from geneb_jax.models.checkpoints.file_digests import DigestedFile, combined_sha256
from geneb_jax.models.checkpoints.folder_weights import TOKENIZER_FILES
from geneb_jax.plain_files import refuse_git_lfs_pointer
from geneb_jax.strict_json import read_json

__all__ = ["FolderFiles", "adapter_base", "require_bounded_depth", "tokenizer_folder"]

_ADAPTER = "adapter_config.json"
_CONFIG = "config.json"
_INDEX = ".index.json"
#: Deeper than any network; a number beyond would be built before it is compared with the weights.
_MOST_LAYERS = 4096
_LAYERS = re.compile(r"(^|_)layers?$")
_WEIGHT_SUFFIXES = {".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".pt", ".pth", ".safetensors"}


class FolderFiles:
    """What a model is loaded from: its folder and, for an adapter alone, its base's.

    Which of the files count is for transformers to decide, and changes with its version; so all
    that it could read are in the digests. A file too many costs an embedding made again, a file
    too few a wrong score.

    Args:
        folder: The folder.
        deep: Whether code of the folder's own may run, which may read the folders inside as well.

    Raises:
        CheckpointError: if a file cannot be read.
    """

    def __init__(self, folder: Path, *, deep: bool) -> None:
        self._folder = folder
        self._deep = deep
        self._names = self._find()
        self._require_named_files()
        self._files = {name: DigestedFile(path) for name, path in self._names.items()}

    def _find(self) -> dict[str, Path]:
        """Every file by the name that it has in the digests."""
        found = _plain_files(self._folder, "**/*" if self._deep else "*")
        base = adapter_base(self._folder)
        if base is not None:
            found |= {f"base/{name}": path for name, path in _plain_files(base, "*").items()}
        return found

    def _require_named_files(self) -> None:
        """Refuse a folder whose files name weights that are not in the digests.

        transformers follows a shard's name and ``transformers_weights`` into folders inside, and to
        files that are no weights by their names.
        """
        tops = (self._folder, adapter_base(self._folder))
        for name, path in self._names.items():
            if path.name.endswith(_INDEX):
                content = _json_object(path).get("weight_map")
                named = list(content.values()) if isinstance(content, dict) else []
            elif path.name == _CONFIG and path.parent in tops:
                named = [_json_object(path).get("transformers_weights")]
            else:
                continue
            beside = name.removesuffix(path.name)
            for other in {other for other in named if isinstance(other, str)}:
                if f"{beside}{other}" not in self._names and _is_there(path.parent / other):
                    raise CheckpointError(
                        f"names weights outside of what is hashed: {other[:200]!r}",
                        where=path,
                        hint="put the weights beside it, and write their names into it",
                    )

    @property
    def weights(self) -> str:
        """SHA-256 over the weight files, an adapter's and its base's included."""
        parts = [
            self._files[name].sha256()
            for name, path in self._names.items()
            if path.suffix in _WEIGHT_SUFFIXES
        ]
        return combined_sha256(parts)

    @property
    def config(self) -> str:
        """SHA-256 of config.json; of nothing where there is none."""
        file = self._files.get(_CONFIG) or self._files.get(f"base/{_CONFIG}")
        return hashlib.sha256(b"").hexdigest() if file is None else file.sha256()

    def others(self, extra: str) -> str:
        """SHA-256 over all other files, by name and content, and some text."""
        content = {
            name: self._files[name].sha256()
            for name, path in self._names.items()
            if path.suffix not in _WEIGHT_SUFFIXES and path.name != _CONFIG
        }
        text = json.dumps([content, extra], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def require_unchanged(self) -> None:
        """Make sure that what was loaded is what was hashed, and give the files up.

        Raises:
            CheckpointError: if a file was changed, came or went.
        """
        changed = set(self._find().items()) ^ set(self._names.items())
        if changed:
            raise CheckpointError(
                f"{min(changed)[0]} came or went while the model was loaded",
                where=self._folder,
                hint="let whatever does that finish, then run the same command again",
            )
        for file in self._files.values():
            file.require_unchanged()
            file.close()


def adapter_base(folder: Path) -> Path | None:
    """The folder of the network that an adapter alone belongs to; None for any other folder.

    Raises:
        CheckpointError: if its base is not a folder here.
        ModelError: for an adapter, if peft is not there to apply it.
    """
    file = folder / _ADAPTER
    if not file.is_file():
        return None
    if importlib.util.find_spec("peft") is None:
        raise ModelError(
            "the folder holds an adapter, and without peft transformers would leave it out",
            where=file,
            hint="install it with `pip install peft`, or move the adapter away to run its base",
        )
    if (folder / _CONFIG).is_file():
        return None  # the base lies beside it
    named = _base_name(file)
    base = Path(named).expanduser()
    if not base.is_dir():
        raise CheckpointError(
            f"the adapter's base {named!r} is not a folder here",
            where=file,
            hint="download it, and write its folder into base_model_name_or_path",
        )
    return base


def tokenizer_folder(folder: Path) -> Path:
    """The folder with the tokenizer's files: of an adapter alone without any, that of its base."""
    base = adapter_base(folder)
    own = any((folder / name).exists() for name in TOKENIZER_FILES)
    return folder if base is None or own else base


def require_bounded_depth(folder: Path) -> None:
    """Refuse a number of layers that takes minutes to build before anything is read.

    Raises:
        CheckpointError: for a config.json that is none, or names such a number.
    """
    if not (folder / _CONFIG).is_file():
        return
    parts = [_json_object(folder / _CONFIG)]
    while parts:
        for key, value in parts.pop().items():
            if isinstance(value, dict):
                parts.append(value)
            if isinstance(value, int) and value > _MOST_LAYERS and _LAYERS.search(key):
                raise CheckpointError(
                    f"{key} is {str(value)[:40]}, at most {_MOST_LAYERS} can be",
                    where=folder / _CONFIG,
                )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for one
        return False


def _json_object(path: Path) -> dict[str, Any]:
    """A JSON file's object; an empty one where it holds something else, for transformers to refuse.

    Raises:
        CheckpointError: if it cannot be read.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot be read as JSON ({error})", where=path) from error
    return content if isinstance(content, dict) else {}


def _base_name(file: Path) -> str:
    try:
        content: Any = read_json(file)
        named = content["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"is not the configuration of an adapter ({error})", where=file
        ) from error
    if not isinstance(named, str) or not named:
        raise CheckpointError("names no base_model_name_or_path", where=file)
    return named


def _plain_files(folder: Path, pattern: str) -> dict[str, Path]:
    """Name -> path of every file that may be read; pipes and Git LFS pointers are refused.

    Raises:
        CheckpointError: for what is no file, before another library waits for it.
    """
    found = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.glob(pattern))
        # A link to nothing is nothing, to transformers as well.
        if path.exists() and not path.is_dir() and may_be_read(path.relative_to(folder))
    }
    for path in found.values():
        try:
            refuse_git_lfs_pointer(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CheckpointError(reason, where=path) from error
    return found
