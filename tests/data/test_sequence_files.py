"""The user's own sequences: FASTA as pyfaidx has it, tables as Python's csv, faults by row."""

from __future__ import annotations

import csv
import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.data import list_sequences, read_sequences
from geneb_jax.errors import DataError

FASTA = ">chr1:1-8 a promoter\nACGT\nac gt\r\n\n>x|1\nNNN\n>x|1 again\nA\n"


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    data = text.encode("utf-8")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["s.fa", "s.fasta.gz", "s.txt", "s.seq"])
def test_fasta_is_known_by_its_first_letter(name: str, tmp_path: Path) -> None:
    path = _file(tmp_path, name, FASTA)
    found = list(read_sequences(path, {}))
    assert [(one.name, one.text, one.description) for one in found] == [
        ("chr1:1-8", "ACGTacgt", "a promoter"),
        ("x|1", "NNN", ""),
        ("x|1", "A", "again"),
    ]
    listed = list_sequences([path], {})
    assert listed.names == ("chr1:1-8", "x|1", "x|1")
    assert listed.columns["description"].tolist() == ["a promoter", "", "again"]
    assert listed.digests[path] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_fasta_agrees_with_pyfaidx(tmp_path: Path) -> None:
    pyfaidx = pytest.importorskip("pyfaidx")
    rng = np.random.RandomState(1)
    records = {f"s{k}": "".join(rng.choice(list("ACGTN"), rng.randint(1, 200))) for k in range(30)}
    lines = (
        f">{name} no. {name}\n" + "\n".join(text[at : at + 60] for at in range(0, len(text), 60))
        for name, text in records.items()
    )
    path = _file(tmp_path, "r.fa", "\n".join(lines) + "\n")
    theirs = {record.name: str(record) for record in pyfaidx.Fasta(str(path))}
    assert {one.name: one.text for one in read_sequences(path, {})} == theirs == records


def test_names_end_at_any_blank_and_comments_are_none(tmp_path: Path) -> None:
    pyfaidx = pytest.importorskip("pyfaidx")
    text = ">a\tfirst one\nACGT\nAC\n>b  second\nGG\n>c\nTT\n"
    path = _file(tmp_path, "r.fa", text)
    theirs = [(record.name, str(record)) for record in pyfaidx.Fasta(str(path))]
    found = list(read_sequences(path, {}))
    assert [(one.name, one.text) for one in found] == theirs
    assert [one.description for one in found] == ["first one", "second", ""]
    said = _file(tmp_path, "s.fa", "\n;on top\n" + text.replace("\nAC\n", "\n;ACGT\nAC\n"))
    assert list(read_sequences(said, {})) == found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.fa", FASTA),
        ("t.fa.gz", FASTA),
        ("t.txt", "ACGT\nGG\n"),
        ("t.csv", '"name","sequence","label"\n"a,1","ACGT","1"\n'),
        ("t.tsv", "sequence\tlabel\nACGT\tx\n"),
    ],
)
def test_a_byte_order_mark_is_no_letter(name: str, text: str, tmp_path: Path) -> None:
    plain = list(read_sequences(_file(tmp_path, name, text), {}))
    assert list(read_sequences(_file(tmp_path, name, "\ufeff" + text), {})) == plain


def test_lines_of_other_letters_stay_sequences(tmp_path: Path) -> None:
    for text in ("MKLE\nMKQE\n", "ACJ\n", "AC-GT\nACGT\n"):
        assert len(list(read_sequences(_file(tmp_path, "p.txt", text), {}))) == text.count("\n")


