"""adapter_config.json of PEFT: what a LoRA adapter changes and by how much, or why it is refused.

Reference: peft 0.21 ``LoraConfig`` and the matching in ``tuners_utils``. Every setting that changes
the numbers is applied or refused by name; a setting that is not known must be off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.strict_json import parse_json

__all__ = ["AdapterConfig", "read_adapter_config"]

_MERGE = "merge it with PEFT's merge_and_unload() and save the merged model"
#: Settings that are read here.
_READ = {
    "alpha_pattern",
    "base_model_name_or_path",
    "bias",
    "init_lora_weights",
    "lora_alpha",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_rslora",
}
#: Settings of training, or of what is on only with another setting: they change no merged number.
#: Which layers were adapted, and which maps are stored transposed, the tensors say themselves.
_WITHOUT_EFFECT = {
    "auto_mapping",
    "ensure_weight_tying",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
}
#: Starts that leave the base weights alone; PiSSA, OLoRA and their like change them on loading.
_PLAIN_STARTS = (True, False, "gaussian", "orthogonal", "eva")
_LONGEST_PATTERN = 300
_MOST_REPEATS = 3
_LARGEST_NUMBER = 2**31
_REPEATED_GROUP = re.compile(r"\)\s*[*+{?]")


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The settings of a LoRA adapter.

    Attributes:
        rank: Rank of the matrices, where no pattern says otherwise.
        alpha: Numerator of the scale.
        root_scale: Whether the scale is alpha / sqrt(rank) (rsLoRA), not alpha / rank.
        ranks: Patterns of module names to ranks.
        alphas: Patterns of module names to numerators.
        targets: Names of the adapted modules, or the ends of them; a regular expression as a text.
        saved: Modules that are stored whole, by the ends of their names.
        base: The model that was adapted, as PEFT noted it.
        where: The file, for messages.
    """

    rank: int
    alpha: float
    root_scale: bool
    ranks: Mapping[str, float]
    alphas: Mapping[str, float]
    targets: tuple[str, ...] | str
    saved: tuple[str, ...]
    base: str | None
    where: str

    def scale(self, module: str, *, rank: int) -> float:
        """Factor of B A for a module.

        Args:
            module: Its name in the model that was adapted.
            rank: Rows of its A.

        Raises:
            CheckpointError: if the settings call for another rank.
        """
        expected = _by_pattern(self.ranks, module, self.rank)
        if rank != expected:
            raise CheckpointError(
                f"lora_A of {module} has rank {rank}, the settings say {expected:g}",
                where=self.where,
                cause="settings and weights are of two adapters",
            )
        alpha = _by_pattern(self.alphas, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.root_scale else rank)

    def adapts(self, module: str) -> bool | None:
        """Whether a module is among the targets; None where a regular expression is not tried.

        Layers that were left out (``layers_to_transform``) are not looked at.
        """
        if not isinstance(self.targets, str):
            return _ends_with(module, self.targets)
        if self.targets.lower() == "all-linear":
            return True
        return re.fullmatch(self.targets, module) is not None if _is_quick(self.targets) else None

    def stores(self, module: str) -> bool:
        """Whether a module is stored whole."""
        return any(module.endswith(name) or f".{name}." in f".{module}." for name in self.saved)


def read_adapter_config(content: bytes, *, where: object) -> AdapterConfig:
    """Read an adapter_config.json.

    Args:
        content: The file's bytes.
        where: The file, for messages.

    Raises:
        CheckpointError: if it is not one, of another kind than LoRA, or has a setting that is not
            applied here.
    """
    try:
        values = parse_json(content)
    except ValueError as error:
        raise CheckpointError(f"cannot be read as JSON ({error})", where=where) from error
    if not isinstance(values, dict):
        raise CheckpointError("is not a JSON object", where=where)
    config = ConfigJson(values, str(where))
    _refuse_others(config)
    return AdapterConfig(
        rank=config.size("r", 8),
        alpha=config.optional("lora_alpha", float, 8.0),
        root_scale=config.optional("use_rslora", bool, False),
        ranks=_patterns(config, "rank_pattern"),
        alphas=_patterns(config, "alpha_pattern"),
        targets=_targets(config),
        saved=_names(config, "modules_to_save"),
        base=config.optional("base_model_name_or_path", str, None),
        where=str(where),
    )


def _refuse_others(config: ConfigJson) -> None:
    kind = config.required("peft_type", str)
    if kind != "LORA":
        raise CheckpointError(
            f"adapters of the kind {kind[:40]!r} are not supported",
            where=config.where,
            cause="LoRA is",
            hint=_MERGE,
        )
    bias = config.optional("bias", str, "none")
    start = config.values.get("init_lora_weights", True)
    refused = {
        "use_dora (DoRA)": bool(config.values.get("use_dora")),
        f"bias = {bias[:40]!r}": bias != "none",
        f"init_lora_weights = {str(start)[:40]!r}": not any(
            start is plain or (isinstance(plain, str) and start == plain) for plain in _PLAIN_STARTS
        ),
    }
    known = _READ | _WITHOUT_EFFECT | {"use_dora"}
    refused |= {name[:60]: bool(config.values[name]) for name in config.values if name not in known}
    wrong = [name for name, on in refused.items() if on]
    if wrong:
        raise CheckpointError(
            f"LoRA with {', '.join(wrong)} is not supported", where=config.where, hint=_MERGE
        )


def _names(config: ConfigJson, key: str) -> tuple[str, ...]:
    values = config.optional(key, list, [])
    if not all(isinstance(value, str) and value for value in values):
        raise CheckpointError(f"{key} is no list of names", where=config.where)
    return tuple(values)


def _targets(config: ConfigJson) -> tuple[str, ...] | str:
    value = config.values.get("target_modules")
    if not isinstance(value, str):
        return _names(config, "target_modules")
    try:
        re.compile(value[:_LONGEST_PATTERN])
    except (re.error, RecursionError, OverflowError) as error:
        if len(value) <= _LONGEST_PATTERN:
            raise CheckpointError(
                f"target_modules is no regular expression ({error})", where=config.where
            ) from error
    return value


def _patterns(config: ConfigJson, key: str) -> Mapping[str, float]:
    found = config.optional(key, dict, {})
    for pattern, value in found.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < _LARGEST_NUMBER:
            shown = str(value)[:40]
            raise CheckpointError(f"{key} gives {shown!r} for a module", where=config.where)
        if not _is_quick(pattern):
            raise CheckpointError(
                f"{key} has a pattern that is not tried: {pattern[:80]!r}",
                where=config.where,
                hint=_MERGE,
            )
    return {pattern: float(value) for pattern, value in found.items()}


def _is_quick(pattern: str) -> bool:
    """Whether a regular expression is one, and so plain that it cannot take for ever."""
    repeats = sum(pattern.count(sign) for sign in "*+{?")
    if len(pattern) > _LONGEST_PATTERN or repeats > _MOST_REPEATS:
        return False
    if _REPEATED_GROUP.search(pattern) and repeats > 1:
        return False
    try:
        re.compile(f"(.*\\.)?({pattern})$")
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _by_pattern(patterns: Mapping[str, float], module: str, default: float) -> float:
    """The value of the first pattern that a name, or the end of it behind a dot, matches."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _ends_with(module: str, names: tuple[str, ...]) -> bool:
    return module in names or any(module.endswith(f".{name}") for name in names)
