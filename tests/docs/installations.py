"""Whose ``geneb-jax`` and ``python`` run the pages: the tree's, or those of another environment.

``GENEB_JAX_DOCS_PYTHON=ENV/bin/python`` names another: one into which the wheel was installed. Its
interpreter runs the Python blocks and the notebooks, its folder's programs the commands, with the
settings of a user and not of a test, and nothing of this checkout may be found from there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from geneb_jax.cli.main import main
from tests.docs import python_session
from tests.docs.pages import ROOT
from tests.docs.python_session import PythonSession

__all__ = ["Installation", "Other", "Session", "Tree", "chosen_installation"]

VARIABLE = "GENEB_JAX_DOCS_PYTHON"
#: Where this checkout has the packages; an environment may lie inside it.
_OURS = (ROOT / "geneb_jax", ROOT / "kernels", ROOT / "probes")
_PACKAGES = ("geneb_jax", "geneb_jax_kernels", "geneb_jax_probes")
#: What tests/conftest.py sets and a user does not have; no test opens a connection, though.
_OF_TESTS = (
    "PYTHONPATH",
    "XLA_FLAGS",
    "JAX_NUMPY_DTYPE_PROMOTION",
    "JAX_NUMPY_RANK_PROMOTION",
)


class Session(Protocol):
    """A page's Python, here or in another process."""

    def run(self, source: str, file: str) -> None:
        """Run statements."""

    def session(self, text: str, name: str, file: str, line: int) -> None:
        """Run ``>>>`` lines and compare what they say."""

    def cell(self, source: str, file: str) -> str:
        """Run a notebook's cell and give what it prints."""

    def close(self) -> None:
        """End it."""


class Installation(Protocol):
    """What a reader has installed."""

    def python(self, name: str) -> Session:
        """A new Python whose ``__name__`` is this."""

    def geneb_jax(self, words: list[str]) -> tuple[int, str]:
        """Exit code and output of the program with these arguments."""

    def shell(self, line: str) -> tuple[int, str]:
        """Exit code and output of a line in bash, ``python`` and ``geneb-jax`` being its own."""


def _bash(python: Path, line: str, environment: Mapping[str, str]) -> tuple[int, str]:
    path = f"{python.parent}{os.pathsep}{environment['PATH']}"
    outcome = subprocess.run(
        ["bash", "-c", line],
        env={**environment, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return outcome.returncode, outcome.stdout


class Tree:
    """This checkout, in this process."""

    def python(self, name: str) -> Session:
        """Names in a dictionary."""
        return PythonSession(name)

    def geneb_jax(self, words: list[str]) -> tuple[int, str]:
        """Call what the program calls."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                main(words)
            except SystemExit as stop:
                return int(stop.code or 0), said.getvalue()
        raise AssertionError(f"{words}: main came back")

    def shell(self, line: str) -> tuple[int, str]:
        """With the programs beside this interpreter."""
        return _bash(Path(sys.executable), line, os.environ)


class Other:
    """Another environment, by its interpreter."""

    def __init__(self, python: Path) -> None:
        self._python = python

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a user."""
        return {name: value for name, value in os.environ.items() if name not in _OF_TESTS}

    def found(self) -> dict[str, Path]:
        """Where it has each of the packages.

        Raises:
            AssertionError: It lacks one, or has it from this checkout.
        """
        program = "import importlib.util, json, sys\n" + (
            f"print(json.dumps([importlib.util.find_spec(n).origin for n in {_PACKAGES}]))"
        )
        outcome = subprocess.run(
            [self._python, "-c", program],
            env=self.environment,
            cwd=self._python.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert outcome.returncode == 0, f"{self._python} lacks a package\n{outcome.stderr}"
        places = [Path(place).resolve() for place in json.loads(outcome.stdout)]
        ours = [str(one) for one in places if any(one.is_relative_to(here) for here in _OURS)]
        assert not ours, f"{self._python} has the checkout's own {', '.join(ours)}"
        return dict(zip(_PACKAGES, places, strict=True))

    def python(self, name: str) -> Session:
        """An interpreter that waits for blocks."""
        return _Elsewhere(self._python, name, self.environment)

    def geneb_jax(self, words: list[str]) -> tuple[int, str]:
        """The program in the environment's folder."""
        outcome = subprocess.run(
            [self._python.parent / "geneb-jax", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
            check=False,
        )
        return outcome.returncode, outcome.stdout

    def shell(self, line: str) -> tuple[int, str]:
        """With the programs of the environment's folder first."""
        return _bash(self._python, line, self.environment)


class _Elsewhere:
    """A session in a process of its own, started when it is first needed."""

    def __init__(self, python: Path, name: str, environment: Mapping[str, str]) -> None:
        self._asked = (python, python_session.__file__, name)
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def run(self, source: str, file: str) -> None:
        self._tell("run", source, file)

    def session(self, text: str, name: str, file: str, line: int) -> None:
        self._tell("session", text, name, file, line)

    def cell(self, source: str, file: str) -> str:
        return str(self._tell("cell", source, file))

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _tell(self, *call: object) -> Any:
        if self._process is None:
            self._process = subprocess.Popen(
                self._asked,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"raised": "it has ended"}')
        if "raised" in answer:
            raise AssertionError(answer["raised"])
        return answer["gave"]


@cache
def chosen_installation() -> Installation:
    """What the environment variable names; this checkout where it names nothing."""
    named = os.environ.get(VARIABLE)
    if not named:
        return Tree()
    # Not resolved: a virtual environment's interpreter is a link out of it.
    other = Other(Path(named).absolute())
    other.found()
    return other
