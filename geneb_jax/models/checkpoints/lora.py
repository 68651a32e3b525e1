"""LoRA adapters: low-rank changes of a checkpoint's matrices, added while they are read.

``AutoModel.from_pretrained`` applies an adapter that lies beside the weights (with peft installed),
and takes the weights from ``base_model_name_or_path`` where the adapter lies alone. The merged
checkpoint here holds ``W + scale * B A``, which is what ``merge_and_unload`` of peft gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.adapter_config import AdapterConfig, read_adapter_config
from geneb_jax.models.checkpoints.checkpoint import Checkpoint
from geneb_jax.models.checkpoints.file_digests import DigestedFile
from geneb_jax.models.checkpoints.heads import is_head
from geneb_jax.models.checkpoints.key_map import KeyMap, Match, family_prefix, match_tensors
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint

__all__ = ["ADAPTER_CONFIG", "Adapter", "merge_adapter", "open_adapter"]

ADAPTER_CONFIG = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_LARGEST_CONFIG_BYTES = 2**20
_WRAPPER = "base_model.model."
_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")


@dataclass(frozen=True, slots=True)
class Adapter:
    """An open adapter: its settings, its tensors, and the files that decide both.

    Attributes:
        config: Its settings.
        config_file: adapter_config.json, by its content.
        weights: Its tensors.
        note: What is said of it.
    """

    config: AdapterConfig
    config_file: DigestedFile
    weights: Checkpoint
    note: str


@dataclass(frozen=True, slots=True)
class _Change:
    """Of one tensor: a product to add, or a tensor to take instead."""

    up: str | None = None  # B, [out, rank]
    down: str | None = None  # A, [rank, in]
    scale: float = 1.0
    transposed: bool = False  # whether the checkpoint stores the matrix [in, out]
    instead: str | None = None


def open_adapter(folder: Path) -> Adapter | None:
    """The adapter of a folder; None where there is none.

    Raises:
        CheckpointError: if there is half of one, or one that is not supported.
    """
    path = folder / ADAPTER_CONFIG
    weights = [folder / name for name in _WEIGHTS if _is_there(folder / name)]
    if not _is_there(path):
        if weights:
            raise CheckpointError(
                f"there is no {ADAPTER_CONFIG} beside {weights[0].name}",
                where=folder,
                hint=f"bring {ADAPTER_CONFIG}, or move {weights[0].name} away for the bare model",
            )
        return None
    file = DigestedFile(path)
    config = read_adapter_config(file.read_bytes(largest_bytes=_LARGEST_CONFIG_BYTES), where=path)
    file.sha256()
    if not weights:
        raise CheckpointError(
            f"there is no {_WEIGHTS[0]} beside {ADAPTER_CONFIG}",
            where=folder,
            hint=f"bring it, or move {ADAPTER_CONFIG} away for the bare model",
        )
    both = f", of {weights[0].name} ({weights[1].name} is not read)" if len(weights) > 1 else ""
    note = f"the LoRA adapter in {folder} is merged into the weights{both}"
    return Adapter(config, file, open_checkpoint(weights[:1]), note)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def merge_adapter(base: Checkpoint, adapter: Adapter, key_map: KeyMap) -> Checkpoint:
    """The base's tensors with the adapter's changes, under the base's names and shapes.

    Args:
        base: The checkpoint that was adapted.
        adapter: The adapter.
        key_map: The family's map, which says what the base's tensors are.

    Raises:
        CheckpointError: if a tensor of the adapter has no place in the base, or a target no tensor.
    """
    places = _places(match_tensors(base.tensors, key_map, where=base.where), key_map)
    stored = {name.removeprefix(_WRAPPER): name for name in adapter.weights.tensors}
    factors, whole = _sorted(stored, adapter)
    modules = [*factors, *(name.rpartition(".")[0] for name in whole)]
    prefix = family_prefix([f"{module}." for module in modules], places, key_map.prefixes)
    changes: dict[str, _Change] = {}
    for module, sides in factors.items():
        short = module.removeprefix(prefix)
        if not is_head(short):
            place = _place(places, f"{short}.weight", module, adapter)
            changes[place.names[0]] = _product(base, adapter, place, module, short, sides)
    for name, tensor in whole.items():
        short = name.removeprefix(prefix)
        if not is_head(short):
            place = _place(places, short, name, adapter)
            changes[place.names[0]] = _replacement(base, adapter, place, tensor)
    _require_complete(adapter, places, prefix, changes)
    return _MergedCheckpoint(base, adapter, changes)


def _places(matches: Iterable[Match], key_map: KeyMap) -> dict[str, Match]:
    """Every tensor of the network by its name without prefixes."""
    places: dict[str, Match] = {}
    for match in matches:
        axes = key_map.stacked_axes(match.weight)
        values = {
            axis: key_map.ranges[axis][at] for axis, at in zip(axes, match.index, strict=True)
        }
        places[match.weight.tensor.format(**values)] = match
    return places


def _sorted(
    stored: Mapping[str, str], adapter: Adapter
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Factors by module and side, and tensors that are stored whole."""
    factors: dict[str, dict[str, str]] = {}
    whole: dict[str, str] = {}
    for name, full in stored.items():
        found = _FACTOR.fullmatch(name)
        if found is not None:
            factors.setdefault(found["module"], {})[found["side"]] = full
        elif "lora_" not in name and (
            adapter.config.stores(name.rpartition(".")[0]) or is_head(name)
        ):
            whole[name] = full
        else:
            raise CheckpointError(
                f"the adapter's tensor {full} is not supported",
                where=adapter.weights.where,
                cause="LoRA matrices of linear maps and modules_to_save are",
                hint="merge the adapter with PEFT's merge_and_unload()",
            )
    if not factors and not whole:
        raise CheckpointError("the adapter holds no tensors", where=adapter.weights.where)
    return factors, whole


