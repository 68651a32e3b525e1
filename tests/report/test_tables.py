"""The four formats, read back by other programs' rules, with names nobody should trust."""

from __future__ import annotations

import csv
import io
import math
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from geneb_jax.errors import OutputError
from geneb_jax.report import FORMATS, Table, write_table

TABLE = Table(
    "demo-table",
    "A table",
    ("model_id", "count", "mcc", "p_value"),
    (("MutBERT", 3, 0.123456789012345, 0.2), ("other", None, None, 1.234e-7)),
    "A note.",
)


def test_csv_keeps_every_digit(tmp_path) -> None:
    path = write_table(tmp_path, TABLE, "csv")
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert rows[0] == list(TABLE.columns)
    assert float(rows[1][2]) == 0.123456789012345
    assert rows[2] == ["other", "", "", "1.234e-07"]


def test_parquet_keeps_types_and_missing_values(tmp_path) -> None:
    found = pyarrow.parquet.read_table(write_table(tmp_path, TABLE, "parquet"))
    assert [str(field.type) for field in found.schema] == ["string", "int64", "double", "double"]
    assert found.to_pylist() == [
        {"model_id": "MutBERT", "count": 3, "mcc": 0.123456789012345, "p_value": 0.2},
        {"model_id": "other", "count": None, "mcc": None, "p_value": 1.234e-7},
    ]


def test_markdown_and_latex_show_rounded_cells(tmp_path) -> None:
    text = write_table(tmp_path, TABLE, "md").read_text(encoding="utf-8")
    assert text.splitlines()[:5] == [
        "## A table",
        "",
        r"| model\_id | count | mcc | p\_value |",
        "| --- | ---: | ---: | ---: |",
        "| MutBERT | 3 | 0.1235 | 0.2000 |",
    ]
    assert "| other |  |  | 1.2e-07 |" in text and text.endswith("A note.\n")
    latex = write_table(tmp_path, TABLE, "tex").read_text(encoding="utf-8")
    assert r"\caption{A table. A note.}" in latex
    assert r"\begin{tabular}{lrrr}" in latex
    assert r"MutBERT & 3 & 0.1235 & 0.2000 \\" in latex


def test_unknown_formats_and_ragged_rows_are_refused(tmp_path) -> None:
    with pytest.raises(OutputError, match="unknown table format 'xlsx'"):
        write_table(tmp_path, TABLE, "xlsx")
    with pytest.raises(ValueError, match="has not 2 cells"):
        Table("t", "t", ("a", "b"), ((1, 2), (1,)))


def test_columns_without_a_value_can_be_dropped() -> None:
    table = Table("t", "t", ("a", "b", "c"), (("x", None, 1), ("y", None, None)))
    assert table.without_empty_columns().columns == ("a", "c")
    assert table.without_empty_columns().rows == (("x", 1), ("y", None))


def test_not_a_number_is_an_empty_cell() -> None:
    assert TABLE.shown(math.nan) == "" and TABLE.shown(None) == ""
    assert TABLE.shown(0.00001, "mcc") == "0.0000" and TABLE.shown(0.00001, "p") == "1.0e-05"


@pytest.mark.fault("F39")
def test_hostile_names_are_inert_in_every_format(tmp_path, hostile) -> None:
    names = (*hostile, "tab\there", "line\nbreak", "\x1b[31mred\x1b[0m", "\u202eright-to-left")
    table = Table("t", "t", ("name", "mcc"), tuple((name, 0.5) for name in names))
    for suffix in FORMATS:
        write_table(tmp_path, table, suffix)
    back = list(
        csv.reader(io.StringIO((tmp_path / "t.csv").read_text(encoding="utf-8"), newline=""))
    )
    cells = [row[0] for row in back[1:]]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert [cell.removeprefix("'") for cell in cells[:12]] == list(hostile)
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet")["name"].to_pylist() == list(names)
    for suffix in ("md", "tex"):
        text = (tmp_path / f"t.{suffix}").read_text(encoding="utf-8")
        assert "\x1b" not in text and "\u202e" not in text and "\t" not in text
    markdown = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert len([line for line in markdown.splitlines() if line.startswith("|")]) == len(names) + 2
    assert "<script" not in markdown and "<img" not in markdown and "](javascript" not in markdown
    latex = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert r"\input" not in latex
    assert r"\textbackslash{}input\{/etc/passwd\} \$x\_1\$ \& 100\% \textasciitilde{}" in latex
    body = latex[latex.index(r"\midrule") : latex.index(r"\bottomrule")]
    assert body.count(r"\\") == len(names)


def test_parquet_without_its_library_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"geneb-jax\[export\]"):
        write_table(tmp_path, TABLE, "parquet")
    assert not list(tmp_path.iterdir())
