"""What can happen to an embedding, by row of the fault table."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax.embed import (
    BatchMemoryError,
    Forward,
    embed_into,
    embed_sequences,
    limited,
    read_or_embed,
)
from geneb_jax.errors import InterruptedRunError, ModelError, NonFiniteError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.encoder import TokenEncoder, TokenizedSequence
from geneb_jax.models.families.kmer import build_kmer_encoder
from geneb_jax.store import EmbeddingStore
from tests.tolerance import Tolerance, relative_error

CHILD = Path(__file__).with_name("embed_child.py")
_SPEC = importlib.util.spec_from_file_location("embed_child", CHILD)
assert _SPEC is not None and _SPEC.loader is not None
child = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(child)


def table_of(texts: Sequence[str]) -> SimpleNamespace:
    distinct = tuple(dict.fromkeys(texts))
    digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in distinct]
    flat = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
    return SimpleNamespace(sequences=distinct, digests=flat)


def draw(count: int, shortest: int, longest: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    letters = np.array(list("ACGT"))
    lengths = rng.integers(shortest, longest + 1, count)
    return ["".join(letters[rng.integers(0, 4, length)]) for length in lengths]


def open_store(root: Path, encoder: Any, rows_per_shard: int = 16) -> EmbeddingStore:
    return EmbeddingStore.open(root, encoder.identity, encoder.width, rows_per_shard=rows_per_shard)


def bytes_of(root: Path) -> dict[str, str]:
    """SHA-256 of every file of a store, locks and remnants of temporary files left out."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and "__lock" not in path.name
    }


class Letters(TokenEncoder):
    """Mean of a vector a letter: one line of arithmetic whose faults the tests choose."""

    def __init__(self, limit: int | None = None) -> None:
        table = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
        self.params = {"letters": table}
        self.limit = limit

    @property
    def identity(self) -> EncoderIdentity:
        return EncoderIdentity("letters", "r", "w", "t", "mean", -1, "float32", "letters/1")

    @property
    def width(self) -> int:
        return 8

    def tokenize(self, sequence: str) -> TokenizedSequence:
        kept = sequence if self.limit is None else sequence[: self.limit]
        ids = np.array(["ACGT".find(letter) + 1 for letter in kept.upper()], np.int32)
        return TokenizedSequence(ids, len(sequence) - len(kept), int((ids == 0).sum()))

    def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
        vectors = jnp.where(mask[:, :, None], params["letters"][ids], 0.0)
        count = jnp.maximum(mask.sum(axis=1, keepdims=True), 1).astype(jnp.float32)
        return vectors.sum(axis=1) / count


# F01, F49: death while embedding


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], float]:
    root = tmp_path_factory.mktemp("undisturbed")
    done = subprocess.run(
        [sys.executable, str(CHILD), str(root)], capture_output=True, text=True, check=True
    )
    return bytes_of(root), float(done.stdout.split()[-1])


def stop_and_resume(root: Path, expected: dict[str, str], how: int, delay: float) -> int:
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(delay)
    process.send_signal(how)
    process.communicate(timeout=120)
    encoder, table = build_kmer_encoder(child.K), child.sequences()
    store = open_store(root, encoder, child.ROWS_PER_SHARD)
    kept = len(store)
    assert kept % child.ROWS_PER_SHARD == 0 or kept == len(table.sequences)
    embed_into(store, encoder, table, batch_tokens=child.BATCH_TOKENS)
    assert bytes_of(root) == expected
    return kept


@pytest.mark.fault("F01")
def test_f01_an_embedding_killed_in_the_middle_ends_with_the_same_bytes(
    tmp_path: Path, undisturbed: tuple[dict[str, str], float]
) -> None:
    expected, seconds = undisturbed
    stop_and_resume(tmp_path, expected, signal.SIGKILL, 0.6 * seconds)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(30))
@pytest.mark.fault("F01")
def test_f01_an_embedding_killed_at_thirty_random_moments_ends_with_the_same_bytes(
    tmp_path: Path, undisturbed: tuple[dict[str, str], float], seed: int
) -> None:
    expected, seconds = undisturbed
    stop_and_resume(tmp_path, expected, signal.SIGKILL, random.Random(seed).random() * seconds)


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.sweep)]
)
@pytest.mark.fault("F49")
def test_f49_a_signal_drops_only_running_shards_and_frees_the_lock(
    tmp_path: Path, undisturbed: tuple[dict[str, str], float], how: int
) -> None:
    expected, seconds = undisturbed
    stop_and_resume(tmp_path, expected, how, 0.6 * seconds)


