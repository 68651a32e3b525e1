"""F62 and F64: what is hashed is what was read, whatever is done to the files in between."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from geneb_jax.errors import CheckpointError
from geneb_jax.models import load_encoder
from geneb_jax.models.checkpoints import file_digests
from geneb_jax.models.checkpoints.file_digests import DigestedFile, check_pinned, file_sha256
from geneb_jax.models.checkpoints.weight_reader import open_checkpoint
from geneb_jax.models.spec import PinnedFile
from geneb_jax.tokenizers import built_in_vocabulary
from tests.models.esm_checkpoints import FORMS, esm_model, save

SMALL = FORMS["rotary"] | {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
TABLE = "embeddings.word_embeddings.weight"
Swap = Callable[[Path, Path], None]


def times(file: Path) -> tuple[int, int]:
    return file.stat().st_atime_ns, file.stat().st_mtime_ns


def in_place(file: Path, other: Path) -> None:
    """Overwrite the bytes, then set the time back."""
    before = times(file)
    with file.open("r+b") as stream:
        stream.write(other.read_bytes())
    os.utime(file, ns=before)


def rewritten(file: Path, other: Path) -> None:
    """Truncate and write, as most programs save; then set the time back."""
    before = times(file)
    file.write_bytes(other.read_bytes())
    os.utime(file, ns=before)


def by_rename(file: Path, other: Path) -> None:
    """Put another file of the same size and time in its place."""
    before = times(file)
    beside = file.with_name("incoming")
    shutil.copy(other, beside)
    os.utime(beside, ns=before)
    beside.replace(file)


SWAPS = [in_place, rewritten, by_rename]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, as safetensors and as a torch file, and other weights of the same size."""
    folder = save(esm_model(**SMALL), tmp_path_factory.mktemp("swapped") / "model")
    (folder / "vocab.txt").write_text(built_in_vocabulary("nt-v2").text)
    (folder / "tokenizer_config.json").write_text('{"eos_token": null, "model_max_length": 100}')
    tensors = load_file(folder / "model.safetensors")
    others = tensors | {TABLE: tensors[TABLE] + 1}
    save_file(tensors, folder / "model.safetensors")  # without metadata, as the other
    save_file(others, folder.parent / "other.safetensors")
    torch.save(tensors, folder.parent / "model.bin")
    torch.save(others, folder.parent / "other.bin")
    for mine in (folder / "model.safetensors", folder.parent / "model.bin"):
        assert mine.stat().st_size == (folder.parent / f"other{mine.suffix}").stat().st_size
    return folder


