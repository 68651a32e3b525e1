"""Whatever the bytes, reading gives a table or one of our errors, and both paths agree."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geneb_jax.benchmark import Task
from geneb_jax.data import TaskSource, TaskTable, read_task
from geneb_jax.errors import DataError

TASK = Task("toy", "Toy", "Toys")
HEADER = b"text,label,split\n"

PIECES = st.sampled_from(
    [
        b"ACGT", b"N", b"", b"0", b"1", b"2.0", b"-1", b"x", b"train", b"test", b"dev", b" train",
        b",", b",", b",", b"\n", b"\n", b"\r\n", b"\r", b'"', b'""', b"\0", b"\xff",
        b"\xef\xbb\xbf",
        b";", b"\t", "é".encode(), "\u2028".encode(), b"text,label,split\n", b"ACGT,0,train\n",
        b"AC,1,train\n", b"GG,1,test\n", b"\x1f\x8b", b"\x0b", b"\x1a", b"\xff\xfe",
    ]
)  # fmt: skip
ROWS = st.tuples(
    st.text(alphabet="ACGTNacgtU-é \u2028", max_size=8),
    st.sampled_from(["0", "1", "2", "-7", "1.0", " 1", "x", "", "1.5"]),
    st.sampled_from(["train", "train", "test", "dev", " test ", "holdout"]),
)


def read_bytes(content: bytes, name: str = "toy.csv") -> TaskTable | DataError:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(content)
        try:
            return read_task(TASK, TaskSource(Path(folder)))
        except DataError as error:
            return error


def check(outcome: TaskTable | DataError) -> None:
    if isinstance(outcome, DataError):
        assert "toy" in outcome.message
        assert "\n" not in outcome.message
        return
    assert len(outcome.train_sequences) == len(outcome.train_labels) > 1
    assert len(outcome.test_sequences) == len(outcome.test_labels) > 0
    assert all(count > 0 for count in outcome.notes.values())


@settings(deadline=None, max_examples=150)
@given(st.lists(PIECES, max_size=30).map(b"".join), st.booleans())
@example(b"\r", True)
@example(b'ACGT,0,train\nA,1,train\nC,0,test\n"', True)
def test_any_pieces(body: bytes, with_header: bool) -> None:
    check(read_bytes(HEADER + body if with_header else body))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
@pytest.mark.fault("F23")
def test_any_bytes(content: bytes) -> None:
    check(read_bytes(content))
    check(read_bytes(content, "toy.csv.gz"))
    check(read_bytes(gzip.compress(content), "toy.csv.gz"))


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 400), st.integers(0, 255))
def test_one_changed_byte_of_a_compressed_file(position: int, value: int) -> None:
    whole = bytearray(gzip.compress(HEADER + b"ACGT,0,train\nAC,1,train\nGG,1,test\n" * 9, mtime=0))
    whole[position % len(whole)] = value
    check(read_bytes(bytes(whole), "toy.csv.gz"))


@settings(max_examples=150)
@given(st.lists(ROWS, max_size=12), st.sampled_from(["\n", "\r\n", "\r"]))
@pytest.mark.fault("F23")
def test_both_paths_and_the_csv_module_agree(rows: list[tuple[str, str, str]], end: str) -> None:
    outcomes = []
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        text = io.StringIO()
        writer = csv.writer(text, quoting=quoting, lineterminator=end)
        writer.writerows([("text", "label", "split"), *rows])
        outcomes.append(read_bytes(text.getvalue().encode()))
    bulk, careful = outcomes
    check(bulk)
    if isinstance(bulk, DataError) or isinstance(careful, DataError):
        assert isinstance(bulk, DataError)
        assert isinstance(careful, DataError)
        assert (bulk.what, bulk.cause) == (careful.what, careful.cause)
        assert str(bulk.where).rpartition("/")[2] == str(careful.where).rpartition("/")[2]
        return
    assert bulk.digest == careful.digest
    assert dict(bulk.notes) == dict(careful.notes)
    train = [(text, int(float(label))) for text, label, split in rows if split.strip() == "train"]
    assert list(zip(bulk.train_sequences, bulk.train_labels.tolist(), strict=True)) == train