@pytest.mark.fault("F49")
def test_f49_an_interruption_in_the_middle_keeps_whole_shards(tmp_path: Path) -> None:
    encoder, table = limited(Letters(), 256), table_of(draw(100, 30, 40))
    store = open_store(tmp_path / "one", encoder)

    def interrupt(progress: Any) -> None:
        if progress.sequences_done >= 60:
            raise KeyboardInterrupt

    original, Clock = 0.0, sys.modules["geneb_jax.embed.progress"].ProgressClock
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Clock, "_INTERVAL_SECONDS", original)
        with pytest.raises(KeyboardInterrupt):
            embed_into(store, encoder, table, progress=interrupt)
    # Two shards of 16 rows are computed side by side: both running ones are dropped, or the first
    # of them had ended.
    assert len(open_store(tmp_path / "one", encoder)) in (32, 48)
    embed_into(open_store(tmp_path / "one", encoder), encoder, table)
    embed_into(open_store(tmp_path / "two", encoder), encoder, table)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


# F06: damage is mended without the caller's help


@pytest.mark.fault("F06")
def test_f06_damaged_rows_are_embedded_again_on_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder, table = Letters(), table_of(draw(60, 10, 20))
    store = open_store(tmp_path, encoder)
    rows = read_or_embed(store, encoder, table)
    shard = next(tmp_path.rglob("c/0/1/0"))
    content = bytearray(shard.read_bytes())
    content[17] ^= 8
    shard.write_bytes(bytes(content))
    reports: list[Any] = []
    again = read_or_embed(store, encoder, table, table.digests[::-1], on_report=reports.append)
    assert again.tobytes() == rows[::-1].tobytes()
    assert [(report.embedded, report.reused) for report in reports] == [(16, 44)]
    assert "quarantine" in caplog.text


# F11, F12: numbers that are none


@pytest.mark.parametrize("where", ["one row", "one column", "everything"])
@pytest.mark.fault("F11")
def test_f11_nan_is_never_stored_and_names_its_sequences(tmp_path: Path, where: str) -> None:
    class Broken(Letters):
        def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
            rows = super().pooled(params, ids, mask)
            short = mask.sum(axis=1, keepdims=True) == 11
            column = jnp.arange(8, dtype=jnp.int32)[None, :] == 3
            bad = {"one row": short, "one column": column, "everything": short | True}[where]
            return jnp.where(bad, jnp.nan, rows)

    texts = [*draw(30, 20, 30), "ACGTACGTACG"]
    encoder, table = Broken(), table_of(texts)
    store = open_store(tmp_path, encoder, rows_per_shard=64)
    count = 1 if where == "one row" else 31
    with pytest.raises(NonFiniteError, match=f": {count} embeddings hold NaN") as caught:
        embed_into(store, encoder, table)
    if where == "one row":
        assert "ACGTACGTACG (11 letters)" in caught.value.message
    assert len(open_store(tmp_path, encoder)) == 31 - count, "finite rows are kept"
    with pytest.raises(NonFiniteError, match="NaN") as refused:
        embed_sequences(encoder, texts)
    assert len(refused.value.positions) == count


@pytest.mark.fault("F11")
def test_f11_a_model_without_a_finite_row_is_given_up_early(tmp_path: Path) -> None:
    class Broken(Letters):
        def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
            return super().pooled(params, ids, mask) * jnp.float32(jnp.nan)

    encoder, table = Broken(), table_of(draw(6000, 8, 12))
    with pytest.raises(NonFiniteError) as caught:
        embed_into(open_store(tmp_path, encoder, rows_per_shard=2048), encoder, table)
    assert len(caught.value.positions) == 4096


@pytest.mark.fault("F12")
def test_f12_an_overflow_of_half_precision_is_an_error_not_an_embedding() -> None:
    class Half(Letters):
        def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
            vectors = (params["letters"][ids] * 30_000.0).astype(jnp.float16)
            return jnp.where(mask[:, :, None], vectors, jnp.float16(0)).sum(axis=1)

    with pytest.raises(ModelError, match=r"infinity.*bfloat16"):
        embed_sequences(Half(), draw(10, 50, 60))