@pytest.fixture(params=["safetensors", "bin"])
def checkpoint(
    published: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[Path, Path, Path]:
    """A copy of the folder, its weight file, and the other weights."""
    folder = Path(shutil.copytree(published, tmp_path / "model"))
    weights = folder / "model.safetensors"
    if request.param == "bin":
        weights.unlink()
        weights = Path(shutil.copy(published.parent / "model.bin", folder / "pytorch_model.bin"))
    return folder, weights, published.parent / f"other.{request.param}"


@pytest.fixture(params=[False, True], ids=["fresh", "settled"])
def settled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether files count as old enough for their times to tell a change."""
    if request.param:
        monkeypatch.setattr(file_digests, "_TICK_NS", 0)
    return bool(request.param)


def table(encoder: object) -> np.ndarray:
    return np.asarray(encoder.params["tokens"]["table"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.fault("F62")
def test_f62_weights_swapped_before_the_first_embedding_are_refused(
    checkpoint: tuple[Path, Path, Path], swap: Swap, settled: bool
) -> None:
    folder, weights, other = checkpoint
    encoder = load_encoder(folder)
    assert encoder.identity.weights == file_sha256(weights)
    swap(weights, other)
    with pytest.raises(CheckpointError, match=r"changed while it was read.*same command"):
        table(encoder)
    again = load_encoder(folder)
    assert again.identity.weights == file_sha256(other) != encoder.identity.weights
    assert np.abs(table(again)).max() > 0.5


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.fault("F62")
def test_f62_weights_swapped_while_they_are_read_are_refused(
    checkpoint: tuple[Path, Path, Path], swap: Swap, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geneb_jax.models.checkpoints import assembly

    folder, weights, other = checkpoint
    encoder = load_encoder(folder)
    read = assembly.place

    def place_and_swap(*arguments: object) -> object:
        monkeypatch.setattr(assembly, "place", read)
        swap(weights, other)
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(assembly, "place", place_and_swap)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        table(encoder)


@pytest.mark.fault("F62")
def test_f62_a_change_in_the_same_tick_of_the_clock_is_found_by_hashing_again(
    checkpoint: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system whose clock stands still between hashing and writing."""
    folder, weights, other = checkpoint
    frozen = file_digests.FileSignature.of(weights.stat())._replace(ctime_ns=time.time_ns())
    monkeypatch.setattr(file_digests.FileSignature, "of", lambda stat: frozen)
    encoder = load_encoder(folder)
    in_place(weights, other)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        table(encoder)


@pytest.mark.fault("F62")
def test_f62_a_file_that_was_released_is_opened_again_only_if_it_is_the_same(
    checkpoint: tuple[Path, Path, Path],
) -> None:
    _, weights, other = checkpoint
    opened = open_checkpoint([weights])
    name = next(name for name in opened.tensors if name.endswith(TABLE))
    first = np.array(opened.read(name))
    opened.release()
    np.testing.assert_array_equal(opened.read(name), first)
    opened.release()
    by_rename(weights, other)
    for _ in range(2):
        with pytest.raises(CheckpointError, match="changed while it was read"):
            opened.read(name)


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.fault("F64")
def test_f64_weights_swapped_between_two_loads_have_another_identity(
    checkpoint: tuple[Path, Path, Path],
    swap: Swap,
    settled: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Size, name and time of change are the same; the digest that is remembered must not serve."""
    monkeypatch.setattr(file_digests, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(file_digests, "_REMEMBERED_FROM_BYTES", 1)
    folder, weights, other = checkpoint
    first = load_encoder(folder)
    values = table(first)
    assert (tmp_path / "cache" / "file-digests.json").exists() == settled
    swap(weights, other)
    second = load_encoder(folder)
    assert second.identity.weights != first.identity.weights
    assert np.abs(table(second) - values).max() > 0.5


@pytest.mark.fault("F64")
def test_f64_a_digest_is_remembered_for_a_while_and_never_believed_of_a_pinned_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(file_digests, "_REMEMBERED_FROM_BYTES", 1)
    monkeypatch.setattr(file_digests, "_TICK_NS", 0)
    file, memory = tmp_path / "weights.bin", tmp_path / "cache" / "file-digests.json"
    file.write_bytes(b"weights")
    true = file_sha256(file)
    (key,) = json.loads(memory.read_text())
    stat = file.stat()
    for part in (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns):
        assert str(part) in key.split("|")
    now = time.time()
    memory.write_text(json.dumps({key: ["0" * 64, now - 3600]}))
    assert file_sha256(file) == "0" * 64  # remembered, so this test sees what is recalled
    check_pinned(DigestedFile(file), PinnedFile("weights.bin", true, 7))
    memory.write_text(json.dumps({key: ["0" * 64, now - 31 * 24 * 3600], "other": [true, 0]}))
    assert file_sha256(file) == true
    assert list(json.loads(memory.read_text())) == [key]
    for damaged in ("[]", "{", '{"a": 1}', json.dumps({key: "0" * 64})):
        memory.write_text(damaged)
        assert file_sha256(file) == true
    monkeypatch.setattr(file_digests, "_TICK_NS", 10**12)
    memory.write_text(json.dumps({key: ["0" * 64, now]}))
    assert file_sha256(file) == true  # it has just been changed: times tell nothing
