"""What compiled programs may cost at most: ``bench/compiled_budgets.toml``, and whether they do."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compile_targets import read_target

__all__ = ["Budgets", "read_budgets"]

#: Room above what was counted when a limit was written down.
_MARGIN = 1.1
_FILE = Path(__file__).resolve().parent / "compiled_budgets.toml"


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits by target, and in it by kind of program, program, and ``program dtype``."""

    limits: Mapping[str, Mapping[str, Mapping[str, float]]]

    def exceeded(self, row: Mapping[str, Any], *, counted: bool = True) -> list[str]:
        """What a line of :mod:`bench.compiled` exceeds, one sentence each; nothing of a failure.

        Args:
            row: The line.
            counted: Whether the batch is the target's own, that kernels and bytes are limited for.
        """
        if row["error"]:
            return []
        found = []
        if row["collectives"] and row["kind"] == "forward":
            found.append(f"collectives between devices: {', '.join(row['collectives'])}")
        card = read_target(row["target"]).memory_bytes
        needed = row["temp_bytes"] + row["argument_bytes"]
        if needed > card:
            found.append(f"{needed / 1e9:.1f} GB of memory, the card has {card / 1e9:.1f}")
        limits = self.of(row["target"], row["kind"], row["model"], row["dtype"])
        figures = (
            ("kernels", row["kernels"]),
            ("byte_ratio", row["bytes"] / max(1, row["bytes_needed"])),
            ("host_syncs", row["host_syncs"]),
        )
        for name, value in figures if counted else ():
            limit = limits.get(name)
            if limit is not None and value > limit:
                found.append(f"{name} {value:.6g}, at most {limit:g}")
        return found

    def of(self, target: str, kind: str, program: str, dtype: str) -> Mapping[str, float]:
        """The limits of a program: those of its dtype before its own before its kind's."""
        section = self.limits.get(target, {})
        names = (kind, program, f"{program} {dtype}")
        return {key: value for name in names for key, value in section.get(name, {}).items()}

    def proposed(self, rows: Iterable[Mapping[str, Any]]) -> str:
        """The file's sections for programs that need limits of their own: measured and a tenth."""
        lines: list[str] = []
        for row in rows:
            if row["error"]:
                continue
            usual = self.limits.get(row["target"], {}).get(row["kind"], {})
            ratio = row["bytes"] / max(1, row["bytes_needed"])
            found = {
                "kernels": row["kernels"],
                "byte_ratio": ratio,
                "host_syncs": row["host_syncs"],
            }
            own = {
                name: math.ceil(_MARGIN * value * 10) / 10
                if name == "byte_ratio"
                else math.ceil(_MARGIN * value)
                for name, value in found.items()
                if value > usual.get(name, math.inf)
            }
            if own:
                lines.append(f'[{row["target"]}."{row["model"]} {row["dtype"]}"]')
                lines += [f"{name} = {value}" for name, value in own.items()]
        return "\n".join(lines)


def read_budgets() -> Budgets:
    """Read the file beside this module."""
    return Budgets(tomllib.loads(_FILE.read_text(encoding="utf-8")))