# F26, F27, F28: strange sequences


@pytest.mark.parametrize("encoder", [Letters(), build_kmer_encoder(3)])
@pytest.mark.fault("F26")
def test_f26_empty_and_blank_sequences_are_finite_and_counted(tmp_path: Path, encoder: Any) -> None:
    store, table = open_store(tmp_path, encoder), table_of(["", " ", "\t\n", "ACGT"])
    rows = read_or_embed(store, encoder, table)
    assert not rows[0].any() and np.isfinite(rows).all()
    found = embed_into(open_store(tmp_path / "again", encoder), encoder, table)
    assert (found.empty_sequences, found.unknown_sequences, found.unknown_bp) == (1, 2, 3)
    assert embed_sequences(encoder, [""]).shape == (1, encoder.width)


@pytest.mark.fault("F27")
def test_f27_every_letter_is_embedded_by_the_stated_policy() -> None:
    encoder = build_kmer_encoder(1)
    letters = [chr(code) for code in range(32, 127)] + ["é", "☃", "\U0001f9ec"]
    rows = embed_sequences(encoder, letters)
    for letter, row in zip(letters, rows, strict=True):
        expected = [float(letter.upper() == known) for known in "ACGT"]
        assert row.tolist() == expected
        assert encoder.tokenize(letter).unknown_bp == int(not any(expected))


@pytest.mark.fault("F28", "F68")
def test_f28_a_sequence_beyond_the_limit_is_cut_and_counted(tmp_path: Path) -> None:
    encoder = Letters(limit=40)
    texts = ["A" * 40, "C" * 41, "G" * 400]
    report = embed_into(open_store(tmp_path, encoder), encoder, table_of(texts))
    assert (report.truncated_sequences, report.truncated_bp) == (2, 361)
    rows = embed_sequences(encoder, texts)
    assert rows.tobytes() == embed_sequences(encoder, [text[:40] for text in texts]).tobytes()


# F29, F30: a row depends on its sequence alone


@pytest.mark.parametrize("batch_tokens", [1, 350, 3000, 10**6])
@pytest.mark.fault("F29")
def test_f29_batch_size_and_padding_change_nothing(batch_tokens: int, tolerance: Tolerance) -> None:
    encoder, texts = Letters(), draw(64, 1, 50)
    alone = np.concatenate(
        [embed_sequences(encoder, [text], batch_tokens=50) for text in texts[:2]]
    )
    found = embed_sequences(encoder, texts, batch_tokens=batch_tokens)
    padded = np.concatenate([embed_sequences(encoder, [*texts, "A" * 100])[:2], found[:2]])
    expected = np.concatenate([alone, alone])
    assert relative_error(padded, expected) <= tolerance("batch_invariance", "float32")
    means = [encoder.params["letters"][encoder.tokenize(text).ids].mean(axis=0) for text in texts]
    assert relative_error(found, means) <= tolerance("batch_invariance", "float32")


@pytest.mark.fault("F30")
def test_f30_rows_follow_their_sequences_through_every_order(tmp_path: Path) -> None:
    encoder, texts = build_kmer_encoder(2), draw(90, 10, 60)
    alone = {text: embed_sequences(encoder, [text])[0] for text in texts[:2]}
    expected = embed_sequences(encoder, texts)
    for text, row in zip(texts, expected, strict=False):
        assert text not in alone or alone[text].tobytes() == row.tobytes()
    rng = np.random.default_rng(0)
    for trial in range(4):
        order = rng.permutation(90)
        table = table_of([texts[at] for at in order])
        store = open_store(tmp_path / str(trial % 2), encoder)
        part = table_of(table.sequences[: 30 * trial])
        read_or_embed(store, encoder, part)
        assert read_or_embed(store, encoder, table).tobytes() == expected[order].tobytes()


# F42, F45: no forks, no fragmentation

_FORKS: list[str] = []


@pytest.mark.fault("F42")
def test_f42_embedding_and_storing_start_no_process(tmp_path: Path) -> None:
    watched = True

    def hook(event: str, arguments: object) -> None:
        if watched and event in ("os.fork", "os.forkpty", "subprocess.Popen", "os.posix_spawn"):
            _FORKS.append(event)

    sys.addaudithook(hook)  # it cannot be removed; `watched` ends it
    encoder, table = build_kmer_encoder(2), table_of(draw(40, 10, 60))
    read_or_embed(open_store(tmp_path, encoder), encoder, table)
    assert _FORKS == []
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    watched = False
    assert _FORKS == ["os.posix_spawn"]


