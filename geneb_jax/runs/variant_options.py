"""How ``--layers`` and ``--pooling`` are written."""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["Layers", "read_layers", "read_poolings"]

#: Every hidden state, or some of them; none for the one of ``--layer``.
Layers = Literal["all"] | tuple[int, ...]


def read_layers(value: Any) -> Any:
    """``all``, ``"0,6,12"``, a number or a list of numbers; anything else as it is.

    Raises:
        ValueError: for a text that is none of these, or a layer that is given twice.
    """
    if isinstance(value, str):
        if value.strip().lower() == "all":
            return "all"
        try:
            value = [int(part) for part in value.split(",")]
        except ValueError as error:
            raise ValueError(
                f"{value!r:.200} names no layers: give all, or numbers such as 0,6,12 (0 is the "
                "embeddings, -1 the last layer)"
            ) from error
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list):
        value = tuple(value)
    # What is no number is the next check's to refuse; it need not even be hashable.
    numbers = [one for one in value if isinstance(one, int)] if isinstance(value, tuple) else []
    if len(set(numbers)) < len(numbers):
        raise ValueError("a layer is given twice")
    return value


def read_poolings(pooling: str | None) -> tuple[str | None, ...]:
    """The names in a comma list; (None,) for the model's own.

    Raises:
        ValueError: if a name is empty or given twice.
    """
    if pooling is None:
        return (None,)
    names = tuple(part.strip() for part in pooling.split(","))
    if not all(names):
        raise ValueError(f"{pooling!r:.200} holds an empty name")
    if len(set(names)) < len(names):
        raise ValueError("a pooling is given twice")
    return names
