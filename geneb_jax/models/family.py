"""What a family gives: a config schema, a module, a key map. The rest of the room is shared.

A family is one module of :mod:`geneb_jax.models.families`, named as in the TOML files, that defines
``FAMILY``. It is imported only when a model of it is loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from flax import nnx
from pydantic import TypeAdapter, ValidationError

from geneb_jax.errors import CheckpointError, ConfigError, ModelError
from geneb_jax.models.checkpoints.checkpoint import TensorInfo
from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import KeyMap
from geneb_jax.models.registry import native_families
from geneb_jax.tokenizers import FolderTokenizer

__all__ = ["Family", "FamilyConfig", "family_for_folder", "find_family"]


class FamilyConfig(Protocol):
    """What the shared code asks of a family's config, a frozen dataclass of plain values."""

    @property
    def layer_count(self) -> int:
        """Number of layers; hidden states run from 0 (embeddings) to this."""

    @property
    def output_width(self) -> int:
        """Length of one embedding."""

    @property
    def vocab_size(self) -> int:
        """Rows of the token embedding: ids must be below."""

    @property
    def longest_tokens(self) -> int | None:
        """Most tokens the architecture itself can take; None where nothing limits it."""


_SHOWN = 5
ConfigT = TypeVar("ConfigT", bound=FamilyConfig)


def _as_config_says(config: ConfigT, tensors: Mapping[str, TensorInfo]) -> ConfigT:
    """Nothing is left to the tensors."""
    return config


@dataclass(frozen=True, slots=True)
class Family(Generic[ConfigT]):
    """One architecture, parameterised by its config.

    Attributes:
        name: As in the TOML files; the module's name.
        version: Raised whenever a change alters numbers: it is part of the store's key.
        config: Frozen dataclass; also the schema of the TOML section ``[config]``.
        module: Builds the network without values. Calling it with ids int32 ``[row, token]``, mask
            bool ``[row, token]`` and ``layer`` (0 to layer_count; -1 is the last) gives
            :class:`~geneb_jax.models.layers.network.HiddenStates`.
        key_map: Where every tensor of a checkpoint belongs.
        claims: Whether a config.json (of a local folder or a hub id) is of this family.
        read_json: Reads it; may raise ValueError for sizes that do not go together.
        settle: What the tensors of a folder say besides config.json: names as stored, with shapes.
        folder_tokenizer: Finds the tokenizer of a checkpoint folder, from its files and the config.
        exact_length: Whether batches must hold equal lengths only.
        length_multiple: Lengths are padded to a multiple of this.
    """

    name: str
    version: int
    config: type[ConfigT]
    module: Callable[[ConfigT], nnx.Module]
    key_map: Callable[[ConfigT], KeyMap]
    claims: Callable[[ConfigJson], bool]
    read_json: Callable[[ConfigJson], ConfigT]
    folder_tokenizer: Callable[[Path, ConfigJson, ConfigT], FolderTokenizer]
    exact_length: bool = False
    length_multiple: int = 1
    settle: Callable[[ConfigT, Mapping[str, TensorInfo]], ConfigT] = _as_config_says

    def from_config_json(self, config: ConfigJson) -> ConfigT:
        """Read a checkpoint's config.json.

        Raises:
            CheckpointError: for a missing, unsupported or impossible value.
        """
        try:
            return self.read_json(config)
        except ValueError as error:
            raise CheckpointError(str(error), where=config.where) from error
        except (ArithmeticError, TypeError, AttributeError, LookupError) as error:
            raise CheckpointError(
                f"holds values that are of no use together ({error})", where=config.where
            ) from error

    def read_config(self, section: Mapping[str, Any], *, where: object) -> ConfigT:
        """Check a TOML's ``[config]`` against the family's schema.

        Raises:
            ConfigError: for an unknown or missing key or an impossible value.
        """
        try:
            # A closed schema: a misspelt key must not silently become a default.
            adapter = TypeAdapter(self.config, config=None)
            return adapter.validate_python(dict(section))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in ("config", *first["loc"]))
            raise ConfigError(f"{place}: {first['msg']}", where=where) from error

    def settled(self, config: ConfigT, tensors: Mapping[str, TensorInfo], *, where: str) -> ConfigT:
        """The config that config.json and the tensors give together.

        Raises:
            CheckpointError: if a stored table has an impossible size.
        """
        try:
            return self.settle(config, tensors)
        except ValueError as error:
            raise CheckpointError(str(error), where=where) from error

    @property
    def code(self) -> str:
        """Name and version, for the store's key."""
        return f"{self.name}/{self.version}"


def config_as_dict(config: Any) -> dict[str, Any]:
    """A family's config as plain data, for digests."""
    return asdict(config)


def find_family(name: str) -> Family[Any]:
    """Import a family by name.

    Raises:
        ModelError: if it does not run here.
    """
    if name in native_families():
        module = importlib.import_module(f"geneb_jax.models.families.{name}")
        family = getattr(module, "FAMILY", None)
        if family is not None:
            return family
    raise ModelError(
        f"models of the family {name!r} do not run here yet",
        hint="`geneb-jax list models` shows which do; the torch adapter takes any AutoModel folder",
    )


def family_for_folder(config: ConfigJson) -> Family[Any]:
    """The family that claims a config.json.

    Raises:
        CheckpointError: if none does.
    """
    for name in sorted(native_families()):
        module = importlib.import_module(f"geneb_jax.models.families.{name}")
        family = getattr(module, "FAMILY", None)
        if family is not None and family.claims(config):
            return family
    architectures = config.architectures[:_SHOWN] or ("none named",)
    kind = config.optional("model_type", str, None)
    raise CheckpointError(
        f"unknown architecture: model_type {kind if kind is None else kind[:80]!r}, "
        f"architectures {', '.join(name[:80] for name in architectures)}",
        where=config.where,
        hint=f"native families are {', '.join(sorted(native_families()))}; "
        "the torch adapter runs any other AutoModel: -m torch:FOLDER",
    )
