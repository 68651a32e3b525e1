"""One tensorstore context a process, and the refusal to use it after a fork."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from geneb_jax.errors import StoreError

__all__ = ["refuse_after_fork", "shared_context"]

_OWNER_PID: list[int] = []
#: A bucket's request that failed is tried again after so long, then after longer, up to 32 times.
_FIRST_RETRY, _LAST_RETRY = "200ms", "10s"


@lru_cache(maxsize=1)
def shared_context() -> Any:
    """The context of every array and key-value store of this process.

    No chunk cache: a reader must see what is on the disk now. Local writes are flushed (fsync of
    file and folder) before they count as done, which is tensorstore's default, stated here because
    the commit protocol rests on it.
    """
    import tensorstore as ts

    _OWNER_PID.append(os.getpid())
    retries = {"initial_delay": _FIRST_RETRY, "max_delay": _LAST_RETRY}
    return ts.Context(
        {
            "cache_pool": {"total_bytes_limit": 0},
            "file_io_sync": True,
            "s3_request_retries": retries,
            "gcs_request_retries": retries,
        }
    )


def refuse_after_fork() -> None:
    """Raise a clear error in a process forked from one that used a store.

    tensorstore keeps threads and aborts the process when it is used after ``fork``; this comes
    first.

    Raises:
        StoreError: in such a process.
    """
    if _OWNER_PID and _OWNER_PID[0] != os.getpid():
        raise StoreError(
            "an embedding store cannot be used in a forked process",
            cause="threads of the store do not survive fork",
            hint="start worker processes with multiprocessing.get_context('spawn')",
        )
