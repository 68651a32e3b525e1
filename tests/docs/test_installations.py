"""Pages run in another environment: its interpreter, its programs, and nothing of this checkout."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.installations import Other, Session, Tree
from tests.docs.pages import ROOT


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment with a program and the packages, all of them empty; gives its interpreter."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    site = tmp_path / "env" / "site"
    for name in ("geneb_jax", "geneb_jax_kernels", "geneb_jax_probes"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("")
    python, program = folder / "python", folder / "geneb-jax"
    python.write_text(
        f'#!/bin/bash\nPYTHONPATH={site} exec {sys.executable} -S "$@"\n', encoding="utf-8"
    )
    program.write_text('#!/bin/bash\necho "the other one: $*"; exit 3\n', encoding="utf-8")
    for file in (python, program):
        file.chmod(0o755)
    return python


def test_commands_are_the_environments(environment: Path) -> None:
    other = Other(environment)
    assert other.geneb_jax(["run", "a b"]) == (3, "the other one: run a b\n")
    assert other.shell("geneb-jax run | cat; command -v python") == (
        0,
        f"the other one: run\n{environment}\n",
    )


def test_commands_have_a_users_settings(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert os.environ["JAX_NUMPY_RANK_PROMOTION"] == "raise"
    _, said = Other(environment).shell("env")
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert not names & {"PYTHONPATH", "XLA_FLAGS", "JAX_NUMPY_RANK_PROMOTION"}
    assert "HF_HUB_OFFLINE" in names


def test_the_packages_are_the_environments(environment: Path) -> None:
    found = Other(environment).found()
    assert {place.parent.parent for place in found.values()} == {environment.parents[1] / "site"}


def test_the_checkout_is_refused(environment: Path) -> None:
    site = environment.parents[1] / "site"
    (site / "geneb_jax" / "__init__.py").unlink()
    (site / "geneb_jax").rmdir()
    with pytest.raises(AssertionError, match="lacks a package"):
        Other(environment).found()
    (site / "geneb_jax").symlink_to(ROOT / "geneb_jax")
    with pytest.raises(AssertionError, match="the checkout's own"):
        Other(environment).found()


@pytest.fixture(params=["here", "elsewhere"])
def session(request: pytest.FixtureRequest, environment: Path) -> Iterator[Session]:
    installation = Tree() if request.param == "here" else Other(environment)
    with contextlib.closing(installation.python("page")) as session:
        yield session


def test_names_stay_and_errors_are_told(session: Session) -> None:
    session.run("a = 2\nprint('seen by nobody')", "page.md")
    session.session(">>> a + 1\n3\n", "page.md:1", "page.md", 1)
    assert session.cell("print(a)\n__name__", "cell") == "2\n'page'\n"
    with pytest.raises(AssertionError, match="4"):
        session.session(">>> a + 2\n5\n", "page.md:1", "page.md", 1)
    with pytest.raises((AssertionError, ZeroDivisionError), match="division by zero"):
        session.run("a / 0", "page.md")
    assert session.cell("a", "cell") == "2\n"


def test_blocks_elsewhere_run_in_its_interpreter_and_in_the_readers_folder(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "extractor.py").write_text("word = 'mine'\n")
    with contextlib.closing(Other(environment).python("page")) as session:
        assert session.cell("import extractor\nextractor.word", "cell") == "'mine'\n"
        assert session.cell("import os\nos.getpid()", "cell") != f"{os.getpid()}\n"
        with pytest.raises(AssertionError, match="No module named"):
            session.run("import tests.docs.pages", "page.md")
        with pytest.raises(AssertionError, match="it has ended"):
            session.run("os._exit(3)", "page.md")
