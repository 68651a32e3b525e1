"""What runs and stores leave, submissions of others, and arrays of users."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from geneb_jax.benchmark import load_suite
from tests.fuzz.hostile_bytes import damaged_bytes, damaged_json
from tests.fuzz.target import Target, text, written

__all__ = ["TARGETS"]


def sealed_file(generator: np.random.Generator, content: bytes) -> bytes:
    """Damage a sealed file; half of the time with a seal that fits, as who edits it may make."""
    from geneb_jax.sealed_files import seal_of

    changed = damaged_json(generator, content)
    if generator.random() < 0.5:
        return changed
    try:
        document = json.loads(changed)
        document["sha256"] = seal_of([document["kind"], document["content"]])
        return json.dumps(document).encode("utf-8")
    except (ValueError, TypeError, KeyError, RecursionError):
        return changed


def sealed_entry(generator: np.random.Generator, content: bytes) -> bytes:
    """The same of what a store seals."""
    from geneb_jax.store.manifest import _seal

    changed = damaged_json(generator, content)
    if generator.random() < 0.3:
        return changed
    try:
        document = json.loads(changed)
        del document["sha256"]
        return json.dumps(document | {"sha256": _seal(document)}).encode("utf-8")
    except (ValueError, TypeError, KeyError, RecursionError):
        return changed


def sealed_record(generator: np.random.Generator, content: bytes) -> bytes:
    """The same of a record: the checksum of its rows."""
    from geneb_jax.results.records import _rows_digest

    changed = damaged_json(generator, content)
    if generator.random() < 0.3:
        return changed
    try:
        document = json.loads(changed)
        return json.dumps(document | {"rows_sha256": _rows_digest(document["rows"])}).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        return changed


def _small_run(folder: Path) -> Path:
    """The folder of a run of one unit, made without JAX."""
    from tests.fault.crowd import begin_results, work_on_results

    out = folder / "out"
    if not out.exists():
        begin_results(out)
        work_on_results(out, random.Random(0))
        for other in sorted(out.glob("records/*/*/*.json"))[1:]:
            other.unlink()
    return out


def _one(folder: Path, pattern: str) -> Path:
    return sorted(_small_run(folder).glob(pattern))[0]


def _seed_of(pattern: str) -> Callable[[Path], list[bytes]]:
    return lambda folder: [_one(folder, pattern).read_bytes()]


def _read_record(folder: Path, content: bytes) -> None:
    from geneb_jax.results import Records
    from tests.fault.crowd import unit_keys

    out = _small_run(folder)
    path = _one(folder, "records/*/*/*.json")
    whole = path.read_bytes()
    path.write_bytes(content)
    records = Records(out)
    for unit in records.units():
        assert unit.rows
    for key in unit_keys():
        if records.path_of(key) == path and (rows := records.find(key)) is not None:
            records.kept_unit(rows)
    path.write_bytes(whole)


def _read_predictions(folder: Path, content: bytes) -> None:
    from geneb_jax.results.predictions import unpack_predictions

    unpack_predictions(content)


def _read_answers(folder: Path, content: bytes) -> None:
    from geneb_jax.results import find_answer_key, find_repeats

    for name in ("task-ab.npz", "task-ab.repeats1.npz"):
        (folder / "answers").mkdir(exist_ok=True)
        written(folder / "answers", name, content)
    find_answer_key(folder, "task", "ab")
    find_repeats(folder, "task", "ab")


def _read_run_json(folder: Path, content: bytes) -> None:
    from geneb_jax.results import read_run_record

    written(folder, "run.json", content)
    read_run_record(folder)


def _run_json_seeds(folder: Path) -> list[bytes]:
    from geneb_jax.results import ModelFacts, write_run_record
    from tests.run_records import run_record

    return [write_run_record(folder, run_record(ModelFacts("kmer-2"))).read_bytes()]


def _read_scores_table(folder: Path, content: bytes) -> None:
    from geneb_jax.results.score_tables import read_scores

    read_scores(written(folder, "scores.csv", content))


def _read_report_folder(pattern: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        from geneb_jax.results import read_run_folder

        path = _one(folder, pattern)
        whole = path.read_bytes()
        path.write_bytes(content)
        try:
            found = read_run_folder(_small_run(folder))
            _ = found.model_facts, found.task_facts
        finally:
            path.write_bytes(whole)

    return read


def _submission_seeds(folder: Path) -> list[bytes]:
    suite = load_suite("geneb")
    block = {"MCC": 0.5, "Acc": 0.75, "F1": 0.7}
    results = {
        regime.name: {task.task_id: block for task in suite.tasks[:3]}
        for regime in suite.protocol.regimes
    }
    meta = {
        "display": "Kmer", "url": "https://example.org", "training_data": "none", "params": 10,
        "provenance": "self-reported", "submitted_by": "me", "zero_shot": False,
    }  # fmt: skip
    document = {
        "schema_version": "1.0", "model_id": "kmer", "harness_version": suite.harness_version,
        "meta": meta, "results": results,
    }  # fmt: skip
    return [json.dumps(document).encode()]


def _read_submission(folder: Path, content: bytes) -> None:
    from geneb_jax.results.submission_check import validate_submission
    from geneb_jax.results.submission_reading import read_submission

    suite = load_suite("geneb")
    path = written(folder, "kmer.json", content)
    validate_submission(path, suite)
    read_submission(path, suite)


def _array_seeds(folder: Path) -> list[bytes]:
    from geneb_jax.vectors.npz_file import EMBEDDINGS, FACTS, NAMES

    generator = np.random.default_rng(0)
    X, y = generator.standard_normal((8, 3)).astype(np.float32), np.arange(8) % 2
    texts = np.array(["train", "test"] * 4)
    seeds = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, X_train=X, y_train=y, X_test=X, y_test=y)
        seeds.append(buffer.getvalue())
        buffer = io.BytesIO()
        vectors = {EMBEDDINGS: X, NAMES: texts, FACTS: np.array('{"model": "x"}')}
        save(buffer, **vectors, label=y, split=texts)
        seeds.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.save(buffer, X)
    return [*seeds, buffer.getvalue()]


def _read_arrays(folder: Path, content: bytes) -> None:
    from geneb_jax.runs.array_tasks import read_array_tasks

    read_array_tasks(written(folder, "x.npz", content))


def _store_seeds(name: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        from geneb_jax.store import EmbeddingStore
        from tests.fault import store_writer

        store = EmbeddingStore.open(
            str(folder / "store"), store_writer.IDENTITY, store_writer.WIDTH, rows_per_shard=8
        )
        store.commit(*store_writer.content())
        return [path.read_bytes() for path in sorted((folder / "store").glob(f"*/{name}"))]

    return seeds


def _read_manifest(folder: Path, content: bytes) -> None:
    from geneb_jax.store.manifest import UnknownManifestVersionError, decode_manifest

    try:
        decode_manifest(content)
    except UnknownManifestVersionError as error:
        raise ValueError from error


def _read_entry(folder: Path, content: bytes) -> None:
    from geneb_jax.store.entries import decode_entry
    from geneb_jax.store.keys import key_hash
    from geneb_jax.store.manifest import UnknownManifestVersionError
    from tests.fault import store_writer

    try:
        decode_entry(content, key_hash(store_writer.IDENTITY, store_writer.WIDTH))
    except UnknownManifestVersionError as error:
        raise ValueError from error


def _read_row_file(folder: Path, content: bytes) -> None:
    from geneb_jax.store.row_files import DamagedRowFileError, decode_row_file

    with suppress(DamagedRowFileError):
        decode_row_file(content, checked=True)  # somebody else found its checksum to agree
    decode_row_file(content)


def _claim_seeds(folder: Path) -> list[bytes]:
    head = {"machine": "m", "pid": 1, "started": 2, "token": "t", "beat": 3}
    return [json.dumps(head).encode() + b"\n" + bytes(32)]


def _claim(generator: np.random.Generator, content: bytes) -> bytes:
    head, _, digests = content.partition(b"\n")
    return damaged_json(generator, head) + b"\n" + digests


def _read_claim(folder: Path, content: bytes) -> None:
    from geneb_jax.store.claims import Claims
    from geneb_jax.store.local_folder import LocalFolder

    place = folder / "claims" / "work"
    place.mkdir(parents=True, exist_ok=True)
    written(place, "0" * 32, content)
    Claims(LocalFolder(folder)).held_by_others()


TARGETS: dict[str, Target] = {
    "record": Target(_seed_of("records/*/*/*.json"), _read_record, sealed_record),
    "predictions": Target(
        _seed_of("records/*/*/*.npz"), _read_predictions, damaged_bytes, (ValueError,)
    ),
    "answers": Target(_seed_of("answers/*.npz"), _read_answers, damaged_bytes),
    "run.json": Target(_run_json_seeds, _read_run_json, damaged_json),
    "scores.csv": Target(_seed_of("scores.csv"), _read_scores_table, text),
    "report folder: suite": Target(
        _seed_of("records/suite.json"), _read_report_folder("records/suite.json"), sealed_file
    ),
    "report folder: task": Target(
        _seed_of("records/tasks/*.json"), _read_report_folder("records/tasks/*.json"), sealed_file
    ),
    "report folder: record": Target(
        _seed_of("records/*/*/*.json"), _read_report_folder("records/*/*/*.json"), sealed_record
    ),
    "submission": Target(_submission_seeds, _read_submission, damaged_json),
    "arrays": Target(_array_seeds, _read_arrays, damaged_bytes),
    "manifest": Target(_store_seeds("manifest.json"), _read_manifest, sealed_entry, (ValueError,)),
    "entry": Target(_store_seeds("manifest.d/*"), _read_entry, sealed_entry, (ValueError,)),
    "row file": Target(_store_seeds("rows/*/*.rows"), _read_row_file, damaged_bytes, (ValueError,)),
    "claim": Target(_claim_seeds, _read_claim, _claim),
}
