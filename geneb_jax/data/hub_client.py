"""The hub through ``huggingface_hub``: bounded, quiet, and every byte checked.

The library downloads, follows redirects and retries single requests. What is added here: an end to
all retrying, a check of size and hash of each file (the library checks the size only), silence on
stderr, and errors in this project's words.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from geneb_jax.benchmark import DatasetPin
from geneb_jax.data.hub_answers import sane_answers
from geneb_jax.errors import DownloadError, OutputError

__all__ = [
    "HubClient",
    "RemoteFile",
    "asked_patiently",
    "file_matches",
    "matches_its_name",
    "sha256_of",
    "what_the_hub_said",
]

_TIMEOUT_S = 20.0
_ATTEMPTS = 4
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
#: A download that received this many times the size of the file is never going to end.
_MAX_REPEATS = 5
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)})

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub says about a file at the pinned commit.

    Attributes:
        path: Path in the repository.
        size: Bytes.
        git_sha1: Git's hash of the file, or of its pointer if it is stored by LFS.
        sha256: Hash of the content, stated for LFS files only.
    """

    path: str
    size: int
    git_sha1: str
    sha256: str | None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_matches(path: Path, remote: RemoteFile) -> bool:
    """Whether a local file has the size and the hash that the hub states."""
    if path.stat().st_size != remote.size:
        return False
    if remote.sha256 is not None:
        return sha256_of(path) == remote.sha256
    return _git_sha1(path) == remote.git_sha1


def matches_its_name(content: Path) -> bool:
    """Whether a file of the library's cache is what the hub said it is.

    The cache names the content of a file by the hash that the hub stated for it: SHA-256 for large
    files, Git's own for others. A file with another name says nothing and passes.
    """
    stated = content.name
    if re.fullmatch("[0-9a-f]{64}", stated):
        return stated == sha256_of(content)
    return not re.fullmatch("[0-9a-f]{40}", stated) or stated == _git_sha1(content)


def _git_sha1(path: Path) -> str:
    # Git names a file by SHA-1; the commit that is pinned is a tree of these very hashes.
    total = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(2**20):
            total.update(block)
    return total.hexdigest()


class HubClient:
    """One dataset at one commit.

    Args:
        pin: The repository and its revision.
        endpoint: Another hub; None: the library's default (``HF_ENDPOINT``).
        on_note: Called with a sentence when the library waits or tries again.
    """

    def __init__(
        self,
        pin: DatasetPin,
        *,
        endpoint: str | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> None:
        self.pin = pin
        self._endpoint = endpoint
        self._on_note = on_note

    @property
    def name(self) -> str:
        """The dataset and its revision, for messages."""
        return f"{self.pin.repository}@{self.pin.revision[:12]}"

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the library from writing to stderr while the block runs."""
        _require_online()
        # Imported for what it does: on its first import the library gives its logger a handler of
        # its own, which must be there before the handlers are exchanged.
        import huggingface_hub.utils.logging  # noqa: F401

        logger = logging.getLogger("huggingface_hub")
        handlers, logger.handlers = logger.handlers, [_NoteHandler(self._on_note)]
        try:
            with sane_answers():
                yield
        finally:
            logger.handlers = handlers

    def cached(self, path: str) -> Path | None:
        """A file in the library's own cache at the pinned commit, if its hash is right.

        Opens no socket. The cache names a file's content by its hash, which is checked.
        """
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(
            self.pin.repository, path, revision=self.pin.revision, repo_type="dataset"
        )
        if not isinstance(found, str):
            return None
        content = Path(found).resolve()
        return content if matches_its_name(content) else None

    def describe(self) -> Mapping[str, RemoteFile]:
        """Size and hash of every file of the dataset at the pinned commit.

        Raises:
            DownloadError: if the hub cannot be reached or does not have the commit.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint)
        info = self._attempt(
            "its list of files",
            lambda: api.dataset_info(
                self.pin.repository,
                revision=self.pin.revision,
                files_metadata=True,
                timeout=_TIMEOUT_S,
            ),
        )
        if info.sha != self.pin.revision:
            raise DownloadError(
                f"the hub answered with commit {info.sha}, not the pinned one", where=self.name
            )
        files = {}
        for entry in info.siblings or ():
            if entry.size is None or entry.blob_id is None:
                continue
            files[entry.rfilename] = RemoteFile(
                path=entry.rfilename,
                size=entry.size,
                git_sha1=entry.blob_id,
                sha256=entry.lfs.sha256 if entry.lfs is not None else None,
            )
        return files

    def download(self, remote: RemoteFile, folder: Path) -> Path:
        """Download one file below ``folder`` and check it; a wrong one is fetched once more.

        Raises:
            DownloadError: if it cannot be had, or is wrong twice.
        """
        for again in (False, True):
            path = self._download_once(remote, folder, force=again)
            if file_matches(path, remote):
                return path
            path.unlink(missing_ok=True)
        raise DownloadError(
            f"the file arrived twice with a wrong hash ({remote.path})",
            where=self.name,
            cause="a proxy or the connection alters the data",
        )

    def _download_once(self, remote: RemoteFile, folder: Path, *, force: bool) -> Path:
        from huggingface_hub import hf_hub_download

        def call() -> str:
            return hf_hub_download(
                self.pin.repository,
                remote.path,
                repo_type="dataset",
                revision=self.pin.revision,
                local_dir=folder,
                endpoint=self._endpoint,
                etag_timeout=_TIMEOUT_S,
                force_download=force,
                tqdm_class=cast(Any, _bounded_bar(remote)),
            )

        # The library tries each request again by itself, so here once more is enough.
        return Path(self._attempt(remote.path, call, attempts=2))

    def _attempt(self, what: str, call: Callable[[], _T], *, attempts: int = _ATTEMPTS) -> _T:
        """Call the hub; only failures that may pass are tried again, after growing pauses."""
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        # The library's HTTP package differs between its versions; its base error is our handle.
        transport_error: type[BaseException] = HfHubHTTPError.__mro__[1]
        pause = _FIRST_PAUSE_S
        for attempt in range(1, attempts + 1):
            try:
                return call()
            except LocalEntryNotFoundError as error:
                cause: BaseException = error.__cause__ or error
            except (transport_error, OSError) as error:
                cause = error
            _refuse_full_disk(cause)
            if attempt == attempts or not _may_pass(cause):
                raise self._failure(what, cause) from cause
            wait_s = min(max(pause, _retry_after(cause)), _LONGEST_PAUSE_S)
            if self._on_note is not None:
                self._on_note(f"{what}: {_in_words(cause)}; trying again in {wait_s:.0f} s")
            time.sleep(wait_s)
            pause *= 2
        raise AssertionError("the loop returns or raises")

    def _failure(self, what: str, error: BaseException) -> DownloadError:
        status = _status(error)
        hint = "run the same command again; what was fetched is kept"
        if status in (401, 403):
            hint = "log in with `hf auth login`, or check that the dataset is open to you"
        elif status == 404:
            hint = "check the suite's repository and revision, and the endpoint"
        return DownloadError(
            f"cannot fetch {what}", where=self.name, cause=_in_words(error), hint=hint
        )


