"""What a hub may answer: names of contents and commits become names of files in the client's cache.

``huggingface_hub`` joins the ETag and the commit that the hub states to paths of its cache as they
are. So they are looked at before the library sees them: in a hook of its own HTTP session.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from geneb_jax.errors import DownloadError
from geneb_jax.strict_json import parse_json

__all__ = ["sane_answers"]

#: A hash, or what a server calls a content by: no separator, no place above.
_CONTENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+=-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: Beyond this a description is not looked into, nor believed.
_LARGEST_DESCRIPTION_BYTES = 64 * 2**20


@contextmanager
def sane_answers() -> Iterator[None]:
    """Refuse answers that would be written outside the cache, or are no description at all.

    Raises:
        DownloadError: within the block, from whatever call of the library met such an answer.
    """
    from huggingface_hub import get_session

    session: Any = get_session()
    hooks = session.event_hooks
    session.event_hooks = {**hooks, "response": [*hooks.get("response", ()), _look]}
    try:
        yield
    finally:
        session.event_hooks = hooks


def _look(answer: Any) -> None:
    for name in ("etag", "x-linked-etag"):
        stated = answer.headers.get(name)
        if stated is not None and not _CONTENT.fullmatch(stated.removeprefix("W/").strip('"')):
            raise _nonsense(answer, f"the {name} {stated!r:.100}")
    commit = answer.headers.get("x-repo-commit")
    if commit is not None and not _COMMIT.fullmatch(commit):
        raise _nonsense(answer, f"the commit {commit!r:.100}")
    described = re.fullmatch(
        r"/api/(models|datasets)/[^/]+/[^/]+(/revision/[^/]+)?", answer.url.path
    )
    if described and answer.status_code == 200 and answer.request.method == "GET":
        _look_at_description(answer)


def _look_at_description(answer: Any) -> None:
    try:
        document = parse_json(answer.read()[:_LARGEST_DESCRIPTION_BYTES])
    except ValueError as error:
        raise _nonsense(answer, f"a description that is {error}") from error
    commit = document.get("sha") if isinstance(document, dict) else None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _nonsense(answer, f"the commit {commit!r:.100}")


def _nonsense(answer: Any, what: str) -> DownloadError:
    return DownloadError(
        f"the hub answers with {what}",
        where=str(answer.url),
        cause="it is no hub, or something on the way alters its answers",
        hint="check HF_ENDPOINT and the proxy",
    )
