"""What a run tells whoever watches it: numbers and sentences, no terminal codes."""

from __future__ import annotations

from geneb_jax.embed.progress import EmbedProgress

__all__ = ["RunObserver"]


class RunObserver:
    """The silent observer; a console overrides what it wants to show."""

    def note(self, text: str) -> None:
        """One sentence worth reading."""

    def reading(self, done: int, total: int) -> None:
        """``done`` of ``total`` task files are read."""

    def embedding(self, progress: EmbedProgress) -> None:
        """Embedding progressed."""

    def probing(self, model_id: str, done: int, total: int) -> None:
        """``done`` of ``total`` (task, regime) units have their scores."""

    def finished(self) -> None:
        """No more progress will come for the present stage."""
