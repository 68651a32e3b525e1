"""Models from a hub on the loopback interface: which files are fetched, and what is believed."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from geneb_jax.errors import CheckpointError, DownloadError
from geneb_jax.models import LoadOptions, ModelSpec, load_encoder, registry
from geneb_jax.tokenizers import built_in_vocabulary
from tests.hub_server import COMMIT, CORRUPT, Hub, serve_as_the_hub
from tests.models.esm_checkpoints import SMALL_ESM, SMALL_NT_V2, esm_model, save
from tests.models.small_registration import register

PINNED = "nucleotide-transformer-v2-50m-multi-species"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small NT-v2-like checkpoint with a vocabulary."""
    path = save(esm_model(**SMALL_ESM), tmp_path_factory.mktemp("hub") / "model")
    (path / "vocab.txt").write_text(built_in_vocabulary("nt-v2").text)
    (path / "tokenizer_config.json").write_text('{"eos_token": null, "model_max_length": 100}')
    return path


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """org/small has safetensors and other files; org/torch only a .bin; the cache is empty."""
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, tmp_path / "weights.bin")
    only_torch = {name: body for name, body in files.items() if name != "model.safetensors"}
    repositories = {
        "org/small": files
        | {
            "README.md": b"read me",
            "modeling_esm.py": b"raise SystemExit",
            "pytorch_model.bin": (tmp_path / "weights.bin").read_bytes(),
            "jax_model/pytree_ckpt.joblib": b"pickle",
            "onnx/model.safetensors": b"other",
        },
        "org/torch": only_torch | {"pytorch_model.bin": (tmp_path / "weights.bin").read_bytes()},
        "org/config-only": {"config.json": files["config.json"]},
    }
    spec = registry()[PINNED]
    repositories[str(spec.source.hub_id)] = {"model.safetensors": files["model.safetensors"]}
    commits = {str(spec.source.hub_id): str(spec.source.revision)}
    with serve_as_the_hub(Hub(repositories, commits), tmp_path / "cache", monkeypatch) as hub:
        yield hub


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_revision_behind_the_name(hub: Hub, revision: str) -> None:
    assert load_encoder(f"org/small@{revision}").identity == load_encoder("org/small").identity
    with pytest.raises(DownloadError, match="org/small has no revision 'v9'"):
        load_encoder("org/small@v9")


def test_a_registered_model_at_another_revision_is_not_held_to_its_pins(hub: Hub) -> None:
    hub_id = str(registry()[PINNED].source.hub_id)
    for name in (PINNED, hub_id):  # the weights there are of another model than the pinned ones
        with pytest.raises(CheckpointError, match=r"sha256|SHA-256|hash"):
            load_encoder(name)
        with pytest.raises(CheckpointError) as refused:
            load_encoder(f"{name}@main")
        assert "sha256" not in str(refused.value).lower()


def test_an_unregistered_repository(hub: Hub, folder: Path) -> None:
    encoder = load_encoder("org/small")
    assert encoder.identity.model_id == "org/small"
    assert encoder.identity.revision == COMMIT
    local = load_encoder(folder)
    assert encoder.identity.weights == local.identity.weights
    assert encoder.identity.tokenizer == local.identity.tokenizer
    for ours, theirs in zip(
        jax.tree.leaves(encoder.params), jax.tree.leaves(local.params), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert sorted(set(hub.downloaded)) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]


def test_a_repository_with_torch_weights_only(hub: Hub, folder: Path) -> None:
    encoder = load_encoder("org/torch")
    table = load_encoder(folder).params["tokens"]["table"]
    np.testing.assert_array_equal(encoder.params["tokens"]["table"], table)
    assert "pytorch_model.bin" in hub.downloaded


