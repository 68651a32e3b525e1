"""Bytes in a file against a bytearray, and a disk without room."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.data import byte_spool, text_buffer
from geneb_jax.data.byte_spool import ByteSpool
from tests.data.test_text_buffer import check_a_buffer, some_texts


@given(st.lists(st.binary(max_size=9), max_size=9), st.integers(0, 40))
def test_a_spool_equals_a_bytearray(parts: list[bytes], limit: int) -> None:
    spool, expected = ByteSpool(limit), bytearray()
    for part in parts:
        spool.append(part)
        expected += part
        assert len(spool) == len(expected)
        assert spool.reader()[: len(spool)] == expected
        assert spool.on_disk == (len(expected) > limit)
        spool.forget()
        for first in range(len(expected)):
            assert spool.reader()[first : first + 3] == expected[first : first + 3]


@given(st.lists(some_texts, max_size=4), st.data())
def test_texts_in_a_file_equal_a_list(parts: list[list[str]], data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_spool, "_IN_MEMORY_BYTES", 5)
        patch.setattr(text_buffer, "_WINDOW_BYTES", 7)
        check_a_buffer(parts, data)


@pytest.mark.parametrize("room", [0, 3, 11, 12, 25])
def test_without_room_on_the_disk_the_bytes_stay_in_memory(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """A write that brings only a part, then ENOSPC, as a full disk answers."""
    write, left = byte_spool._write_all, [room]

    def written(file: object, content: bytes) -> None:
        fits = bytes(content)[: left[0]]
        write(file, fits)  # type: ignore[arg-type]
        left[0] -= len(fits)
        if len(fits) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(byte_spool, "_write_all", written)
    spool, expected = ByteSpool(4), b""
    for part in (b"ACG", b"TTTTTTTT", b"", b"GATTACA", b"CCC"):
        spool.append(part)
        expected += part
        assert bytes(spool.reader()[:]) == expected
    assert spool.on_disk == (room >= len(expected))


def test_without_a_folder_for_files_the_bytes_stay_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**options: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "no usable temporary directory")

    monkeypatch.setattr(byte_spool.tempfile, "TemporaryFile", refuse)
    spool = ByteSpool(2)
    spool.append(b"ACGT")
    spool.append(b"ACGT")
    assert spool.reader() == b"ACGTACGT" and not spool.on_disk


def test_a_hundred_megabytes_of_texts_take_little_memory() -> None:
    """In a process of its own: what it has at most beyond its imports, read back whole."""
    script = (
        "import resource\n"
        "from geneb_jax.data.text_buffer import TextBuffer\n"
        "import numpy as np\n"
        "texts, block = TextBuffer(), ['ACGTTGCA' * 64] * 2048\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for _ in range(100): texts.extend(block)\n"
        "letters = sum(sum(map(len, texts[at : at + 2048])) for at in range(0, len(texts), 2048))\n"
        "assert letters == 100 * 2**20, letters\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < 60 * 2**20
