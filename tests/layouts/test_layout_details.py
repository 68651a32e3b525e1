"""What a layout says beside its rows: shards, class names, strands, flanks, masks, splits, ids."""

from __future__ import annotations

import csv
import gzip
import json
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.benchmark import load_suite
from geneb_jax.data import TaskSource, TaskTable, read_task
from geneb_jax.data.layouts import ImportedSuite, ImportOptions, import_suite
from geneb_jax.data.layouts.suite_names import suite_name, task_ids
from geneb_jax.data.layouts.suite_toml import TaskEntry, suite_toml
from geneb_jax.errors import DataError


def imported(tmp_path: Path, **options: object) -> ImportedSuite:
    return import_suite(tmp_path / "source", tmp_path / "suite", ImportOptions(**options))  # type: ignore[arg-type]


def only_table(tmp_path: Path) -> TaskTable:
    (task,) = load_suite(tmp_path / "suite").tasks
    return read_task(task, TaskSource(tmp_path / "suite"))


def test_names_of_classes_in_the_metadata_of_parquet(tmp_path: Path) -> None:
    """As Hugging Face `datasets` writes them; the sweep asks the library itself."""
    feature = {"names": ["silencer", "enhancer"], "_type": "ClassLabel"}
    said = {"info": {"features": {"seq": {"_type": "Value"}, "label": feature}}}
    (tmp_path / "source").mkdir()
    for split in ("train", "test"):
        rows = pa.table({"seq": ["AC", "GT"], "label": [0, 1]})
        named = rows.replace_schema_metadata({"huggingface": json.dumps(said)})
        pq.write_table(named, tmp_path / "source" / f"{split}.parquet")
    imported(tmp_path)
    assert only_table(tmp_path).task.classes == ("silencer", "enhancer")


def test_a_byte_order_mark_is_no_letter_and_a_header_ends_where_its_line_does(
    tmp_path: Path,
) -> None:
    (tmp_path / "source").mkdir()
    for split in ("train", "test"):
        text = ">a\x0cb|0\r\nACGT\r\nAC\r\n>c|1\rTT\n"
        (tmp_path / "source" / f"{split}.fa").write_bytes(b"\xef\xbb\xbf" + text.encode())
    imported(tmp_path)
    table = only_table(tmp_path)
    assert list(table.train_sequences) == ["ACGTAC", "TT"]
    assert list(table.train_labels) == [0, 1]


@pytest.mark.sweep
def test_shards_and_names_of_hugging_face_datasets(tmp_path: Path) -> None:
    """Written by the library that users write them with."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "seq": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["silencer", "enhancer"]),
        }
    )
    texts = [f"{'ACGT'[k % 4] * 5}{'TGCA'[k // 4] * 3}" for k in range(12)]
    whole = datasets.Dataset.from_dict(
        {"seq": texts, "label": [k % 2 for k in range(12)]}, features=features
    )
    folder = tmp_path / "source" / "data"
    folder.mkdir(parents=True)
    whole.select(range(4)).to_parquet(str(folder / "train-00000-of-00002.parquet"))
    whole.select(range(4, 8)).to_parquet(str(folder / "train-00001-of-00002.parquet"))
    whole.select(range(8, 12)).to_parquet(str(folder / "test-00000-of-00001.parquet"))
    imported(tmp_path)
    table = only_table(tmp_path)
    assert table.train_sequences == tuple(texts[:8])
    assert table.train_labels.tolist() == [0, 1] * 4
    assert table.test_sequences == tuple(texts[8:])
    assert table.task.classes == ("silencer", "enhancer")


def test_a_column_of_tasks_divides_a_table(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for split in ("train", "test"):
        rows = {
            "sequence": ["AC", "GT", "CA", "TG"],
            "label": [0, 1, 1, 0],
            "task": ["H3", "H4", "H3", "H4"],
        }
        pq.write_table(pa.table(rows), tmp_path / "source" / f"{split}.parquet")
    suite = imported(tmp_path)
    assert [task.entry.task_id for task in suite.tasks] == ["H3", "H4"]
    tasks = load_suite(tmp_path / "suite").tasks
    tables = [read_task(task, TaskSource(tmp_path / "suite")) for task in tasks]
    assert [table.train_sequences for table in tables] == [("AC", "CA"), ("GT", "TG")]
    assert [table.train_labels.tolist() for table in tables] == [[0, 1], [1, 0]]


@pytest.mark.parametrize("packed", [False, True])
def test_strands_and_names_of_a_genome(tmp_path: Path, packed: bool) -> None:
    """Ensembl's names, soft-masked letters, the other strand, a genome in gzip."""
    source = tmp_path / "source" / "enhancers"
    genome = b">1 dna\nAAACC\ncggtn\n>ENST0002.7\nRYACG\n"
    for split in ("train", "test"):
        (source / split).mkdir(parents=True)
        head = "id,region,start,end,strand\n"
        (source / split / "yes.csv").write_text(f"{head}0,chr1,3,8,+\n1,chr1,3,8,-\n")
        (source / split / "no.csv").write_text(f"{head}0,ENST0002,0,9,-\n")
    path = tmp_path / ("genome.fa.gz" if packed else "genome.fa")
    path.write_bytes(gzip.compress(genome) if packed else genome)
    before = sorted(tmp_path.iterdir())
    suite = imported(tmp_path, genome=path)
    table = only_table(tmp_path)
    assert dict(zip(table.train_sequences, table.train_labels.tolist(), strict=True)) == {
        "CCCGG": 1,
        "CCGGG": 1,
        "CGTRY": 0,
    }
    assert suite.tasks[0].found.notes == {"stretches cut at the end of their sequence": 2}
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "suite"])  # No .fai is left.


