"""What every reader of weight files gives: tensors by name, with shape and dtype."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.file_digests import DigestedFile, combined_sha256

__all__ = ["SAFETENSORS_SUFFIX", "TORCH_SUFFIXES", "Checkpoint", "TensorInfo", "unreadable"]

SAFETENSORS_SUFFIX = ".safetensors"
TORCH_SUFFIXES = (".bin", ".pth", ".pt", ".ckpt")
_FLOATS = {"F64", "F32", "F16", "BF16"}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Shape and dtype of a stored tensor; dtype as safetensors spells it (``F32``, ``BF16``)."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_float(self) -> bool:
        """Whether it can be a parameter."""
        return self.dtype in _FLOATS


class Checkpoint(ABC):
    """Tensors of one model by name, over any number of files.

    Args:
        files: The files; those given as :class:`DigestedFile` are known by their content.
    """

    def __init__(self, files: Sequence[Path | DigestedFile]) -> None:
        self.digested = tuple(file for file in files if isinstance(file, DigestedFile))
        self.files = tuple(f.path if isinstance(f, DigestedFile) else f for f in files)
        self.tensors: dict[str, TensorInfo] = {}
        self._home: dict[str, int] = {}

    @property
    def where(self) -> str:
        """The file, or the folder of several, for messages."""
        return str(self.files[0] if len(self.files) == 1 else self.files[0].parent)

    @abstractmethod
    def read(self, name: str) -> np.ndarray:
        """One tensor's values on the host, in its stored dtype (bf16 as ``ml_dtypes.bfloat16``)."""

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) over the content of all files, in their order."""
        return combined_sha256([file.sha256() for file in self.digested])

    def require_unchanged(self) -> None:
        """Make sure that the values read belong to :attr:`sha256`.

        Raises:
            CheckpointError: if a file was changed or replaced since it was hashed.
        """
        for file in self.digested:
            file.require_unchanged()

    def release(self) -> None:
        """Give up what reading holds; the next read opens the files again."""
        for file in self.digested:
            file.close()

    def _register(self, name: str, info: TensorInfo, file_index: int) -> None:
        if name in self._home:
            other = self.files[self._home[name]].name
            raise CheckpointError(f"tensor {name} is also in {other}", where=self.files[file_index])
        self._home[name] = file_index
        self.tensors[name] = info


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """What to say of a file that its reader gave up on."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return CheckpointError(
        f"cannot be read ({reason})",
        where=path,
        cause="the file is damaged or cut off",
        hint="download it again",
    )
