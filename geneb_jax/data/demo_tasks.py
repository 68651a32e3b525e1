"""The demo suite: thirteen small simulated tasks, one a category, the same on every machine.

A task's rows depend on its id and its construction alone: the stream is seeded by the id, the
labels are balanced and shuffled, and a builder of :mod:`geneb_jax.data.simulation` draws the texts.
``docs/demo-suite.md`` says what each construction is after.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax import durable_files
from geneb_jax.data import simulation
from geneb_jax.data.simulation.bases import order_of

__all__ = ["DEMO_TASKS", "DemoTask", "demo_task_csv", "write_demo_suite"]

Builder = Callable[[np.random.RandomState, np.ndarray], list[str]]


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One simulated task: its names, what tells its classes apart, and how large it is."""

    task_id: str
    label: str
    category: str
    build: Builder
    construction: str
    class_count: int = 2
    train_count: int = 300
    test_count: int = 180


DEMO_TASKS = (
    DemoTask(
        "simulated_histone_nucleosome_phasing",
        "Nucleosome phasing",
        "Histone Mod.",
        simulation.nucleosome_phasing,
        "AA, TT and TA every 10.2 bp against no period and poly(dA:dT) tracts; 150 bp",
    ),
    DemoTask(
        "simulated_promoters_tata",
        "TATA promoters",
        "Promoters",
        simulation.tata_promoters,
        "TATA box, initiator and GC box at their places against the same letters scrambled; 100 bp",
    ),
    DemoTask(
        "simulated_enhancers_site_clusters",
        "Enhancer strength",
        "Enhancers",
        simulation.site_clusters,
        "no, two or six sites of AP-1, GATA, E-box and ETS factors; 200 bp, three classes",
        class_count=3,
    ),
    DemoTask(
        "simulated_methylation_4mc_6ma",
        "4mC and 6mA contexts",
        "DNA Methyl.",
        simulation.methylated_contexts,
        "PvuII, BamHI, Dam and CcrM recognition sequences around the middle against the same "
        "letters scrambled; 61 bp",
    ),
    DemoTask(
        "simulated_splice_sites",
        "Splice sites",
        "Splice Sites",
        simulation.splice_sites,
        "donor consensus, acceptor with branch point and pyrimidine tract, or a decoy GT or AG; "
        "100 bp, three classes",
        class_count=3,
    ),
    DemoTask(
        "simulated_lncrna_plant",
        "Plant lncRNA",
        "lncRNA",
        simulation.plant_transcripts,
        "chain with simple repeats against codons between untranslated ends; 200 to 400 bp",
    ),
    DemoTask(
        "simulated_mouse_enhancers_oct_sox",
        "OCT4-SOX2 elements",
        "Mouse Enh.",
        simulation.composite_sites,
        "OCT4 and SOX2 sites joined into one element against the same sites apart; 80 bp",
    ),
    DemoTask(
        "simulated_tf_binding_ctcf",
        "CTCF sites",
        "TF Binding",
        simulation.ctcf_sites,
        "CTCF core motif on either strand against its letters scrambled; 100 bp",
    ),
    DemoTask(
        "simulated_species_chains",
        "Four species",
        "Species Clf.",
        simulation.species_chains,
        "chains with the GC content and dinucleotide bias of four species; 120 bp, four classes",
        class_count=4,
    ),
    DemoTask(
        "simulated_regulatory_cpg_islands",
        "CpG islands",
        "Regulatory",
        simulation.cpg_islands,
        "CpG kept in the middle against CpG lost everywhere, the same GC content; 180 to 260 bp",
    ),
    DemoTask(
        "simulated_phage_fragments",
        "Phage fragments",
        "Virus/Phage",
        simulation.phage_fragments,
        "phage composition and T7 promoters against host composition, sigma70 promoters and Chi "
        "sites; 300 bp",
    ),
    DemoTask(
        "simulated_coding_codons",
        "Codons",
        "Coding/NC",
        simulation.coding_frames,
        "human codon usage without stops against a chain with the same dinucleotides; 300 bp",
    ),
    DemoTask(
        "simulated_chromatin_accessible",
        "Open chromatin",
        "Chromatin Acc.",
        simulation.open_chromatin,
        "GC content and sites of NF-Y, Sp1, AP-1 and CTCF against scrambled sites; 150 to 400 bp",
    ),
)


def demo_task_csv(task: DemoTask) -> str:
    """The rows of a simulated task: columns text, label, split; train rows first."""
    seed = int.from_bytes(hashlib.sha256(task.task_id.encode("ascii")).digest()[:4], "big")
    stream = np.random.RandomState(seed)
    parts = []
    for count in (task.train_count, task.test_count):
        balanced = np.arange(count, dtype=np.int64) % task.class_count
        parts.append(balanced[order_of(stream, count)])
    labels = np.concatenate(parts)
    sequences = task.build(stream, labels)
    splits = ["train"] * task.train_count + ["test"] * task.test_count
    lines = [
        f"{text},{label},{split}\n"
        for text, label, split in zip(sequences, labels, splits, strict=True)
    ]
    return "text,label,split\n" + "".join(lines)


def write_demo_suite(folder: Path) -> tuple[Path, ...]:
    """Write the demo suite: ``suite.toml`` and ``<task_id>.csv.gz`` for each task.

    The same release writes the same rows everywhere; gzip's name and time are left empty, so the
    compressed bytes are the same too wherever the zlib is.

    Returns:
        The files written.

    Raises:
        OutputError: if the folder cannot be written.
    """
    paths = [folder / "suite.toml"]
    durable_files.write_text(paths[0], _suite_toml())
    for task in DEMO_TASKS:
        buffer = io.BytesIO()
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0
        ) as file:
            file.write(demo_task_csv(task).encode("ascii"))
        path = folder / f"{task.task_id}.csv.gz"
        durable_files.write_bytes(path, buffer.getvalue())
        paths.append(path)
    return tuple(paths)


def _suite_toml() -> str:
    lines = [
        "# Simulated sequences, for trying geneb-jax offline; no organism ever wrote them.",
        "# Scores on them say nothing about a model's worth on real DNA.",
        "# Expected with kmer-4, reference solver: full-regime MCC of 0.2 to 0.9 on each task.",
        "# Hardware: any. Command: geneb-jax run",
        "# Written by geneb_jax.data.demo_tasks; constructions: docs/demo-suite.md",
        "",
        'name = "demo"',
        'title = "Simulated demo suite"',
        "simulated = true",
        "notes = [",
        '  "Every sequence of this suite is simulated; its scores are not GENEB scores.",',
        *(f"  {json.dumps(f'{task.task_id}: {task.construction}.')}," for task in DEMO_TASKS),
        "]",
        "",
        "[protocol]",
        "seeds = [13, 17, 42, 123, 997]",
        "C = 1.0",
        "max_iter = 1000",
        "tol = 1e-4",
        "",
        "[[protocol.regimes]]",
        'name = "full"',
        "",
        "[[protocol.regimes]]",
        'name = "10shot"',
        "shots = 10",
        "",
        "[[protocol.regimes]]",
        'name = "1shot"',
        "shots = 1",
    ]
    for task in DEMO_TASKS:
        lines += [
            "",
            "[[tasks]]",
            f"id = {json.dumps(task.task_id)}",
            f"label = {json.dumps(task.label)}",
            f"category = {json.dumps(task.category)}",
        ]
    return "\n".join(lines) + "\n"
