"""A hub on the loopback interface: what huggingface-hub asks for when it downloads model files."""

from __future__ import annotations

import hashlib
import importlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from geneb_jax.models import ModelSpec
from geneb_jax.models.spec import PinnedFile

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


@dataclass
class ModelHub:
    """Repository to its files, and what was asked for."""

    repositories: Mapping[str, Mapping[str, bytes]]
    commits: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    downloaded: list[str] = field(default_factory=list)

    def commit(self, repository: str) -> str:
        return self.commits.get(repository, COMMIT)


@contextmanager
def serve(hub: ModelHub) -> Iterator[ModelHub]:
    """Answer on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Stay silent."""

        def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def refuse(self, code: str) -> None:
            self.answer(404, b"{}", {"X-Error-Code": code, "Content-Type": "application/json"})

        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                kind, revision = parts[4:6] if len(parts) > 5 else ("revision", "main")
                self.describe("/".join(parts[2:4]), revision, tree=kind == "tree")
                return
            self.file("/".join(parts[:2]), "/".join(parts[4:]))

        do_HEAD = do_GET

        def describe(self, repository: str, revision: str, *, tree: bool) -> None:
            if repository not in hub.repositories:
                self.refuse("RepoNotFound")
                return
            commit = hub.commit(repository)
            if revision not in ("main", commit):
                self.refuse("RevisionNotFound")
                return
            files = hub.repositories[repository]
            content: object = {
                "id": repository,
                "sha": commit,
                "siblings": [{"rfilename": name} for name in files],
            }
            if tree:
                content = [
                    {
                        "type": "file",
                        "path": name,
                        "size": len(body),
                        "oid": hashlib.sha256(body).hexdigest()[:40],
                    }
                    for name, body in files.items()
                ]
            body = json.dumps(content).encode()
            self.answer(200, body, {"Content-Type": "application/json"})

        def file(self, repository: str, name: str) -> None:
            body = hub.repositories.get(repository, {}).get(name)
            if body is None:
                self.refuse("EntryNotFound")
                return
            if self.command == "GET":
                hub.downloaded.append(name)
            digest = hashlib.sha256(body).hexdigest()
            self.answer(
                200,
                body,
                {"ETag": f'"{digest}"', "X-Repo-Commit": hub.commit(repository)},
            )

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve_as_the_hub(
    hub: ModelHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModelHub]:
    """The same, and let huggingface-hub take it for the hub, with an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    with serve(hub) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield served


def register(
    spec: ModelSpec, content: bytes, sizes: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Register a small checkpoint under a published id: other sizes, its own hash."""
    pinned = PinnedFile("model.safetensors", len(content), hashlib.sha256(content).hexdigest())
    changed = replace(spec, weights=(pinned,), config={**spec.config, **sizes})
    table = MappingProxyType({spec.model_id: changed})
    # By its path: the package's attribute of this name is the function.
    module = importlib.import_module("geneb_jax.models.registry")
    monkeypatch.setattr(module, "registry", lambda: table)
