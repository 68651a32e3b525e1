"""scores.csv: exact bytes out, strict reading, safe in a spreadsheet."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv

from geneb_jax.benchmark import Suite
from geneb_jax.errors import DataError
from geneb_jax.results import SCORE_COLUMNS, ScoreRow, csv_text, read_scores, write_scores_csv

HEADER = ",".join(SCORE_COLUMNS)
LINE = (
    "kmer-4,task-a,One,10shot,13,1.0,logistic,reference,0.30000000000000004,0.6666666666666666,"
    "0.5,,,,20,180,2,7,3.5e-05,converged,,,,,,,,,,,,"
)
#: Tables of before AUROC, AUPRC and Brier score were computed.
EARLIER_HEADER, EARLIER_LINE = (
    HEADER.replace("auroc,auprc,brier,", ""),
    LINE.replace("0.5,,,,20", "0.5,20"),
)


def test_the_bytes_are_as_stated(tmp_path: Path, row: ScoreRow) -> None:
    path = write_scores_csv(tmp_path, [row])
    assert path == tmp_path / "scores.csv"
    assert path.read_bytes() == f"{HEADER}\n{LINE}\n".encode()
    assert read_scores(path) == read_scores(tmp_path) == [row]


def test_what_made_a_row_is_in_it(tmp_path: Path, row: ScoreRow) -> None:
    made = replace(
        row, identity="0a1b2c3d", weights="random:0", layer=-1, pooling="cls", dtype="bfloat16"
    )
    path = write_scores_csv(tmp_path, [made])
    assert path.read_text("utf-8").endswith(",converged,0a1b2c3d,random:0,-1,cls,bfloat16,,,,,,,\n")
    assert read_scores(path) == [made]


def test_a_table_of_an_earlier_release_is_read(tmp_path: Path, row: ScoreRow) -> None:
    counts = ",cut_bp,windows,unknown_bp,unknown_tokens,empty"
    assert HEADER.endswith(counts)
    for header, line in ((HEADER, LINE), (EARLIER_HEADER, EARLIER_LINE)):
        path = tmp_path / "scores.csv"
        header, line = header.removesuffix(counts), line.removesuffix("," * 5)
        path.write_text(f"{header}\n{line}\n", "utf-8")
        assert read_scores(tmp_path) == [row]
        path.write_text(f"{header.removesuffix(',data')}\n{line.removesuffix(',')}\n", "utf-8")
        assert read_scores(tmp_path) == [row]


def test_counts_of_rows_come_back(tmp_path: Path, row: ScoreRow) -> None:
    made = replace(row, cut_bp=0, windows=2**40, unknown_bp=3, unknown_tokens=None, empty=1)
    assert read_scores(write_scores_csv(tmp_path, [made])) == [made]
    with pytest.raises(ValueError, match="cut_bp -1 is negative"):
        replace(row, cut_bp=-1)


def test_scores_of_decision_values_come_back(tmp_path: Path, row: ScoreRow) -> None:
    made = replace(row, auroc=0.1 + 0.2, auprc=1.0 + 1e-12, brier=None)
    assert made.auprc == 1.0  # rounding may leave the range by a few ulp
    assert read_scores(write_scores_csv(tmp_path, [made])) == [made]


def test_a_word_on_the_data_is_one_of_three(row: ScoreRow) -> None:
    for word in ("verified", "size alike", "unlike", ""):
        assert replace(row, data=word).data == word
    with pytest.raises(ValueError, match="data 'genuine' is none of verified, size alike, unlike"):
        replace(row, data="genuine")


def test_the_order_is_the_callers(tmp_path: Path, small_suite: Suite, score_all: Callable) -> None:
    rows = score_all(small_suite)[::-1]
    write_scores_csv(tmp_path, rows)
    assert read_scores(tmp_path) == rows


def test_other_readers_see_the_same_numbers(
    tmp_path: Path, small_suite: Suite, score_all: Callable
) -> None:
    rows = score_all(small_suite)
    table = arrow_csv.read_csv(write_scores_csv(tmp_path, rows))
    assert table.column_names == list(SCORE_COLUMNS)
    assert table["mcc"].to_pylist() == [row.mcc for row in rows]
    assert table["seed"].to_pylist() == [row.seed for row in rows]


names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20).filter(
    str.isprintable
)


@given(
    model_id=st.one_of(
        names, names.map(lambda name: "=" + name), names.map(lambda name: "'" + name)
    ),
    error=st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    mcc=st.floats(-1, 1, allow_nan=False),
    grad_norm=st.floats(0, allow_nan=False, allow_infinity=False),
    C=st.floats(1e-300, 1e300),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=80)
def test_every_row_comes_back(
    tmp_path: Path,
    row: ScoreRow,
    model_id: str,
    error: str,
    mcc: float,
    grad_norm: float,
    C: float,
    seed: int,
) -> None:
    made = replace(
        row, model_id=model_id, error=error, mcc=mcc, grad_norm=grad_norm, C=C, seed=seed
    )
    path = write_scores_csv(tmp_path, [made])
    (found,) = read_scores(path)
    assert found == made
    assert math.copysign(1, found.mcc) == math.copysign(1, mcc)
    first = path.read_bytes()
    write_scores_csv(tmp_path, [found])
    assert path.read_bytes() == first


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "'"])
@pytest.mark.fault("F39")
def test_f39_no_text_cell_starts_as_a_formula(tmp_path: Path, row: ScoreRow, start: str) -> None:
    made = replace(row, error=start + "cmd|' /C calc'!A0", model_id="=HYPERLINK(1)")
    path = write_scores_csv(tmp_path, [made])
    with path.open(newline="", encoding="utf-8") as file:
        cells = list(csv.reader(file))[1]
    assert cells[0] == "'=HYPERLINK(1)"
    assert cells[SCORE_COLUMNS.index("error")] == "'" + made.error
    assert read_scores(path) == [made]


def test_negative_numbers_stay_numbers(tmp_path: Path, row: ScoreRow) -> None:
    path = write_scores_csv(tmp_path, [replace(row, mcc=-0.25)])
    assert ",-0.25," in path.read_text(encoding="utf-8")


def test_two_rows_of_one_fit_are_refused(tmp_path: Path, row: ScoreRow) -> None:
    with pytest.raises(ValueError, match="two rows"):
        write_scores_csv(tmp_path, [row, replace(row, mcc=0.5)])
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        (f"{HEADER.replace('solver,', '')}\n", ":1", "columns"),
        (f"{HEADER},mcc\n", ":1", "columns"),
        ("", ":1", "columns"),
        (f"{HEADER}\n{LINE}\n{LINE}\n", ":3", "same fit as row 2"),
        (f"{HEADER}\n{LINE},x\n", ":2", "33 cells where 32"),
        (f"{HEADER}\nkmer-4\n", ":2", "1 cells where 32"),
        (f"{HEADER}\n\n", ":2", "0 cells where 32"),
        (f"{HEADER}\n{LINE.replace('0.5,', 'nan,')}\n", ":2", "'nan' is not a finite number"),
        (f"{HEADER}\n{LINE.replace('0.5,', 'inf,')}\n", ":2", "'inf' is not a finite number"),
        (f"{HEADER}\n{LINE.replace('0.5,', '1e400,')}\n", ":2", "is inf"),
        (f"{HEADER}\n{LINE.replace('0.5,', '1_0,')}\n", ":2", "'1_0' is not a finite number"),
        (f"{HEADER}\n{LINE.replace('0.5,', '1.5,')}\n", ":2", "macro_f1 1.5 is outside"),
        (f"{HEADER}\n{LINE.replace('0.5,', ',')}\n", ":2", "macro_f1 None is not a number"),
        (f"{HEADER}\n{LINE.replace('0.5,', 'True,')}\n", ":2", "'True' is not a finite number"),
        (f"{HEADER}\n{LINE.replace(',13,', ',13.0,')}\n", ":2", "seed '13.0'"),
        (f"{HEADER}\n{LINE.replace(',13,', ', 13,')}\n", ":2", "seed ' 13'"),
        (f"{HEADER}\n{LINE.replace('converged', 'failed')}\n", ":2", "failed"),
        (f"{HEADER}\n{LINE.replace('kmer-4', '')}\n", ":2", "model_id"),
        (f'{HEADER}\n{LINE}"open\n', ":2", "CSV"),
        (f"{HEADER}\n{LINE.replace('kmer-4', 'a' + chr(0))}\n", ":2", "model_id"),
    ],
)
@pytest.mark.fault("F52")
def test_f52_what_is_not_exact_is_refused_by_row(
    tmp_path: Path, content: str, place: str, said: str
) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(DataError) as caught:
        read_scores(tmp_path)
    assert f"{path}{place}: " in caught.value.message
    assert said in caught.value.message


def test_a_table_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(tmp_path)
    (tmp_path / "scores.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_scores(tmp_path)


@pytest.mark.fault("F39")
def test_f39_errors_of_any_content_are_one_line(tmp_path: Path, row: ScoreRow) -> None:
    made = replace(row, error="\t=a\r\nb\0\x1b[31m \u2028\ud800 c\x85")
    assert made.error == "=a b [31m c"
    assert read_scores(write_scores_csv(tmp_path, [made])) == [made]


@pytest.mark.fault("F39")
def test_f39_cells_hold_no_control_characters() -> None:
    text = csv_text(("a",), [("x\ry\x1b[31m\0",), ("\t=1",), ("two\nlines",)])
    assert text == 'a\nx\ufffdy\ufffd[31m\ufffd\n\'\t=1\n"two\nlines"\n'


def test_a_withheld_cell_is_empty() -> None:
    assert csv_text(("a", "b"), [(None, 1.0), ("x,y", -0.0)]) == 'a,b\n,1.0\n"x,y",-0.0\n'
