"""Folders in the field's published layouts, written by plain Python from rows that are given.

Each function writes one layout below a folder, as its publisher does (file names, headers, order),
and returns what `suite import` needs besides the folder.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_TASK = "leannmlindsey_GUE_prom_core_tata"
_COUNTS = {"train": 60, "dev": 7, "test": 40}
OTHER_STRAND = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


@dataclass(frozen=True)
class Row:
    """One labelled sequence."""

    text: str
    label: int
    split: str


Rows = Sequence[Row]


def labelled_rows() -> tuple[Row, ...]:
    """107 rows of two classes: of a real promoter task where it is here, or drawn."""
    named = os.environ.get("GENEB_JAX_TASKS")
    here = Path(__file__).resolve().parents[3] / "shared" / "data" / "tasks"
    path = (Path(named) if named else here) / f"{_TASK}.csv.gz"
    total = sum(_COUNTS.values())
    if path.is_file():
        with gzip.open(path, "rt", newline="") as file:
            labelled = [(one["text"], int(one["label"])) for one in csv.DictReader(file)]
        zeros = [one for one in labelled if one[1] == 0][: total - total // 2]
        ones = [one for one in labelled if one[1] == 1][: total // 2]
        drawn = [pair for two in zip(zeros, ones, strict=False) for pair in two] + zeros[
            len(ones) :
        ]
    else:
        random = np.random.RandomState(5)
        weights = {0: [0.3, 0.2, 0.2, 0.3], 1: [0.2, 0.3, 0.3, 0.2]}
        drawn = [
            ("".join(random.choice(list("ACGT"), size=70, p=weights[at % 2])), at % 2)
            for at in range(total)
        ]
    splits = [split for split, count in _COUNTS.items() for _ in range(count)]
    return tuple(
        Row(text, label, split) for (text, label), split in zip(drawn, splits, strict=True)
    )


def of(rows: Rows, split: str) -> list[Row]:
    return [row for row in rows if row.split == split]


def turned(text: str) -> str:
    return "".join(OTHER_STRAND[letter] for letter in reversed(text))


def gue(folder: Path, rows: Rows) -> list[str]:
    """GUE: EMP/H3/{train,dev,test}.csv, columns sequence and label."""
    place = folder / "EMP" / "H3"
    place.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        lines = [f"{row.text},{row.label}\n" for row in of(rows, split)]
        (place / f"{split}.csv").write_text("sequence,label\n" + "".join(lines))
    return []


def nt_parquet(folder: Path, rows: Rows) -> list[str]:
    """The Nucleotide Transformer's tasks on the hub: one table, a column says the task."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    for split in ("train", "test"):
        those = of(rows, split)
        table = pa.table(
            {
                "sequence": [row.text for row in those],
                "name": [f"chr1:{place}|{row.label}" for place, row in enumerate(those)],
                "label": pa.array([row.label for row in those], pa.int64()),
                "task": ["H3K4me3"] * len(those),
            }
        )
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    return []


def nt_fasta(folder: Path, rows: Rows) -> list[str]:
    """The Nucleotide Transformer's tasks as FASTA: H3/train.fna, headers name|label."""
    place = folder / "H3"
    place.mkdir(parents=True)
    for split in ("train", "test"):
        with (place / f"{split}.fna").open("w") as file:
            for number, row in enumerate(of(rows, split)):
                # Lines of 60 letters, as FASTA is mostly written.
                cut = [row.text[at : at + 60] for at in range(0, len(row.text), 60)]
                file.write(f">chr{number % 22}:{number}|{row.label}\n" + "\n".join(cut) + "\n")
    return []


def genomic_benchmarks(folder: Path, rows: Rows) -> list[str]:
    """Genomic Benchmarks: task/train/positive/17.txt, a sequence a file."""
    for split in ("train", "test"):
        for label, name in enumerate(("negative", "positive")):
            place = folder / "human_nontata_promoters" / split / name
            place.mkdir(parents=True)
            those = [row for row in of(rows, split) if row.label == label]
            for number, row in enumerate(those):
                (place / f"{number}.txt").write_text(row.text)
    return []


