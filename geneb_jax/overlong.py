"""What happens to a sequence that is longer than a model's context.

It is cut off, read in windows, or refused.

Windows are cut from the text, so a size is in letters (nt, bp) and means the same for every model,
whatever its tokens are and whoever makes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from geneb_jax.errors import SelectionError

__all__ = ["OVERLONG_FORMS", "REFUSE", "TRUNCATE", "Overlong", "parse_overlong"]

#: What can be typed.
OVERLONG_FORMS = "truncate, windows, windows:SIZE, windows:SIZE:STRIDE, refuse"
_WINDOWS = re.compile(r"windows(?::([0-9]{1,12})(?::([0-9]{1,12}))?)?")


@dataclass(frozen=True, slots=True)
class Overlong:
    """A policy.

    Attributes:
        kind: ``truncate`` leaves it to the model's tokenizer, as the benchmark does; ``windows``
            embeds overlapping pieces and takes their mean; ``refuse`` stops before any work.
        size: Letters of a window; None until it is settled as what the context holds.
        stride: Letters from the start of a window to the next one's; half the size when None.
    """

    kind: Literal["truncate", "windows", "refuse"] = "truncate"
    size: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.size is None:
            return
        stride = max(1, self.size // 2) if self.stride is None else self.stride
        if not 1 <= stride <= self.size:
            raise SelectionError(
                f"windows of {self.size} letters that begin {stride} apart leave letters out"
                if 1 <= self.size < stride
                else f"windows of {self.size} letters, {stride} apart, do not cover a sequence",
                where="--overlong",
                hint="SIZE and STRIDE are letters (nt), and STRIDE is 1 to SIZE",
            )
        object.__setattr__(self, "stride", stride)

    def __str__(self) -> str:
        """As it is typed and stands in identities; a settled size with its stride."""
        return self.kind if self.size is None else f"{self.kind}:{self.size}:{self.stride}"


TRUNCATE = Overlong()
REFUSE = Overlong("refuse")


def parse_overlong(text: str) -> Overlong:
    """Read ``truncate``, ``refuse``, ``windows``, ``windows:SIZE`` or ``windows:SIZE:STRIDE``.

    Raises:
        SelectionError: for anything else, and for a stride that would leave letters out.
    """
    if text == "truncate":
        return TRUNCATE
    if text == "refuse":
        return REFUSE
    match = _WINDOWS.fullmatch(text)
    if match is None:
        raise SelectionError(
            f"unknown policy {text!r:.200} for sequences longer than the context",
            where="--overlong",
            hint=f"known are {OVERLONG_FORMS}; SIZE and STRIDE are letters (nt)",
        )
    size, stride = (None if part is None else int(part) for part in match.groups())
    return Overlong("windows", size, stride)
