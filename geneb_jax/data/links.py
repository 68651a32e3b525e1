"""Where links may lead: anywhere from a user's own folder, to its blobs from a hub snapshot.

A lab's shared disk, git-annex, DVC and DataLad keep files behind links, and whoever made the links
may follow them. A snapshot in the hub's cache was made by a download; its links lead to the blobs
beside it, and one that leads elsewhere was made by somebody else.
"""

from __future__ import annotations

from pathlib import Path

from geneb_jax.errors import DataError

__all__ = ["refuse_stray_link", "snapshot_of"]


def snapshot_of(folder: Path) -> Path | None:
    """The snapshot of the hub's cache that a folder is or lies in; None for any other folder."""
    real = folder.resolve()
    for place in (real, *real.parents):
        if place.parent.name == "snapshots" and (place.parent.parent / "blobs").is_dir():
            return place
    return None


def refuse_stray_link(snapshot: Path | None, path: Path) -> None:
    """Refuse a link that leads out of a hub snapshot; without one every link is fine.

    Raises:
        DataError: if it does.
    """
    if snapshot is None:
        return
    target = path.resolve()
    blobs = (snapshot.parent.parent / "blobs").resolve()
    if not (target.is_relative_to(snapshot) or target.is_relative_to(blobs)):
        raise DataError(
            "the file is a link that leads out of the snapshot of a hub repository",
            where=path,
            hint="fetch the snapshot again, or give the folder that really holds the file",
        )
