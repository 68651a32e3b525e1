"""Jitted programs with the compiler options that suit them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, update_wrapper
from typing import Any

import jax

__all__ = ["Program", "program"]

#: XLA's newer code generator for fused operations on CPU takes twice the time to compile the many
#: small scalar operations of a solver, for code that is no faster (measured with jaxlib 0.10.2).
_CPU_OPTIONS = {"xla_cpu_use_fusion_emitters": False}


@cache
def _options() -> dict[str, Any]:
    """The options of this backend, as far as this version of XLA knows them."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=_CPU_OPTIONS)()
    except Exception:  # an option of another version is an error of no particular type
        return {}
    return _CPU_OPTIONS


class Program:
    """A function to be jitted at its first call, when the backend is known."""

    def __init__(self, function: Callable[..., Any], static: tuple[str, ...]) -> None:
        self._function = function
        self._static = static
        self._jitted: Any = None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run, compiling for a new shape."""
        return self.jitted(*arguments, **options)

    @property
    def jitted(self) -> Any:
        """The jitted function."""
        if self._jitted is None:
            self._jitted = jax.jit(
                self._function, static_argnames=self._static, compiler_options=_options()
            )
        return self._jitted

    @property
    def compilations(self) -> int:
        """Programs compiled so far, one a combination of shapes and static arguments."""
        return 0 if self._jitted is None else int(self._jitted._cache_size())


def program(*static: str) -> Callable[[Callable[..., Any]], Program]:
    """Decorate a function to be compiled, with the names of its static arguments."""
    return lambda function: Program(function, static)
