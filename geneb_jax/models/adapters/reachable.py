"""A digest of all that a user's object holds: arrays, modules, settings, and the code it runs.

Two objects with the same digest compute the same embeddings, as far as anything in this process
decides that. Attributes, items, closures and what functions name globally are followed; arrays and
tensors count by their bytes wherever they are held. What belongs to installed packages counts by
name. What can be neither followed nor pickled (a session, a handle of another library) is named in
:attr:`ContentDigest.opaque`: then the digest says too little.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import inspect
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geneb_jax.models.adapters.opened_files import is_installed

__all__ = ["ContentDigest"]

_ATOMS = (type(None), bool, int, float, complex, type(Ellipsis), type(NotImplemented))
#: Of no say in what is computed, and not to be followed.
_IGNORED = {
    "_abc._abc_data",
    "builtins.getset_descriptor",
    "builtins.member_descriptor",
    "types.GenericAlias",
    "types.UnionType",
    "_contextvars.ContextVar",
    "_io.BufferedReader",
    "_io.BufferedWriter",
    "_io.TextIOWrapper",
    "_thread.RLock",
    "_thread._localdummy",
    "_thread.lock",
    "builtins.generator",
    "logging.Logger",
    "weakref.ReferenceType",
    "_weakref.ReferenceType",
    "_weakref.ProxyType",
}
#: Entries of a class that compute nothing.
_CLASS_ONLY = {"__annotations__", "__dict__", "__doc__", "__module__", "__weakref__"}
#: Deeper than any model nests; Python itself gives up at a thousand calls.
_DEEPEST = 150


class ContentDigest:
    """The digest of one object; make a new one for each.

    Args:
        content: The object.
        places: Folder or package -> what stands for it in texts and names, so that a moved model
            keeps its digest.

    Attributes:
        opaque: Type names of what could not be looked into, sorted.
        array_count: Arrays and tensors met.
    """

    def __init__(self, content: Any, places: Mapping[str, str] | None = None) -> None:
        self._places = dict(places or {})
        self._total = hashlib.sha256()
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # an id is one object's only while that lives
        self._opaque: set[str] = set()
        self.array_count = 0
        self._add(content, 0)

    @property
    def opaque(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(sorted(self._opaque))

    def hexdigest(self) -> str:
        """SHA-256, 64 hexadecimal digits."""
        return self._total.hexdigest()

    def _say(self, *parts: object) -> None:
        for part in parts:
            text = part if isinstance(part, bytes) else self._moved(str(part)).encode()
            self._total.update(str(len(text)).encode() + b":" + text)

    def _moved(self, text: str) -> str:
        for place, name in self._places.items():
            text = text.replace(place, name)
        return text

    def _add(self, value: Any, depth: int) -> None:
        if isinstance(value, str):
            self._say("text", value)
        elif type(value) in _ATOMS or isinstance(value, bytes | bytearray):
            self._say(type(value).__name__, value)
        elif id(value) in self._seen:
            self._say("again", self._seen[id(value)])
        elif depth > _DEEPEST:
            self._opaque.add(_type_name(value))
        else:
            self._seen[id(value)] = len(self._seen)
            self._kept.append(value)
            self._add_object(value, depth + 1)

    def _add_all(self, values: Iterable[Any], depth: int) -> None:
        for value in values:
            self._add(value, depth)

    def _add_object(self, value: Any, depth: int) -> None:
        array = _as_array(value)
        if array is not None:
            self._add_array(value, array, depth)
            return
        name = _type_name(value)
        if name in _IGNORED or isinstance(value, types.ModuleType):
            self._say("name", name, getattr(value, "__name__", ""))
            return
        handler = next((add for kind, add in _HANDLERS if isinstance(value, kind)), None)
        if handler is not None:
            handler(self, value, depth)
        else:
            self._add_instance(value, depth)

    def _add_array(self, value: Any, array: np.ndarray, depth: int) -> None:
        if array.dtype.hasobject:
            self._say("objects", array.shape)
            self._add_all(array.reshape(-1).tolist(), depth)
            return
        self.array_count += 1
        self._say("array", _type_name(value), getattr(value, "dtype", ""), array.shape)
        self._total.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")

    def _add_mapping(self, value: Any, depth: int) -> None:
        self._say("mapping", _type_name(value), len(value))
        for key, item in list(value.items()):
            self._add(key, depth)
            self._add(item, depth)
        self._add_attributes(value, depth)

    def _add_sequence(self, value: Any, depth: int) -> None:
        self._say("sequence", _type_name(value), len(value))
        self._add_all(list(value), depth)
        self._add_attributes(value, depth)

    def _add_set(self, value: Any, depth: int) -> None:
        # In any order: those of texts change from process to process.
        self._say("set", len(value))
        parts = []
        for item in value:
            outer, self._total = self._total, hashlib.sha256()
            self._add(item, depth)
            parts.append(self._total.digest())
            self._total = outer
        for part in sorted(parts):
            self._say(part)

    def _add_class(self, value: type, depth: int) -> None:
        self._say("class", value.__module__, value.__qualname__)
        if _is_users(value):
            self._add_all(value.__bases__, depth)
            for name, item in list(vars(value).items()):
                if name not in _CLASS_ONLY:
                    self._say(name)
                    self._add(item, depth)

    def _add_function(self, value: types.FunctionType, depth: int) -> None:
        self._say("function", value.__module__, value.__qualname__)
        self._add_all((value.__defaults__, value.__kwdefaults__), depth)
        for cell in value.__closure__ or ():
            try:
                self._add(cell.cell_contents, depth)
            except ValueError:  # not filled yet
                self._say("empty")
        if _is_users(value):
            self._add(value.__code__, depth)
            for name in sorted(_global_names(value.__code__)):
                if name in value.__globals__:
                    self._say(name)
                    self._add(value.__globals__[name], depth)

    def _add_code(self, value: types.CodeType, depth: int) -> None:
        self._say("code", value.co_code, value.co_names, value.co_varnames)
        self._add_all(value.co_consts, depth)

    def _add_method(self, value: types.MethodType, depth: int) -> None:
        self._add_all((value.__func__, value.__self__), depth)

    def _add_partial(self, value: functools.partial[Any], depth: int) -> None:
        self._add_all((value.func, value.args, value.keywords), depth)

    def _add_wrapped(self, value: Any, depth: int) -> None:
        self._add(value.__func__, depth)

    def _add_property(self, value: property, depth: int) -> None:
        self._add_all((value.fget, value.fset), depth)

    def _add_builtin(self, value: types.BuiltinFunctionType, depth: int) -> None:
        self._say("built-in", value.__qualname__)
        if not isinstance(value.__self__, types.ModuleType | type | None):
            self._add(value.__self__, depth)

    def _add_path(self, value: Path, depth: int) -> None:
        self._add(str(value), depth)

    def _add_instance(self, value: Any, depth: int) -> None:
        self._say("object", _type_name(value))
        self._add(type(value), depth)
        attributes = self._add_attributes(value, depth)
        if attributes and not _has_state_in_c(type(value)):
            return
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            parts = value.__reduce_ex__(2) if reduce is None else reduce(value)
        except Exception:  # whatever a foreign type raises
            self._opaque.add(_type_name(value))
            return
        if isinstance(parts, str):
            self._say(parts)
            return
        make, arguments, *rest = parts
        self._add(make, depth)
        self._add(arguments, depth)
        for part in rest:
            self._add(list(part) if isinstance(part, Iterator) else part, depth)

    def _add_attributes(self, value: Any, depth: int) -> bool:
        """Follow instance attributes; whether there is a place for any."""
        names = _slots(type(value))
        found = {name: getattr(value, name) for name in names if hasattr(value, name)}
        found |= getattr(value, "__dict__", {})
        for name, item in list(found.items()):
            self._say(name)
            self._add(item, depth)
        return bool(names) or hasattr(value, "__dict__")


_HANDLERS: tuple[tuple[Any, Callable[[ContentDigest, Any, int], None]], ...] = (
    ((dict, types.MappingProxyType), ContentDigest._add_mapping),
    ((list, tuple, deque), ContentDigest._add_sequence),
    ((set, frozenset), ContentDigest._add_set),
    (type, ContentDigest._add_class),
    (types.FunctionType, ContentDigest._add_function),
    (types.CodeType, ContentDigest._add_code),
    (types.MethodType, ContentDigest._add_method),
    (functools.partial, ContentDigest._add_partial),
    ((staticmethod, classmethod), ContentDigest._add_wrapped),
    (property, ContentDigest._add_property),
    (types.BuiltinFunctionType, ContentDigest._add_builtin),
    (Path, ContentDigest._add_path),
)


def _as_array(value: Any) -> np.ndarray | None:
    """The bytes of an array or tensor, as NumPy holds them; None for anything else."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    family = str(type(value).__module__).partition(".")[0]
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(value, torch.Tensor):
        kept = value.detach().cpu()
        kept = kept.to_dense() if kept.layout != torch.strided else kept
        kept = kept.resolve_conj().resolve_neg().contiguous().reshape(-1)
        if not kept.numel():
            return np.zeros((0, *value.shape), np.uint8)
        return np.asarray(kept.view(torch.uint8).numpy()).reshape(*value.shape, -1)
    if jax is not None and family in ("jax", "jaxlib") and isinstance(value, jax.Array):
        # Keys of random numbers, as dropout holds them, have numbers beneath.
        key = jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(value) if key else value)
    return None


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _is_users(value: Any) -> bool:
    """Whether a class or function was written by the user: not built in, not installed."""
    if value.__module__ == "__main__":
        return True
    module = sys.modules.get(value.__module__ or "")
    file = getattr(module, "__file__", None)
    if file is None:
        try:
            file = inspect.getfile(value)
        except (TypeError, OSError):
            return False
    path = Path(file)
    return not path.exists() or not is_installed(path.resolve())


def _global_names(code: types.CodeType) -> set[str]:
    """Names that a function may look up globally, nested functions' included."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names


def _slots(kind: type) -> list[str]:
    found: list[str] = []
    for base in kind.__mro__:
        named = vars(base).get("__slots__", ())
        found += [named] if isinstance(named, str) else list(named)
    return [name for name in found if name not in ("__dict__", "__weakref__")]


def _has_state_in_c(kind: type) -> bool:
    """Whether instances hold more than Python attributes, by their size."""
    offsets = (kind.__dictoffset__, kind.__weakrefoffset__)
    words = len(_slots(kind)) + sum(offset > 0 for offset in offsets)
    return kind.__basicsize__ > object.__basicsize__ + 8 * words
