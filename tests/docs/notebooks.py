"""Notebooks without a notebook server: run the cells, compare or keep what they print.

``python -m tests.docs.notebooks`` writes the outputs of docs/notebooks/*.ipynb anew.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.docs.installations import Session
from tests.docs.pages import ROOT
from tests.docs.python_session import PythonSession

__all__ = ["NOTEBOOKS", "outputs_of", "shown_by"]

NOTEBOOKS = tuple(sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")))


def _code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shown_by(path: Path) -> list[str]:
    """What each code cell of the file shows, in order."""
    cells = _code_cells(json.loads(path.read_text(encoding="utf-8")))
    return ["".join("".join(one["text"]) for one in cell["outputs"]) for cell in cells]


def outputs_of(path: Path, session: Session) -> list[str]:
    """Run the code cells in the current folder: what each prints, and the repr of its last line."""
    cells = _code_cells(json.loads(path.read_text(encoding="utf-8")))
    return [
        session.cell("".join(cell["source"]), f"{path.name} cell {number}")
        for number, cell in enumerate(cells)
    ]


def _write(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = _code_cells(notebook)
    for number, (cell, said) in enumerate(
        zip(cells, outputs_of(path, PythonSession("__main__")), strict=True), 1
    ):
        cell["execution_count"] = number
        lines = said.splitlines(keepends=True)
        stream = {"name": "stdout", "output_type": "stream", "text": lines}
        cell["outputs"] = [stream] if lines else []
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for notebook in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            _write(notebook)
