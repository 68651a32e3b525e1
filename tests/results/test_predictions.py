"""Kept predictions: what comes back, what is believed, what a death leaves."""

from __future__ import annotations

import io
import pickle
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geneb_jax.results import (
    AnswerKey,
    Records,
    ScoreRow,
    UnitKey,
    UnitPredictions,
    find_answer_key,
    keep_answer_key,
)
from geneb_jax.results.array_files import array_bytes
from geneb_jax.results.predictions import pack_predictions, unpack_predictions

ROWS = 180  # test rows of the rows in conftest.py


@pytest.fixture
def predictions(key: UnitKey) -> UnitPredictions:
    rng = np.random.default_rng(3)
    return UnitPredictions(rng.integers(-1, 3, (len(key.C), len(key.seeds), ROWS)))


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        np.int64,
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements=st.sampled_from([-(2**63), -1, 0, 1, 7, 300, 2**63 - 1]),
    )
)
def test_labels_come_back_and_the_bytes_are_the_same_each_time(labels: np.ndarray) -> None:
    content = pack_predictions(UnitPredictions(labels))
    assert content == pack_predictions(UnitPredictions(labels.copy()))
    found = unpack_predictions(content).labels
    assert found.dtype == np.int64 and np.array_equal(found, labels)


def test_numpy_alone_reads_the_file_and_a_prediction_takes_a_byte_at_most() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (1, 5, 10_000)) * 4 - 1
    content = pack_predictions(UnitPredictions(labels))
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        assert archive["codes"].dtype == np.uint8
        assert np.array_equal(archive["classes"][archive["codes"]], labels)
    assert len(content) < 0.25 * labels.size
    many = np.arange(300)[None, None]
    assert np.array_equal(unpack_predictions(pack_predictions(UnitPredictions(many))).labels, many)


@pytest.mark.parametrize("labels", [np.zeros((2, 3), int), np.zeros((1, 1, 4))])
def test_predictions_are_integers_of_three_axes(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="integers"):
        UnitPredictions(labels)


def _archive(**named: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **named)
    return buffer.getvalue()


CODES = np.zeros((1, 1, 2), np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        pickle.dumps([1, 2]),
        _archive(classes=np.array([0])),
        _archive(classes=np.array([0]), codes=CODES, more=CODES),
        _archive(classes=np.array([0]), codes=CODES[0]),
        _archive(classes=np.array([0]), codes=CODES + 1),
        _archive(classes=np.array([], int), codes=CODES),
        _archive(classes=np.array([0.5]), codes=CODES),
        _archive(classes=np.array([0]), codes=CODES.astype(float)),
        _archive(classes=np.array([[1]], object)[0], codes=CODES),
    ],
)
@pytest.mark.fault("F36", "F75")
def test_what_is_not_such_an_archive_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"archive|arrays|classes|codes|code|pickle"):
        unpack_predictions(content)


@pytest.mark.fault("F35")
def test_an_archive_that_unpacks_to_too_much_is_refused_unopened() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("codes.npy", b"0" * 100)
        archive.writestr("classes.npy", b"0" * 100)
        archive.infolist()[0].file_size = 2**31
    with pytest.raises(ValueError, match="more than"):
        unpack_predictions(buffer.getvalue())


def test_a_unit_is_found_by_its_rows(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], predictions: UnitPredictions
) -> None:
    records = Records(tmp_path)
    stored = records.add(key, key_rows, predictions)
    # The same unit under an earlier version of the task's files, with other scores.
    earlier = replace(key, task_fingerprint="cd" * 32)
    records.add(earlier, [replace(row, mcc=0.5) for row in key_rows], predictions)
    for rows in (stored, stored[:5], stored[5:], stored[3:4]):
        unit = records.kept_unit(rows)
        assert unit.key == key and unit.rows == stored
        assert np.array_equal(unit.predictions.labels, predictions.labels)
    for strange in (
        [],
        [replace(stored[0], mcc=stored[0].mcc + 1e-15)],
        [replace(stored[0], identity="0" * 8)],
        [replace(stored[0], regime="full")],
    ):
        assert records.kept_unit(strange) is None
    assert records.find(key) == stored


