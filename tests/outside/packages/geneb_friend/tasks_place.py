"""Where the suite is."""

from pathlib import Path

FOLDER = Path(__file__).parent / "tasks"