def _genome(path: Path, rows: Rows) -> list[tuple[str, int, int, str]]:
    """A genome in which every row lies somewhere, odd ones on the other strand; their places."""
    chromosomes = {"chr1": "", "chr2": ""}
    places = []
    for number, row in enumerate(rows):
        name = f"chr{number % 2 + 1}"
        strand = "-" if number % 3 == 2 else "+"
        start = len(chromosomes[name]) + 7
        chromosomes[name] += "NACGTTA" + (row.text if strand == "+" else turned(row.text))
        places.append((name, start, start + len(row.text), strand))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for name, text in chromosomes.items():
            file.write(f">{name} of nobody\n")
            file.writelines(text[at : at + 50] + "\n" for at in range(0, len(text), 50))
    return places


def interval_lists(folder: Path, rows: Rows) -> list[str]:
    """Genomic Benchmarks' interval lists: task/train/positive.csv.gz, and a genome elsewhere."""
    genome = folder.parent / "genomes" / "genome.fa"
    places = _genome(genome, rows)
    for split in ("train", "test"):
        for label, name in enumerate(("negative", "positive")):
            lines = ["id,region,start,end,strand\n"]
            for row, (region, start, end, strand) in zip(rows, places, strict=True):
                if (row.split, row.label) == (split, label):
                    lines.append(f"{len(lines) - 1},{region},{start},{end},{strand}\n")
            path = folder / "enhancers" / split / f"{name}.csv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress("".join(lines).encode()))
    return ["--genome", str(genome)]


def bend(folder: Path, rows: Rows) -> list[str]:
    """BEND: a tab-separated BED with a header, splits train, valid and test, beside the genome."""
    places = _genome(folder / "genomes" / "GRCh38.primary_assembly.genome.fa", rows)
    lines = ["chromosome\tstart\tend\tsplit\tlabel\tstrand\n"]
    for row, (region, start, end, strand) in zip(rows, places, strict=True):
        split = "valid" if row.split == "dev" else row.split
        lines.append(f"{region}\t{start}\t{end}\t{split}\t{row.label}\t{strand}\n")
    (folder / "tasks_bed").mkdir(parents=True)
    (folder / "tasks_bed" / "promoters.bed").write_text("".join(lines))
    return []


def omnigenbench(folder: Path, rows: Rows) -> list[str]:
    """OmniGenBench: JSON lines in train.json, valid.json and test.json, beside a config.py."""
    place = folder / "RNA-TE-Prediction.Arabidopsis"
    place.mkdir(parents=True)
    (place / "config.py").write_text("raise SystemExit('this is never run')\n")
    for split, name in (("train", "train"), ("dev", "valid"), ("test", "test")):
        with (place / f"{name}.json").open("w") as file:
            for row in of(rows, split):
                file.write(json.dumps({"sequence": row.text, "label": row.label}) + "\n")
    return []


def plant_genomic_benchmark(folder: Path, rows: Rows) -> list[str]:
    """Plant Genomic Benchmark: poly_a/SPECIES_train.fa, headers name|label."""
    place = folder / "poly_a"
    place.mkdir(parents=True)
    for split in ("train", "test"):
        with (place / f"arabidopsis_thaliana_{split}.fa").open("w") as file:
            for number, row in enumerate(of(rows, split)):
                file.write(f">2:{number}_CDS|{row.label}\n{row.text}\n")
    return []


def plain_table(folder: Path, rows: Rows) -> list[str]:
    """A table with names of its own, and folds for splits."""
    folder.mkdir(parents=True)
    folds = {"train": "0", "dev": "1", "test": "2"}
    words = ("inactive", "active")
    lines = ["fold\tcomment\tpromoter\tactivity\n"]
    lines += [f'{folds[row.split]}\t"a, b"\t{row.text}\t{words[row.label]}\n' for row in rows]
    (folder / "promoters.tsv").write_text("".join(lines))
    return [
        "--columns",
        "sequence=promoter,label=activity,split=fold",
        "--splits",
        "0=train,1=dev,2=test",
    ]


