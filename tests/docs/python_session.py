"""One reader's Python: statements, ``>>>`` sessions and notebook cells, in one namespace.

Only the standard library: the interpreter of another environment runs this file too, without the
tree, and then does what it is told on its standard input (tests/docs/installations.py).
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import os
import sys
import traceback
from typing import Any

__all__ = ["DOCTEST_RULES", "PythonSession"]

DOCTEST_RULES = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class PythonSession:
    """Names stay from one block of a page to the next."""

    def __init__(self, name: str) -> None:
        self._names: dict[str, Any] = {"__name__": name}

    def run(self, source: str, file: str) -> None:
        """Run statements; what they raise is raised."""
        exec(compile(source, file, "exec"), self._names)

    def session(self, text: str, name: str, file: str, line: int) -> None:
        """Run ``>>>`` lines as doctest does.

        Raises:
            AssertionError: They say something else than is shown.
        """
        test = doctest.DocTestParser().get_doctest(text, self._names, name, file, line)
        test.globs = self._names
        said = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=DOCTEST_RULES, verbose=False)
        runner.run(test, out=said.write, clear_globs=False)
        assert runner.failures == 0, said.getvalue()

    def cell(self, source: str, file: str) -> str:
        """Run a notebook's cell: what it prints, and the repr of its last line."""
        tree = ast.parse(source, file)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(tree, file, "exec"), self._names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), file, "eval"), self._names)
                if value is not None:
                    print(repr(value))
        return out.getvalue()

    def close(self) -> None:
        """Nothing is open."""


def _serve(name: str) -> None:
    """Obey lines of JSON, ``[method, arguments...]``; answer each with what it gave or raised."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what blocks print is no answer
    sys.path[0] = ""  # the reader's folder, as for `python` without a file; not this file's
    session = PythonSession(name)
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        try:
            answer = {"gave": getattr(session, method)(*arguments)}
        except BaseException:
            answer = {"raised": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
