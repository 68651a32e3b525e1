"""What ``--scheduler`` says: workers of this machine, or the address of a Dask scheduler."""

from __future__ import annotations

import re
from dataclasses import dataclass

from geneb_jax.errors import ConfigError

__all__ = ["LocalWorkers", "RemoteScheduler", "read_scheduler"]

#: Most workers of one machine; a typing error should not start thousands of processes.
_MOST = 512
_LOCAL = re.compile(r"local:(\d{1,9})")
_REMOTE = re.compile(r"(?:tcp|tls|ucx|ws|wss)://\S+:\d{1,5}")
_HINT = "local:N starts N workers here; tcp://HOST:PORT is where a Dask scheduler listens"


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """``local:N``: so many worker processes of this machine, for this command alone."""

    count: int


@dataclass(frozen=True, slots=True)
class RemoteScheduler:
    """``tcp://HOST:PORT``: a scheduler that runs already, with whatever workers it has."""

    address: str


def read_scheduler(text: str) -> LocalWorkers | RemoteScheduler:
    """What the text means.

    Raises:
        ConfigError: if it is neither.
    """
    local = _LOCAL.fullmatch(text)
    if local is not None:
        count = int(local[1])
        if not 1 <= count <= _MOST:
            raise ConfigError(f"--scheduler {text}: 1 to {_MOST} workers can be started here")
        return LocalWorkers(count)
    if _REMOTE.fullmatch(text) is None:
        raise ConfigError(
            f"--scheduler {text!r:.200} is neither local:N nor an address", hint=_HINT
        )
    return RemoteScheduler(text)