def _place(places: Mapping[str, Match], short: str, name: str, adapter: Adapter) -> Match:
    if short not in places:
        raise CheckpointError(
            f"the adapter changes {name}, which the model does not have",
            where=adapter.weights.where,
            cause=f"it was made for another base{_base_in_words(adapter.config)}",
        )
    return places[short]


def _base_in_words(config: AdapterConfig) -> str:
    return "" if config.base is None else f" ({config.base[:200]})"


def _product(
    base: Checkpoint,
    adapter: Adapter,
    place: Match,
    module: str,
    short: str,
    sides: Mapping[str, str],
) -> _Change:
    where, config = adapter.weights.where, adapter.config
    if len(sides) != 2:
        raise CheckpointError(f"lora_A or lora_B of {module} is missing", where=where)
    if not place.weight.parameter.endswith(".kernel"):
        raise CheckpointError(f"the adapter changes {module}, which is no linear map", where=where)
    if config.adapts(module) is False:
        raise CheckpointError(
            f"the adapter's weights hold {module}, which target_modules does not name",
            where=config.where,
        )
    down, up = adapter.weights.tensors[sides["A"]], adapter.weights.tensors[sides["B"]]
    transposed = not place.weight.transform.transpose
    matrix = base.tensors[place.names[0]].shape
    shape = matrix[::-1] if transposed else matrix
    fits = len(shape) == len(down.shape) == len(up.shape) == 2 and down.is_float and up.is_float
    if not fits or (up.shape[0], down.shape[1]) != shape or up.shape[1] != down.shape[0]:
        raise CheckpointError(
            f"lora_A and lora_B of {module} are {list(down.shape)} and {list(up.shape)}, the "
            f"matrix is {list(matrix)}",
            where=where,
            cause=f"the adapter was made for another base{_base_in_words(config)}",
        )
    rank = down.shape[0]
    scale = config.scale(module, rank=max(rank, 1))
    if scale != config.scale(short, rank=max(rank, 1)):
        raise CheckpointError(
            f"alpha_pattern means two scales for {module}, with and without its prefix",
            where=config.where,
            hint="merge the adapter with PEFT's merge_and_unload()",
        )
    return _Change(up=sides["B"], down=sides["A"], scale=scale, transposed=transposed)


def _replacement(base: Checkpoint, adapter: Adapter, place: Match, tensor: str) -> _Change:
    info, expected = adapter.weights.tensors[tensor], base.tensors[place.names[0]]
    if info.shape != expected.shape or not info.is_float:
        raise CheckpointError(
            f"the adapter's {tensor} is {list(info.shape)}, the base's {list(expected.shape)}",
            where=adapter.weights.where,
        )
    return _Change(instead=tensor)


def _require_complete(
    adapter: Adapter, places: Mapping[str, Match], prefix: str, changes: Mapping[str, _Change]
) -> None:
    """Every target that is named with its whole name must have its matrices."""
    targets = adapter.config.targets
    named = () if isinstance(targets, str) else targets
    for target in named:
        place = places.get(f"{target.removeprefix(prefix)}.weight")
        if place is not None and place.names[0] not in changes:
            raise CheckpointError(
                f"target_modules names {target}, whose matrices are missing",
                where=adapter.weights.where,
                cause="the file is not the whole adapter",
            )
    found = any(change.up is not None for change in changes.values())
    if not found and named and not any(is_head(target) for target in named):
        raise CheckpointError("no matrix of the model is adapted", where=adapter.weights.where)


class _MergedCheckpoint(Checkpoint):
    def __init__(self, base: Checkpoint, adapter: Adapter, changes: Mapping[str, _Change]) -> None:
        super().__init__([*base.digested, adapter.config_file, *adapter.weights.digested])
        self._base, self._adapter, self._changes = base, adapter.weights, changes
        self.tensors = base.tensors

    @property
    def where(self) -> str:
        return self._base.where

    def read(self, name: str) -> np.ndarray:
        change = self._changes.get(name)
        if change is None:
            return self._base.read(name)
        if change.instead is not None:
            return self._adapter.read(change.instead)
        assert change.up is not None and change.down is not None
        # In float64, so that the sum is rounded once.
        up, down = (
            self._adapter.read(side).astype(np.float64) for side in (change.up, change.down)
        )
        product = change.scale * (up @ down)
        merged = self._base.read(name).astype(np.float64)
        merged += product.T if change.transposed else product
        with np.errstate(over="ignore"):
            return merged.astype(np.float32)

    def release(self) -> None:
        self._base.release()
        self._adapter.release()
        super().release()
