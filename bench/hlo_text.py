"""Optimised HLO as XLA prints it, read into instructions: what a compiled program will launch.

Only what :mod:`bench.roofline` asks for is kept. A shape may be a tuple; its arrays are told apart.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Array", "Instruction", "Module", "read_module"]

_BYTES = {
    **{"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8},
    **{"bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16, "token": 0, "opaque": 0},
}
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^(ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_NAME = re.compile(r"%([\w.\-]+)")
_COMMENT = re.compile(r"/\*index=\d+\*/")


@dataclass(frozen=True, slots=True)
class Array:
    """One array of a shape."""

    dtype: str
    sizes: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Numbers in it."""
        return math.prod(self.sizes)

    @property
    def bytes(self) -> int:
        """Bytes it takes; the eight-bit floats have names of their own and one byte."""
        return self.elements * _BYTES.get(self.dtype, 1)


@dataclass(frozen=True)
class Instruction:
    """One line: ``name = shape op(operands), attributes``."""

    name: str
    arrays: tuple[Array, ...]
    op: str
    operands: tuple[str, ...]
    inside: str  # between the parentheses
    attributes: str
    is_root: bool

    @property
    def bytes(self) -> int:
        """Bytes of its result, of all its arrays together."""
        return sum(array.bytes for array in self.arrays)

    def called(self, *attributes: str) -> list[str]:
        """Names of the computations that these attributes name."""
        found: list[str] = []
        for attribute in attributes:
            one = re.search(rf"\b{attribute}=(\{{[^}}]*\}}|%?[\w.\-]+)", self.attributes)
            if one:
                found += [name.strip(" %") for name in one[1].strip("{}").split(",")]
        return found

    @cached_property
    def target(self) -> str:
        """What a custom call calls; empty of any other instruction."""
        found = re.search(r'custom_call_target="([^"]+)"', self.attributes)
        return found[1] if found else ""

    @cached_property
    def trips(self) -> int | None:
        """How often a loop runs, where the compiler knows."""
        found = re.search(r'"?known_trip_count"?:\{"n":"(\d+)"', self.attributes)
        return int(found[1]) if found else None

    def sizes(self, attribute: str) -> list[int]:
        """Whole numbers in the braces of an attribute; none where it is absent."""
        found = re.search(rf'{attribute}"?[=:] ?[{{\[]([\d,"\s]*)[}}\]]', self.attributes)
        return [int(part) for part in re.findall(r"\d+", found[1])] if found else []


@dataclass(frozen=True, slots=True)
class Module:
    """Computations by name, and the one that runs."""

    computations: dict[str, list[Instruction]]
    entry: str


def read_module(text: str) -> Module:
    """Read what ``compiled.as_text()`` gives.

    Raises:
        ValueError: if no computation is marked as the entry.
    """
    computations: dict[str, list[Instruction]] = {}
    current: list[Instruction] | None = None
    entry = ""
    for raw in text.splitlines():
        head = _HEAD.match(raw)
        if head:
            current = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif raw.strip() == "}":
            current = None
        elif current is not None:
            found = _INSTRUCTION.match(_COMMENT.sub("", raw.strip()))
            if found:
                current.append(_instruction(*found.groups()))
    if not entry:
        raise ValueError("no ENTRY computation: this is not the text of a compiled program")
    return Module(computations, entry)


def _instruction(root: str | None, name: str, shape: str, op: str, rest: str) -> Instruction:
    depth, end = 1, 0
    while end < len(rest) and depth:
        depth += (rest[end] == "(") - (rest[end] == ")")
        end += 1
    inside = rest[: end - 1]
    arrays = tuple(
        Array(dtype, tuple(int(size) for size in sizes.split(",") if size))
        for dtype, sizes in _ARRAY.findall(shape)
    )
    names = () if op in ("constant", "parameter") else tuple(_NAME.findall(inside))
    return Instruction(name, arrays, op, names, inside, rest[end:], root is not None)
