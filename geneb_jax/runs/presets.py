"""Run files that ship with the package: ``geneb-jax run --config NAME``.

A preset is ``configs/runs/<name>.toml``: a run file like any other, whose first comment says what
it is for, on lines that begin with the words of :data:`HEADINGS`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from geneb_jax.resources import config_folder

__all__ = ["HEADINGS", "Preset", "presets"]

#: How the lines of a preset's comment begin, in this order; what follows may run over lines.
HEADINGS = ("Reproduces", "Hardware", "Time", "Command")


@dataclass(frozen=True, slots=True)
class Preset:
    """One run file of the package.

    Attributes:
        name: As ``--config`` takes it.
        reproduces: What comes out.
        hardware: What it needs.
        time: How long it takes, and how that is known.
        command: The command line.
        values: Its options.
    """

    name: str
    reproduces: str
    hardware: str
    time: str
    command: str
    values: Mapping[str, Any]


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, in alphabetical order."""
    folder = config_folder() / "runs"
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    found = (
        _read(name.removesuffix(".toml"), (folder / name).read_text(encoding="utf-8"))
        for name in files
    )
    return MappingProxyType({preset.name: preset for preset in found})


def _read(name: str, text: str) -> Preset:
    said: dict[str, str] = {}
    current = ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line[1:].strip()
        heading, colon, rest = words.partition(":")
        if colon and heading in HEADINGS:
            current, words = heading, rest.strip()
        said[current] = f"{said.get(current, '')} {words}".strip()
    reproduces, hardware, time, command = (said[heading] for heading in HEADINGS)
    return Preset(name, reproduces, hardware, time, command, tomllib.loads(text))
