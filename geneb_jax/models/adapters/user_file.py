"""Run a Python file of the user's and make the object that it calls by some name.

The file runs as a module of its folder, as the benchmark's harness runs an extractor: ``from .base
import BaseEmbeddingExtractor`` works, and the folder and the one above can be imported from. Where
no ``base.py`` is beside it, an empty base class stands in.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from geneb_jax.errors import ModelError, SelectionError

__all__ = ["construct", "own_files", "package_name", "split_file_class"]

_FILE_CLASS = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")


def split_file_class(text: str) -> tuple[Path, str] | None:
    """File and name of ``path.py:Class``; None for any other text."""
    found = _FILE_CLASS.fullmatch(text)
    return (Path(found["file"]).expanduser(), found["name"]) if found else None


def construct(file: Path, name: str, *, name_model: str | None) -> Any:
    """Run the file and make ``name``: an instance of a class, what a function gives, an object.

    A class or function is given ``device`` and ``name_model`` where it asks for them.

    Raises:
        SelectionError: if there is no such file or name.
        ModelError: if the file or the class fails, or the class asks for more than is known.
    """
    if not file.is_file():
        raise SelectionError(f"there is no file {file}")
    module = _import(file)
    if not hasattr(module, name):
        own = [
            key
            for key, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ]
        hint = f"it has {', '.join(own)}" if own else None
        raise SelectionError(f"{file} has no {name}", hint=hint)
    factory, where = getattr(module, name), f"{file}:{name}"
    if not callable(factory):
        return factory
    arguments = _arguments(factory, where=where, name_model=name_model)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # our stdout is for results
            return factory(**arguments)
    except Exception as error:
        raise ModelError(f"failed with {type(error).__name__}: {error}", where=where) from error


def own_files(file: Path) -> list[Path]:
    """The file and, of those it imports, directly or not, the ones in its folder or the one above.

    Found by reading import statements, so the same files whatever else this process has imported.
    """
    root = file.resolve().parent
    found = {file.resolve()}
    waiting = [file.resolve()]
    while waiting:
        current = waiting.pop()
        for candidate in _imported(current, root):
            if candidate not in found and candidate.is_file():
                found.add(candidate)
                waiting.append(candidate)
    return sorted(found)


def _imported(file: Path, root: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError):  # running it has failed or will
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(alias.name.split("."), (root, root.parent))
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            places = (file.parents[node.level - 1],) if node.level else (root, root.parent)
            for alias in node.names:
                yield from _files_of([*parts, alias.name], places)


def _files_of(parts: list[str], places: tuple[Path, ...]) -> Iterator[Path]:
    for place in places:
        for depth in range(1, len(parts) + 1):
            stem = place.joinpath(*parts[:depth])
            yield stem.with_suffix(".py")
            yield stem / "__init__.py"


def _arguments(factory: Any, *, where: str, name_model: str | None) -> dict[str, Any]:
    parameters = inspect.signature(factory).parameters
    # torch takes seconds to import: only for who asks.
    known: dict[str, Any] = {"device": _device()} if "device" in parameters else {}
    if name_model is not None:
        known["name_model"] = name_model
    arguments = {key: value for key, value in known.items() if key in parameters}
    lacking = [
        key
        for key, parameter in parameters.items()
        if key not in arguments
        and parameter.default is inspect.Parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if lacking:
        raise ModelError(
            f"asks for {', '.join(lacking)}",
            where=where,
            hint="give name_model with --path"
            if "name_model" in lacking
            else "name_model (from --path) and device are given; let the rest have defaults",
        )
    return arguments


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def package_name(file: Path) -> str:
    """What the file's folder is called as a package of this process: another name each folder."""
    folder = str(file.resolve().parent)
    return f"_geneb_user_{hashlib.sha256(folder.encode()).hexdigest()[:12]}"


def _import(file: Path) -> ModuleType:
    folder = file.resolve().parent
    package = package_name(file)
    if package not in sys.modules:
        sys.modules[package] = parent = ModuleType(package)
        parent.__path__ = [str(folder)]
    if not any((folder / name).exists() for name in ("base.py", "base")):
        base = sys.modules.setdefault(f"{package}.base", ModuleType(f"{package}.base"))
        base.__dict__.setdefault("BaseEmbeddingExtractor", type("BaseEmbeddingExtractor", (), {}))
    for place in (str(folder.parent), str(folder)):
        if place not in sys.path:  # at the end: nothing installed is hidden
            sys.path.append(place)
    name = f"{package}.{re.sub(r'[^A-Za-z0-9_]', '_', file.stem)}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ModelError(f"failed with {type(error).__name__}: {error}", where=file) from error
    return module
