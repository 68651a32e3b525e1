"""From what files give as labels to classes 0, 1, 2, ...; what is no class is said by its kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from geneb_jax.data.layouts.found_tasks import FoundTask, LeftOut, Part
from geneb_jax.errors import DataError

__all__ = ["Classes", "classes_of", "kind_left_out"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_LIST = re.compile(r"[\[(]?\s*[0-9.eE+-]+(\s*[,;|\s]\s*[0-9.eE+-]+)+\s*[\])]?", re.ASCII)
_BRACKETS = re.compile(r"[().\[\]{}<>]+")
_MISSING = {"", "na", "n/a", "nan", "none", "null"}
#: More classes than this are a number that somebody measured, or a name for every row.
_MOST_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Classes:
    """How labels as written become integers.

    Attributes:
        codes: Label as written, without spaces around -> class.
        names: Names of the classes 0, 1, 2, ...; empty where the labels are integers.
    """

    codes: dict[str, int]
    names: tuple[str, ...]


def kind_left_out(task: FoundTask) -> LeftOut | None:
    """Whether a task is of a kind that no probe here scores, judged by its labels.

    A list of numbers is multi-label (zeros and ones, or indices) or regression (anything else); a
    list or a text with an entry a base labels bases; a fraction is a measurement.
    """
    integers = 0
    distinct: set[str] = set()
    rows = 0
    for part, row in task.rows():
        label = part.labels[row].strip()
        rows += 1
        if label in distinct:
            continue
        kind = _kind_of(label, part.sequences[row])
        if kind is not None:
            shown = label if len(label) <= 24 else label[:24] + "..."
            return LeftOut(task.names, kind, f"{part.where(row)} has the label {shown!r}")
        distinct.add(label)
        integers += _INTEGER.fullmatch(label) is not None
    if integers == len(distinct) and len(distinct) > max(20, rows // 2):
        part = task.parts[0]
        return LeftOut(
            task.names, "regression", f"{part.path}: {len(distinct)} unlike numbers in {rows} rows"
        )
    return None


def _kind_of(label: str, sequence: str) -> str | None:
    bases = len(sequence)
    if _LIST.fullmatch(label):
        return _kind_of_list(re.split(r"[,;|\s]+", label.strip("[]() ")), bases)
    if label.startswith("[") and label.endswith("]"):
        return "a label a base" if label.count(",") + 1 == bases else "multi-label"
    if _NUMBER.fullmatch(label) and not _INTEGER.fullmatch(label):
        return "regression"
    if bases > 12 and len(label) == bases and (_BRACKETS.fullmatch(label) or len(set(label)) < 10):
        return "a label a base"
    return None


def _kind_of_list(entries: Sequence[str], bases: int) -> str:
    if bases > 1 and len(entries) == bases:
        return "a label a base"
    return "multi-label" if all(entry.isdigit() for entry in entries) else "regression"


def classes_of(task: FoundTask) -> Classes:
    """The classes of a task.

    Integers stay what they are. Names that the file itself gives to integers are kept. Text is
    sorted, and its place in that order is its class.

    Raises:
        DataError: for a row without a label, or for more than a thousand texts.
    """
    written = _written(task)
    if all(_INTEGER.fullmatch(text) for text in written):
        given = next((part.class_names for part in task.parts if part.class_names), ())
        codes = {text: int(text.partition(".")[0]) for text in written}
        fits = given and all(0 <= code < len(given) for code in codes.values())
        return Classes(codes, given if fits else ())
    if len(written) > _MOST_CLASSES:
        raise DataError(
            f"the labels are {len(written):,} unlike texts, too many for classes",
            where=task.where,
            cause="the column is a name or a note, not a label",
            hint="name the right one: --columns sequence=...,label=...",
        )
    names = tuple(sorted(written))
    return Classes({name: code for code, name in enumerate(names)}, _shown(names))


def _written(task: FoundTask) -> dict[str, None]:
    """Every label as it is written, once."""
    written: dict[str, None] = {}
    for part, row in task.rows():
        text = part.labels[row].strip()
        if text not in written and text.casefold() in _MISSING:
            raise _missing(part, row)
        written[text] = None
    return written


def _missing(part: Part, row: int) -> DataError:
    text = part.labels[row].strip()
    hint = "every row needs one; take the row out, or label it"
    if not text:
        return DataError("the row has no label", where=part.where(row), hint=hint)
    return DataError(
        f"the row has no label, or a class is called {text!r}",
        where=part.where(row),
        cause="that is what programs write where a value is missing",
        hint=f"{hint}; a class of that name needs another one, such as 'other'",
    )


def _shown(names: Sequence[str]) -> tuple[str, ...]:
    """Names as a suite can hold them: at most 200 letters, each once, none empty."""
    shown: dict[str, None] = {}
    for name in names:
        short = name[:180]
        place = 2
        while short in shown:
            short = f"{name[:180]} ({place})"
            place += 1
        shown[short] = None
    return tuple(shown)
