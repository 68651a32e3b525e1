"""Every kind of bad task file is refused by file and line, in one message."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from geneb_jax.benchmark import Task
from geneb_jax.data import TaskSource, TaskTable, read_task, task_fingerprint
from geneb_jax.data import csv_columns as csv_columns_module
from geneb_jax.errors import ConfigError, DataError

HEADER = "text,label,split\n"
TRAIN = "ACGT,0,train\nAACC,1,train\n"
TEST = "GGTT,0,test\n"

Read = Callable[..., TaskTable]


def row_after(count: int, row: str) -> str:
    """A file whose line ``count + 2`` is ``row``, with good rows around it."""
    return HEADER + TRAIN * (count // 2) + row + "\n" + TRAIN + TEST


# (name, content of toy.csv, expected place, expected words)
BAD_FILES: list[tuple[str, str | bytes, str, str]] = [
    ("missing text", "sequence,label,split\nACGT,0,train\n", ":1", "no column 'text'"),
    ("missing label", "text,split\nACGT,train\n", ":1", "no column 'label'"),
    ("missing split", "text,label\nACGT,0\n", ":1", "no column 'split'"),
    ("upper-case header", "Text,label,split\nACGT,0,train\n", ":1", "lower case"),
    ("spaces in header", "text, label,split\nACGT,0,train\n", ":1", "without spaces"),
    ("no header", "ACGT,0,train\n" + TRAIN + TEST, ":1", "first line must be text,label,split"),
    ("duplicate column", "text,label,label,split\nA,0,0,train\n", ":1", "'label' appears twice"),
    ("duplicate extra column", "x,text,label,x,split\nA,A,0,0,train\n", ":1", "'x' appears twice"),
    ("empty file", "", "", "the file is empty"),
    ("only blank lines", "\n\n \r\n", "", "the file is empty"),
    ("only a byte-order mark", b"\xef\xbb\xbf", "", "the file is empty"),
    ("header only", HEADER, "", "a header and no rows"),
    ("header only, no line end", HEADER.strip(), "", "a header and no rows"),
    ("header and blank lines", HEADER + "\n\n", "", "a header and no rows"),
    ("unclosed quote", row_after(4, '"ACGT,0,train'), ":6", "quote is opened and not closed"),
    ("quote over two lines", row_after(4, '"AC\nGT",0,train'), ":6", "runs on to line 7"),
    ("text after a quote", row_after(4, '"ACGT"A,0,train'), ":6", "not valid CSV"),
    ("unclosed quote, last row", HEADER + TRAIN + '"GG,0,test', ":4", "not closed"),
    ("NUL", row_after(4, "AC\0GT,0,train"), ":6", "NUL"),
    ("NUL in the header", HEADER.replace("label", "la\0bel") + TRAIN, ":1", "NUL"),
    ("short row", row_after(4, "ACGT,0"), ":6", "2 fields, the header has 3"),
    ("short row of one field", row_after(4, "ACGT"), ":6", "1 field, the header has 3"),
    ("row of spaces", row_after(4, "  "), ":6", "1 field, the header has 3"),
    ("short and long rows cancel", HEADER + "A,0\nC,1,train,\n" + TRAIN, ":2", "2 fields"),
    ("long row", row_after(4, "ACGT,0,train,x"), ":6", "4 fields, the header has 3"),
    ("trailing comma", row_after(4, "ACGT,0,train,"), ":6", "a comma too many"),
    ("cut short at the end", HEADER + TRAIN + TEST + "ACG", ":5", "cut short"),
    ("label x", row_after(4, "ACGT,x,train"), ":6", "label 'x' is not an integer"),
    ("label 1.5", row_after(4, "ACGT,1.5,train"), ":6", "label '1.5' is not an integer"),
    ("label empty", row_after(4, "ACGT,,train"), ":6", "the field is empty"),
    ("label nan", row_after(4, "ACGT,nan,train"), ":6", "label 'nan' is not an integer"),
    ("label inf", row_after(4, "ACGT,inf,train"), ":6", "label 'inf' is not an integer"),
    ("label True", row_after(4, "ACGT,True,train"), ":6", "label 'True' is not an integer"),
    ("label 1e3", row_after(4, "ACGT,1e3,train"), ":6", "label '1e3' is not an integer"),
    ("label 1_0", row_after(4, "ACGT,1_0,train"), ":6", "label '1_0' is not an integer"),
    ("label Arabic digit", row_after(4, "ACGT,\u0661,train"), ":6", "is not an integer"),
    ("label beyond int64", row_after(4, f"ACGT,{2**63},train"), ":6", "is not an integer"),
    ("label in a dev row", row_after(4, "ACGT,x,dev"), ":6", "label 'x' is not an integer"),
    ("label in a blank-line file", "\n" + row_after(4, "ACGT,x,train"), ":7", "'x'"),
    ("label in a CRLF file", row_after(4, "ACGT,x,train").replace("\n", "\r\n"), ":6", "'x'"),
    ("label in a CR file", row_after(4, "ACGT,x,train").replace("\n", "\r"), ":6", "'x'"),
    ("label in a quoted file", row_after(4, '"ACGT","x",train'), ":6", "'x'"),
    ("label after a BOM", "\ufeff" + row_after(4, "ACGT,x,train"), ":6", "'x'"),
    ("semicolons", row_after(0, "").replace(",", ";"), ":1", "separated by a semicolon"),
    ("tabs", (HEADER + TRAIN + TEST).replace(",", "\t"), ":1", "separated by a tab"),
    ("bars", (HEADER + TRAIN + TEST).replace(",", "|"), ":1", "separated by a vertical bar"),
    ("semicolons in one row", row_after(4, "ACGT;0;train"), ":6", "separated by a semicolon"),
    ("UTF-16", (HEADER + TRAIN + TEST).encode("utf-16"), ":1", "UTF-16"),
    ("UTF-16 without a mark", (HEADER + TRAIN).encode("utf-16-le"), ":1", "NUL"),
    ("Latin-1", row_after(4, "ACGT\xe9,0,train").encode("latin-1"), ":6", "0xe9 is not UTF-8"),
    ("Latin-1, CR ends", row_after(4, "\xe9,0,train").replace("\n", "\r").encode("latin-1"), ":6",
     "0xe9 is not UTF-8"),
    ("Latin-1 in the header", b"t\xe9xt,label,split\nA,0,train\n", ":1", "0xe9 is not UTF-8"),
    ("unknown split", row_after(4, "ACGT,0,holdout"), ":6", "the split is 'holdout'"),
    ("misspelled split", row_after(4, "ACGT,0,tets"), ":6", "did you mean test?"),
    ("upper-case split", row_after(4, "ACGT,0,Train"), ":6", "did you mean train?"),
    ("empty split", row_after(4, "ACGT,0,"), ":6", "the split is ''"),
    ("no test rows", HEADER + TRAIN, "", "no test rows"),
    ("no train rows", HEADER + TEST, "", "no train rows"),
    ("dev instead of train", HEADER + TRAIN.replace("train", "dev") + TEST, "", "no train rows"),
    ("one-class train", HEADER + "A,3,train\nC,3,train\nG,0,test\n", "", "have the label 3"),
    ("compressed under a plain name", gzip.compress(b"x"), "", "does not end in .gz"),
    ("plain image", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ":3", "NUL"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [pytest.param(*entry[1:], id=entry[0]) for entry in BAD_FILES],
)
@pytest.mark.fault("F19", "F20", "F22", "F23", "F25")
def test_bad_flat_file(
    read: Read, tmp_path: Path, content: str | bytes, place: str, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(content)
    assert caught.value.where == f"{tmp_path / 'toy.csv'}{place}"
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [pytest.param(*entry[1:], id=entry[0]) for entry in BAD_FILES if "compressed" not in entry[0]],
)
def test_bad_compressed_file(
    read: Read, tmp_path: Path, content: str | bytes, place: str, words: str
) -> None:
    raw = content.encode("utf-8") if isinstance(content, str) else content
    with pytest.raises(DataError) as caught:
        read({"toy.csv.gz": gzip.compress(raw)})
    assert caught.value.where == f"{tmp_path / 'toy.csv.gz'}{place}"
    assert words in caught.value.message


HUB_TRAIN = "text,label\nACGT,0\nAACC,1\n"
HUB_TEST = "text,label\nGGTT,0\n"


@pytest.mark.parametrize(
    ("train", "test", "place", "words"),
    [
        (HUB_TRAIN + "A,x\n", HUB_TEST, "train.csv:4", "'x' is not an integer"),
        (HUB_TRAIN, HUB_TEST + "A,1.5\n", "test.csv:3", "'1.5' is not an integer"),
        (HUB_TRAIN, "text,label\n", "test.csv", "a header and no rows"),
        ("text,label\n", HUB_TEST, "train.csv", "a header and no rows"),
        (HUB_TRAIN, "", "test.csv", "the file is empty"),
        (HUB_TRAIN, "text\nA\n", "test.csv:1", "no column 'label'"),
        ("text,label\nA,1\nC,1\n", HUB_TEST, "train.csv", "have the label 1"),
        ("text,label,split\nA,1,train\nC,0,test\n", HUB_TEST, "train.csv:3", "split is 'test'"),
        (HUB_TRAIN, None, "", "has no test.csv"),
        (None, HUB_TEST, "", "has no train.csv"),
    ],
)
@pytest.mark.parametrize("folder", ["toy", "tasks/toy"])
@pytest.mark.fault("F22")
def test_bad_hub_files(
    read: Read, tmp_path: Path, folder: str, train: str | None, test: str | None, place: str,
    words: str,
) -> None:  # fmt: skip
    files = {f"{folder}/train.csv": train, f"{folder}/test.csv": test}
    with pytest.raises(DataError) as caught:
        read({name: text for name, text in files.items() if text is not None})
    assert str(caught.value.where).endswith(f"{folder}/{place}".rstrip("/"))
    assert words in caught.value.message


@pytest.mark.fault("F35", "F75")
def test_damaged_gzip(read: Read, good: str) -> None:
    # Random letters, so that the compressed file is long enough to cut in the middle.
    rows = "".join(f"{zlib.crc32(str(i).encode()):032b}{i},{i % 2},train\n" for i in range(500))
    whole = gzip.compress((good + rows).encode())
    for name, raw, words in [
        ("cut", whole[: len(whole) // 2], "it ends too early"),
        ("cut in the header", whole[:6], "it ends too early"),
        ("checksum", whole[:-8] + bytes(4) + whole[-4:], "CRC check failed"),
        ("length", whole[:-4] + bytes(4), "Incorrect length"),
        ("flipped", whole[:200] + bytes([whole[200] ^ 255]) + whole[201:], "damaged"),
        ("plain text", good.encode(), "the name says gzip"),
        ("trailing bytes", whole + b"junk", "other bytes after its end"),
        ("empty", b"", "the file is empty"),
    ]:
        with pytest.raises(DataError) as caught:
            read({"toy.csv.gz": raw})
        assert words in caught.value.message, name
        assert str(caught.value.where).endswith("toy.csv.gz"), name


@pytest.mark.fault("F24", "F35")
def test_too_long_and_too_large(
    read: Read, good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_columns_module, "MAX_SEQUENCE_BP", 1000)
    assert len(read(good + "A" * 1000 + ",0,train\n").train_sequences[-1]) == 1000
    for quote in ("", '"'):  # The plain form takes the bulk path, the quoted one the careful path.
        with pytest.raises(DataError, match="1,000 letters") as caught:
            read(good + f"{quote}{'A' * 1001}{quote},0,train\n")
        assert caught.value.where == f"{tmp_path / 'toy.csv'}:8"
    monkeypatch.setattr(csv_columns_module, "MAX_FILE_BYTES", 60)
    with pytest.raises(DataError, match="more than 60 bytes"):
        read({"toy.csv": good})
    (tmp_path / "toy.csv").unlink()
    with pytest.raises(DataError, match="more than 60 bytes"):
        read({"toy.csv.gz": good})


def test_no_file_two_files_no_folder(read: Read, good: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file of the task toy"):
        read({"other.csv": good})
    with pytest.raises(DataError, match="more than one set of files"):
        read({"toy.csv": good, "toy.csv.gz": good})
    with pytest.raises(DataError, match="no such folder"):
        read_task(Task("toy", "", ""), TaskSource(tmp_path / "nowhere"))


def test_unreadable_file(
    read: Read, good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(good)

    def refuse(self: Path, mode: str = "r") -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr("geneb_jax.data.csv_columns.open_plain", refuse)
    monkeypatch.setattr("geneb_jax.data.sources.open_plain", refuse)
    task, source = Task("toy", "", ""), TaskSource(tmp_path)
    for function in (read_task, task_fingerprint):
        with pytest.raises(DataError, match=r"cannot read the file \(Permission denied\)"):
            function(task, source)


@pytest.mark.parametrize("task_id", ["../x", "/etc/passwd", "a/b", "..", "", "x" * 300, "a\0b"])
@pytest.mark.fault("F33")
def test_hostile_ids_open_nothing(tmp_path: Path, good: str, task_id: str) -> None:
    (tmp_path / "x.csv").write_text(good)
    (tmp_path / "inside").mkdir()
    with pytest.raises(ConfigError, match="task id"):
        read_task(Task(task_id, "", ""), TaskSource(tmp_path / "inside"))


def test_links_of_ones_own_folder_lead_anywhere_but_to_nothing(tmp_path: Path, good: str) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text(good)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "toy.csv").symlink_to(outside)
    task = Task("toy", "", "")
    assert len(read_task(task, TaskSource(folder)).train_sequences) == 4
    (folder / "toy.csv").unlink()
    (folder / "toy.csv").symlink_to(folder / "nothing.csv")
    with pytest.raises(DataError, match="broken link"):
        read_task(task, TaskSource(folder))
    (folder / "toy.csv").unlink()
    (folder / "toy.csv").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="not a plain file"):
        read_task(task, TaskSource(folder))
    (folder / "toy.csv").unlink()
    (folder / "toy").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    for part in ("train", "test"):
        (tmp_path / "elsewhere" / f"{part}.csv").write_text("text,label\nA,0\nC,1\n")
    assert read_task(task, TaskSource(folder)).train_sequences == ("A", "C")


@pytest.mark.parametrize("below", ["", "tasks"])
@pytest.mark.fault("F34")
def test_links_of_a_hub_snapshot_lead_to_its_blobs_only(
    tmp_path: Path, good: str, below: str
) -> None:
    (tmp_path / "outside.csv").write_text(good)
    blob = tmp_path / "repo" / "blobs" / "0a1b"
    folder = tmp_path / "repo" / "snapshots" / "rev" / below
    blob.parent.mkdir(parents=True)
    folder.mkdir(parents=True)
    blob.write_text(good)
    task = Task("toy", "", "")
    (folder / "toy.csv").symlink_to(blob)
    assert len(read_task(task, TaskSource(folder)).train_sequences) == 4
    (folder / "toy.csv").unlink()
    (folder / "toy.csv").symlink_to(tmp_path / "outside.csv")
    with pytest.raises(DataError, match="leads out of the snapshot"):
        read_task(task, TaskSource(folder))


def test_links_within_the_folder_are_fine(tmp_path: Path, good: str) -> None:
    task = Task("toy", "", "")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "real.csv").write_text(good)
    (inside / "toy.csv").symlink_to("real.csv")
    expected = read_task(task, TaskSource(inside)).digest
    (tmp_path / "linked").symlink_to(inside)
    assert read_task(task, TaskSource(tmp_path / "linked")).digest == expected
