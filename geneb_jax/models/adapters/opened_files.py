"""Which files a user's model opens: what it read decides its embeddings as much as its code.

Python announces every file that it opens to audit hooks, whoever asks: ``open``, ``numpy.load``,
``torch.load``, ``json``. A library that opens files by itself, outside Python, is not seen; what it
brings is found in the model instead (:mod:`geneb_jax.models.adapters.reachable`), and beside a
``config.json`` that was read every file of that checkpoint counts.
"""

from __future__ import annotations

import contextlib
import os
import site
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.file_digests import FileSignature
from geneb_jax.places import cache_folder
from geneb_jax.resources import config_folder

__all__ = ["OpenedFiles", "checkpoint_files", "is_installed", "may_be_read", "opened_files"]

#: What a checkpoint's folder holds that no loader of one reads.
_NEVER_READ = {
    "LICENSE",
    "optimizer.bin",
    "optimizer.pt",
    "scheduler.pt",
    "trainer_state.json",
    "training_args.bin",
}
_NEVER_READ_SUFFIXES = {".log", ".md", ".pyc"}
_CODE_SUFFIXES = {".py", ".pyc", ".pyd", ".so"}
_CONFIG = "config.json"
#: What every Python calls the folders of installed packages, its own or another's that it uses.
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
#: Folders of what is written about a package; one may stand in a checkout, beside nobody's model.
_METADATA_SUFFIXES = (".dist-info", ".egg-info")
#: Where a system keeps what is nobody's model.
_SYSTEM = ("/proc", "/sys", "/dev", "/etc")


class OpenedFiles:
    """Files that were opened for reading while one thread was watched, in the order met."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._signatures: dict[Path, FileSignature] = {}

    def note(self, name: Path) -> None:
        """Remember a file, and its state now, if it was opened in the watched thread."""
        if threading.get_ident() != self._thread or name in self._signatures:
            return
        with contextlib.suppress(OSError, ValueError):  # opening it fails as well
            self._signatures[name] = FileSignature.of(name.stat())

    def paths(self) -> list[Path]:
        """The plain files among them that are a user's, resolved, sorted.

        Code is not among them: a module is read by whoever imports it first, so the same model
        would be another one later in the process. What the model imports from beside it is found
        in its import statements, and code that it runs in the object itself.
        """
        found = {name.resolve() for name in self._signatures}
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        program = {Path(main).resolve()} if main else set()
        return sorted(
            path
            for path in found - program
            if path.is_file() and not is_installed(path) and path.suffix not in _CODE_SUFFIXES
        )

    def require_unchanged(self) -> None:
        """Make sure that the files are still as they were when they were opened.

        Raises:
            CheckpointError: if one was written to, replaced, or is gone.
        """
        known = set(self.paths())
        for name, signature in self._signatures.items():
            if name.resolve() in known and FileSignature.of(name.stat()) != signature:
                raise CheckpointError(
                    "changed while the model was made",
                    where=name,
                    hint="let whatever does that finish, then run the same command again",
                )


_watchers: list[OpenedFiles] = []


@contextmanager
def opened_files() -> Iterator[OpenedFiles]:
    """Watch what this thread opens for reading."""
    _install()
    watched = OpenedFiles()
    _watchers.append(watched)
    try:
        yield watched
    finally:
        _watchers.remove(watched)


@lru_cache(maxsize=1)
def _install() -> None:
    # A hook stays for the life of the process; with nobody watching it returns at once.
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _watchers or event != "open":
        return
    name, mode, flags = (*arguments, None, None, None)[:3]
    if not isinstance(name, str | bytes | os.PathLike) or not _reads(mode, flags):
        return
    for watcher in _watchers:
        watcher.note(Path.cwd() / os.fsdecode(name))


def _reads(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return "r" in mode
    return not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_CREAT))


def checkpoint_files(opened: Iterable[Path]) -> list[Path]:
    """The opened files and, where one is a checkpoint's config.json, all that lies beside it."""
    found = set(opened)
    for config in [path for path in found if path.name == _CONFIG]:
        found.update(
            path.resolve()
            for path in config.parent.iterdir()
            if path.is_file() and may_be_read(Path(path.name))
        )
    return sorted(found)


def may_be_read(name: Path) -> bool:
    """Whether a loader might read this file of a checkpoint's folder (its path in there)."""
    return (
        name.name not in _NEVER_READ
        and name.suffix not in _NEVER_READ_SUFFIXES
        and not any(part.startswith(".") for part in name.parts)
    )


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python, an installed package, this library or the system.

    So does what is written about a package, wherever it is: whoever first imports a package that
    looks for plug-ins, as torch does, reads it for every folder on the path.
    """
    if not _PACKAGE_FOLDERS.isdisjoint(path.parts):
        return True
    if any(part.endswith(_METADATA_SUFFIXES) for part in path.parts):
        return True
    return any(path.is_relative_to(root) for root in _roots())


@lru_cache(maxsize=1)
def _roots() -> tuple[Path, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    own = Path(__file__).resolve().parents[2]
    named: list[str | Path | None] = [
        *(sysconfig.get_path(kind) for kind in kinds),
        *(sysconfig.get_path(kind, vars={"base": sys.base_prefix}) for kind in kinds),
        *site.getsitepackages(),
        site.getusersitepackages(),
        *_SYSTEM,
        own,
        str(config_folder()),
        cache_folder(),
    ]
    return tuple({Path(name).resolve() for name in named if name})
