"""F81 and C13: what lies where a file should."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from geneb_jax.plain_files import (
    NotTheFileError,
    git_lfs_pointer,
    is_plain_file,
    read_plain,
    read_plain_text,
    refuse_git_lfs_pointer,
)

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 12345\n"
)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "socket", "link to a pipe"])
@pytest.mark.fault("F81")
def test_what_is_not_a_plain_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    if "pipe" in kind:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    if kind == "folder":
        path.mkdir()
    if kind == "device":
        path.symlink_to("/dev/zero")
    if kind == "socket":
        path = Path(os.path.relpath(path))  # the name of a socket has at most 107 bytes
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    with pytest.raises(NotTheFileError, match="not a plain file"):
        read_plain(path, largest_bytes=100)
    assert not is_plain_file(path)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.symlink_to("../blobs/gone")
    with pytest.raises(FileNotFoundError, match=r"\.\./blobs/gone, where there is nothing"):
        read_plain(path, largest_bytes=100)
    assert not is_plain_file(path)
    assert not is_plain_file(tmp_path / "a\0b")


def test_a_link_to_a_file_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"\xc3\xa9\r\n")
    (tmp_path / "file").symlink_to("blob")
    assert read_plain_text(tmp_path / "file", largest_bytes=4) == "é\r\n"
    with pytest.raises(ValueError, match="larger than 3 bytes"):
        read_plain(tmp_path / "file", largest_bytes=3)
    (tmp_path / "blob").write_bytes(b"a\xe9")
    with pytest.raises(ValueError, match="byte 1"):
        read_plain_text(tmp_path / "file", largest_bytes=4)


@pytest.mark.parametrize("size", [0, 1, 2**16, 2**16 + 1, 2**20 + 7])
def test_a_file_of_any_size_is_read_whole(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(content[:size])
    assert read_plain(tmp_path / "file", largest_bytes=size) == content[:size]
    if size:
        with pytest.raises(ValueError, match="larger"):
            read_plain(tmp_path / "file", largest_bytes=size - 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no files without a size here")
def test_a_file_that_does_not_say_its_size_is_read_whole() -> None:
    path = Path("/proc/self/status")
    assert path.stat().st_size == 0
    assert read_plain(path, largest_bytes=10**6).startswith(b"Name:")
    with pytest.raises(ValueError, match="larger than 3 bytes"):
        read_plain(path, largest_bytes=3)


def test_pointers_of_git_lfs_are_known(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(POINTER)
    with pytest.raises(NotTheFileError, match=r"Git LFS pointer.*git lfs pull"):
        read_plain(path, largest_bytes=10**6)
    with pytest.raises(NotTheFileError, match="Git LFS pointer"):
        refuse_git_lfs_pointer(path)
    path.write_bytes(POINTER + b"x" * 2000)  # a file that begins like one
    refuse_git_lfs_pointer(path)
    assert not git_lfs_pointer(b"text,label\nACGT,0\n")
