"""Choose tasks and regimes of a suite by id, glob or category."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from fnmatch import translate

from geneb_jax.benchmark.definition import Regime, Suite, Task
from geneb_jax.errors import SelectionError

__all__ = ["near_matches", "select_regimes", "select_tasks"]

_CATEGORY = "category:"


def near_matches(name: str, known: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """Up to ``limit`` known names that resemble ``name``, best first; case is ignored.

    Names that contain ``name`` (``H3K4me3`` in a long task id) count as resembling it.
    """
    by_fold = {candidate.casefold(): candidate for candidate in known}
    wanted = name.casefold()
    close = difflib.get_close_matches(wanted, by_fold, n=limit, cutoff=0.6)
    holding = [fold for fold in by_fold if len(wanted) >= 2 and wanted in fold]
    return tuple(by_fold[fold] for fold in dict.fromkeys([*close, *holding]))[:limit]


def _unknown(kind: str, name: str, known: Sequence[str], *, listing: str) -> SelectionError:
    close = near_matches(name, known)
    return SelectionError(
        f"unknown {kind} {name!r}",
        hint=(f"did you mean {', '.join(map(repr, close))}? " if close else "") + listing,
    )


def select_tasks(suite: Suite, patterns: Sequence[str]) -> tuple[Task, ...]:
    """Tasks that match any of ``patterns``, in the suite's order, each once.

    Args:
        suite: The suite.
        patterns: Task ids, globs (``*``, ``?``, ``[...]``, case-sensitive like the ids), or
            ``category:NAME`` (case ignored; globs allowed). No patterns: all tasks.

    Raises:
        SelectionError: if a pattern matches nothing; the hint names near matches.
    """
    if not patterns:
        return suite.tasks
    chosen: set[str] = set()
    for pattern in patterns:
        chosen |= _matching(suite, pattern)
    return tuple(task for task in suite.tasks if task.task_id in chosen)


def _matching(suite: Suite, pattern: str) -> set[str]:
    if pattern.casefold().startswith(_CATEGORY):
        wanted = pattern[len(_CATEGORY) :].strip()
        folded = wanted.casefold()
        matcher = re.compile(translate(folded))
        names = {
            name
            for name in suite.categories
            if name.casefold() == folded or matcher.match(name.casefold())
        }
        if not names:
            raise _unknown(
                "category",
                wanted,
                suite.categories,
                listing=f"the categories are {', '.join(map(repr, suite.categories))}",
            )
        return {task.task_id for task in suite.tasks if task.category in names}
    ids = [task.task_id for task in suite.tasks]
    if pattern in ids:
        return {pattern}
    matcher = re.compile(translate(pattern))
    found = {task_id for task_id in ids if matcher.match(task_id)}
    if not found:
        raise _unknown(
            "task", pattern, ids, listing=f"`geneb-jax list tasks` shows the {len(ids)} tasks"
        )
    return found


def select_regimes(suite: Suite, names: Sequence[str]) -> tuple[Regime, ...]:
    """Regimes by name (case ignored), in the protocol's order; no names: all of them.

    Raises:
        SelectionError: if a name is unknown.
    """
    regimes = suite.protocol.regimes
    if not names:
        return regimes
    known = {regime.name.casefold(): regime.name for regime in regimes}
    for name in names:
        if name.casefold() not in known:
            listing = f"the regimes are {', '.join(known.values())}"
            raise _unknown("regime", name, list(known.values()), listing=listing)
    wanted = {name.casefold() for name in names}
    return tuple(regime for regime in regimes if regime.name.casefold() in wanted)
