"""Read a checkpoint's config.json by our own rules: plain values, by name, types checked.

Nothing in it is ever imported or run; ``auto_map`` is only looked at to tell architectures apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from geneb_jax.errors import CheckpointError
from geneb_jax.plain_files import NotTheFileError
from geneb_jax.strict_json import read_json

__all__ = ["ConfigJson", "read_config_json"]

ValueT = TypeVar("ValueT")

#: Sizes are indices of 32 bits on the device; larger numbers are no sizes.
_LARGEST_INTEGER = 2**31 - 1
_SHOWN = 60  # letters of a wrong value that a message shows
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
        """The value of a key; an integer is a size, 1 or more.

        Raises:
            CheckpointError: if it is missing, of another type, or no size.
        """
        if self.values.get(key) is None:
            raise CheckpointError(f"{key} is missing", where=self.where)
        value = self._checked(key, kind)
        if kind is int and value < 1:  # type: ignore[operator]
            raise CheckpointError(f"{key} is {value}, expected 1 or more", where=self.where)
        return value

    def optional(self, key: str, kind: type[ValueT], default: Any) -> Any:
        """The value of a key, or ``default`` where it is missing or null.

        Raises:
            CheckpointError: if it is of another type.
        """
        return default if self.values.get(key) is None else self._checked(key, kind)

    def size(self, key: str, default: int) -> int:
        """An integer of 1 or more, ``default`` where it is missing or null.

        Raises:
            CheckpointError: if it is something else.
        """
        return default if self.values.get(key) is None else self.required(key, int)

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
            f"{key if value is True else f'{key} = {_shown(value)}'} is not supported",
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
                f"{key} {_shown(name)} is not supported",
                where=self.where,
                cause=f"supported are {', '.join(choices)}",
                hint=_ADAPTER,
            )
        return choices[name]

    def require_causal(self) -> None:
        """Refuse a decoder whose tokens look both ways, as transformers lets ``is_causal`` say.

        Raises:
            CheckpointError: if the key is there and not true.
        """
        if not self.values.get("is_causal", True):
            raise CheckpointError(
                f"is_causal = {_shown(self.values['is_causal'])} is not supported",
                where=self.where,
                cause="only decoders that look back are",
                hint=_ADAPTER,
            )

    def rope_theta(self) -> float:
        """Base of the rotary frequencies, from the place where transformers takes it.

        That is ``rope_scaling`` where it is not empty, ``rope_parameters``, then the key itself.

        Raises:
            CheckpointError: for scaled or partial rotary positions, or a base that is none.
        """
        name = "rope_scaling" if self.values.get("rope_scaling") else "rope_parameters"
        rope = ConfigJson(self.optional(name, dict, {}), f"{self.where}, {name}")
        kinds = {rope.optional(key, str, "default") for key in ("rope_type", "type")}
        nested = any(isinstance(value, dict) for value in rope.values.values())
        if kinds != {"default"} or nested:
            raise CheckpointError(
                "scaled rotary positions are not supported", where=self.where, hint=_ADAPTER
            )
        for place in (self, rope):
            place.refuse("partial_rotary_factor", unless=1.0)
        return rope.base("rope_theta", self.base("rope_theta", 10000.0))

    def base(self, key: str, default: float) -> float:
        """A positive number; unlike other keys it may be missing, but not null.

        Raises:
            CheckpointError: if it is something else.
        """
        if key not in self.values:
            return default
        value = self.required(key, float)
        if value <= 0:
            raise CheckpointError(f"{key} is {value}, expected more than 0", where=self.where)
        return value

    def _checked(self, key: str, kind: type[ValueT]) -> ValueT:
        value = self.values[key]
        if kind is float and type(value) is int:
            value = float(value) if abs(value) < 2**1023 else math.inf
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise CheckpointError(
                f"{key} is {_shown(value)}, expected {kind.__name__}", where=self.where
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise CheckpointError(f"{key} is beyond the range of float64", where=self.where)
        if kind is int and abs(value) > _LARGEST_INTEGER:  # type: ignore[arg-type]
            raise CheckpointError(
                f"{key} is {_shown(value)}, at most {_LARGEST_INTEGER} can be", where=self.where
            )
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
        values = read_json(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise CheckpointError(f"is {error.strerror}", where=path) from error
        raise CheckpointError(
            "a checkpoint folder needs a config.json",
            where=folder,
            hint="checkpoints published without one load with the id of their model: "
            "`-m MODEL_ID --path FOLDER`",
        ) from error
    except NotTheFileError as error:
        raise CheckpointError(str(error), where=path) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot be read as JSON ({error})", where=path) from error
    if not isinstance(values, dict):
        raise CheckpointError("is not a JSON object", where=path)
    config = ConfigJson(values, str(path))
    _refuse_quantised(config)
    _refuse_other_weights(config)
    return config


def _refuse_quantised(config: ConfigJson) -> None:
    """Weights of a few bits are not the model's own: rounded, packed, and read by other kernels."""
    settings = config.values.get("quantization_config")
    if settings is None:
        return
    method = settings.get("quant_method") if isinstance(settings, dict) else settings
    raise CheckpointError(
        f"quantised weights (quantization_config, {_shown(method)}) are not supported",
        where=config.where,
        hint="name the checkpoint from which they were made; " + _ADAPTER,
    )


def _refuse_other_weights(config: ConfigJson) -> None:
    """The file that this key names comes before any usual name in transformers."""
    named = config.values.get("transformers_weights")
    if named is None:
        return
    raise CheckpointError(
        f"transformers_weights = {_shown(named)} names a weight file, which is not supported",
        where=config.where,
        hint="name that file model.safetensors and remove the key; " + _ADAPTER,
    )


def _shown(value: Any) -> str:
    """A value in a message, in one line of bounded length."""
    if isinstance(value, int) and abs(value) > 2**200:
        return "an integer of more than 60 digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