def test_a_table_with_usual_names_and_with_other_ones(tmp_path: Path) -> None:
    rows = [("r1", "ACGT", "7", "train"), ("r,2", "GG", "-1", "test")]
    usual = tmp_path / "t.csv"
    with usual.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("ID", "Sequence", "target", "fold"), *rows])
    listed = list_sequences([usual], {})
    assert listed.names == ("r1", "r,2")
    assert listed.columns["label"].tolist() == [7, -1]
    assert listed.columns["label"].dtype == np.int64
    assert listed.columns["split"].tolist() == ["train", "test"]
    other = _file(tmp_path, "u.tsv.gz", "x\ty\tz\nAC\tpos\tq\nGT\tneg\tr\n")
    listed = list_sequences([other], {"sequence": "x", "label": "y"})
    assert listed.names == ("u.tsv:1", "u.tsv:2") or listed.names == ("u:1", "u:2")
    assert listed.columns["label"].tolist() == ["pos", "neg"]


def test_a_line_a_sequence(tmp_path: Path) -> None:
    path = _file(tmp_path, "lines.txt", "\nACGT\n\nGG\n")
    assert [(one.name, one.text) for one in read_sequences(path, {})] == [
        ("lines:2", "ACGT"),
        ("lines:4", "GG"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.fa", "ACGT\n", "a.fa:1: the first line is 'ACGT'"),
        ("a.fa", ">\nACGT\n", "a.fa:1: a header has no name"),
        ("a.fa", ">x\n>y\nA\n", "a.fa:1: the sequence is empty"),
        ("a.fa", "", "holds no sequence"),
        ("a.fa", "\n \n", "holds no sequence"),
        ("a.csv", "text,label\n", "holds no sequence"),
        ("a.csv", "foo,bar\nA,1\n", "--columns sequence=COLUMN"),
        ("a.csv", "text\tlabel\nA\t1\n", "--columns"),
        ("a.csv", "seq,sequence\nA,C\n", "--columns sequence=seq"),
        ("a.csv", "text,label\nA,1\nC\n", "a.csv:3: the row has 1 cells"),
        ("a.csv", "text,label\nA,1\n,0\n", "a.csv:3: the sequence is empty"),
        ("a.txt", "ACGT\nAC GT\n", "a.txt:2: the line holds more than a sequence"),
        ("a.txt", "Sequence\nACGT\n", "a.txt:1: the first line 'Sequence' is no sequence"),
        ("a.txt", "dna\n", "a.txt:1: the first line 'dna' is no sequence"),
        ("a.txt", "\nreads\nACGT\nNNRY\n", "a.txt:2: the first line 'reads' is no sequence"),
        ("a.fa", ";only\n", "holds no sequence"),
        ("a.bed", "chr1\t1\t2\n", ".bed files are not read here"),
        ("a.fq", "@x\nACGT\n+\nIIII\n", ".fq files are not read here"),
    ],
)
def test_faults_are_named_with_file_and_row(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    path = _file(tmp_path, name, text)
    with pytest.raises(DataError) as refused:
        list_sequences([path], {})
    assert said in refused.value.message


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    broken = tmp_path / "b.fa.gz"
    broken.write_bytes(gzip.compress(FASTA.encode())[:-9])
    binary = tmp_path / "b.txt"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    for path, said in (
        (tmp_path / "none.fa", "there is no such file"),
        (tmp_path, "is a folder"),
        (broken, "gzip"),
        (binary, "UTF-8"),
    ):
        with pytest.raises(DataError) as refused:
            list_sequences([path], {})
        assert said in refused.value.message
    listed = _file(tmp_path, "l.csv", "text,label\nA,1\n")
    plain = _file(tmp_path, "p.txt", "ACGT\n")
    with pytest.raises(DataError, match="some of the files"):
        list_sequences([listed, plain], {})
    with pytest.raises(DataError, match="named twice"):
        list_sequences([plain, plain], {})
    with pytest.raises(DataError, match="did you mean --columns label=label"):
        list_sequences([listed], {"label": "labl"})


def test_one_long_description_costs_its_own_length(tmp_path: Path) -> None:
    long = ">x " + "d" * 2**16 + "\nA\n"
    path = _file(tmp_path, "d.fa", long + ">y z\nA\n" * 200)
    assert list_sequences([path], {}).columns["description"].nbytes < 2**14
