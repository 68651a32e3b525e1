"""Fill a module's parameters from a checkpoint: every tensor checked, nothing left over, one copy.

:func:`fit_checkpoint` matches all names and compares all shapes before any value is read. Then
:meth:`FittedCheckpoint.load` reads one parameter at a time into a host buffer in the compute dtype
and moves it to the device, so the host never holds more than the (memory-mapped) file and one
parameter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.checkpoint import Checkpoint
from geneb_jax.models.checkpoints.key_map import KeyMap, Match, match_tensors
from geneb_jax.models.layers.parameters import (
    Parameters,
    compute_dtype,
    nested,
    parameter_shapes,
    place,
)

__all__ = ["FittedCheckpoint", "fit_checkpoint"]

_BLOCK = 64  # columns of a turned matrix that are copied at a time


@dataclass(frozen=True, slots=True)
class FittedCheckpoint:
    """A checkpoint whose tensors all have their place in a module, by name, shape and kind."""

    checkpoint: Checkpoint
    variables: Mapping[str, nnx.Param[Any]]
    parts: Mapping[str, Sequence[Match]]

    def load(self, *, dtype: str) -> Parameters:
        """The module's parameters, on the default device.

        Args:
            dtype: Compute dtype; parameters declared ``keep_float32`` stay in float32.

        Raises:
            CheckpointError: if a tensor holds NaN or infinities, copies of a tied one differ, or a
                file is no longer the one that was hashed.
        """
        self.checkpoint.require_unchanged()
        try:
            flat = {path: self._parameter(path, dtype=dtype) for path in self.parts}
        except CheckpointError:
            self.checkpoint.require_unchanged()  # then that is what is wrong with the tensor
            raise
        self.checkpoint.require_unchanged()
        self.checkpoint.release()
        return nested(flat)

    def _parameter(self, path: str, *, dtype: str) -> jax.Array:
        variable = self.variables[path]
        target = compute_dtype(variable, dtype)
        values = np.empty(variable.get_value().shape, target)
        for match in self.parts[path]:
            part: tuple[Any, ...] = (*match.index, ...)
            _fill(values[part], _read(self.checkpoint, match, target))
        return place(values, variable, dtype)


def fit_checkpoint(module: nnx.Module, checkpoint: Checkpoint, key_map: KeyMap) -> FittedCheckpoint:
    """Match a checkpoint with a module; no value is read.

    Args:
        module: Built from the config, without values.
        checkpoint: The open weight files.
        key_map: The family's map for this config.

    Raises:
        CheckpointError: if a tensor is missing, unexpected, or of another shape or kind; by name.
    """
    variables = parameter_shapes(module)
    parts: dict[str, list[Match]] = defaultdict(list)
    for match in match_tensors(checkpoint.tensors, key_map, where=checkpoint.where):
        parts[match.weight.parameter].append(match)
    unmapped = sorted(set(variables) ^ set(parts))
    if unmapped:  # a defect of the family, not of the checkpoint
        raise AssertionError(f"key map and module differ in {', '.join(unmapped)}")
    for path, matches in parts.items():
        shape = variables[path].get_value().shape
        for match in matches:
            _check_shape(checkpoint, match, shape[len(match.index) :])
    return FittedCheckpoint(checkpoint, variables, parts)


def _check_shape(checkpoint: Checkpoint, match: Match, shape: tuple[int, ...]) -> None:
    expected = match.weight.transform.stored_shape(shape)
    for name in match.names:
        info = checkpoint.tensors[name]
        if info.shape != expected:
            turned = len(expected) > 1 and info.shape == expected[::-1]
            raise CheckpointError(
                f"tensor {name} has shape {list(info.shape)}, expected {list(expected)}",
                where=checkpoint.where,
                cause="it is transposed" if turned else "config and weights are of two models",
            )
        if not info.is_float:
            raise CheckpointError(
                f"tensor {name} holds {info.dtype}, expected floating point numbers",
                where=checkpoint.where,
                hint="quantised checkpoints are not supported",
            )


def _read(checkpoint: Checkpoint, match: Match, target: np.dtype[Any]) -> np.ndarray:
    stored = checkpoint.read(match.names[0])
    for copy in match.names[1:]:
        if not np.array_equal(stored, checkpoint.read(copy)):
            raise CheckpointError(
                f"tensors {match.names[0]} and {copy} should be the same and differ",
                where=checkpoint.where,
            )
    _require_finite(stored, match.names[0], checkpoint.where)
    values = match.weight.transform.apply(stored)
    if target == np.float16 and stored.dtype != np.float16:
        with np.errstate(over="ignore"):
            values = values.astype(np.float16)
        _require_finite(values, match.names[0], checkpoint.where, cause="float16 overflows")
    return values


def _fill(target: np.ndarray, source: np.ndarray) -> None:
    """Copy ``source``, in its own dtype, into ``target``, a part of a parameter in another.

    Turned matrices go in blocks of columns that stay in cache, and two-byte floats as plain
    integers: 2 and 5 times faster than NumPy's assignment.
    """
    source = source.astype(target.dtype, copy=False)
    if target.dtype.itemsize == 2:
        source, target = source.view(np.uint16), target.view(np.uint16)
    if source.ndim < 2 or source.strides[-1] == source.itemsize:
        target[...] = source
        return
    for start in range(0, source.shape[-1], _BLOCK):
        target[..., start : start + _BLOCK] = source[..., start : start + _BLOCK]


def _require_finite(
    values: np.ndarray, name: str, where: str, cause: str = "the checkpoint is damaged"
) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(values, dtype=np.float32)):
            return
        bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise CheckpointError(
            f"tensor {name} holds {bad} values that are NaN or infinite", where=where, cause=cause
        )
