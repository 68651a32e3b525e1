"""The errors a user may meet: each says what happened, where, why, and what to do next.

Every error that is the user's to mend derives from :class:`GenebError`; the command line prints it
as one message and leaves with ``exit_code``. Anything else that escapes is a defect here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DownloadError",
    "GenebError",
    "InterruptedRunError",
    "ModelError",
    "NonFiniteError",
    "OutputError",
    "SelectionError",
    "StoreError",
    "SubmissionError",
]


#: Letters of a part of a message, and of its end where it is longer.
_MOST_LETTERS, _LAST_LETTERS = 1_500, 300


class GenebError(Exception):
    """Base of all errors with a message for the user.

    Args:
        what: What is wrong, as one sentence without a full stop.
        where: The place: a file, ``file:row``, a task, a tensor.
        cause: The likely cause, where it is not obvious.
        hint: The next step.
    """

    exit_code = 2

    def __init__(
        self, what: str, *, where: object = None, cause: str | None = None, hint: str | None = None
    ) -> None:
        self.what = _bounded(what)
        self.where = None if where is None else str(where)
        self.cause = None if cause is None else _bounded(cause)
        self.hint = None if hint is None else _bounded(hint)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel from the process that met them; they are not made anew there."""
        return _restored, (type(self), self.args, self.__dict__.copy())

    @property
    def message(self) -> str:
        """The whole message, place first, as one line."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        parts = [head, *(part for part in (self.cause, self.hint) if part)]
        return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts)


def _bounded(part: str) -> str:
    """A part of a message, without its middle where a name in a damaged file made it endless."""
    if len(part) <= _MOST_LETTERS:
        return part
    return f"{part[: _MOST_LETTERS - _LAST_LETTERS]} ... {part[-_LAST_LETTERS:]}"


def _restored(kind: type[GenebError], arguments: tuple[Any, ...], state: Any) -> GenebError:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(state)
    return error


class DataError(GenebError):
    """A task file that cannot be used as it is."""


class SelectionError(GenebError):
    """An unknown model, task, category or regime; the hint names near matches."""


class ConfigError(GenebError):
    """A suite, model or run file with unknown keys or impossible values."""


class CheckpointError(GenebError):
    """A checkpoint whose tensors or config do not fit the architecture."""


class ModelError(GenebError):
    """A model that cannot be built, or that returned unusable embeddings."""


class NonFiniteError(ModelError):
    """Embeddings that hold NaN or infinity; the finite ones of the same call are kept.

    Args:
        what: As for every error, likewise the rest.
        positions: int64, which sequences of the call have no usable embedding.
        **parts: ``where``, ``cause`` and ``hint``.
    """

    def __init__(self, what: str, *, positions: np.ndarray, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.positions = positions


class StoreError(GenebError):
    """An embedding store that is damaged, from another version, or in use."""


class OutputError(GenebError):
    """An output folder that cannot be written."""


class DownloadError(GenebError):
    """A download that failed, or is needed while offline."""


class SubmissionError(GenebError):
    """A submission file that the benchmark would refuse."""


class InterruptedRunError(GenebError):
    """The run was interrupted; what is whole is kept and the same command resumes it."""

    exit_code = 75
