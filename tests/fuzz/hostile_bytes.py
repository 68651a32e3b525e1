"""Files of a checkpoint folder, damaged by seed: in their bytes, or in the values of their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

#: Put in the place of any value of a JSON file, as text: what json.dumps could not write as well.
HOSTILE_VALUES = (
    "null",
    "true",
    "false",
    "0",
    "-1",
    "-4",
    "1",
    "3",
    "7",
    "1000000000",
    "10000000",
    "4096",
    "2147483648",
    "9" * 309,
    "9" * 5000,
    "1e400",
    "-1e400",
    "1e308",
    "1e-320",
    "0.0",
    "0.5",
    "-0.0",
    "NaN",
    "Infinity",
    '""',
    '"text"',
    '"\\ud800"',
    '"../../etc/passwd"',
    '"/dev/zero"',
    '"a\\u0000b"',
    '"' + "x" * 70_000 + '"',
    "[]",
    "{}",
    "[" * 90 + "]" * 90,
    "[" * 100_000,
    '{"a": 1, "a": 2}',
    "[1, 2, 3]",
    '{"0": 0}',
)
_MARK = "\x01put here\x01"


def damaged_bytes(generator: np.random.Generator, content: bytes) -> bytes:
    """Flip, cut, repeat, overwrite or add bytes; more often near the start, where headers are."""
    kind = int(generator.integers(6))
    reach = len(content) if generator.random() < 0.5 else min(len(content), 600)
    start = int(generator.integers(max(reach, 1)))
    length = int(generator.integers(1, 40))
    noise = generator.integers(0, 256, length, dtype=np.uint8).tobytes()
    if kind == 0:
        changed = bytearray(content)
        for at in generator.integers(0, max(reach, 1), int(generator.integers(1, 4))):
            changed[at] ^= 1 << int(generator.integers(8))
        return bytes(changed)
    if kind == 1:
        return content[:start]
    if kind == 2:
        return content[:start] + content[start + length :]
    if kind == 3:
        return content[: start + length] + content[start:]
    if kind == 4:
        return content[:start] + noise + content[start + length :]
    return content[:start] + noise + content[start:]


def damaged_json(generator: np.random.Generator, content: bytes) -> bytes:
    """Put a hostile value, twice a key, another encoding, or broken bytes into a JSON file."""
    kind = int(generator.integers(10))
    if kind == 0:
        return damaged_bytes(generator, content)
    text = content.decode()
    if kind == 1:
        return text.encode(str(generator.choice(["utf-16", "utf-8-sig", "utf-32"])))
    document = json.loads(text)
    places = list(_places(document))
    holder, key = places[int(generator.integers(len(places)))]
    if kind == 2:
        del holder[key]
        return json.dumps(document).encode()
    if kind == 3 and isinstance(key, str):
        return text.replace("{", "{" + json.dumps(key) + ": 1, ", 1).encode()
    holder[key] = _MARK
    value = HOSTILE_VALUES[int(generator.integers(len(HOSTILE_VALUES)))]
    return json.dumps(document).replace(json.dumps(_MARK), value).encode()


def _places(document: Any) -> Any:
    """Every (container, key) of a document."""
    if isinstance(document, dict):
        for key, value in list(document.items()):
            yield document, key
            yield from _places(value)
    if isinstance(document, list):
        for at, value in enumerate(document):
            yield document, at
            yield from _places(value)


def damage(name: str) -> Callable[[np.random.Generator, bytes], bytes]:
    """How a file of this name is damaged."""
    return damaged_json if name.endswith(".json") else damaged_bytes


def contents(folder: Path) -> Mapping[str, bytes]:
    """The files of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}
