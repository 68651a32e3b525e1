"""A store below a prefix of a bucket, through a tensorstore key-value driver.

A bucket has no locks, and not every server compares before it replaces. So nothing here rests on
either: what a commit writes has a name that nobody else uses, and is never replaced by something
else.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from geneb_jax.errors import StoreError
from geneb_jax.store.folder import ChangedMeanwhileError, Folder
from geneb_jax.store.tensorstore_context import shared_context

__all__ = ["RemoteFolder"]

#: A request of a few kilobytes to a bucket that takes longer than this is not under way.
_SECONDS_OF_SILENCE = 60.0


def kvstore_of(url: str) -> Any:
    """A URL as tensorstore takes it.

    The variables that AWS's own tools read say where an S3 bucket is if it is not Amazon's:
    ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, and ``AWS_REGION`` or ``AWS_DEFAULT_REGION``.
    """
    parts = urlsplit(url)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if parts.scheme != "s3" or not endpoint:
        return url
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return {
        "driver": "s3",
        "bucket": parts.netloc,
        "path": parts.path.lstrip("/"),
        "endpoint": endpoint.rstrip("/"),
        # A server of one's own has no region, and tensorstore signs with one.
        "aws_region": region or "us-east-1",
    }


class RemoteFolder(Folder):
    """A prefix of a bucket, through a tensorstore key-value driver (``gs://``, ``s3://``, ...)."""

    def __init__(self, url: str) -> None:
        super().__init__(url.rstrip("/") + "/")
        import tensorstore as ts

        self.lists_at_once = not url.startswith("file:")
        opening = ts.KvStore.open(kvstore_of(self.place), context=shared_context())
        self._files = self._done(opening, refused="cannot open the store")
        self._seen: dict[str, bytes] = {}

    def array_kvstore(self) -> Any:
        """The keys below ``array/``."""
        return kvstore_of(self.place + "array/")

    def _done(self, future: Any, *, refused: str = "the bucket refused a request") -> Any:
        """Wait for a request; the driver below tries again by itself, for longer than anybody."""
        try:
            return future.result(timeout=_SECONDS_OF_SILENCE)
        except TimeoutError as error:
            raise StoreError(
                f"no answer within {_SECONDS_OF_SILENCE:.0f} s",
                where=self.place,
                cause="there is no such bucket or server, or no way to it from here",
                hint="check --store and the network, then run the same command again: what was "
                "committed is kept",
            ) from error
        except ValueError as error:
            raise StoreError(refused, where=self.place, cause=str(error).split(" [")[0]) from error

    def read(self, name: str) -> bytes | None:
        """See :meth:`Folder.read`."""
        found = self._done(self._files.read(name))
        self._seen[name] = found.stamp.generation
        return bytes(found.value) if found.state == "value" else None

    def write(self, name: str, content: bytes | memoryview) -> None:
        """See :meth:`Folder.write`; an object appears whole or not at all."""
        self._seen[name] = self._done(self._files.write(name, bytes(content))).generation

    def replace(self, name: str, content: bytes) -> None:
        """See :meth:`Folder.replace`; the bucket compares generations."""
        if name not in self._seen:
            self.read(name)
        stamp = self._done(self._files.write(name, content, if_equal=self._seen[name]))
        if not stamp.generation:
            raise ChangedMeanwhileError
        self._seen[name] = stamp.generation

    def names(self, prefix: str) -> list[str]:
        """See :meth:`Folder.names`."""
        import tensorstore as ts

        span = ts.KvStore.KeyRange(f"{prefix}/", f"{prefix}0")  # "0" follows "/"
        return sorted(key.decode() for key in self._done(self._files.list(span)))

    def all_names(self) -> list[str]:
        """See :meth:`Folder.all_names`."""
        return sorted(key.decode() for key in self._done(self._files.list()))

    def size_bytes(self) -> int | None:
        """Unknown."""
        return None

    def remove(self) -> None:
        """Nothing to remove: a prefix without objects does not exist."""

    def delete(self, name: str) -> None:
        """See :meth:`Folder.delete`."""
        self._done(self._files.write(name, None))

    def delete_unchanged(self, name: str) -> bool:
        """See :meth:`Folder.delete_unchanged`; the bucket compares generations."""
        if name not in self._seen:
            self.read(name)
        stamp = self._done(self._files.write(name, None, if_equal=self._seen.pop(name)))
        return bool(stamp.generation)

    def set_aside(self, name: str, aside: str) -> None:
        """See :meth:`Folder.set_aside`."""
        content = self.read(name)
        if content is not None:
            self.write(aside, content)
            self.delete(name)

    def claim(self, slot: int) -> bool:
        """Put a mark of our own at the slot; it is ours if nobody else has put one.

        Whoever sees the mark of another leaves the slot to it. Of two that come at once the later
        one sees both, so at most one has it, whatever the server does about conditions.
        """
        place = f"claims/slots/{slot:09d}"
        if self.names(place):
            return False
        self.write(f"{place}/{secrets.token_hex(8)}", b"")
        return len(self.names(place)) == 1

    def open_bytes(self, name: str) -> np.ndarray | None:
        """See :meth:`Folder.open_bytes`."""
        content = self.read(name)
        return None if content is None else np.frombuffer(content, np.uint8)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Nothing to hold: claims and names of their own do the work of a lock."""
        yield

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Nothing to hold."""
        yield

    def free_bytes(self) -> int | None:
        """Unknown."""
        return None

    def prepare(self) -> None:
        """Nothing to create; the first write tells."""
