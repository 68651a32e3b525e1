"""A hub on the loopback interface: the parts of its protocol that fetching needs.

Served are the description of a model or a dataset (``/api/models/...``, ``/api/datasets/...``), its
tree, and its files (``/.../resolve/...``) with ETag, X-Repo-Commit, Range and, for large files, the
redirect with the linked hash. Faults can be queued for each path.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

#: The commit of a repository that names no other.
COMMIT = "89abcdef0123456789abcdef0123456789abcdef"

#: Faults: an HTTP status, or what to do with the body.
CUT, CORRUPT, LONGER, SILENT_CUT, HANG = "cut", "corrupt", "longer", "silent cut", "hang"

_JSON = {"Content-Type": "application/json"}


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@dataclass
class Hub:
    """The state of the server, seen from a test.

    Repositories are named as in addresses of their files: ``org/model``, ``datasets/org/tasks``.
    ``answers`` has whole answers (status, body, headers) for addresses that end so.
    """

    repositories: Mapping[str, dict[str, bytes]]
    commits: dict[str, str] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    faults: dict[str, list[int | str]] = field(default_factory=lambda: defaultdict(list))
    always: dict[str, int | str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)
    ranges: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    hanging: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def downloaded(self) -> list[str]:
        """Paths of the files that GET requests asked for, in their order."""
        asked = (at for method, at in self.requests if method == "GET" and "/resolve/" in at)
        return [at.partition("/resolve/")[2].partition("/")[2] for at in asked]

    def gets(self, path: str = "") -> int:
        """Number of GET requests for files whose path ends so."""
        return sum(name.endswith(path) for name in self.downloaded)

    def commit(self, repository: str) -> str:
        """The commit at which the hub says the repository is, whatever was asked for."""
        return self.commits.get(repository, COMMIT)

    def fault(self, path: str, method: str) -> int | str | None:
        """The fault of this request, if any; statuses strike any method, the others bodies."""
        queue = self.faults[path]
        if queue and (isinstance(queue[0], int) or method == "GET"):
            return queue.pop(0)
        return self.always.get(path)

    def missing(self, repository: str, revision: str) -> str | None:
        """The hub's word for what is not there, if something is not."""
        if repository not in self.repositories:
            return "RepoNotFound"
        if revision not in ("main", COMMIT, self.commit(repository)):
            return "RevisionNotFound"
        return None

    def description(self, repository: str) -> bytes:
        siblings = []
        for path, content in self.repositories[repository].items():
            entry: dict[str, object] = {"rfilename": path, "size": len(content)}
            if path in self.large:
                digest = hashlib.sha256(content).hexdigest()
                entry["blobId"] = git_sha1(b"pointer " + digest.encode())
                entry["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
            else:
                entry["blobId"] = git_sha1(content)
            siblings.append(entry)
        name = repository.removeprefix("datasets/")
        content = {"id": name, "sha": self.commit(repository), "siblings": siblings}
        return json.dumps(content).encode()

    def tree(self, repository: str) -> bytes:
        entries = [
            {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
            for path, content in self.repositories[repository].items()
        ]
        return json.dumps(entries).encode()


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Answer on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            """Stay silent."""

        def do_GET(self) -> None:
            address = unquote(urlsplit(self.path).path)
            hub.requests.append((self.command, address))
            place, found, rest = address.strip("/").partition("/resolve/")
            for end, (status, body, headers) in hub.answers.items():
                if address.endswith(end):
                    self._send(status, body, headers)
                    return
            if address.startswith("/api/"):
                self._describe(address.removeprefix("/api/").split("/"))
            elif address.startswith("/cdn/"):
                repository, _, path = address.removeprefix("/cdn/").partition("//")
                self._body(path, hub.repositories[repository][path], {})
            elif found:
                revision, _, path = rest.partition("/")
                self._file(place, revision, path)
            else:
                self._refuse("RepoNotFound")

        do_HEAD = do_GET

        def _describe(self, parts: list[str]) -> None:
            repository = "/".join(parts[1:3])
            if parts[0] == "datasets":
                repository = f"datasets/{repository}"
            view, revision = parts[3:5] if len(parts) > 4 else ("revision", "main")
            fault = hub.fault("api", self.command)
            missing = hub.missing(repository, revision)
            if isinstance(fault, int):
                self._status(fault)
            elif missing is not None:
                self._refuse(missing)
            else:
                body = hub.tree if view == "tree" else hub.description
                self._send(200, body(repository), _JSON)

        def _file(self, repository: str, revision: str, path: str) -> None:
            missing = hub.missing(repository, revision)
            content = hub.repositories.get(repository, {}).get(path)
            if missing is not None or content is None:
                self._refuse(missing or "EntryNotFound")
                return
            headers = {"X-Repo-Commit": hub.commit(repository), "ETag": f'"{git_sha1(content)}"'}
            if path in hub.large:
                digest = hashlib.sha256(content).hexdigest()
                # The storage of large files is another host, to which no login is forwarded.
                storage = hub.url.replace("127.0.0.1", "localhost")
                headers["X-Linked-Etag"] = f'"{digest}"'
                headers["X-Linked-Size"] = str(len(content))
                headers["Location"] = f"{storage}/cdn/{repository}//{path}"
                self._send(302, b"", headers)
                return
            self._body(path, content, headers)

        def _body(self, path: str, content: bytes, headers: dict[str, str]) -> None:
            fault = hub.fault(path, self.command)
            if isinstance(fault, int):
                self._status(fault)
                return
            stated = len(content)
            status = 200
            wanted = self.headers.get("Range", "")
            if hub.ranges and wanted.startswith("bytes="):
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                headers["Content-Range"] = f"bytes {start}-{stated - 1}/{stated}"
                content, status = content[start:], 206
            if fault == CORRUPT:
                content = content[:-1] + bytes([content[-1] ^ 1])
            if fault == LONGER:
                content += b"more"
            if fault == SILENT_CUT:
                content = content[: len(content) // 2]
            headers["Content-Length"] = str(len(content))
            if fault in (CUT, HANG):
                content = content[: len(content) // 2]
            self._send(status, content, headers)
            if self.command != "GET":  # only a body can be cut; a HEAD's connection lives on
                return
            if fault == HANG:
                hub.hanging.set()
                hub.release.wait(timeout=120)
            if fault in (CUT, HANG):
                self.close_connection = True

        def _refuse(self, code: str) -> None:
            self._status(404, {"X-Error-Code": code, "X-Error-Message": "not here"})

        def _status(self, status: int, headers: Mapping[str, str] | None = None) -> None:
            self._send(status, b"", {**hub.headers, **(headers or {})})

        def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve_as_the_hub(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The same, and let huggingface-hub take it for the hub, with an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    with serve(hub) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield served
