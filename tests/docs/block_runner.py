"""Run the blocks of a page in order, in one folder and one Python namespace, as a reader would."""

from __future__ import annotations

import doctest
import re
import shlex

from tests.docs.installations import Installation, Tree
from tests.docs.pages import Block
from tests.docs.python_session import DOCTEST_RULES

__all__ = ["PageRunner", "says_the_same"]

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
    return doctest.OutputChecker().check_output(
        shown.strip() + "\n", said.strip() + "\n", DOCTEST_RULES
    )


class PageRunner:
    """One reader of one page; the current folder is theirs."""

    def __init__(self, page: str, installation: Installation | None = None) -> None:
        self._installation = installation or Tree()
        self._python = self._installation.python(page)

    def run(self, block: Block) -> None:
        """Run a block.

        Raises:
            AssertionError: A command leaves with another exit code, or says something else than
                the page shows.
        """
        if block.prepared:
            self._python.run(block.prepared, f"{block.name} (prepared)")
        if block.language == "python":
            self._python.run("\n" * block.line + block.text, block.page)
        elif block.language == "pycon":
            self._python.session(block.text, block.name, block.page, block.line)
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

    def close(self) -> None:
        """End the page's Python."""
        self._python.close()

    def _command(self, line: str) -> tuple[int, str]:
        words = shlex.split(line, comments=True)
        bare = re.sub(r"'[^']*'|\"[^\"]*\"| #.*", "", line)
        if words[0] != "geneb-jax" or _SHELL_WORDS.search(bare):
            return self._installation.shell(line)
        return self._installation.geneb_jax(words[1:])
