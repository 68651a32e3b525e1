"""Open weight files without running anything in them: safetensors, and torch files as tensors.

safetensors are memory-mapped. ``.bin``, ``.pth``, ``.pt`` and ``.ckpt`` files are pickles: torch
reads them with ``weights_only=True``, which refuses every object that is not a tensor or plain
data, and only where the extra ``torch`` is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.checkpoint import (
    SAFETENSORS_SUFFIX,
    TORCH_SUFFIXES,
    Checkpoint,
    TensorInfo,
    unreadable,
)
from geneb_jax.models.checkpoints.file_digests import DigestedFile, check_pinned
from geneb_jax.models.checkpoints.torch_reader import TorchCheckpoint
from geneb_jax.models.spec import PinnedFile

__all__ = ["open_checkpoint"]


class _SafetensorsCheckpoint(Checkpoint):
    def __init__(self, files: Sequence[DigestedFile]) -> None:
        super().__init__(files)
        self._handles: dict[int, Any] = {}
        for index in range(len(self.files)):
            handle = self._handle(index)
            for name in handle.keys():
                part = handle.get_slice(name)
                self._register(name, TensorInfo(tuple(part.get_shape()), part.get_dtype()), index)

    def _handle(self, index: int) -> Any:
        """A file, memory-mapped."""
        if index not in self._handles:
            try:
                self._handles[index] = safe_open(self.digested[index].address, framework="np")
            except (SafetensorError, OSError) as error:
                raise unreadable(self.files[index], error) from error
        return self._handles[index]

    def read(self, name: str) -> np.ndarray:
        index = self._home[name]
        try:
            return np.asarray(self._handle(index).get_tensor(name))
        except (SafetensorError, TypeError, ValueError) as error:
            raise unreadable(self.files[index], error) from error

    def release(self) -> None:
        self._handles.clear()
        super().release()


def open_checkpoint(
    files: Sequence[Path], *, pinned: Sequence[PinnedFile] = (), hashed: bool = True
) -> Checkpoint:
    """Open and hash the weight files of one model; values are read when asked for.

    Args:
        files: The files.
        pinned: What each of them must be; empty where nothing is known of them.
        hashed: Whether they are hashed at once; names and shapes alone need no hash.

    Raises:
        CheckpointError: if a file is missing, damaged, not the pinned one, of an unknown kind,
            holds anything but tensors, or if two files hold the same name.
    """
    if not files:
        raise CheckpointError("no weight files")
    digested = [DigestedFile(path) for path in files]
    if pinned:
        for file, pin in zip(digested, pinned, strict=True):
            check_pinned(file, pin)
    elif hashed:
        for file in digested:
            file.sha256()
    suffixes = {path.suffix for path in files}
    if suffixes == {SAFETENSORS_SUFFIX}:
        return _SafetensorsCheckpoint(digested)
    if suffixes <= set(TORCH_SUFFIXES):
        return TorchCheckpoint(digested)
    raise CheckpointError(
        f"cannot read weight files ending in {', '.join(sorted(suffixes))}",
        where=files[0],
        hint=f"known are {SAFETENSORS_SUFFIX}, {', '.join(TORCH_SUFFIXES)}",
    )
