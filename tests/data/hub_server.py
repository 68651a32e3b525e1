"""A hub on the loopback interface: the parts of its protocol that fetching a dataset needs.

Served are the description of a dataset at a commit (``/api/datasets/...``) and its files
(``/datasets/.../resolve/...``) with ETag, X-Repo-Commit, Range and, for large files, the redirect
with the linked hash. Faults can be queued for each path.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

REPOSITORY = "org/tasks"
REVISION = "0123456789abcdef0123456789abcdef01234567"

#: Faults: an HTTP status, or what to do with the body.
CUT, CORRUPT, LONGER, SILENT_CUT, HANG = "cut", "corrupt", "longer", "silent cut", "hang"


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@dataclass
class Hub:
    """The state of the server, seen from a test."""

    files: dict[str, bytes]
    large: set[str] = field(default_factory=set)
    faults: dict[str, list[int | str]] = field(default_factory=lambda: defaultdict(list))
    always: dict[str, int | str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    commit: str = REVISION
    ranges: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    hanging: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def gets(self, path: str = "") -> int:
        """Number of GET requests for files whose path ends so."""
        return sum(method == "GET" and "/api/" not in at and at.endswith(path)
                   for method, at in self.requests)  # fmt: skip

    def fault(self, path: str, method: str) -> int | str | None:
        """The fault of this request, if any; statuses strike any method, the others bodies."""
        queue = self.faults[path]
        if queue and (isinstance(queue[0], int) or method == "GET"):
            return queue.pop(0)
        return self.always.get(path)

    def description(self) -> bytes:
        siblings = []
        for path, content in self.files.items():
            entry: dict[str, object] = {"rfilename": path, "size": len(content)}
            if path in self.large:
                digest = hashlib.sha256(content).hexdigest()
                entry["blobId"] = git_sha1(b"pointer " + digest.encode())
                entry["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
            else:
                entry["blobId"] = git_sha1(content)
            siblings.append(entry)
        return json.dumps({"id": REPOSITORY, "sha": self.commit, "siblings": siblings}).encode()


def start(hub: Hub) -> ThreadingHTTPServer:
    """Serve ``hub`` on a free port until ``shutdown`` and ``server_close``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            return

        def do_HEAD(self) -> None:
            self._answer("HEAD")

        def do_GET(self) -> None:
            self._answer("GET")

        def _answer(self, method: str) -> None:
            address = unquote(urlsplit(self.path).path)
            hub.requests.append((method, address))
            api = f"/api/datasets/{REPOSITORY}/revision/{REVISION}"
            prefix = f"/datasets/{REPOSITORY}/resolve/{REVISION}/"
            if address == api:
                fault = hub.fault("api", method)
                if isinstance(fault, int):
                    self._status(fault)
                else:
                    self._send(200, hub.description(), {"Content-Type": "application/json"})
            elif address.startswith(prefix) and address.removeprefix(prefix) in hub.files:
                self._file(method, address.removeprefix(prefix))
            elif address.startswith("/cdn/") and address.removeprefix("/cdn/") in hub.files:
                self._body(method, address.removeprefix("/cdn/"), {})
            else:
                code = "RevisionNotFound" if address.startswith(prefix[:-42]) else "RepoNotFound"
                self._status(404, {"X-Error-Code": code, "X-Error-Message": "not here"})

        def _file(self, method: str, path: str) -> None:
            content = hub.files[path]
            headers = {"X-Repo-Commit": hub.commit, "ETag": f'"{git_sha1(content)}"'}
            if path in hub.large:
                digest = hashlib.sha256(content).hexdigest()
                # The storage of large files is another host, to which no login is forwarded.
                storage = hub.url.replace("127.0.0.1", "localhost")
                headers["X-Linked-Etag"] = f'"{digest}"'
                headers["X-Linked-Size"] = str(len(content))
                headers["Location"] = f"{storage}/cdn/{path}"
                self._send(302, b"", headers)
                return
            self._body(method, path, headers)

        def _body(self, method: str, path: str, headers: dict[str, str]) -> None:
            fault = hub.fault(path, method)
            if isinstance(fault, int):
                self._status(fault)
                return
            content = hub.files[path]
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
            self._send(status, content if method == "GET" else b"", headers)
            if fault == HANG and method == "GET":
                hub.hanging.set()
                hub.release.wait(timeout=120)
            if fault in (CUT, HANG):
                self.close_connection = True

        def _status(self, status: int, headers: dict[str, str] | None = None) -> None:
            self._send(status, b"", {**hub.headers, **(headers or {})})

        def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server
