"""F78: whatever a hub answers, models are had or one message says why not; nothing leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geneb_jax.errors import GenebError
from geneb_jax.models import load_encoder
from geneb_jax.tokenizers import built_in_vocabulary
from tests.hub_server import COMMIT, Hub, git_sha1, serve_as_the_hub
from tests.models.esm_checkpoints import SMALL_ESM, esm_model, save

_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = save(esm_model(**SMALL_ESM), tmp_path_factory.mktemp("hub") / "model")
    (folder / "vocab.txt").write_text(built_in_vocabulary("nt-v2").text)
    (folder / "tokenizer_config.json").write_text('{"eos_token": null, "model_max_length": 100}')
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would have waited; it does not."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def hub(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> Iterator[Hub]:
    repositories = {"org/small": dict(files)}
    with serve_as_the_hub(Hub(repositories), tmp_path / "place" / "cache", monkeypatch) as served:
        yield served


@pytest.mark.fault("F78")
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("where", ["api", "config.json", "model.safetensors"])
def test_f78_a_hub_that_stumbles_is_asked_again(
    hub: Hub, waits: list[float], status: int, where: str
) -> None:
    hub.faults[where] = [status, status]
    assert load_encoder("org/small").params
    assert not hub.faults[where] and waits


def described(**more: object) -> bytes:
    return json.dumps({"id": "org/small", "sha": COMMIT, **more}).encode()


def siblings(*names: str) -> list[dict[str, object]]:
    return [{"rfilename": name, "size": 3, "blobId": git_sha1(b"abc")} for name in names]


NONSENSE = {
    "always 500": {"/revision/main": (500, b"", {})},
    "no JSON": {"/revision/main": (200, b"<html>login</html>", _JSON)},
    "cut JSON": {"/revision/main": (200, described()[:-5], _JSON)},
    "a list": {"/revision/main": (200, b"[1]", _JSON)},
    "no commit": {"/revision/main": (200, b'{"id": "org/small"}', _JSON)},
    "a commit that is a path": {
        "/revision/main": (
            200,
            described(sha="../../../out", siblings=siblings("config.json")),
            _JSON,
        )
    },
    "names that lead out": {
        "/revision/main": (
            200,
            described(siblings=siblings("config.json", "../../../../out.json", "/tmp/out.json")),
            _JSON,
        )
    },
    "files without an end": {
        "config.json": (302, b"", {"Location": "/org/small/resolve/main/config.json"})
    },
    "a hash that is a path": {
        "config.json": (200, b"abc", {"ETag": '"../../../../out"', "X-Repo-Commit": COMMIT})
    },
}


@pytest.mark.fault("F78")
@pytest.mark.parametrize("kind", NONSENSE)
def test_f78_nonsense_is_one_message_and_stays_in_the_cache(
    hub: Hub, tmp_path: Path, kind: str
) -> None:
    hub.answers |= NONSENSE[kind]
    before = set(Path("/tmp").glob("out*"))
    try:
        assert load_encoder("org/small").params
        assert kind == "names that lead out", "the client has them below its cache, or not at all"
    except GenebError as error:
        assert "\n" not in error.message and len(error.message) < 2000
    assert len(hub.requests) < 100
    outside = [
        path
        for path in (tmp_path / "place").rglob("*")
        if path.is_file() and not path.is_relative_to(tmp_path / "place" / "cache")
    ]
    assert outside == [] and not list(tmp_path.glob("out*"))
    assert set(Path("/tmp").glob("out*")) == before
