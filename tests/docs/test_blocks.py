"""Every block of every page runs as written, in a folder that has what the page names.

Blocks whose pages say so in a comment run in the sweep, or are parsed only (tests/docs/pages.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from tests.docs.block_runner import PageRunner, says_the_same
from tests.docs.installations import chosen_installation
from tests.docs.notebooks import NOTEBOOKS, outputs_of, shown_by
from tests.docs.pages import PAGES, Block, blocks_of
from tests.docs.prepared_folder import prepare

_RUNNABLE = ("sh", "console", "python", "pycon")
_ALL = {page: [block for block in blocks_of(page) if block.language in _RUNNABLE] for page in PAGES}
_NOW = {
    page: [block for block in blocks if not (block.not_run or block.in_the_sweep)]
    for page, blocks in _ALL.items()
}
_SWEPT = {page: [block for block in blocks if not block.not_run] for page, blocks in _ALL.items()}


@pytest.fixture(scope="session")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder)
    return folder


@pytest.fixture
def reader(
    whole_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unchecked_annotations: None,
) -> Iterator[Path]:
    """A folder of its own, 100 columns, no cache from elsewhere, JAX as a user has it."""
    folder = tmp_path / "here"
    shutil.copytree(whole_folder, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("GENEB_JAX_CACHE", str(tmp_path / "cache"))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield folder


def _read(page: str, blocks: list[Block]) -> None:
    with contextlib.closing(PageRunner(page, chosen_installation())) as runner:
        for block in blocks:
            runner.run(block)


@pytest.mark.timeout(1800)  # a machine that is busy with other work takes its time
@pytest.mark.parametrize("page", [page for page in PAGES if _NOW[page]])
def test_blocks_run_as_written(page: str, reader: Path) -> None:
    _read(page, _NOW[page])


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", [page for page in PAGES if len(_SWEPT[page]) > len(_NOW[page])])
def test_all_blocks_of_a_page_run_as_written(page: str, reader: Path) -> None:
    _read(page, _SWEPT[page])


def test_a_block_that_says_something_else_is_noticed(reader: Path) -> None:
    block = next(one for one in _NOW["README.md"] if one.language == "console")
    lied = dataclasses.replace(block, text=block.text + "and more\n")
    with pytest.raises(AssertionError, match="and the page shows"):
        PageRunner("README.md").run(lied)


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_and_print_what_they_show(path: Path, reader: Path) -> None:
    shutil.rmtree("my_tasks")
    with contextlib.closing(chosen_installation().python("__main__")) as session:
        said_by = outputs_of(path, session)
    for number, (shown, said) in enumerate(zip(shown_by(path), said_by, strict=True)):
        assert says_the_same(shown, said, decimals=False), f"{path.name} {number}: {said}"


def test_notebooks_are_whole() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["batched-probes", "evaluate-a-model"]
    for path in NOTEBOOKS:
        assert sum(map(len, shown_by(path))) > 100, f"{path.name} shows no outputs"
        assert path.stat().st_size < 20_000


@pytest.mark.parametrize(
    ("shown", "said", "decimals", "same"),
    [
        ("a  b\nc", "a b\nc\n", True, True),
        ("a ... c", "a b c", True, True),
        ("MCC 0.51", "MCC 0.52", True, False),
        ("MCC 0.51", "MCC -0.52", False, True),
        ("3 tasks", "4 tasks", False, False),
        ("", "a word", True, False),
    ],
)
def test_what_counts_as_the_same(shown: str, said: str, decimals: bool, same: bool) -> None:
    assert says_the_same(shown, said, decimals=decimals) is same
