"""F03, F35, F60: order of flushes, archives never unpacked, names of other packages."""

from __future__ import annotations

import ast
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from geneb_jax import durable_files
from geneb_jax.errors import OutputError

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / name for name in ("geneb_jax", "kernels", "probes")]


@pytest.mark.fault("F03")
@pytest.mark.parametrize("large", [False, True])
def test_f03_a_file_is_flushed_before_its_name_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """A power cut leaves the old file or the new one, whatever the system had not yet written."""
    events: list[tuple[str, str]] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        fsync(descriptor)
        events.append(("flush", str(Path(f"/proc/self/fd/{descriptor}").readlink())))

    def renamed(self: Path, target: Path) -> Path:
        events.append(("rename", str(self)))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    if large:
        with durable_files.taking_the_place_of(tmp_path / "a", option="--out") as temporary:
            temporary.write_bytes(b"new")
    else:
        durable_files.write_bytes(tmp_path / "a", b"new")
    (_, written), (kind, moved), last = events
    assert (kind, moved) == ("rename", written)
    assert last == ("flush", str(tmp_path))


@pytest.mark.fault("F03")
@pytest.mark.parametrize("full", [False, True])
def test_f03_parts_that_are_never_made_leave_the_old_file(tmp_path: Path, full: bool) -> None:
    def parts() -> Iterator[bytes]:
        yield b"new"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if full else ValueError("no more")

    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(OutputError if full else ValueError, match="bytes" if full else "no more"):
        durable_files.write_parts(path, parts())
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a", b"old")]
    durable_files.write_parts(path, iter([b"ne", memoryview(b"w"), b""]))
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a", b"new")]


@pytest.mark.fault("F35")
def test_f35_no_archive_is_ever_unpacked_to_a_disk() -> None:
    """What is never done needs no filter: bytes of .npz and .gz are read, members never written."""
    for path in (path for source in SOURCES for path in source.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                module = getattr(node, "module", None)
                assert "tarfile" not in (*names, module), path
                assert not (module == "shutil" and "unpack_archive" in names), path
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("extractall", "unpack_archive"), path


@pytest.mark.fault("F60")
def test_f60_no_folder_of_the_checkout_hides_another_package(tmp_path: Path) -> None:
    """Other projects own the names ``kernels`` and ``probes``; a folder hides what is installed.

    It does not, as long as it is no package itself.
    """
    for name in ("kernels", "probes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("whose = 'theirs'\n", encoding="utf-8")
    script = (
        "import geneb_jax, kernels, probes\n"
        "print(kernels.whose, probes.whose)\n"
        "import geneb_jax_kernels, geneb_jax_probes\n"
    )
    paths = [ROOT, ROOT / "kernels", ROOT / "probes", tmp_path]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["theirs"] * 2, done.stderr
