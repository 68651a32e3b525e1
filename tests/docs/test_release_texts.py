"""What is written twice for packagers and readers says the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_one_version_everywhere() -> None:
    import geneb_jax

    assert geneb_jax.__version__ == PROJECT["version"]
    assert f"version: {PROJECT['version']}\n" in _text("CITATION.cff")
    assert f'version: "{PROJECT["version"]}"' in _text("packaging/conda/recipe.yaml")


def test_the_recipe_has_the_core_s_dependencies() -> None:
    run = _text("packaging/conda/recipe.yaml").partition("  run:\n")[2].partition("\ntests:")[0]
    listed = [re.sub(r"[\s_]", "-", line.strip("- \n")) for line in run.strip().splitlines()[1:]]
    wanted = [re.sub(r"(?=>=)", "-", one, count=1) for one in PROJECT["dependencies"]]
    assert listed == wanted


def test_the_workflow_runs_everything_on_every_python() -> None:
    workflow = _text(".github/workflows/ci.yml")
    versions = re.findall(r'"(3\.\d+)"', workflow)
    supported = [
        one.rpartition(" ")[2]
        for one in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", one)
    ]
    assert versions == supported
    assert "run: .ci/run" in workflow
    assert "secrets." not in workflow
