"""What is unusual in a task file and still fine: read right, and counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.benchmark import Task
from geneb_jax.data import NOTES, TaskSource, TaskTable, read_task, task_fingerprint

Read = Callable[..., TaskTable]

#: Notes of the toy file itself: both classes have fewer than ten rows.
USUAL = {"small_classes": 2}


def unusual(table: TaskTable) -> dict[str, int]:
    return {note: count for note, count in table.notes.items() if USUAL.get(note) != count}


def test_ordinary_file(read: Read, good: str) -> None:
    table = read(good)
    assert table.train_sequences == ("ACGT", "AACC", "GGTT", "TTTT")
    assert table.test_sequences == ("CCCC", "GGGG")
    assert table.train_labels.dtype == np.int64
    assert table.train_labels.tolist() == [0, 1, 0, 1]
    assert table.test_labels.tolist() == [0, 1]
    assert unusual(table) == {}
    with pytest.raises(ValueError, match="read-only"):
        table.train_labels[0] = 5


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        (lambda text: "\ufeff" + text, {"byte_order_mark": 1}),
        (lambda text: text.replace("\n", "\r\n"), {"crlf_line_ends": 7}),
        (lambda text: text.replace("\n", "\r"), {"cr_line_ends": 7}),
        (lambda text: "\ufeff" + text.replace("\n", "\r\n"),
         {"byte_order_mark": 1, "crlf_line_ends": 7}),
        (lambda text: text.rstrip("\n"), {}),
        (lambda text: text + "\n\n", {"blank_lines": 2}),
        (lambda text: "\n" + text.replace("\n", "\n\n", 2), {"blank_lines": 3}),
        (lambda text: text.replace("ACGT", '"ACGT"'), {}),
        (lambda text: text.replace(",0,train", ',"0","train"'), {}),
        (lambda text: text.replace(",1,", ",1.0,"), {"float_integer_labels": 3}),
        (lambda text: text.replace(",1,", ",1.,"), {"float_integer_labels": 3}),
        (lambda text: text.replace(",1,", ", +01 ,"), {}),
        (lambda text: text.replace(",train", ", train "), {"split_values_with_spaces": 4}),
        (lambda text: text + "AC,0,dev\nAG,7, dev\n",
         {"dev_rows": 2, "split_values_with_spaces": 1}),
        (lambda text: text.replace(",split", ",split,source").replace("train", "train,x")
         .replace("test", "test,y"), {"extra_columns": 1}),
        (lambda text: text.replace("text,", ",text,").replace("\n", "\n9,")[:-2],
         {"extra_columns": 1}),
    ],
    ids=["BOM", "CRLF", "CR", "BOM and CRLF", "no last line end", "blank lines at the end",
         "blank lines within", "quoted text", "quoted label and split", "1.0", "1.", "+01",
         "split with spaces", "dev rows", "extra column", "unnamed index column"],
)  # fmt: skip
@pytest.mark.fault("F19", "F23", "F25")
def test_forms_that_mean_the_same(
    read: Read, good: str, change: Callable[[str], str], notes: dict[str, int]
) -> None:
    expected = read(good)
    table = read(change(good))
    assert table.train_sequences == expected.train_sequences
    assert table.test_sequences == expected.test_sequences
    assert table.train_labels.tolist() == expected.train_labels.tolist()
    assert table.test_labels.tolist() == expected.test_labels.tolist()
    assert table.digest == expected.digest
    assert unusual(table) == notes
    assert set(table.notes) <= set(NOTES)


@pytest.mark.fault("F19")
def test_label_gaps_and_negatives(read: Read, good: str) -> None:
    table = read(good.replace(",1,", ",-3,").replace("GGTT,0", "GGTT,7").replace("G,-3", "G,9"))
    assert table.train_labels.tolist() == [0, -3, 7, -3]
    assert table.test_labels.tolist() == [0, 9]
    assert unusual(table) == {
        "label_gaps": 9, "negative_labels": 1, "test_only_classes": 1, "small_classes": 3,
    }  # fmt: skip


@pytest.mark.fault("F19")
def test_labels_at_the_ends_of_int64(read: Read, good: str) -> None:
    low, high = -(2**63), 2**63 - 1
    table = read(good.replace(",0,", f",{low},").replace(",1,", f",{high}.00,"))
    assert table.train_labels.tolist() == [low, high, low, high]


@pytest.mark.parametrize(
    ("sequence", "notes"),
    [
        ("", {"empty_sequences": 1}),
        ("ACNT", {"rows_with_n": 1}),
        ("acgt", {"rows_with_lower_case": 1}),
        ("ACGU", {"rows_with_u": 1}),
        ("ACRY", {"rows_with_iupac": 1}),
        ("AC-T", {"rows_with_other_characters": 1}),
        (" AC ", {"rows_with_other_characters": 1}),
        ("ACé", {"rows_with_other_characters": 1, "rows_with_lower_case": 0}),
        ("nryx", {"rows_with_n": 1, "rows_with_lower_case": 1, "rows_with_iupac": 1,
                  "rows_with_other_characters": 1}),
    ],
)  # fmt: skip
@pytest.mark.fault("F27")
def test_letters(read: Read, good: str, sequence: str, notes: dict[str, int]) -> None:
    table = read(good + f"{sequence},0,train\n")
    assert table.train_sequences[-1] == sequence
    assert unusual(table) == {note: count for note, count in notes.items() if count}


def test_quotes_and_commas_inside_a_quoted_sequence(read: Read, good: str) -> None:
    table = read(good + '"A,C ""G""",0,train\n')
    assert table.train_sequences[-1] == 'A,C "G"'