@pytest.mark.fault("F45")
def test_f45_batch_size_and_shard_size_find_the_same_rows(tmp_path: Path) -> None:
    encoder, table = Letters(), table_of(draw(50, 10, 60))
    embed_into(open_store(tmp_path, encoder), encoder, table, batch_tokens=512)
    report = embed_into(open_store(tmp_path, encoder, 9), encoder, table, batch_tokens=5000)
    assert (report.embedded, report.reused) == (0, 50)
    with pytest.raises(ValueError, match="not the store"):
        embed_into(open_store(tmp_path, encoder), encoder, table, batch_tokens=100)


# F46, F47, F48: the machine fails


class Allocator:
    """Programs that fail above a number of tokens, as a full device does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit_tokens: int, error: Exception):
        self.limit_tokens = limit_tokens
        self.ran: list[tuple[int, ...]] = []
        compile_program = Forward._program

        def program(forward: Forward, bucket: Any, dtype: Any) -> Any:
            compiled = compile_program(forward, bucket, dtype)

            def call(params: Any, ids: Any, lengths: Any) -> Any:
                self.ran.append(ids.shape)
                if ids.size > self.limit_tokens:
                    raise error
                return compiled(params, ids, lengths)

            return call

        monkeypatch.setattr(Forward, "_program", program)


OUT_OF_MEMORY = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating")


@pytest.mark.parametrize("error", [OUT_OF_MEMORY, MemoryError("host")])
@pytest.mark.fault("F46")
def test_f46_out_of_memory_halves_the_batch_of_texts_in_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    encoder, texts = Letters(), draw(200, 40, 60)
    expected = embed_sequences(encoder, texts, batch_tokens=128)
    devices = len(jax.devices())
    device = Allocator(monkeypatch, 150 * devices, error)
    forward = Forward(encoder)
    found = embed_sequences(encoder, texts, forward=forward)
    assert forward.batch_tokens == 128
    too_large = [rows * length > 150 * devices for rows, length in device.ran]
    assert too_large == [True, True] + [False] * (len(too_large) - 2)
    # Everything is what the smaller batches give; nothing of a larger one is among it.
    assert found.tobytes() == expected.tobytes()
    assert "going on with 128 tokens a batch" in caplog.text


@pytest.mark.fault("F46")
def test_f46_rows_of_smaller_batches_never_enter_the_store_of_larger_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, table = Letters(), table_of(draw(100, 40, 60))
    Allocator(monkeypatch, 300 * len(jax.devices()), OUT_OF_MEMORY)
    store = open_store(tmp_path, encoder)
    with pytest.raises(BatchMemoryError, match=r"out of device memory.*--batch-tokens 256") as said:
        embed_into(store, encoder, table)
    assert said.value.smaller == 256 and len(open_store(tmp_path, encoder)) == 0
    smaller = limited(encoder, said.value.smaller)
    other = open_store(tmp_path, smaller)
    assert other.place != store.place
    assert embed_into(other, smaller, table).embedded == 100
    assert len(open_store(tmp_path, encoder)) == 0


@pytest.mark.parametrize(("length", "smaller"), [(40, 256), (300, 128), (1000, 256)])
@pytest.mark.fault("F46")
def test_f46_the_number_that_is_named_makes_the_batch_smaller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: int, smaller: int
) -> None:
    encoder, table = Letters(), table_of(draw(10, length, length))
    device = Allocator(monkeypatch, length, OUT_OF_MEMORY)
    with pytest.raises(BatchMemoryError) as said:
        embed_into(open_store(tmp_path, encoder), encoder, table)
    assert said.value.smaller == smaller
    fewer = limited(encoder, smaller)
    with pytest.raises(BatchMemoryError):
        embed_into(open_store(tmp_path, fewer), fewer, table)
    (first, _), (then, _) = device.ran[0], device.ran[-1]
    assert then < first


@pytest.mark.fault("F46")
def test_f46_counting_goes_on_with_smaller_batches_as_no_bit_depends_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, table = build_kmer_encoder(2), table_of(draw(200, 40, 60))
    expected = embed_sequences(encoder, table.sequences)
    Allocator(monkeypatch, 1000, OUT_OF_MEMORY)
    store = open_store(tmp_path, encoder, rows_per_shard=64)
    report = embed_into(store, encoder, table)
    assert report.embedded == 200 and report.batch_tokens <= 1000
    assert store.read(table.digests).tobytes() == expected.tobytes()


@pytest.mark.fault("F46")
def test_f46_a_single_row_that_does_not_fit_fails_the_model_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Allocator(monkeypatch, 10, OUT_OF_MEMORY)
    encoder = Letters()
    with pytest.raises(BatchMemoryError, match=r"rows of 2048 tokens.*more memory") as caught:
        embed_sequences(encoder, ["A" * 2000])
    assert caught.value.smaller is None


@pytest.mark.sweep
@pytest.mark.fault("F47")
def test_f47_host_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    script = """
import resource, sys
from types import SimpleNamespace
import numpy as np
sys.path.insert(0, sys.argv[1])
from geneb_jax.embed import embed_into
from geneb_jax.models.families.kmer import build_kmer_encoder
from geneb_jax.store import EmbeddingStore
encoder = build_kmer_encoder(6)
store = EmbeddingStore.open(sys.argv[2], encoder.identity, encoder.width, rows_per_shard=512)
rng = np.random.default_rng(0)
peak = []
for count in (1024, 16384):
    texts = tuple("".join(row) for row in np.array(list("ACGT"))[rng.integers(0, 4, (count, 60))])
    digests = rng.integers(0, 256, (count, 16)).astype(np.uint8)
    embed_into(store, encoder, SimpleNamespace(sequences=texts, digests=digests))
    peak.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(peak[1] - peak[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(CHILD.parent), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    all_rows = 16384 * 4096 * 4
    assert int(done.stdout) < all_rows / 4


@pytest.mark.fault("F48")
def test_f48_a_lost_device_keeps_whole_shards_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, table = limited(Letters(), 256), table_of(draw(100, 30, 40))
    compile_program = Forward._program
    calls = 0

    def program(forward: Forward, bucket: Any, dtype: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 8:
            return lost
        return compile_program(forward, bucket, dtype)

    def lost(*arguments: Any) -> Any:
        raise jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_LAUNCH_FAILED")

    with monkeypatch.context() as patched:
        patched.setattr(Forward, "_program", program)
        store = open_store(tmp_path / "one", encoder)
        with pytest.raises(InterruptedRunError, match="CUDA_ERROR_LAUNCH_FAILED") as caught:
            embed_into(store, encoder, table)
    assert caught.value.exit_code == 75
    kept = len(open_store(tmp_path / "one", encoder))
    assert 0 < kept < 100 and kept % 16 == 0
    embed_into(open_store(tmp_path / "one", encoder), encoder, table)
    embed_into(open_store(tmp_path / "two", encoder), encoder, table)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


@pytest.mark.fault("F48")
def test_f48_a_program_that_cannot_run_is_the_models_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def program(forward: Forward, bucket: Any, dtype: Any) -> Any:
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: no such custom call")

    monkeypatch.setattr(Forward, "_program", program)
    with pytest.raises(ModelError, match=r"cannot run on this device.*custom call"):
        embed_sequences(Letters(), ["ACGT"])


# F54, F56: the same again, and not compiled again


@pytest.mark.fault("F54")
def test_f54_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    encoder, texts = Letters(), draw(120, 10, 90)
    for name, order in (("one", texts), ("two", texts[::-1])):
        store = open_store(tmp_path / name, encoder)
        embed_into(store, encoder, table_of(order))
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


@pytest.mark.sweep
@pytest.mark.fault("F56")
def test_f56_two_thousand_lengths_compile_one_program_a_rung(tmp_path: Path) -> None:
    compiled: list[tuple[int, ...]] = []

    class Counting(Letters):
        def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
            compiled.append(ids.shape)  # runs while tracing only
            return super().pooled(params, ids, mask)

    encoder, table = Counting(), table_of(draw(2000, 40, 3000))
    report = embed_into(open_store(tmp_path, encoder, rows_per_shard=256), encoder, table)
    assert report.embedded == 2000
    rungs = 7 + 8 * 5 + 4  # from 40 to 3072 in eighths of an octave
    assert len(compiled) == len(set(compiled)) == report.compile_count <= rungs
    assert report.padding_share < 0.15
