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

_ADAPTER = "transformers runs any AutoModel: -m torch:FOLDER"


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

    def refuse(self, key: str, *, unless: Any = None) -> None:
        """Refuse a value that asks for what is not built.

        Args:
            key: The key.
            unless: The one value that is built, besides a missing key and null; anything that is
                false, zero or empty when None.

        Raises:
            CheckpointError: if it has another value.
        """
        value = self.values.get(key)
        if value is None or (not value if unless is None else value == unless):
            return
        raise CheckpointError(
            f"{key if value is True else f'{key} = {value!r}'} is not supported",
            where=self.where,
            cause=None if unless is None else f"only {key} = {unless!r} is",
            hint=_ADAPTER,
        )

    def choice(self, key: str, choices: Mapping[str, ValueT], default: str) -> ValueT:
        """What a name stands for; ``default`` is the name where the key is missing or null.

        Raises:
            CheckpointError: for a name that is not among the choices.
        """
        name = self.optional(key, str, default)
        if name not in choices:
            raise CheckpointError(
                f"{key} {name!r} is not supported",
                where=self.where,
                cause=f"supported are {', '.join(choices)}",
                hint=_ADAPTER,
            )
        return choices[name]

    def rope_theta(self) -> float:
        """Base of the rotary frequencies, from either place where transformers writes it.

        Raises:
            CheckpointError: for scaled rotary positions.
        """
        rope = self.optional("rope_parameters", dict, {})
        if rope.get("rope_type", "default") != "default" or self.values.get("rope_scaling"):
            raise CheckpointError(
                "scaled rotary positions are not supported", where=self.where, hint=_ADAPTER
            )
        return float(rope.get("rope_theta", self.optional("rope_theta", float, 10000.0)))

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
