"""How a fit can end: the word that is stored, what it means, and what follows from it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Ending"]


class Ending(StrEnum):
    """One ending; as a string it is the word that stands in every record.

    Attributes:
        sentence: What happened, for a user.
        scored: Whether the fit is worth predicting with.
        converged: Whether the fit stopped by a rule that it was meant to stop by.
    """

    sentence: str
    scored: bool
    converged: bool

    CONVERGED = "converged", "the solver's own rule ended the fit", True, True
    #: The second regular stop of L-BFGS-B, and so of scikit-learn.
    NO_PROGRESS = "no_progress", "the objective stopped falling", True, True
    MAX_ITER = "max_iter", "the step limit ended the fit", True, False
    LINE_SEARCH = "line_search", "no step decreased the objective", True, False
    NOT_FINITE = "not_finite", "the objective left the range of the dtype", False, False
    ONE_CLASS = "one_class", "the rows hold one class", False, False
    FAILED = "failed", "the task could not be fitted", False, False

    def __new__(cls, word: str, sentence: str, scored: bool, converged: bool) -> Ending:
        """A string with three more attributes."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence, member.scored, member.converged = sentence, scored, converged
        return member

    @property
    def code(self) -> int:
        """Its number in arrays of a running search, from 1; 0 is a search still at work."""
        return list(Ending).index(self) + 1

    @classmethod
    def of_code(cls, code: int) -> Ending:
        """The ending with this number."""
        return list(cls)[code - 1]