def asked_patiently(call: Callable[[], _T]) -> _T:
    """Call the hub again, a few times, where it says that it is busy or out of order.

    Raises:
        Exception: the last one of the call.
    """
    pause = _FIRST_PAUSE_S
    for _ in range(_ATTEMPTS - 1):
        try:
            return call()
        except Exception as error:
            cause = error.__cause__ or error
            if _status(cause) not in _TRANSIENT:
                raise
            time.sleep(min(max(pause, _retry_after(cause)), _LONGEST_PAUSE_S))
            pause *= 2
    return call()


def what_the_hub_said(error: BaseException) -> str | None:
    """Its status in words, if an error, or what caused it, is an answer of the hub."""
    for one in (error, error.__cause__):
        if one is not None and _status(one) is not None:
            return _in_words(one)
    return None


def _require_online() -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise DownloadError(
            "the hub client is switched off", cause="HF_HUB_OFFLINE is set", hint="unset it"
        )


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _retry_after(error: BaseException) -> float:
    """Seconds that the hub asks to wait, 0 if it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    value = str(headers.get("retry-after", ""))
    return float(value) if value.isdigit() else 0.0


def _refuse_full_disk(error: BaseException) -> None:
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        raise OutputError(
            f"cannot write the download ({error.strerror})",
            where=error.filename,
            hint="free some space and run the same command again; what was fetched is kept",
        ) from error


def _may_pass(error: BaseException) -> bool:
    """Whether trying again may help: not when the hub gave a definite answer."""
    status = _status(error)
    return status is None or status in _TRANSIENT


def _in_words(error: BaseException) -> str:
    status = _status(error)
    if status is not None:
        names = {401: "not logged in", 403: "no access", 404: "not found", 429: "too many requests"}
        return f"the hub answered {status} ({names.get(status, 'its fault')})"
    first = str(error).strip().split("\n", 1)[0]
    return first.rstrip(".") or type(error).__name__


class _NoteHandler(logging.Handler):
    """Hands the library's warnings to a callback, or to nobody."""

    def __init__(self, on_note: Callable[[str], None] | None) -> None:
        super().__init__(logging.WARNING)
        self._on_note = on_note
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        if self._on_note is not None:
            with self._guard:
                self._on_note(record.getMessage().split("\n", 1)[0])


def _bounded_bar(remote: RemoteFile) -> type:
    """A progress bar for the library that draws nothing and ends endless downloads.

    The library counts its retries anew whenever data arrive, so a server that cuts every answer and
    ignores ranges would be asked for ever.
    """

    class Bar:
        def __init__(self, *arguments: object, **settings: object) -> None:
            self._received = 0

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *details: object) -> None:
            return None

        def update(self, count: float | None = 1) -> None:
            self._received += max(int(count or 0), 0)
            if self._received > _MAX_REPEATS * max(remote.size, 1):
                raise DownloadError(
                    f"the download of {remote.path} is cut off again and again",
                    hint="run the same command again; what was fetched is kept",
                )

        def close(self) -> None:
            return None

    return Bar
