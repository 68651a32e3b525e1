#!/usr/bin/env python3
"""Print pip constraints that hold dependencies to the oldest releases that pyproject.toml allows.

``python .ci/oldest.py [EXTRA ...]``: the core's dependencies, and those of the extras named.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?(?:(>=|==)([0-9.]+))?")


def constraints(extras: list[str]) -> list[str]:
    """``name==version``, one for each dependency with a lower bound.

    Raises:
        SystemExit: A dependency of the core has no lower bound, or an extra does not exist.
    """
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        if extra not in project["optional-dependencies"]:
            raise SystemExit(f"there is no extra {extra}")
        wanted += project["optional-dependencies"][extra]
    lines = []
    for one in wanted:
        match = _REQUIREMENT.match(one)
        if match is None or match[1] == project["name"]:
            continue
        if match[3] is None:
            if one in project["dependencies"]:
                raise SystemExit(f"{one} has no lower bound")
            continue
        lines.append(f"{match[1]}=={match[3]}")
    return lines


if __name__ == "__main__":
    print("\n".join(constraints(sys.argv[1:])))
