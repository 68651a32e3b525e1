"""Open weight files without running anything in them: safetensors, and torch files as tensors.

safetensors are memory-mapped. ``.bin``, ``.pth``, ``.pt`` and ``.ckpt`` files are pickles: torch
reads them with ``weights_only=True``, which refuses every object that is not a tensor or plain
data, and only where the extra ``torch`` is installed.
"""

from __future__ import annotations

import importlib.util
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from geneb_jax.errors import CheckpointError
from geneb_jax.models.training_objects import readable_objects

__all__ = ["SAFETENSORS_SUFFIX", "TORCH_SUFFIXES", "Checkpoint", "open_checkpoint"]

SAFETENSORS_SUFFIX = ".safetensors"
TORCH_SUFFIXES = (".bin", ".pth", ".pt", ".ckpt")
#: Keys under which training code nests the tensors of a model.
_NESTS = ("state_dict", "model_state_dict", "model", "module")
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
    """Tensors of one model by name, over any number of files."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self.tensors: dict[str, TensorInfo] = {}
        self._home: dict[str, int] = {}

    @property
    def where(self) -> str:
        """The file, or the folder of several, for messages."""
        return str(self.files[0] if len(self.files) == 1 else self.files[0].parent)

    @abstractmethod
    def read(self, name: str) -> np.ndarray:
        """One tensor's values on the host, in its stored dtype (bf16 as ``ml_dtypes.bfloat16``)."""

    def release(self) -> None:
        """Give up what reading holds in memory; the next read opens the files again."""
        return

    def _register(self, name: str, info: TensorInfo, file_index: int) -> None:
        if name in self._home:
            other = self.files[self._home[name]].name
            raise CheckpointError(f"tensor {name} is also in {other}", where=self.files[file_index])
        self._home[name] = file_index
        self.tensors[name] = info


class _SafetensorsCheckpoint(Checkpoint):
    def __init__(self, files: Sequence[Path]) -> None:
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
                self._handles[index] = safe_open(self.files[index], framework="np")
            except (SafetensorError, OSError) as error:
                raise _unreadable(self.files[index], error) from error
        return self._handles[index]

    def read(self, name: str) -> np.ndarray:
        index = self._home[name]
        try:
            return np.asarray(self._handle(index).get_tensor(name))
        except (SafetensorError, TypeError, ValueError) as error:
            raise _unreadable(self.files[index], error) from error

    def release(self) -> None:
        self._handles.clear()


class _TorchCheckpoint(Checkpoint):
    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(files)
        if importlib.util.find_spec("torch") is None:
            raise CheckpointError(
                f"{self.files[0].name} is a torch file, and torch is not installed",
                where=self.files[0],
                hint='install it with `pip install "geneb-jax[torch]"`, '
                "or convert the checkpoint to safetensors",
            )
        self._values: dict[int, Mapping[str, Any]] = {}
        spelled = {"float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16"}
        for index in range(len(self.files)):
            for name, tensor in self._content(index).items():
                kind = str(tensor.dtype).removeprefix("torch.")
                info = TensorInfo(tuple(tensor.shape), spelled.get(kind, kind))
                self._register(name, info, index)

    def _content(self, index: int) -> Mapping[str, Any]:
        """A file's tensors, memory-mapped where the format allows it."""
        if index not in self._values:
            self._values[index] = _torch_tensors(self.files[index])
        return self._values[index]

    def release(self) -> None:
        self._values.clear()

    def read(self, name: str) -> np.ndarray:
        import torch

        tensor = self._content(self._home[name])[name].detach()
        if tensor.dtype == torch.bfloat16:  # NumPy has no bf16; the bits are the same
            return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()  # strides are kept: some published matrices are column-major


def open_checkpoint(files: Sequence[Path]) -> Checkpoint:
    """Open the weight files of one model; values are read when asked for.

    Raises:
        CheckpointError: if a file is missing, damaged, of an unknown kind, holds anything but
            tensors, or if two files hold the same name.
    """
    if not files:
        raise CheckpointError("no weight files")
    for path in files:
        if not path.is_file():
            raise CheckpointError("this weight file is missing", where=path)
    suffixes = {path.suffix for path in files}
    if suffixes == {SAFETENSORS_SUFFIX}:
        return _SafetensorsCheckpoint(files)
    if suffixes <= set(TORCH_SUFFIXES):
        return _TorchCheckpoint(files)
    raise CheckpointError(
        f"cannot read weight files ending in {', '.join(sorted(suffixes))}",
        where=files[0],
        hint=f"known are {SAFETENSORS_SUFFIX}, {', '.join(TORCH_SUFFIXES)}",
    )


def _torch_tensors(path: Path) -> Mapping[str, Any]:
    """The tensors of a torch file, unwrapped from the dicts that training code nests them in."""
    import pickle

    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(readable_objects()):
            warnings.simplefilter("ignore")  # on pickle protocols; what matters is refused
            try:
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # written before torch 1.6: cannot be memory-mapped
                content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "the file holds Python objects besides tensors; nothing in it was run",
            where=path,
            cause=str(error).splitlines()[0],
            hint="ask its author for safetensors, or save its state_dict alone",
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise _unreadable(path, error) from error
    while isinstance(content, Mapping):
        tensors = {str(key): item for key, item in content.items() if torch.is_tensor(item)}
        nest = next((key for key in _NESTS if isinstance(content.get(key), Mapping)), None)
        if tensors or nest is None:
            if tensors:
                return tensors
            break
        content = content[nest]
    raise CheckpointError("the file holds no tensors by name", where=path)


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return CheckpointError(
        f"cannot be read ({reason})",
        where=path,
        cause="the file is damaged or cut off",
        hint="download it again",
    )