@pytest.mark.fault("F50")
def test_offline_after_a_download_opens_no_socket(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_encoder("org/small")
    asked = len(hub.downloaded)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert load_encoder("org/small", LoadOptions(offline=True)).params
    assert len(hub.downloaded) == asked


def test_offline_without_a_download(hub: Hub) -> None:
    with pytest.raises(DownloadError, match=r"org/small is not in the local cache"):
        load_encoder("org/small", LoadOptions(offline=True))
    with pytest.raises(DownloadError):
        load_encoder(PINNED, LoadOptions(offline=True))
    assert not hub.downloaded


def test_what_cannot_be_had_is_named(hub: Hub) -> None:
    with pytest.raises(DownloadError, match="no repository org/nothing"):
        load_encoder("org/nothing")
    with pytest.raises(DownloadError, match="no revision 'v9'"):
        load_encoder("org/small", LoadOptions(revision="v9"))
    with pytest.raises(CheckpointError, match="no weight files"):
        load_encoder("org/config-only")
    with pytest.raises(DownloadError, match="not a hub id"):
        load_encoder("org/-bad-")


def test_a_hub_that_does_not_answer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="org/small"):
        load_encoder("org/small")


def pin(spec: ModelSpec, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the small checkpoint under a published id, with its own hash."""
    register(spec, content, SMALL_NT_V2, monkeypatch)


@pytest.mark.fault("F09")
def test_a_registered_model_is_checked_against_its_pin(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (folder / "model.safetensors").read_bytes()
    pin(registry()[PINNED], content, monkeypatch)
    encoder = load_encoder(PINNED)
    assert encoder.identity.weights == hashlib.sha256(content).hexdigest()
    assert encoder.identity.revision == registry()[PINNED].source.revision
    assert hub.downloaded == ["model.safetensors"]
    assert encoder.params


@pytest.mark.parametrize("damage", ["flip", "cut"])
@pytest.mark.fault("F09")
def test_a_download_that_is_not_the_pinned_file_is_refused(
    damage: str, hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (folder / "model.safetensors").read_bytes()
    pin(registry()[PINNED], content, monkeypatch)
    changed = bytearray(content)
    changed[-1] ^= 1
    bad = bytes(changed) if damage == "flip" else content[:-8]
    files = hub.repositories[str(registry()[PINNED].source.hub_id)]
    files["model.safetensors"] = bad
    with pytest.raises(CheckpointError, match="is not the published file"):
        load_encoder(PINNED)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.txt"])
@pytest.mark.parametrize("large", [True, False])
@pytest.mark.fault("F69")
def test_a_flipped_bit_of_an_unregistered_model_is_fetched_again(
    name: str, large: bool, hub: Hub, folder: Path
) -> None:
    """F69: the library looks at sizes only; what the hub states of each file is checked here."""
    hub.large = {name} if large else set()
    hub.faults[name] = [CORRUPT]
    encoder = load_encoder("org/small")
    assert not hub.faults[name]  # the damaged answer was given
    table = load_encoder(folder).params["tokens"]["table"]
    np.testing.assert_array_equal(encoder.params["tokens"]["table"], table)


@pytest.mark.fault("F69")
def test_a_file_that_is_damaged_on_every_way_is_refused(hub: Hub) -> None:
    hub.always["model.safetensors"] = CORRUPT
    with pytest.raises(DownloadError, match=r"model\.safetensors of org/small is not what the hub"):
        load_encoder("org/small")


@pytest.mark.fault("F69")
def test_a_bit_that_flips_in_the_cache_is_seen(hub: Hub, tmp_path: Path) -> None:
    load_encoder("org/small")
    link = next((tmp_path / "cache").rglob("snapshots/*/vocab.txt"))
    content = bytearray(link.read_bytes())
    content[-2] ^= 1
    link.resolve().write_bytes(bytes(content))
    with pytest.raises(DownloadError, match=r"vocab\.txt .*--offline"):
        load_encoder("org/small", LoadOptions(offline=True))
    assert load_encoder("org/small").params


@pytest.mark.fault("F09")
def test_swapped_tensors_of_equal_shape_are_refused(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    content = (folder / "model.safetensors").read_bytes()
    pin(registry()[PINNED], content, monkeypatch)
    tensors = load_file(folder / "model.safetensors")
    query, key = (f"encoder.layer.0.attention.self.{part}.weight" for part in ("query", "key"))
    tensors[query], tensors[key] = tensors[key].clone(), tensors[query].clone()
    save_file(tensors, tmp_path / "swapped", metadata={"format": "pt"})
    files = hub.repositories[str(registry()[PINNED].source.hub_id)]
    files["model.safetensors"] = (tmp_path / "swapped").read_bytes()
    with pytest.raises(CheckpointError, match="is not the published file"):
        load_encoder(PINNED)