def test_records_without_predictions_stay_records(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], predictions: UnitPredictions, failed
) -> None:
    records = Records(tmp_path)
    stored = records.add(key, key_rows)
    assert records.find(key) == stored and records.kept_unit(stored) is None
    stored = records.add(key, key_rows, predictions)
    records.predictions_path_of(key).unlink()  # somebody needed the space
    assert records.find(key) == stored and records.kept_unit(stored) is None
    some_failed = [failed(key_rows[0]), *key_rows[1:]]
    stored = records.add(key, some_failed, predictions)
    assert records.kept_unit(stored) is None
    assert not records.predictions_path_of(key).exists()


@pytest.mark.fault("F75")
def test_damaged_predictions_are_not_believed(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], predictions: UnitPredictions
) -> None:
    records = Records(tmp_path)
    stored = records.add(key, key_rows, predictions)
    path = records.predictions_path_of(key)
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(bytes(damaged))
        assert records.kept_unit(stored) is None
    path.write_bytes(whole[:-1])
    assert records.kept_unit(stored) is None
    assert records.find(key) is None and len(records.damaged) == 1, "predicted again"


@pytest.mark.parametrize("shape", [(1, 5, ROWS), (2, 4, ROWS), (2, 5, ROWS - 1)])
def test_predictions_of_another_unit_are_refused(
    tmp_path: Path, key: UnitKey, key_rows: list[ScoreRow], shape: tuple[int, ...]
) -> None:
    records = Records(tmp_path)
    with pytest.raises(ValueError, match="do not match"):
        records.add(key, key_rows, UnitPredictions(np.zeros(shape, np.int64)))
    assert not records.folder.exists()


KILLED_WRITER = """
import os, pathlib, pickle, signal, sys
from geneb_jax import durable_files
from geneb_jax.results import Records

step, out, content = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
calls = 0

def counted(real):
    def call(*arguments, **named):
        global calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)
    return call

durable_files.os.fsync = counted(durable_files.os.fsync)
pathlib.Path.replace = counted(pathlib.Path.replace)
Records(out).add(*pickle.loads(content.read_bytes()))
"""


@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.fault("F02")
def test_f02_a_writer_killed_between_predictions_and_record_leaves_no_half(
    tmp_path: Path,
    key: UnitKey,
    key_rows: list[ScoreRow],
    predictions: UnitPredictions,
    step: int,
) -> None:
    content = tmp_path / "content"
    content.write_bytes(pickle.dumps((key, key_rows, predictions)))
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WRITER, str(step), str(tmp_path / "out"), str(content)],
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    records, whole = Records(tmp_path / "out"), Records(tmp_path / "undisturbed")
    stored = records.find(key)
    assert (stored is not None) == (step == 6)
    if stored is not None:
        assert records.kept_unit(stored) is not None
    for place in (records, whole):
        place.add(key, key_rows, predictions)
    for path in (whole.path_of(key), whole.predictions_path_of(key)):
        again = records.folder / path.relative_to(whole.folder)
        assert again.read_bytes() == path.read_bytes()


def test_the_answers_of_a_task_come_back_and_are_written_once(tmp_path: Path) -> None:
    answers = AnswerKey(np.array([3, -1, 3]), np.array([True, False, False]))
    path = keep_answer_key(tmp_path, "task/a", "ab" * 32, answers)
    found = find_answer_key(tmp_path, "task/a", "ab" * 32)
    assert np.array_equal(found.labels, answers.labels)
    assert np.array_equal(found.in_training, answers.in_training)
    before = path.stat()
    keep_answer_key(tmp_path, "task/a", "ab" * 32, answers)
    assert path.stat().st_mtime_ns == before.st_mtime_ns and path.stat().st_ino == before.st_ino
    assert find_answer_key(tmp_path, "task/a", "cd" * 32) is None
    path.write_bytes(path.read_bytes()[:-20])
    assert find_answer_key(tmp_path, "task/a", "ab" * 32) is None
    keep_answer_key(tmp_path, "task/a", "ab" * 32, answers)
    assert find_answer_key(tmp_path, "task/a", "ab" * 32) is not None


def test_answers_are_one_a_row() -> None:
    with pytest.raises(ValueError, match="one value a test row"):
        AnswerKey(np.zeros(3, int), np.zeros(2, bool))


@pytest.mark.fault("F36")
def test_objects_are_never_written() -> None:
    with pytest.raises(ValueError, match="not integers"):
        array_bytes({"x": np.array([{}], dtype=object)})
