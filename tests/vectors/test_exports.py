"""Exported vectors read back by NumPy, pyarrow and anndata: equal, names and facts kept."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from geneb_jax.errors import OutputError
from geneb_jax.vectors import VectorSheet, writing_vectors

NAMES = ("chr1:10-20", "été", "=1+1", "a", "a", "x" * 300, "né\t\u2028")
ROWS = np.random.RandomState(0).randn(len(NAMES), 5).astype(np.float32)
FACTS = {"model": {"model_id": "kmer-4", "layer": -1}, "identity": "0badcafe"}
COLUMNS = {
    "label": np.array([3, -1, 0, 0, 1, 2, 2], np.int64),
    "split": np.array(["train", "test", "train", "dev", "train", "test", ""]),
}


def _written(path: Path, rows: np.ndarray = ROWS) -> Path:
    sheet = VectorSheet(NAMES, 5, COLUMNS, FACTS)
    with writing_vectors(path, sheet) as writer:
        for first in range(0, len(rows), 3):
            writer.write(rows[first : first + 3])
    return path


def _numpy(path: Path) -> tuple[Any, ...]:
    with np.load(path, allow_pickle=False) as archive:
        found = {name: archive[name] for name in archive.files}
    return (
        found["embeddings"],
        found["names"].tolist(),
        found["label"],
        found["split"].tolist(),
        json.loads(str(found["facts"])),
    )


def _arrow(path: Path) -> tuple[Any, ...]:
    table = pyarrow.parquet.read_table(path)
    return (
        np.array(table["embedding"].to_pylist(), np.float32),
        table["name"].to_pylist(),
        table["label"].to_numpy(),
        table["split"].to_pylist(),
        json.loads(table.schema.metadata[b"geneb_jax"]),
    )


def _anndata(path: Path) -> tuple[Any, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of repeated names, and of its own dependencies
        anndata = pytest.importorskip("anndata")
        found = anndata.read_h5ad(path)
    return (
        found.X,
        found.obs_names.tolist(),
        found.obs["label"].to_numpy(),
        found.obs["split"].tolist(),
        json.loads(found.uns["geneb_jax"]),
    )


@pytest.mark.parametrize(
    ("ending", "reader"), [("npz", _numpy), ("parquet", _arrow), ("h5ad", _anndata)]
)
def test_what_is_read_back_is_what_was_written(ending: str, reader: Any, tmp_path: Path) -> None:
    if ending == "h5ad":
        pytest.importorskip("h5py")
    rows, names, label, split, facts = reader(_written(tmp_path / f"x.{ending}"))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, ROWS)
    assert tuple(names) == NAMES
    np.testing.assert_array_equal(label, COLUMNS["label"])
    assert split == COLUMNS["split"].tolist()
    assert facts == FACTS
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{ending}"]


def test_parquet_has_a_row_group_a_block(tmp_path: Path) -> None:
    file = pyarrow.parquet.ParquetFile(_written(tmp_path / "x.parquet"))
    groups = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert groups == [3, 3, 1]


def test_the_same_vectors_are_the_same_bytes(tmp_path: Path) -> None:
    for ending in ("npz", "parquet"):
        one, two = (_written(tmp_path / f"{stem}.{ending}") for stem in "ab")
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("ending", ["npz", "parquet", "h5ad"])
def test_a_file_appears_whole_or_not_at_all(ending: str, tmp_path: Path) -> None:
    if ending == "h5ad":
        pytest.importorskip("h5py")
    path = tmp_path / f"x.{ending}"
    path.write_text("an older file", encoding="utf-8")
    with pytest.raises(ValueError, match="3 rows were given for 7 names"):
        _written(path, ROWS[:3])
    sheet = VectorSheet(NAMES, 5, COLUMNS, FACTS)
    with pytest.raises(KeyboardInterrupt), writing_vectors(path, sheet) as writer:
        writer.write(ROWS)
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "an older file"
    assert list(tmp_path.iterdir()) == [path]


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    for rows in (ROWS[:, :4], ROWS.astype(np.float64), np.concatenate([ROWS, ROWS])):
        with pytest.raises(ValueError, match="rows"):
            _written(tmp_path / "x.npz", rows)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x.txt", "ends in .npz, .parquet, .h5ad"),
        ("x", "has no ending"),
        ("folder.npz", "is a folder"),
        ("file/x.npz", "--export"),
    ],
)
def test_a_path_that_is_no_place_for_vectors(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError) as refused:
        _written(tmp_path / name)
    assert said in refused.value.message


def test_a_format_without_its_library_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geneb_jax.vectors.writing.find_spec", lambda name: None)
    for ending in ("parquet", "h5ad"):
        with pytest.raises(OutputError, match=r"geneb-jax\[export\]"):
            _written(tmp_path / f"x.{ending}")
    assert _written(tmp_path / "x.npz").is_file()


def test_long_names_do_not_fill_the_disk(tmp_path: Path) -> None:
    names = ("x" * 2**20, *map(str, range(1000)))
    sheet = VectorSheet(names, 5)
    with (
        pytest.raises(OutputError, match=r"export to \.parquet"),
        writing_vectors(tmp_path / "x.npz", sheet),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_long_cell_does_not_fill_the_disk_either(tmp_path: Path) -> None:
    names = tuple(map(str, range(1000)))
    cells = np.array(["x" * 2**20, *names[1:]], object)
    with (
        pytest.raises(OutputError, match="longest of the description"),
        writing_vectors(tmp_path / "x.npz", VectorSheet(names, 5, {"description": cells})),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("ending", "reader"), [("npz", _numpy), ("parquet", _arrow), ("h5ad", _anndata)]
)
def test_texts_as_objects_are_the_same_file(ending: str, reader: Any, tmp_path: Path) -> None:
    if ending == "h5ad":
        pytest.importorskip("h5py")
    path = tmp_path / f"x.{ending}"
    columns = COLUMNS | {"split": COLUMNS["split"].astype(object)}
    with writing_vectors(path, VectorSheet(NAMES, 5, columns, FACTS)) as writer:
        writer.write(ROWS)
    assert reader(path)[3] == COLUMNS["split"].tolist()
