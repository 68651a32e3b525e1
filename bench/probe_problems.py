"""Feature sets of the probe bench: k-mer counts, an untrained encoder, made-up sizes, few shots."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import geneb_jax
from geneb_jax.benchmark import load_suite
from geneb_jax.data import TaskSource, few_shot_rows, find_task_files, read_task
from geneb_jax.places import cache_folder
from geneb_jax_probes import ProbeTask
from geneb_jax_probes.synthetic import decaying_features

__all__ = ["SEEDS", "SETS", "SHOTS", "FeatureSet", "feature_set", "task_features"]

SEEDS = (13, 17, 42, 123, 997)
SHOTS = (10, 1)
ENCODER = "nucleotide-transformer-v2-50m-multi-species"
#: Short sequences, so that two cores embed them in minutes; two and three classes.
ENCODER_TASKS = (
    "iPro-WAEL_Promoter_B_amyloliquefaciens",
    "deep4mc_E.coli_4mC",
    "iDHS-EL_DNase_I",
    "leannmlindsey_GUE_prom_core_tata",
    "leannmlindsey_GUE_mouse_2",
    "katarinagresova_Genomic_Benchmarks_human_ensembl_regulatory",
)
#: rows x width (x classes if not two); 2000 rows more are for testing.
SIZES = ("10000x512", "10000x1024", "4000x1024x20", "20000x2560", "100000x1024")
SETS = ("kmer", "encoder", *SIZES, "fewshot")
_TEST_ROWS = 2000


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Tasks that are fitted in one call: subset 0 is all rows, then each shot and seed."""

    name: str
    tasks: list[ProbeTask]


def _task(name: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray],
          *, full: bool = True) -> ProbeTask:  # fmt: skip
    labels = train[1]
    draws = [few_shot_rows(labels, shots, seed) for shots in SHOTS for seed in SEEDS]
    return ProbeTask(*train, *test, [*([None] if full else []), *draws], name)


def task_features(
    model_id: str, folder: Path, task_ids: Sequence[str] | None = None
) -> list[ProbeTask]:
    """Embed real tasks with a model of random (or no) weights; kept in the cache folder.

    Args:
        model_id: A model of the registry.
        folder: Task files.
        task_ids: Which of them; all by default.
    """
    suite = load_suite("geneb")
    source = TaskSource(folder)
    wanted = [task for task in find_task_files(suite, folder).tasks
              if task_ids is None or task.task_id in task_ids]  # fmt: skip
    model = None
    tasks = []
    for task in wanted:
        table = read_task(task, source)
        kept = cache_folder() / "bench" / f"{model_id}-{task.task_id}-{_digest(table)}.npz"
        if not kept.exists():
            model = model or geneb_jax.load_model(model_id, weights="random")
            parts = [table.train_sequences, table.test_sequences]
            kept.parent.mkdir(parents=True, exist_ok=True)
            train, test = (model.embed(list(part)) for part in parts)
            np.savez(kept, train=train, test=test)
        arrays = np.load(kept)
        tasks.append(
            _task(task.task_id, (arrays["train"], table.train_labels),
                  (arrays["test"], table.test_labels))
        )  # fmt: skip
    return tasks


def _digest(table: object) -> str:
    return hashlib.sha256(repr(table.digest).encode()).hexdigest()[:12]  # type: ignore[attr-defined]


def _sized(name: str) -> ProbeTask:
    rows, width, *rest = map(int, re.findall(r"\d+", name))
    X, y = decaying_features(rows + _TEST_ROWS, width, rest[0] if rest else 2)
    return _task(name, (X[:rows], y[:rows]), (X[rows:], y[rows:]))


def _few_shot_tasks() -> list[ProbeTask]:
    """A hundred tasks of the width of common encoders, fitted on draws only."""
    tasks = []
    for number in range(100):
        X, y = decaying_features(1200, 1024, seed=number)
        tasks.append(_task(f"few-{number}", (X[:1000], y[:1000]), (X[1000:], y[1000:]), full=False))
    return tasks


def feature_set(name: str, folder: Path) -> FeatureSet:
    """Load or draw the tasks of one of :data:`SETS`."""
    if name == "kmer":
        return FeatureSet(name, task_features("kmer-4", folder))
    if name == "encoder":
        return FeatureSet(name, task_features(ENCODER, folder, ENCODER_TASKS))
    if name == "fewshot":
        return FeatureSet(name, _few_shot_tasks())
    return FeatureSet(name, [_sized(name)])
