"""Read a checkpoint's config.json by our own rules: plain values, by name, types checked.

Nothing in it is ever imported or run; ``auto_map`` is only looked at to tell architectures apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from geneb_jax.errors import CheckpointError

__all__ = ["ConfigJson", "read_config_json"]

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class ConfigJson:
    """The content of a config.json.

    Attributes:
        values: The top-level object.
        where: The file, for messages.
    """

    values: Mapping[str, Any]
    where: str

    def required(self, key: str, kind: type[ValueT]) -> ValueT:
        """The value of a key.

        Raises:
            CheckpointError: if it is missing or of another type.
        """
        if self.values.get(key) is None:
            raise CheckpointError(f"{key} is missing", where=self.where)
        return self._checked(key, kind)

    def optional(self, key: str, kind: type[ValueT], default: Any) -> Any:
        """The value of a key, or ``default`` where it is missing or null.

        Raises:
            CheckpointError: if it is of another type.
        """
        return default if self.values.get(key) is None else self._checked(key, kind)

    def _checked(self, key: str, kind: type[ValueT]) -> ValueT:
        value = self.values[key]
        if kind is float and type(value) is int:
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise CheckpointError(f"{key} is {value!r}, expected {kind.__name__}", where=self.where)
        return value

    @property
    def architectures(self) -> tuple[str, ...]:
        """Class names, as published."""
        return tuple(str(name) for name in self.optional("architectures", list, []))

    @property
    def remote_code(self) -> str:
        """The files that ``auto_map`` names, as one text to look for; empty where there is none."""
        return " ".join(str(value) for value in self.optional("auto_map", dict, {}).values())


def read_config_json(folder: Path) -> ConfigJson:
    """Read ``config.json`` of a checkpoint folder.

    Raises:
        CheckpointError: if it is missing or not a JSON object.
    """
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            "a checkpoint folder needs a config.json",
            where=folder,
            hint="checkpoints published without one load with the id of their model: "
            "`-m MODEL_ID --path FOLDER`",
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot be read as JSON ({error})", where=path) from error
    if not isinstance(values, dict):
        raise CheckpointError("is not a JSON object", where=path)
    return ConfigJson(values, str(path))
