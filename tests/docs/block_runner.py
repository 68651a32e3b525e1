"""Run the blocks of a page in order, in one folder and one Python namespace, as a reader would."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from geneb_jax.cli.main import main
from tests.docs.pages import Block

__all__ = ["PageRunner", "says_the_same"]

_RULES = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
#: What sends a line to a shell of its own: pipes, redirections, variables, several commands.
_SHELL_WORDS = re.compile(r"[|<>&;$]")


def says_the_same(shown: str, said: str, *, decimals: bool) -> bool:
    """Compare as doctest does: blanks count as one, ``...`` stands for anything.

    Args:
        shown: What a page shows.
        said: What a program said.
        decimals: Whether numbers with a decimal point must be equal; other numbers must be anyhow.
    """
    if not decimals:
        shown, said = (re.sub(r"[-+]?\d+\.\d+", "0.0", text) for text in (shown, said))
    return doctest.OutputChecker().check_output(shown.strip() + "\n", said.strip() + "\n", _RULES)


class PageRunner:
    """One reader of one page; the current folder is theirs."""

    def __init__(self, page: str) -> None:
        self._names: dict[str, Any] = {"__name__": page}

    def run(self, block: Block) -> None:
        """Run a block.

        Raises:
            AssertionError: A command leaves with another exit code, or says something else than
                the page shows.
        """
        if block.prepared:
            exec(compile(block.prepared, f"{block.name} (prepared)", "exec"), self._names)
        if block.language == "python":
            source = "\n" * block.line + block.text
            exec(compile(source, block.page, "exec"), self._names)
        elif block.language == "pycon":
            self._session(block)
        elif block.language in ("sh", "console"):
            steps = block.steps
            for number, (line, shown) in enumerate(steps, 1):
                code, said = self._command(line)
                wanted = block.exit_code if number == len(steps) else 0
                assert code == wanted, f"{block.name}: `{line}` left with {code}\n{said}"
                if shown is not None:
                    # Networks run in the sweep: their last digits are those of a machine.
                    same = says_the_same(shown, said, decimals=block.in_the_sweep is None)
                    said = f"{block.name}: `{line}` says\n{said}\nand the page shows\n{shown}"
                    assert same, said

    def _command(self, line: str) -> tuple[int, str]:
        words = shlex.split(line, comments=True)
        bare = re.sub(r"'[^']*'|\"[^\"]*\"| #.*", "", line)
        if words[0] != "geneb-jax" or _SHELL_WORDS.search(bare):
            return self._shell(line)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                main(words[1:])
            except SystemExit as stop:
                return int(stop.code or 0), said.getvalue()
        raise AssertionError(f"{line}: main came back")

    def _shell(self, line: str) -> tuple[int, str]:
        here = Path(sys.executable).parent
        outcome = subprocess.run(
            ["bash", "-c", line],
            env=os.environ | {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        return outcome.returncode, outcome.stdout

    def _session(self, block: Block) -> None:
        """``>>>`` lines, as doctest runs them; names stay for the page's later blocks."""
        test = doctest.DocTestParser().get_doctest(
            block.text, self._names, block.name, block.page, block.line
        )
        test.globs = self._names
        said = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=_RULES, verbose=False)
        runner.run(test, out=said.write, clear_globs=False)
        assert runner.failures == 0, said.getvalue()
