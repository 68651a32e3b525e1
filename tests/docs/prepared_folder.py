"""The folder in which the pages' commands run: every file they name, small, no download.

Checkpoints have random weights, sequences are drawn from a fixed seed. A page gets a copy of it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from geneb_jax.tokenizers import built_in_vocabulary
from tests.layouts import published_layouts

__all__ = ["prepare"]

_WIDTH, _LAYERS, _INNER = 16, 2, 32
_VOCABULARY = 4107
#: GENEB's ids, for files whose rows are not GENEB's: every table calls them unlike.
_TASKS = (
    "iPro-WAEL_Promoter_NHEK",
    "leannmlindsey_GUE_prom_core_tata",
    "leannmlindsey_GUE_emp_H3",
)
_EXTRACTOR = '''"""An extractor as GENEB's own: counts of letters."""

import numpy as np


class Extractor:
    def __init__(self, name_model=None):
        self.name_model = name_model

    def extract_embeddings(self, sequences, batch_size=8):
        shares = [[text.count(c) / len(text) for c in "ACGT"] for text in sequences]
        return np.array(shares, "float32")
'''


def prepare(folder: Path) -> None:
    """Write everything below ``folder``, which exists."""
    random = np.random.RandomState(13)
    for name in ("MODEL", "checkpoints/my-model", "checkpoints/other"):
        _checkpoint(folder / name, random)
    for task in _TASKS:
        _task_file(folder / "tasks" / f"{task}.csv", random)
    for task in ("promoters", "enhancers"):
        _task_file(folder / "my_tasks" / f"{task}.csv", random)
    _lab(folder / "lab", random)
    drawn = [row[0] for row in _rows(random, 40)]
    records = [f">seq{number} of nobody\n{text}\n" for number, text in enumerate(drawn)]
    (folder / "seqs.fa").write_text("".join(records), encoding="utf-8")
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["seq", "y", "fold"])
        lines.writerows(_rows(random, 120))
    long = "".join(row[0] for row in _rows(random, 40))
    (folder / "long.fa").write_text(f">chromosome\n{long}\n", encoding="utf-8")
    (folder / "extractor.py").write_text(_EXTRACTOR, encoding="utf-8")
    _published(folder)


def _rows(random: np.random.RandomState, count: int) -> Iterator[tuple[str, int, str]]:
    """Two classes that differ in their GC content; a third of the rows are test rows."""
    weights = ([0.3, 0.2, 0.2, 0.3], [0.2, 0.3, 0.3, 0.2])
    for number in range(count):
        label = number % 2
        text = "".join(random.choice(list("ACGT"), size=60, p=weights[label]))
        yield text, label, "test" if number % 6 > 3 else "train"


def _task_file(path: Path, random: np.random.RandomState) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["text", "label", "split"])
        lines.writerows(_rows(random, 120))


def _lab(folder: Path, random: np.random.RandomState) -> None:
    """Files as laboratories have them: other headers, words for labels, tabs, other splits."""
    folder.mkdir()
    lines = ["sequence,label,split\n"]
    for text, label, split in _rows(random, 180):
        lines.append(f"{text},{('silent', 'active')[label]},{split}\n")
    (folder / "promoters.csv").write_text("".join(lines), encoding="utf-8")
    lines = ["name\tseq\tclass\tsubset\n"]
    for number, (text, label, split) in enumerate(_rows(random, 180)):
        lines.append(f"e{number}\t{text}\t{label}\t{split.title()}\n")
    (folder / "enhancers.tsv").write_text("".join(lines), encoding="utf-8")


def _checkpoint(folder: Path, random: np.random.RandomState) -> None:
    """An ESM folder as transformers saves it: config.json, model.safetensors, vocab.txt."""
    folder.mkdir(parents=True)
    settings = {
        "model_type": "esm",
        "architectures": ["EsmModel"],
        "vocab_size": _VOCABULARY,
        "hidden_size": _WIDTH,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": _INNER,
        "max_position_embeddings": 130,
        "position_embedding_type": "rotary",
        "pad_token_id": 1,
        "mask_token_id": 2,
        "token_dropout": True,
    }
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "vocab.txt").write_text(built_in_vocabulary("nt-v2").text, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        '{"eos_token": null, "model_max_length": 128}', encoding="utf-8"
    )
    shapes = {"embeddings.word_embeddings.weight": (_VOCABULARY, _WIDTH)}
    maps = {
        "attention.self.query": (_WIDTH, _WIDTH),
        "attention.self.key": (_WIDTH, _WIDTH),
        "attention.self.value": (_WIDTH, _WIDTH),
        "attention.output.dense": (_WIDTH, _WIDTH),
        "intermediate.dense": (_INNER, _WIDTH),
        "output.dense": (_WIDTH, _INNER),
    }
    norms = [
        f"encoder.layer.{layer}.{name}"
        for layer in range(_LAYERS)
        for name in ("attention.LayerNorm", "LayerNorm")
    ]
    for layer in range(_LAYERS):
        for name, shape in maps.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (shape[0],)
    for name in (*norms, "encoder.emb_layer_norm_after"):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (_WIDTH,)
    tensors = {
        name: (0.1 * random.randn(*shape)).astype(np.float32) for name, shape in shapes.items()
    }
    save_file(tensors, folder / "model.safetensors")


def _published(folder: Path) -> None:
    """Benchmarks in their publishers' layouts, under the names that the pages give them."""
    rows = published_layouts.labelled_rows()
    published_layouts.gue(folder / "GUE", rows)
    published_layouts.nt_fasta(folder / "nucleotide_transformer_downstream_tasks", rows)
    published_layouts.genomic_benchmarks(folder / "genomic_benchmarks", rows)
    published_layouts.omnigenbench(folder / "RGB", rows)
    published_layouts.plant_genomic_benchmark(folder / "plant-genomic-benchmark", rows)
    published_layouts.bend(folder / "bend", rows)
    published_layouts.dnalongbench(folder / "dnalongbench", rows)
    published_layouts.interval_lists(folder / "interval_lists", rows)
    (folder / "genomes" / "genome.fa").rename(folder / "genome.fa")
    published_layouts.plain_table(folder / "drafts", rows)
    (folder / "drafts" / "promoters.tsv").rename(folder / "table.tsv")
    published_layouts.fasta_and_table(folder / "sequences", rows)
    lines = [f"{row.text},{row.label}\n" for row in rows]
    (folder / "unsplit.csv").write_text("sequence,label\n" + "".join(lines), encoding="utf-8")