@pytest.mark.fault("F31")
def test_repeats_overlap_and_conflicts(read: Read) -> None:
    table = read(
        "text,label,split\nA,0,train\nA,0,train\nA,1,train\nC,1,train\nC,1,test\nC,1,test\n"
        "G,0,test\nA,0,test\n"
    )
    assert unusual(table) == {
        "duplicate_train_rows": 2,
        "duplicate_test_rows": 1,
        "test_rows_in_train": 3,
        "conflicting_sequences": 1,
    }


@pytest.mark.fault("F21")
def test_fewer_rows_than_shots(read: Read) -> None:
    rows = "".join(f"{'A' * (i + 1)},{int(i >= 12)},train\n" for i in range(21))
    assert read("text,label,split\n" + rows + "C,0,test\n").notes == {"small_classes": 1}


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.fault("F24")
def test_sequences_of_a_million_bases(read: Read, good: str, quote: str) -> None:
    sequence = "ACGT" * 300_000
    table = read(good + f"{quote}{sequence}{quote},0,train\n")
    assert table.train_sequences[-1] == sequence


def test_layouts_agree(
    read: Read, write: Callable[[dict[str, str]], None], good: str, tmp_path: Path
) -> None:
    flat = read(good)
    lines = good.splitlines()[1:]
    parts = {
        part: "text,label\n"
        + "".join(line.rsplit(",", 1)[0] + "\n" for line in lines if line.endswith(part))
        for part in ("train", "test")
    }
    layouts = [
        {"a/toy.csv.gz": good},
        {"b/tasks/toy.csv": good},
        {"c/toy/train.csv": parts["train"], "c/toy/test.csv": parts["test"]},
        {"d/tasks/toy/train.csv": parts["train"], "d/tasks/toy/test.csv": parts["test"]},
        {"e/tasks/toy/train.csv.gz": parts["train"], "e/tasks/toy/test.csv.gz": parts["test"]},
        {"f/toy/train.csv": parts["train"].replace("label\n", "label,split\n").replace(
            "0\n", "0,train\n").replace("1\n", "1, train\n"), "f/toy/test.csv": parts["test"]},
    ]  # fmt: skip
    for layout in layouts:
        folder = next(iter(layout)).split("/", 1)[0]
        write(layout)
        table = read_task(Task("toy", "", ""), TaskSource(tmp_path / folder))
        assert table.digest == flat.digest, folder
        assert table.train_sequences == flat.train_sequences


def test_digest_sees_every_part_of_the_content(read: Read, good: str) -> None:
    base = read(good).digest
    changed = [
        read(text).digest
        for text in (
            good.replace("ACGT", "ACGA"),
            good.replace("ACGT", "acgt"),
            good.replace("ACGT,0", "ACGT,1"),
            good.replace("CCCC,0,test", "CCCC,0,train"),
            good.replace("ACGT,0,train\nAACC,1,train", "AACC,1,train\nACGT,0,train"),
            good.replace("ACGT,0,train\nAACC,1", "ACG,0,train\nTAACC,1"),
            good + "A,0,train\n",
        )
    ]
    assert len({base, *changed}) == len(changed) + 1


@pytest.mark.fault("F43")
def test_fingerprint_sees_every_byte(
    write: Callable[[dict[str, str]], None], good: str, tmp_path: Path
) -> None:
    task = Task("toy", "", "")

    def fingerprint(text: str) -> str:
        write({"toy.csv": text})
        return task_fingerprint(task, TaskSource(tmp_path))

    base = fingerprint(good)
    assert fingerprint(good) == base
    assert len({base, *(fingerprint(text) for text in (good + "\n", good.lower(), "x"))}) == 4
