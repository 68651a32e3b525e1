"""Refuse modules longer than 600 lines; one that long holds more than one thought."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HARD_STOP = 600

listing = subprocess.run(
    ["git", "ls-files", "*.py"],  # noqa: S607 - the git on PATH
    check=True,
    capture_output=True,
    text=True,
)
lengths = {
    name: len(Path(name).read_text(encoding="utf-8").splitlines())
    for name in listing.stdout.splitlines()
    if Path(name).exists()
}
too_long = {name: count for name, count in lengths.items() if count > HARD_STOP}
for name, count in sorted(too_long.items()):
    print(f"{name}: {count} lines, the limit is {HARD_STOP}")
sys.exit(bool(too_long))
