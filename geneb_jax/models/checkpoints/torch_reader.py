"""Tensors of torch files: pickles, of which nothing but tensors and plain data is let through."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.checkpoint import Checkpoint, TensorInfo, unreadable
from geneb_jax.models.checkpoints.file_digests import DigestedFile
from geneb_jax.models.checkpoints.training_objects import readable_objects

__all__ = ["TorchCheckpoint"]

#: Keys under which training code nests the tensors of a model.
_NESTS = ("state_dict", "model_state_dict", "model", "module")


class TorchCheckpoint(Checkpoint):
    """A torch file, or several."""

    def __init__(self, files: Sequence[DigestedFile]) -> None:
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
            self._values[index] = _torch_tensors(self.digested[index])
        return self._values[index]

    def release(self) -> None:
        """Give up what reading holds in memory."""
        self._values.clear()
        super().release()

    def read(self, name: str) -> np.ndarray:
        """One tensor's values, memory-mapped where the format allows it."""
        import torch

        index = self._home[name]
        try:
            tensor = self._content(index)[name].detach()
            if tensor.dtype == torch.bfloat16:  # NumPy has no bf16; the bits are the same
                return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
            return tensor.numpy()  # strides are kept: some published matrices are column-major
        except (RuntimeError, TypeError, KeyError, ValueError) as error:  # sparse, quantised, meta
            raise unreadable(self.files[index], error) from error


def _torch_tensors(file: DigestedFile) -> Mapping[str, Any]:
    """The tensors of a torch file, unwrapped from the dicts that training code nests them in."""
    import pickle

    import torch

    path, address = file.path, file.address
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(readable_objects()):
            warnings.simplefilter("ignore")  # on pickle protocols; what matters is refused
            try:
                content = torch.load(address, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # written before torch 1.6: cannot be memory-mapped
                content = torch.load(address, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "the file holds Python objects besides tensors; nothing in it was run",
            where=path,
            cause=str(error).splitlines()[0],
            hint="ask its author for safetensors, or save its state_dict alone",
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # what an unpickler raises on bytes that are none is without limit
        raise unreadable(path, error) from error
    while isinstance(content, Mapping):
        tensors = {str(key): item for key, item in content.items() if torch.is_tensor(item)}
        nest = next((key for key in _NESTS if isinstance(content.get(key), Mapping)), None)
        if tensors or nest is None:
            if tensors:
                return tensors
            break
        content = content[nest]
    raise CheckpointError("the file holds no tensors by name", where=path)
