"""What is no task is refused in one sentence: file, row, kind; nothing is half-written."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.data.layouts import ImportedSuite, ImportOptions, import_suite
from geneb_jax.errors import DataError, GenebError, OutputError

SEQUENCES = ("ACGTACGTACGTACGT", "AACCGGTTAACCGGTT", "TTTTACGTTTTTACGT", "GGGGACGTGGGGACGT")


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def table(labels: list[str], header: str = "sequence,label") -> str:
    rows = [f"{text},{label}\n" for text, label in zip(SEQUENCES, labels, strict=False)]
    return header + "\n" + "".join(rows)


def imported(tmp_path: Path, **options: object) -> ImportedSuite:
    return import_suite(tmp_path / "source", tmp_path / "suite", ImportOptions(**options))  # type: ignore[arg-type]


GOOD = table(["0", "1", "0", "1"])


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"train.csv": table(["0.5", "0.25", "1.5", "2"])}, "regression"),
        ({"train.json": '{"seq": "ACGT", "label": 0.25}\n'}, "regression"),
        ({"train.json": '{"sequence": "ACGT", "reactivity": [0.1, 0.2]}\n'}, "regression"),
        ({"train.fa": ">a|0.1|0.7|2.5\nACGT\n"}, "regression"),
        ({"train.json": '{"sequence": "ACGTA", "labels": [0, 1, 1]}\n'}, "multi-label"),
        ({"train.fa": ">a|0|1|0\nACGTACG\n"}, "multi-label"),
        ({"train.csv": 'sequence,label\nACGT,"0,12,7"\n'}, "multi-label"),
        ({"train.csv": "sequence,label_1,label_2\nACGT,0,1\n"}, "multi-label"),
        ({"train.json": '{"seq": "ACGTACGTACGTACG", "label": "((((...))))...."}\n'}, "a base"),
        ({"train.json": '{"seq": "ACGT", "label": [0, 0, 1, 2]}\n'}, "a label a base"),
        ({"train.json": '{"seq": "ACGT", "mut": "ACCT", "ratio": "1,1,0.2,1"}\n'}, "a base"),
        ({"train.csv": "sequence,ref,alt,label\nACGT,A,C,1\n"}, "pairs of sequences"),
    ],
)
def test_kinds_without_a_probe_are_named_with_what_is_planned(
    tmp_path: Path, files: dict[str, str], kind: str
) -> None:
    (name, content), *_ = files.items()
    # The test file is of the same kind.
    write(tmp_path / "source", {name: content, name.replace("train", "test"): content})
    with pytest.raises(DataError) as caught:
        imported(tmp_path)
    told = caught.value.message
    assert kind in told and "planned" in told and name in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_benchmark_of_many_kinds_gives_its_classification_tasks(tmp_path: Path) -> None:
    fasta = "".join(f">s{k}|{k % 2}\n{text}\n" for k, text in enumerate(SEQUENCES))
    measured = "".join(f">s{k}|{k / 3}\n{text}\n" for k, text in enumerate(SEQUENCES))
    many = "".join(f">s{k}|0|{k % 2}|1\n{text}\n" for k, text in enumerate(SEQUENCES))
    files = {}
    for part in ("train", "test"):
        files[f"poly_a/a_thaliana_{part}.fa"] = fasta
        files[f"promoter_strength/leaf_{part}.fa"] = measured
        files[f"chromatin_access/z_mays_{part}.fa"] = many
    write(tmp_path / "source", files)
    suite = imported(tmp_path)
    assert [task.entry.task_id for task in suite.tasks] == ["poly_a_a_thaliana"]
    assert {one.names[0]: one.kind for one in suite.left_out} == {
        "promoter_strength": "regression",
        "chromatin_access": "multi-label",
    }
    record = json.loads((tmp_path / "suite" / "import.json").read_text())["content"]
    assert [one["kind"] for one in record["left_out"]] == ["multi-label", "regression"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"train.csv": GOOD}, ("source", "no test file")),
        ({"train.csv": GOOD, "dev.csv": GOOD}, ("no test file", "dev rows never stand in")),
        (
            {f"{t}/{s}.csv": GOOD for t, s in (("a", "train"), ("b", "test"), ("c", "test"))},
            ("2 tasks have no train file: b, c; 1 task has no test file: a",),
        ),
        ({"train.csv": GOOD, "test.csv": ""}, ("test.csv", "empty")),
        ({"train.csv": GOOD, "test.csv": "sequence,label\n"}, ("no test rows",)),
        ({"train.csv": GOOD, "test.csv": GOOD + "ACGT\n"}, ("test.csv:6", "1 fields")),
        ({"train.csv": GOOD, "test.csv": GOOD + "ACGT,\n"}, ("test.csv:6", "no label")),
        ({"train.csv": GOOD, "test.csv": GOOD + "ACGT,NA\n"}, ("test.csv:6", "called 'NA'")),
        ({"train.csv": GOOD, "test.csv": b"\xff\xfe\x00"}, ("test.csv:1", "not UTF-8")),
        ({"train.csv": GOOD, "test.csv": ">a\nACGT\n"}, ("test.csv:1", "looks like FASTA")),
        ({"train.csv": GOOD, "test.csv": GOOD, "test.tsv": GOOD}, ("two files of the same part",)),
        ({"train.csv": table(["1", "1"]), "test.csv": GOOD}, ("one label",)),
        ({"train.csv": table(["0"], "a,b"), "test.csv": GOOD}, ("train.csv", "'a', 'b'", "--colu")),
        ({"train.csv": table(["0", "1"], "sequence,seq"), "test.csv": GOOD}, ("both be the",)),
        (
            {"x.csv": 'seq,label,split,n\nA,0,train,"5 end\nC,1,train,\nG,0,test,"3 end\n'},
            ("x.csv:2", "begins with a quote"),
        ),
        (
            {"x.csv": 'seq,label,split,n\nA,0,train,"5\nC,1,train,\nG,0,test,x"\nT,1,test,\n'},
            ("x.csv:2", "holds lines that are rows"),
        ),
        ({"x.csv": 'seq,label,split\nA,"0\n1",train\nG,0,test\n'}, ("x.csv:2", "the label runs")),
        ({"train.csv": 'seq,label\n"A\nG",1\n', "test.csv": GOOD}, ("csv:2", "than one line")),
        ({"train.json": "{}\n[1]\n", "test.json": "{}"}, ("train.json:2", "no JSON object")),
        ({"train.json": '{"seq": NaN}\n', "test.json": "{}"}, ("train.json:1", "not JSON")),
        ({"train.fa": "ACGT\n", "test.fa": ">a|1\nA\n"}, ("train.fa:1", "with a line >name")),
        ({"train.fa": ">a|1\nA\n>b\nC\n", "test.fa": ">a|1\nA\n"}, ("train.fa:3", "no label")),
        ({"train.fa": ">a\nA\n", "test.fa": ">a\nA\n"}, ("train.fa", "no labels", "--labels")),
        ({"train.parquet": b"PAR1 no", "test.parquet": b""}, ("train.parquet", "cannot be read")),
        ({"train.csv.gz": gzip.compress(b"sequence")[:-9], "test.csv": GOOD}, ("gz", "damaged")),
        ({"x.csv.gz": gzip.compress(b"q" * 99)[:12] + b"\xff" * 30}, ("x.csv.gz",)),
        ({"x.csv": GOOD}, ("x.csv", "nothing says which rows are train", "--test-share")),
        ({"x.csv": table(["0,a"], "sequence,label,split")}, ("x.csv:2", "'a'", "--splits")),
        ({"x.bed": "chromosome\tstart\tend\tlabel\n"}, ("no FASTA file is there", "--genome")),
        ({"x.xlsx": b"PK"}, ("x.xlsx", "save the sheet as CSV")),
        ({"x.pkl": b"\x80"}, ("x.pkl", "never read")),
        ({"x.h5": b"\x89HDF"}, ("HDF5",)),
        ({"labels.csv": "id,label\na,1\n"}, ("no FASTA file of its sequences",)),
        ({}, ("the folder is empty",)),
        ({"t/train/a/1.txt": b"\xff", "t/test/a/1.txt": "A"}, ("t/train/a/1.txt", "no letter")),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_file_and_row(
    tmp_path: Path, files: dict[str, str | bytes], told: tuple[str, ...]
) -> None:
    (tmp_path / "source").mkdir()
    write(tmp_path / "source", files)
    with pytest.raises(DataError) as caught:
        imported(tmp_path)
    assert all(text in caught.value.message for text in told), caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


BED = "chromosome\tstart\tend\tsplit\tlabel\n"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("chr1\t0\t4\ttrain\t1\nchr9\t0\t4\ttest\t0\n", ("x.bed:3", "no sequence 'chr9'")),
        ("chr1\t4\t4\ttrain\t1\n", ("x.bed:2", "no stretch")),
        ("chr1\t99\t104\ttrain\t1\n", ("x.bed:2", "has 20 bp", "another release")),
        ("chr1\t-1\t4\ttrain\t1\n", ("x.bed:2", "no whole number")),
        ("chr1\t1.5\t4\ttrain\t1\n", ("x.bed:2", "no whole number")),
    ],
)
def test_a_stretch_that_the_genome_lacks_is_named(
    tmp_path: Path, rows: str, told: tuple[str, ...]
) -> None:
    write(tmp_path / "source", {"x.bed": BED + rows, "genome.fa": ">chr1\n" + "ACGTA" * 4 + "\n"})
    with pytest.raises(DataError) as caught:
        imported(tmp_path)
    assert all(text in caught.value.message for text in told), caught.value.message


def test_bends_labels_in_hdf5_are_left_out_by_name(tmp_path: Path) -> None:
    files = {
        "gene_finding.bed": "chromosome\tstart\tend\tsplit\tstrand\nchr1\t0\t9\ttrain\t+\n",
        "gene_finding.hdf5": b"\x89HDF",
        "genome.fa": ">chr1\nACGTACGTACGT\n",
    }
    write(tmp_path / "source", files)
    with pytest.raises(DataError, match="gene_finding is no classification task: a label a base"):
        imported(tmp_path)


def test_a_folder_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    write(tmp_path / "source", {"train.csv": GOOD, "test.csv": GOOD})
    write(tmp_path / "suite", {"mine.txt": "mine"})
    with pytest.raises(OutputError, match="the folder is not empty"):
        imported(tmp_path)
    assert [path.name for path in (tmp_path / "suite").iterdir()] == ["mine.txt"]
    (tmp_path / "suite" / "mine.txt").unlink()
    imported(tmp_path)
    assert sorted(path.name for path in (tmp_path / "suite").iterdir()) == [
        "import.json",
        "source.csv",
        "suite.toml",
    ]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="something else"):
        import_suite(tmp_path / "source", tmp_path / "file", ImportOptions())


@pytest.mark.fault("F04")
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "source", {"train.csv": GOOD, "test.csv": GOOD})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        imported(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


@pytest.mark.fault("F81")
def test_pipes_and_devices_are_refused_and_links_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"train.csv": GOOD, "test.csv": GOOD})
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.csv").symlink_to(tmp_path / "elsewhere" / "train.csv")
    os.mkfifo(source / "test.csv")
    with pytest.raises(DataError, match="named pipe"):
        imported(tmp_path)
    (source / "test.csv").unlink()
    (source / "test.csv").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="device"):
        imported(tmp_path)
    (source / "test.csv").unlink()
    (source / "test.csv").symlink_to(tmp_path / "elsewhere" / "test.csv")
    (source / "round").symlink_to(source)
    assert imported(tmp_path).rows == {"train": 4, "test": 4}


def test_links_out_of_a_hub_snapshot_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"train.csv": GOOD, "test.csv": GOOD})
    snapshot = tmp_path / "datasets--a--b" / "snapshots" / "rev"
    snapshot.mkdir(parents=True)
    (tmp_path / "datasets--a--b" / "blobs").mkdir()
    for name in ("train.csv", "test.csv"):
        (snapshot / name).symlink_to(tmp_path / "elsewhere" / name)
    with pytest.raises(DataError, match="leads out of the snapshot"):
        import_suite(snapshot, tmp_path / "suite", ImportOptions())


@pytest.mark.parametrize(("library", "name"), [("pyarrow", "t.parquet"), ("pyfaidx", "t.bed")])
def test_an_absent_reader_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    import sys

    write(tmp_path / "source", {"genome.fa": ">chr1\nACGT\n"} if library == "pyfaidx" else {})
    write(tmp_path / "source", {name: BED + "chr1\t0\t2\ttrain\t0\n"})
    write(tmp_path / "source", {"train.parquet": b"PAR1", "test.parquet": b"PAR1"})
    if library == "pyfaidx":
        (tmp_path / "source" / "train.parquet").unlink()
        (tmp_path / "source" / "test.parquet").unlink()
    else:
        (tmp_path / "source" / name).unlink()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(DataError) as caught:
        imported(tmp_path)
    assert library in caught.value.message
    assert "pip install 'geneb-jax[formats]'" in caught.value.message


_NAMES = ("train.csv", "test.tsv", "test.csv", "train.json", "test.json", "train.fa", "test.fa",
          "train.parquet", "test.parquet", "x.csv", "labels.csv", "x.bed", "g.fa", "x.config",
          "t/train/a/1.txt", "t/test/a/1.txt", "t/train/b.csv", "t/test/b.csv.gz")  # fmt: skip
_PIECES = ("sequence,label,split\n", "ACGT,0,train\n", ">a|1\nACGT\n", '{"seq": "A", "label": 1}\n',
           BED, "chr1\t0\t4\ttrain\t1\n", "\"", "\n", "\x00", "[[[[", "PAR1", "1e999", "id,label\n",
           "id,region,start,end,strand\n", "0,chr1,0,4,-\n", "🧬,☃\n")  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(_NAMES),
        st.one_of(
            st.lists(st.sampled_from(_PIECES), max_size=6).map(
                lambda parts: "".join(parts).encode()
            ),
            st.binary(max_size=40),
        ),
        max_size=4,
    )
)
def test_no_file_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "source").mkdir()
    write(folder / "source", files)
    try:
        suite = imported(folder)
    except GenebError as error:
        assert len(error.message) < 2000
        assert [path.name for path in folder.iterdir()] == ["source"]
    else:
        assert suite.tasks
