"""What other installed packages add: models, suites, probes and solvers, by entry point.

A package that declares an entry point in one of :data:`GROUPS` is found by its metadata alone:
names are listed and checked without importing anything of it. It is imported when the user names
it.
docs/extending.md says what each group's entry points are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import Any

from geneb_jax.errors import ConfigError

__all__ = [
    "GROUPS",
    "MODELS",
    "PROBES",
    "SOLVERS",
    "SUITES",
    "PlugIn",
    "find_plug_in",
    "plug_ins",
]

#: The entry points that are looked for.
MODELS, SUITES = "geneb_jax.models", "geneb_jax.suites"
PROBES, SOLVERS = "geneb_jax.probes", "geneb_jax.solvers"
GROUPS = (MODELS, SUITES, PROBES, SOLVERS)


@dataclass(frozen=True, slots=True)
class PlugIn:
    """One entry point of another distribution.

    Attributes:
        group: One of :data:`GROUPS`.
        name: What the user types.
        place: ``package.module:attribute``.
        distribution: Name of the distribution that declares it.
        version: Its version.
        rivals: Other distributions that declare the same name.
        content: SHA-256 over the distribution's list of files and their hashes; empty without one.
    """

    group: str
    name: str
    place: str
    distribution: str
    version: str
    rivals: tuple[str, ...] = ()
    content: str = ""

    @property
    def origin(self) -> str:
        """The distribution and its version, as people write them."""
        return f"{self.distribution} {self.version}"

    @property
    def revision(self) -> str:
        """What changes whenever the installed distribution does, for the store's key."""
        return f"{self.distribution}=={self.version}" + (f"+{self.content}" if self.content else "")

    def load(self) -> Any:
        """Import it.

        Raises:
            ConfigError: if two distributions declare the name, or it cannot be imported; names the
                distribution.
        """
        if self.rivals:
            raise ConfigError(
                f"{self.name!r} is declared by {' and '.join((self.distribution, *self.rivals))}",
                where=self.group,
                hint="uninstall one of them",
            )
        try:
            return metadata.EntryPoint(self.name, self.place, self.group).load()
        except Exception as error:
            raise self.failure(error) from error

    def call(self, made: Any, *arguments: Any) -> Any:
        """Call what was loaded.

        Raises:
            ConfigError: if it fails; names the distribution.
        """
        try:
            return made(*arguments)
        except ConfigError:
            raise
        except Exception as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> ConfigError:
        """One message on a plug-in that does not work."""
        return ConfigError(
            f"{self.name!r} ({self.place}) failed with {type(error).__name__}: {error}",
            where=f"{self.group} of {self.origin}",
            cause="that package does not work here; all else does",
            hint=f"mend it or uninstall it: pip uninstall {self.distribution}",
        )

    def refusal(self, what: str) -> ConfigError:
        """One message on a plug-in that is not what its group takes."""
        return ConfigError(
            f"{self.name!r} ({self.place}) {what}",
            where=f"{self.group} of {self.origin}",
            hint="docs/extending.md says what an entry point of this group is",
        )


@cache
def plug_ins(group: str) -> Mapping[str, PlugIn]:
    """The entry points of one group by name, in alphabetical order; nothing is imported."""
    found: dict[str, PlugIn] = {}
    for entry in sorted(metadata.entry_points(group=group), key=lambda one: (one.name, _of(one))):
        first = found.get(entry.name)
        if first is None:
            found[entry.name] = PlugIn(
                group=group,
                name=entry.name,
                place=entry.value,
                distribution=_of(entry),
                version=entry.dist.version if entry.dist is not None else "",
                content=_content(entry),
            )
        elif _of(entry) != first.distribution:
            rivals = (*first.rivals, _of(entry))
            found[entry.name] = PlugIn(
                group, first.name, first.place, first.distribution, first.version, rivals
            )
    return MappingProxyType(found)


def find_plug_in(group: str, name: str) -> PlugIn | None:
    """The entry point of this name, None where no package declares one."""
    return plug_ins(group).get(name)


def _of(entry: metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown distribution"


def _content(entry: metadata.EntryPoint) -> str:
    record = entry.dist.read_text("RECORD") if entry.dist is not None else None
    return hashlib.sha256(record.encode()).hexdigest()[:16] if record else ""
