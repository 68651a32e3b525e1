"""What a name says before a file is read: a path or not, at which revision, and which folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from geneb_jax.errors import SelectionError

__all__ = [
    "looks_like_a_path",
    "model_folder",
    "named_path",
    "no_folder",
    "split_revision",
]

_REPOSITORY = "models--"
#: One of these makes a folder a model's.
_MARKS = ("config.json", "adapter_config.json", "modules.json")
_SHOWN = 6


def named_path(name: str) -> Path:
    """The path that a name spells, with ``~`` as the user's home where there is one.

    Raises:
        SelectionError: if no system has a name like it.
    """
    path = Path(name)
    try:
        path = path.expanduser()
    except RuntimeError:  # of nobody's home: the folder of that very name
        pass
    try:
        path.is_dir()
    except OSError as error:
        raise SelectionError(
            f"{name[:60]!r} is no name of a model or folder ({error.strerror})"
        ) from error
    return path


def looks_like_a_path(name: str) -> bool:
    """Whether a name that is no folder must have been meant as one, and as no hub id ``org/name``.

    It is where it begins as paths do, has more than one ``/``, or its first part is a folder here.
    """
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        return True
    parent, slash, _ = name.partition("/")
    return bool(slash) and Path(parent).is_dir()


def split_revision(name: str) -> tuple[str, str | None]:
    """A name without the hub revision behind it, and that revision (None where it says none).

    ``org/name@main`` and ``DNABERT-S@COMMIT`` have one, and so has a repository of the hub's cache.
    A folder that is called so is a folder, and a folder of the user's has no revisions.
    """
    bare, at, revision = name.rpartition("@")
    if not (at and bare and revision) or named_path(name).exists():
        return name, None
    place = named_path(bare)
    if place.exists() and not place.resolve().name.startswith(_REPOSITORY):
        return name, None
    return bare, revision


def no_folder(name: object) -> SelectionError:
    """What to say of a folder that is not there, with the names beside it that are near."""
    path = named_path(str(name))
    if path.is_file():
        return SelectionError(
            f"{name} is a file, not a folder", hint="name its folder, with config.json and weights"
        )
    hint = "name a folder with config.json and weights"
    parent = path.parent
    try:
        names = [entry.name for entry in parent.iterdir() if entry.is_dir()]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if near:
        hint = f"did you mean {', '.join(str(parent / one) for one in near)}? otherwise {hint}"
    return SelectionError(f"there is no folder {name}", hint=hint)


def model_folder(folder: Path, *, revision: str | None) -> Path:
    """The folder with the model's files.

    Args:
        folder: A folder that is there; where it is a repository in the hub's cache
            (``models--ORG--NAME``), one of its snapshots is meant.
        revision: Commit, branch or tag of the snapshot; the default branch when None.

    Raises:
        SelectionError: if the repository has no snapshot or several and none is said; or if only
            folders inside of it hold models, which are named.
    """
    if not folder.is_dir() or any((folder / mark).exists() for mark in _MARKS):
        return folder
    snapshots = folder / "snapshots"
    if folder.resolve().name.startswith(_REPOSITORY) and snapshots.is_dir():
        return _snapshot(folder, revision)
    inner = sorted(
        path.parent.name for mark in _MARKS for path in folder.glob(f"*/{mark}") if path.is_file()
    )
    if inner:
        names = list(dict.fromkeys(inner))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(str(folder / name) for name in names[:_SHOWN])
        raise SelectionError(
            f"{folder} is no model's folder: it has no config.json",
            hint=f"folders in it do: {shown}{more}",
        )
    return folder


def _snapshot(folder: Path, revision: str | None) -> Path:
    """The snapshot of a revision, which may be a commit or a name under ``refs``."""
    snapshots = folder / "snapshots"
    commits = sorted(path.name for path in snapshots.iterdir() if path.is_dir())
    wanted = revision or "main"
    reference = folder / "refs" / wanted
    inside = "\0" not in wanted and reference.resolve().is_relative_to((folder / "refs").resolve())
    if inside and reference.is_file():
        with reference.open("rb") as file:
            wanted = file.read(100).decode("ascii", "replace").strip()
    if wanted in commits:
        return snapshots / wanted
    if revision is None and len(commits) == 1:
        return snapshots / commits[0]
    raise SelectionError(
        f"{folder} is a repository of the hub's cache "
        + (f"without a snapshot {wanted}" if commits else "without any snapshot"),
        hint=f"its snapshots are {', '.join(commits[:_SHOWN])}; name one as {folder}@COMMIT"
        if commits
        else "download it again",
    )
