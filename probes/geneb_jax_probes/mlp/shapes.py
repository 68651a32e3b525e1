"""Few shapes for many probes: training is compiled once a shape, and a compilation takes seconds.

Every count is padded to the next rung of a ladder; what is padded is zero, is masked, and takes no
step, so a probe is the same in any room up to the rounding of sums. Rows and slots cost memory
alone. Features cost products, so their rungs are nearer to each other.
"""

from __future__ import annotations

__all__ = ["HELD_BLOCK", "room_for_classes", "room_for_features", "room_for_rows"]

#: Held-out rows judged at once.
HELD_BLOCK = 512

_FIRST_ROWS, _FIRST_FEATURES, _FIRST_CLASSES = 32, 64, 4


def room_for_rows(rows: int) -> int:
    """32, 128, 512, 2,048, 8,192, 32,768, ..."""
    return _rung(rows, _FIRST_ROWS, 4)


def room_for_features(width: int) -> int:
    """64, 128, 256, 512, 768, 1,024, 1,536, ..."""
    room = _rung(width, _FIRST_FEATURES, 2)
    between = room // 4 * 3
    return between if between >= max(width, 512) else room


def room_for_classes(classes: int) -> int:
    """4, 16, 64, 256, ..."""
    return _rung(classes, _FIRST_CLASSES, 4)


def _rung(count: int, first: int, factor: int) -> int:
    while first < count:
        first *= factor
    return first
