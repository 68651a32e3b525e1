"""What trainers leave in torch checkpoints beside tensors, read as nothing at all.

Lightning saves the run's configuration with the weights, often as OmegaConf objects, and torch's
``weights_only`` reader refuses whatever it does not know. These few names are known here and stand
for an object that takes any state and keeps none: OmegaConf is neither imported nor needed.
Every other object in a file is still refused.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

__all__ = ["readable_objects"]

_CONFIGURATION = (
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "omegaconf.nodes.BooleanNode",
    "omegaconf.nodes.FloatNode",
    "omegaconf.nodes.IntegerNode",
    "omegaconf.nodes.StringNode",
    "typing.Any",
)


class _Nothing:
    """Stands for any of them."""

    def __init__(self, *arguments: Any) -> None:
        """Forget the arguments."""

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


def readable_objects() -> list[Any]:
    """What ``torch.serialization.safe_globals`` takes: plain containers, and names of nothing."""
    return [defaultdict, dict, int, list, *((_Nothing, name) for name in _CONFIGURATION)]