def test_plain_bed_takes_labels_by_name(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "peaks.bed").write_text("c\t0\t3\tp1\nc\t3\t6\tp2\nc\t6\t9\tp3\nc\t1\t4\tp4\n")
    (source / "genome.fa").write_text(">c\nAAACCCGGG\n")
    (tmp_path / "labels.tsv").write_text(
        "name\tlabel\tsplit\np4\topen\ttest\np2\tshut\ttrain\np1\topen\ttrain\np3\tshut\ttest\n"
    )
    imported(tmp_path, labels=tmp_path / "labels.tsv")
    table = only_table(tmp_path)
    assert (table.train_sequences, table.train_labels.tolist()) == (("AAA", "CCC"), [0, 1])
    assert (table.test_sequences, table.test_labels.tolist()) == (("GGG", "AAC"), [1, 0])
    assert table.task.classes == ("open", "shut")


@pytest.mark.parametrize("name", ["peaks.tsv", "peaks_labels.csv", "labels.csv"])
def test_labels_without_names_are_taken_row_by_row(tmp_path: Path, name: str) -> None:
    """As BEND's files share their index."""
    source = tmp_path / "source"
    source.mkdir()
    bed = "chromosome\tstart\tend\tsplit\n"
    bed += "c\t0\t3\ttrain\nc\t3\t6\ttrain\nc\t6\t9\ttest\n"
    (source / "peaks.bed").write_text(bed)
    (source / "genome.fa").write_text(">c\nAAACCCGGG\n")
    (source / name).write_text("label\n1\n0\n1\n")
    imported(tmp_path)
    table = only_table(tmp_path)
    assert (table.train_sequences, table.train_labels.tolist()) == (("AAA", "CCC"), [1, 0])
    assert (table.test_sequences, table.test_labels.tolist()) == (("GGG",), [1])
    (source / name).write_text("label\n1\n0\n")
    with pytest.raises(DataError, match=r"it has 2 rows, and .*peaks.bed has 3"):
        import_suite(source, tmp_path / "again", ImportOptions())


def test_dnalongbench_flanks_masks_and_turns_as_its_loader_does(tmp_path: Path) -> None:
    """By hand: flanks of 2 (gene) and 1 (region) bp, another enhancer masked, cut at 14 bp."""
    source = tmp_path / "source"
    source.mkdir()
    chromosome = "AACCGGTTACGTACGTTGCA"
    (source / "hg19.fa").write_text(f">chr1\n{chromosome}\n>chr2\nACGT\n")
    (source / "enhancers.bed.gz").write_bytes(gzip.compress(b"chr1\t7\t9\n"))
    words = {
        "EPI_file": "epi.txt str", "genome_fa": "hg19.fa str", "seq_len_cutoff": "14 int",
        "enhancer_tabix_file": "enhancers.bed.gz str", "tss_flank_upstream": "2 int",
        "tss_flank_downstream": "2 int", "region_flank_upstream": "1 int",
        "region_flank_downstream": "1 int",
    }  # fmt: skip
    (source / "epi.config").write_text("".join(f"{k} {v}\n" for k, v in words.items()))
    head = (
        "gene_chrom gene_start gene_end region_chrom region_start region_end gene_id gene_strand "
        "region_id target subset"
    )
    rows = [
        # The gene starts at 13, with flanks 11 to 16; the region with flanks is 1 to 5.
        "chr1 13 15 chr1 2 4 G + r positive train",
        # The other strand: its start is 3, with flanks 1 to 6; the region 10 to 14 is behind it.
        "chr1 2 4 chr1 11 13 G - r negative train",
        # At the chromosome's start: filled up with N in front.
        "chr1 1 2 chr1 0 2 G + r negative test",
        "chr1 13 15 chr1 2 4 G + r positive test",
        "chr1 1 2 chr2 0 2 G + r negative test",
        "chr1 1 2 chr1 0 2 G . r negative test",
        "chr1 15 16 chr1 0 1 G + r negative valid",
    ]
    (source / "epi.txt").write_text("\n".join(line.replace(" ", "\t") for line in [head, *rows]))
    suite = imported(tmp_path)
    table = only_table(tmp_path)
    forward = chromosome[1:16]
    masked = forward[: 7 - 1] + "NN" + forward[9 - 1 :]
    turned = masked.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    behind = chromosome[1:14]
    behind = behind[: 7 - 1] + "NN" + behind[9 - 1 :]
    assert table.train_sequences == (turned[:14], behind[:14])
    assert table.train_labels.tolist() == [1, 0]
    assert table.test_sequences == ("N" + chromosome[0:4], turned[:14])
    assert table.notes["dev_rows"] == 1
    assert suite.tasks[0].found.notes == {"rows that the publisher's loader skips too": 2}


