"""What a run tells whoever watches it: numbers and sentences, no terminal codes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EmbedNumbers", "RunObserver"]


@dataclass(frozen=True, slots=True)
class EmbedNumbers:
    """How far embedding is: sequences done of all to embed, and the rate so far."""

    done: int
    total: int
    sequences_per_second: float
    seconds_left: float | None


class RunObserver:
    """The silent observer; a console overrides what it wants to show."""

    def note(self, text: str) -> None:
        """One sentence worth reading."""

    def reading(self, done: int, total: int) -> None:
        """``done`` of ``total`` task files are read."""

    def embedding(self, model_id: str, numbers: EmbedNumbers) -> None:
        """Embedding progressed."""

    def probing(self, model_id: str, done: int, total: int) -> None:
        """``done`` of ``total`` (task, regime) units have their scores."""

    def finished(self) -> None:
        """No more progress will come for the present stage."""