def fasta_and_table(folder: Path, rows: Rows) -> list[str]:
    """FASTA, and a table of names, labels and splits beside it."""
    folder.mkdir(parents=True)
    (folder / "promoters.fa").write_text(
        "".join(f">p{number} somewhere\n{row.text}\n" for number, row in enumerate(rows))
    )
    numbered = list(enumerate(rows))
    lines = [f"p{number},{'no yes'.split()[row.label]},{row.split}\n" for number, row in numbered]
    (folder / "labels.csv").write_text("id,label,split\n" + "".join(reversed(lines)))
    return []


def dnalongbench(folder: Path, rows: Rows) -> list[str]:
    """DNALongBench: region and gene of each row, a config, a genome; flanks of 0 bp here.

    Each row lies on a chromosome of its own, its region at the front and its gene at the end.
    """
    folder.mkdir(parents=True)
    columns = (
        "gene_chrom gene_start gene_end region_chrom region_start region_end gene_id gene_strand "
        "region_id target subset"
    ).split()
    lines = ["\t".join(columns) + "\n"]
    with (folder / "hg19.fa").open("w") as genome:
        for number, row in enumerate(rows):
            name, length = f"chr{number}", len(row.text)
            # A gene behind its region is turned to the front.
            genome.write(f">{name}\n{turned(row.text)}\n")
            target = ("negative", "positive")[row.label]
            subset = "valid" if row.split == "dev" else row.split
            gene, region = (length - 1, length), (0, 10)
            lines.append(
                f"{name}\t{gene[0]}\t{gene[1]}\t{name}\t{region[0]}\t{region[1]}\tG\t+\tr{number}"
                f"\t{target}\t{subset}\n"
            )
    (folder / "CRISPRi_EPI_K562_hg19.txt").write_text("".join(lines))
    settings = {
        "EPI_file": ("CRISPRi_EPI_K562_hg19.txt", "str"),
        "genome_fa": ("hg19.fa", "str"),
        "seq_len_cutoff": ("450000", "int"),
        "tss_flank_upstream": ("0", "int"),
        "tss_flank_downstream": ("0", "int"),
        "region_flank_upstream": ("0", "int"),
        "region_flank_downstream": ("0", "int"),
    }
    (folder / "CRISPRi_EPI_K562_hg19.config").write_text(
        "".join(f"{name}\t{value}\t{kind}\n" for name, (value, kind) in settings.items())
    )
    return []


LAYOUTS: dict[str, Callable[[Path, Rows], list[str]]] = {
    "GUE": gue,
    "NT parquet": nt_parquet,
    "NT FASTA": nt_fasta,
    "Genomic Benchmarks": genomic_benchmarks,
    "interval lists": interval_lists,
    "BEND": bend,
    "OmniGenBench": omnigenbench,
    "Plant Genomic Benchmark": plant_genomic_benchmark,
    "DNALongBench": dnalongbench,
    "plain table": plain_table,
    "FASTA and table": fasta_and_table,
}

#: Layouts whose train rows come class by class, as their files do.
BY_CLASS = {"Genomic Benchmarks", "interval lists"}
#: Layouts with dev rows.
WITH_DEV = {"GUE", "BEND", "OmniGenBench", "plain table", "FASTA and table", "DNALongBench"}
#: Names of labels 0 and 1, by layout.
NAMES = {
    "Genomic Benchmarks": ("negative", "positive"),
    "interval lists": ("negative", "positive"),
    "DNALongBench": ("negative", "positive"),
    "plain table": ("active", "inactive"),
    "FASTA and table": ("no", "yes"),
}