def test_without_a_split_a_share_is_set_aside_by_sequence(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    texts = [format(k, "010b").replace("0", "A").replace("1", "C") for k in range(1000)]
    turned = [text.translate(str.maketrans("AC", "TG"))[::-1] for text in texts]
    lines = [f"{text},{k % 2}\n" for k, text in enumerate([*texts, *turned, *texts])]
    (tmp_path / "source" / "x.csv").write_text("sequence,label\n" + "".join(lines))
    imported(tmp_path, test_share=0.2)
    table = only_table(tmp_path)
    assert not set(table.train_sequences) & set(table.test_sequences)
    strands = {text: other for text, other in zip(texts, turned, strict=True)}
    for text in texts:
        assert (text in table.test_sequences) == (strands[text] in table.test_sequences)
    # Five standard deviations of a share of 0.2 of 1000.
    assert abs(len(table.test_sequences) / 3 - 200) < 5 * (0.16 * 1000) ** 0.5


def test_labels_as_files_write_them(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for split in ("train", "test"):
        lines = ['{"seq": "ACGT", "label": true}', '{"seq": "AC", "label": false}']
        (tmp_path / "source" / f"{split}.jsonl").write_text("\n".join(lines))
    imported(tmp_path)
    assert only_table(tmp_path).task.classes == ("false", "true")


def test_integers_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for split in ("train", "test"):
        (tmp_path / "source" / f"{split}.csv").write_text("seq,label\nA,-1\nC,1.0\nG,+1\n")
    imported(tmp_path)
    table = only_table(tmp_path)
    assert (table.train_labels.tolist(), table.task.classes) == ([-1, 1, 1], ())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.text(max_size=12), max_size=3), min_size=1, max_size=8),
    st.text(max_size=80),
)
def test_ids_are_allowed_and_unlike_whatever_folders_are_called(
    names: list[list[str]], source: str
) -> None:
    ids = task_ids(names, source)
    text = suite_toml(
        suite_name(source),
        source,
        [
            TaskEntry(task_id, " ".join(parts), source, (source, source + "x"))
            for task_id, parts in zip(ids, names, strict=True)
        ],
        [source],
    )
    parsed = tomllib.loads(text)
    assert [task["id"] for task in parsed["tasks"]] == ids
    assert len({task_id.casefold() for task_id in ids}) == len(ids)


def test_odd_names_make_a_suite_that_loads(tmp_path: Path) -> None:
    odd = ['a "b"\\', "\x7f\x00\n", "Ünïcode ☃", "x" * 500, "", "con", ".."]
    entries = [
        TaskEntry(task_id, name, name, (f"{name}0"[:150], f"{name}1"[-150:]))
        for name, task_id in zip(odd, task_ids([[name] for name in odd], "s"), strict=True)
    ]
    (tmp_path / "suite.toml").write_text(suite_toml("s", "S", entries, odd), encoding="utf-8")
    assert len(load_suite(tmp_path).tasks) == len(odd)


def test_an_id_of_the_benchmark_is_never_made() -> None:
    known = "iDHS-EL_DNase_I"
    assert task_ids([["iDHS-EL", "DNase_I"]], "s") == [f"own_{known}"]
    assert task_ids([[known]], "s") == [known]  # A file that has the name keeps it.
    assert suite_name("geneb") == "geneb-own"


def test_a_written_suite_reads_back_with_csv(tmp_path: Path) -> None:
    """A text with a comma, a quote and letters beyond ASCII survives."""
    (tmp_path / "source").mkdir()
    text = 'AC,"GT" é'
    for split in ("train", "test"):
        rows = [{"seq": text, "label": 0}, {"seq": "A", "label": 1}]
        (tmp_path / "source" / f"{split}.json").write_text(json.dumps(rows))
    imported(tmp_path)
    with (tmp_path / "suite" / "source.csv").open(newline="", encoding="utf-8") as file:
        assert [row["text"] for row in csv.DictReader(file)] == [text, "A"] * 2
    assert only_table(tmp_path).train_sequences == (text, "A")
