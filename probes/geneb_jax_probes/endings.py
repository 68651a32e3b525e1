"""How a fit can end: the word that is stored, what it means, and what follows from it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["Ending"]


class Ending(StrEnum):
    """One ending; as a string it is the word that stands in every record."""

    CONVERGED = "converged"
    NO_PROGRESS = "no_progress"
    MAX_ITER = "max_iter"
    LINE_SEARCH = "line_search"
    NOT_FINITE = "not_finite"
    ONE_CLASS = "one_class"
    FAILED = "failed"

    @property
    def sentence(self) -> str:
        """What happened, for a user."""
        return _FACTS[self].sentence

    @property
    def scored(self) -> bool:
        """Whether the fit is worth predicting with."""
        return _FACTS[self].scored

    @property
    def converged(self) -> bool:
        """Whether the fit stopped by a rule that it was meant to stop by."""
        return _FACTS[self].converged

    @property
    def code(self) -> int:
        """Its number in arrays of a running search, from 1; 0 is a search still at work."""
        return list(Ending).index(self) + 1

    @classmethod
    def of_code(cls, code: int) -> Ending:
        """The ending with this number."""
        return list(cls)[code - 1]


class _Facts(NamedTuple):
    sentence: str
    scored: bool
    converged: bool


_FACTS = {
    Ending.CONVERGED: _Facts("the solver's own rule ended the fit", True, True),
    # The second regular stop of L-BFGS-B, and so of scikit-learn.
    Ending.NO_PROGRESS: _Facts("the objective stopped falling", True, True),
    Ending.MAX_ITER: _Facts("the step limit ended the fit", True, False),
    Ending.LINE_SEARCH: _Facts("no step decreased the objective", True, False),
    Ending.NOT_FINITE: _Facts("the objective left the range of the dtype", False, False),
    Ending.ONE_CLASS: _Facts("the rows hold one class", False, False),
    Ending.FAILED: _Facts("the task could not be fitted", False, False),
}
