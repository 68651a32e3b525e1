"""Sources that say two things: what the user names is obeyed, all else is refused by its place."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import main
from geneb_jax.data import TaskSource, TaskTable, changed_since_import, check_folder, read_task
from geneb_jax.data.layouts import (
    ImportedSuite,
    ImportOptions,
    import_suite,
    init_suite,
    summary,
)
from geneb_jax.errors import DataError
from tests.layouts.test_refused_sources import GOOD, SEQUENCES, write


def imported(tmp_path: Path, files: dict[str, str | bytes], **options: object) -> ImportedSuite:
    write(tmp_path / "source", files)
    return import_suite(tmp_path / "source", tmp_path / "suite", ImportOptions(**options))  # type: ignore[arg-type]


def only_table(tmp_path: Path) -> TaskTable:
    (task,) = load_suite(tmp_path / "suite").tasks
    return read_task(task, TaskSource(tmp_path / "suite"))


def refused(tmp_path: Path, files: dict[str, str | bytes], **options: object) -> str:
    with pytest.raises(DataError) as caught:
        imported(tmp_path, files, **options)
    assert not (tmp_path / "suite").exists()
    return caught.value.message


def divided(column: str, *values: str) -> str:
    rows = zip(SEQUENCES, (0, 1, 0, 1), values, strict=True)
    return f"sequence,label,{column}\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)


def fasta(*headers: str) -> str:
    return "".join(f">{one}\n{text}\n" for one, text in zip(headers, SEQUENCES, strict=True))


def test_a_named_column_of_splits_wins_over_names_of_files(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "train.csv": divided("part", "a", "a", "b", "b"),
        "test.csv": divided("part", "c", "b", "a", "a"),
    }
    splits = {"a": "train", "b": "test", "c": "dev"}
    imported(tmp_path, files, columns={"split": "part"}, splits=splits)
    table = only_table(tmp_path)
    assert table.train_sequences == (*SEQUENCES[:2], *SEQUENCES[2:])
    assert table.test_sequences == (*SEQUENCES[2:], SEQUENCES[1])
    assert table.notes["dev_rows"] == 1


@pytest.mark.parametrize("name", ["csv", "fa"])
def test_a_column_against_the_name_of_its_file_is_refused_by_row(tmp_path: Path, name: str) -> None:
    files: dict[str, str | bytes] = {"test.csv": GOOD}
    files["train.csv"] = divided("split", "train", "valid", "test", "train")
    if name == "fa":
        rows = "s0,0,train\ns1,1,valid\ns2,0,test\ns3,1,train\n"
        body = fasta("s0", "s1", "s2", "s3")
        files = {"train.fa": body, "test.fa": body, "labels.csv": "name,label,split\n" + rows}
    told = refused(tmp_path, files)
    where = "train.csv:4" if name == "csv" else "labels.csv:4"
    assert where in told and "'test' in the file of the train rows" in told and "split=" in told


def test_dev_rows_in_a_train_file_are_dev_rows_and_folds_say_nothing(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "train.csv": divided("split", "train", "train", "valid", ""),
        "test.csv": divided("fold", "0", "1", "2", "3"),
    }
    suite = imported(tmp_path, files)
    assert suite.rows == {"train": 3, "dev": 1, "test": 4}
    assert any(line.startswith("4 rows have a 'fold' that is no part") for line in summary(suite))


def test_splits_without_a_column_are_not_dropped_in_silence(tmp_path: Path) -> None:
    told = refused(tmp_path, {"train.csv": GOOD, "test.csv": GOOD}, splits={"0": "train"})
    assert "--splits is given" in told and "--columns split=" in told
    files: dict[str, str | bytes] = {"train.fa": fasta(*"a|0 b|1 c|0 d|1".split())}
    files["test.fa"] = ">e|0\nA\n"
    told = refused(tmp_path / "fasta", files, columns={"split": "part"})
    assert "no column 'part'" in told


@pytest.mark.parametrize("option", ["test_share", "labels", "genome"])
def test_options_without_a_use_are_named(tmp_path: Path, option: str) -> None:
    other = write(tmp_path, {"other": ">a\nA\n"}) / "other"
    given = {option: 0.2 if option == "test_share" else other}
    told = refused(tmp_path, {"train.csv": GOOD, "test.csv": GOOD}, **given)
    assert f"--{option.replace('_', '-')}" in told and "leave it out" in told


@pytest.mark.parametrize("table", ["labels.csv", "a.csv", "notes.csv"])
def test_a_table_beside_wins_over_headers_with_bars(tmp_path: Path, table: str) -> None:
    names = ("gi|1|ref", "gi|2|ref", "gi|3|gb", "gi|4|gb more words")
    rows = zip(names, ("on", "off", "on", "off"), ("train", "train", "test", "test"), strict=True)
    text = "name,label,split\n" + "".join(f"{a.split()[0]},{b},{c}\n" for a, b, c in rows)
    imported(tmp_path, {"a.fa": fasta(*names), table: text})
    table_read = only_table(tmp_path)
    assert table_read.task.classes == ("off", "on")
    assert table_read.train_labels.tolist() == [1, 0]
    assert table_read.test_labels.tolist() == [1, 0]


def test_headers_with_labels_and_a_table_of_other_names_are_unclear(tmp_path: Path) -> None:
    headers = fasta("s0|0", "s1|1", "s2|0", "s3|1")
    files: dict[str, str | bytes] = {"train.fa": headers, "test.fa": headers}
    told = refused(tmp_path, {**files, "labels.csv": "name,label\ns0,1\ns1,0\n"})
    assert "train.fa:1" in told and "two places" in told and "labels.csv" in told


def test_a_label_ends_at_the_first_blank(tmp_path: Path) -> None:
    text = fasta("s0|0 len=60", "s1|1 a|b", "s2 mouse|0", "s3|1")
    imported(tmp_path, {"train.fa": text, "test.fa": text})
    assert only_table(tmp_path).train_labels.tolist() == [0, 1, 0, 1]


def test_a_name_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    names = "name,label,split\n"
    rows = "s0,0,train\ns1,1,train\ns2,0,test\ns3,1,test\n"
    whole: dict[str, str | bytes] = {"a.fa": fasta("s0", "s1", "s2", "s3")}
    told = refused(tmp_path, {**whole, "a.csv": names + rows + "s1,1,test\n"})
    assert "a.csv:6" in told and "two splits" in told and "line 3" in told
    told = refused(tmp_path, {"a.fa": fasta("s0", "s1", "s2", "s1"), "a.csv": names + rows})
    assert "a.fa:7" in told and "'s1' stands twice" in told and "line 3" in told


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("train.csv", "test.csv", "data/train-00000-of-00001.csv"), ("train.csv", "data")),
        (("train-0-of-1.csv", "train-0-of-2.csv", "test.csv"), ("train-0-of-1", "train-0-of-2")),
        (
            ("train-0-of-1-0a0a0a0a.csv", "train-0-of-1-0b0b0b0b.csv", "test.csv"),
            ("0a0a", "0b0b"),
        ),
        (("valid.csv", "dev.csv", "train.csv", "test.csv"), ("dev.csv and valid.csv",)),
        (("a.csv", "a.csv.gz"), ("a.csv and a.csv.gz",)),
        (("a.csv", "a.tsv"), ("a.csv and a.tsv",)),
        (("b/train.csv", "b/test.csv", "b.csv"), ("b/train.csv and b.csv",)),
    ],
)
def test_the_same_rows_in_two_files_are_refused(
    tmp_path: Path, names: tuple[str, ...], told: tuple[str, ...]
) -> None:
    whole = divided("split", "train", "train", "test", "test")
    files: dict[str, str | bytes] = {}
    for name in names:
        text = whole if Path(name).name[:1] in "ab" else GOOD
        text = text.replace(",", "\t") if name.endswith(".tsv") else text
        files[name] = gzip.compress(text.encode()) if name.endswith(".gz") else text
    message = refused(tmp_path, files)
    assert all(text in message for text in told), message


def test_shards_of_one_table_are_joined(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"data/train-{k}-of-3.csv": GOOD for k in range(3)}
    assert imported(tmp_path, {**files, "data/test-0-of-1.csv": GOOD}).rows["train"] == 12


def test_rna_and_its_other_strand_are_on_one_side(tmp_path: Path) -> None:
    dna = [format(k, "09b").replace("0", "A").replace("1", "T") + "CG" for k in range(300)]
    rna = [text.replace("T", "U").lower() for text in dna]
    other = [text[::-1].translate(str.maketrans("ATCG", "UAGC")) for text in dna]
    lines = [f"{text},{k % 2}\n" for k, text in enumerate(dna + rna + other)]
    imported(tmp_path, {"x.csv": "sequence,label\n" + "".join(lines)}, test_share=0.3)
    test = set(only_table(tmp_path).test_sequences)
    sides = [[text in test for text in those] for those in (dna, rna, other)]
    assert sides[0] == sides[1] == sides[2] and 50 < sum(sides[0]) < 130


FLAT = "text,label,split\n" + "".join(
    f"{text},{k % 2},{part}\n"
    for k, (text, part) in enumerate(zip(SEQUENCES * 2, ["train"] * 4 + ["test"] * 4, strict=True))
)


@pytest.mark.parametrize(
    ("files", "copied"),
    [
        ({"a.csv": FLAT}, False),
        ({"a.csv": FLAT.replace("train", "Training")}, True),
        ({"a.csv": FLAT.replace("test", "Testing")}, True),
        ({"a.csv": FLAT + "ACGT,0,valid\n"}, True),
        ({"a.csv": FLAT + " ACGT ,0,dev\n"}, True),
        (
            {"t/train.csv": FLAT[:-1].replace("test", "train"), "t/test.csv": "text,label\nA,0\n"},
            False,
        ),
        ({"t/train.csv": FLAT.replace("test", "Train"), "t/test.csv": "text,label\nA,0\n"}, True),
        ({"t/train.csv": FLAT.replace("test", "dev"), "t/test.csv": "text,label\nA,0\n"}, True),
    ],
)
def test_a_suite_for_files_at_hand_reads_them_or_copies(
    tmp_path: Path, files: dict[str, str | bytes], copied: bool
) -> None:
    suite = init_suite(write(tmp_path, files), ImportOptions())
    assert suite.converted == (tmp_path / "suite-tasks").is_dir() == copied
    (task,) = load_suite(tmp_path).tasks
    folder = tmp_path / "suite-tasks" if copied else tmp_path
    table = read_task(task, TaskSource(folder))
    assert len(table.train_sequences) == suite.rows["train"]
    assert " ACGT " not in table.train_sequences


def test_copies_that_init_made_are_no_second_task(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"t_train.csv": GOOD, "t_test.csv": GOOD})
    first = init_suite(source, ImportOptions())
    assert first.converted and (source / "suite-tasks" / "import.json").exists()
    again = import_suite(source, tmp_path / "suite", ImportOptions())
    assert len(again.tasks) == len(first.tasks) == 1 and again.rows == first.rows
    # Copies alone are a source as any other.
    assert (
        import_suite(source / "suite-tasks", tmp_path / "copy", ImportOptions()).rows == again.rows
    )


@pytest.mark.parametrize("cell", ["", "  "])
@pytest.mark.parametrize("form", ["csv", "fa", "txt"])
def test_an_empty_sequence_is_refused_by_row(tmp_path: Path, cell: str, form: str) -> None:
    files: dict[str, str | bytes] = {"train.csv": GOOD, "test.csv": f"{GOOD}{cell},1\n"}
    where = "test.csv:6"
    if form == "fa":
        files, where = {"train.fa": fasta(*"abcd"), "test.fa": f">a\nA\n>b\n{cell}\n"}, "test.fa:3"
        files["labels.csv"] = "name,label\na,0\nb,1\nc,0\nd,1\n"
    elif form == "txt":
        files = {f"t/{part}/{kind}/1.txt": "A" for part in ("train", "test") for kind in "ab"}
        files["t/test/b/2.txt"], where = cell, "t/test/b/2.txt"
    told = refused(tmp_path, files)
    assert "the sequence is empty" in told and where in told


def test_blanks_and_odd_letters_and_alike_classes_are_told(tmp_path: Path) -> None:
    test = "sequence,label\n ACGT ,Pos\nACDEX-,pos\nacgunry,Neg\n"
    suite = imported(tmp_path, {"train.csv": test, "test.csv": test})
    told = "\n".join(summary(suite))
    assert "2 sequences had blanks around them" in told
    assert "2 sequences have letters that are no nucleotide codes" in told
    assert "2 classes of source differ only in the case of their letters: Pos, pos" in told
    assert only_table(tmp_path).train_sequences[0] == "ACGT"


def test_a_hidden_folder_is_named_as_unread(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"train.csv": GOOD, "test.csv": GOOD, "t/.old/train.csv": GOOD}
    suite = imported(tmp_path, {**files, ".git/config": "x"})
    assert suite.unread == ("t/.old/",)
    assert "1 file or folder is no task and not read: t/.old/" in summary(suite)
    assert "whose name starts with a dot" in refused(tmp_path / "b", {".x/train.csv": GOOD})


@pytest.mark.parametrize("split", ["", "train"])
def test_a_file_of_all_rows_beside_its_parts_is_refused(tmp_path: Path, split: str) -> None:
    """It would be a second task of the same rows; another name makes a task of it."""
    whole = divided("split", "train", "train", "test", "test") if split else GOOD
    files: dict[str, str | bytes] = {"train.csv": GOOD, "test.csv": GOOD, "All.csv": whole}
    told = refused(tmp_path, files)
    assert "All.csv lies beside test.csv and train.csv" in told and "move it away" in told
    (tmp_path / "source/All.csv").unlink()
    files = {"train.csv": GOOD, "test.csv": GOOD}
    files["other.csv"] = divided("split", "train", "train", "test", "test")
    imported(tmp_path, files)
    assert len(load_suite(tmp_path / "suite").tasks) == 2


def test_an_import_within_a_source_is_no_second_task(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"t_train.csv": GOOD, "t_test.csv": GOOD})
    first = import_suite(source, source / "suites" / "mine", ImportOptions())
    again = init_suite(source, ImportOptions())
    assert again.rows == first.rows and again.unread == ("suites/mine/",)
    with pytest.raises(DataError, match=r"is a suite that an import made.*run --suite"):
        import_suite(first.folder, tmp_path / "other", ImportOptions())
    with pytest.raises(DataError, match="mine/, which an import made"):
        import_suite(source / "suites", tmp_path / "other", ImportOptions())


@pytest.mark.parametrize("edit", ["longer", "as long", "gone", "moved", "none"])
@pytest.mark.parametrize("init", [True, False])
def test_files_that_changed_after_their_copies_are_told(
    tmp_path: Path, edit: str, init: bool
) -> None:
    source = write(tmp_path / "source", {"t_train.csv": GOOD, "t_test.csv": GOOD})
    folder = source / "suite-tasks" if init else tmp_path / "suite"
    if init:
        init_suite(source, ImportOptions())
    else:
        import_suite(source, folder, ImportOptions())
    assert changed_since_import(folder) is None
    file = source / "t_train.csv"
    if edit == "longer":
        file.write_text(GOOD + f"{SEQUENCES[0]},1\n")
    elif edit == "as long":
        file.write_text(GOOD.replace(",0\n", ",1\n"))
    elif edit == "gone":
        file.unlink()
    elif edit == "moved":
        source = source.rename(tmp_path / "elsewhere")
        folder = source / "suite-tasks" if init else folder
    told = changed_since_import(folder)
    if edit in ("moved", "none"):
        assert told is None
    else:
        assert told is not None and told.startswith("1 file of ") and "t_train.csv" in told


def test_edits_are_told_by_run_and_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "source", {"t_train.csv": GOOD, "t_test.csv": GOOD})
    init_suite(source, ImportOptions())
    (source / "t_train.csv").write_text(GOOD + f"{SEQUENCES[0]},1\n")
    for words in (["data", "check"], ["plan", "-m", "kmer-1", "--suite"]):
        with pytest.raises(SystemExit) as ended:
            main([*words, str(source)])
        assert ended.value.code == 0
        said = capsys.readouterr().err
        assert "warning: 1 file of" in said and "which are what is scored: t_train.csv" in said


def test_a_file_that_no_run_reads_as_it_is_is_copied(tmp_path: Path) -> None:
    for number, text in enumerate(
        (
            FLAT.replace(",", ";"),
            FLAT.replace(",", ", "),
            FLAT.replace("split", "split,note", 1).replace("train\n", 'train,"a\nb"\n')
            .replace("test\n", "test,\n"),
            FLAT.replace("split", "split,,", 1).replace("train\n", "train,,\n")
            .replace("test\n", "test,,\n"),
        )
    ):  # fmt: skip
        folder = write(tmp_path / str(number), {"a.csv": text})
        suite = init_suite(folder, ImportOptions())
        assert suite.converted and check_folder(load_suite(folder), folder / "suite-tasks")
        (task,) = load_suite(folder).tasks
        table = read_task(task, TaskSource(folder / "suite-tasks"))
        assert len(table.train_sequences) == suite.rows["train"]


@pytest.mark.parametrize("name", ["README.txt", "config.json", "~$a.csv", "meta.csv"])
def test_what_lies_beside_a_task_is_named_and_left(tmp_path: Path, name: str) -> None:
    text = '{"a": 1}' if name.endswith("json") else "What this is, and who made it\n"
    suite = imported(tmp_path, {"a.csv": FLAT, name: text})
    assert suite.unread == (name,) and len(suite.tasks) == 1


def test_names_without_a_record_are_counted(tmp_path: Path) -> None:
    labels = "name,label,split\n" + "".join(
        f"{one},{k % 2},{'test' if k > 1 else 'train'}\n" for k, one in enumerate("abcdef")
    )
    suite = imported(tmp_path, {"a.fa": fasta(*"abcd"), "labels.csv": labels})
    assert "2 names of labels.csv have no record in a.fa" in summary(suite)
