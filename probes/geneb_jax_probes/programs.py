"""Jitted programs with the compiler options that suit where they run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

import jax

__all__ = ["Program", "program"]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

#: XLA's newer code generator for fused operations on CPU takes twice the time to compile the many
#: small scalar operations of a solver, for code that is no faster (measured with jaxlib 0.10.2).
_CPU_OPTIONS = {"xla_cpu_use_fusion_emitters": False}


@cache
def _options(platform: str) -> dict[str, bool]:
    """The options of a platform, as far as this version of XLA knows them."""
    if platform != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=_CPU_OPTIONS)()
    except Exception:  # an option of another version is an error of no particular type
        return {}
    return _CPU_OPTIONS


def _platform_of(arguments: object) -> str:
    """The platform of the first array among them."""
    for leaf in jax.tree.leaves(arguments):
        if isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer):
            return next(iter(leaf.devices())).platform
    return jax.default_backend()


class Program(Generic[_Parameters, _Result]):
    """A function to be jitted at its first call, for where its arguments are."""

    def __init__(
        self,
        function: Callable[_Parameters, _Result],
        static: tuple[str, ...],
        donated: tuple[str, ...] = (),
    ) -> None:
        self._function = function
        self._static = static
        self._donated = donated
        self._jitted: dict[str, Any] = {}
        update_wrapper(self, function)

    def __call__(self, *arguments: _Parameters.args, **options: _Parameters.kwargs) -> _Result:
        """Run, compiling for a new shape."""
        result: _Result = self.on(_platform_of(arguments))(*arguments, **options)
        return result

    def on(self, platform: str) -> Any:
        """The jitted function for a platform."""
        if platform not in self._jitted:
            self._jitted[platform] = jax.jit(
                self._function,
                static_argnames=self._static,
                donate_argnames=self._donated,
                compiler_options=_options(platform),
            )
        return self._jitted[platform]

    @property
    def compilations(self) -> int:
        """Programs compiled so far, one a combination of shapes and static arguments."""
        return sum(int(jitted._cache_size()) for jitted in self._jitted.values())


def program(
    *static: str, donated: tuple[str, ...] = ()
) -> Callable[[Callable[_Parameters, _Result]], Program[_Parameters, _Result]]:
    """Decorate a function to be compiled.

    Args:
        static: Names of its static arguments.
        donated: Names of arguments whose memory the results take over: nobody reads them again.
    """
    return lambda function: Program(function, static, donated)
