"""Scores from elsewhere: the paper's 40 models, later entries, other people's submissions.

The first two ship with the package (configs/published).
"""

from __future__ import annotations

import csv
import functools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from geneb_jax.analysis.cube import ScoreCube, join_cubes
from geneb_jax.benchmark import DataStanding, Suite, load_suite
from geneb_jax.models import known_spec
from geneb_jax.resources import config_folder
from geneb_jax.results import ModelFacts, ReadSubmission, read_submission, with_variant

__all__ = [
    "OUT_OF_DOMAIN_CORPORA",
    "ControlledPair",
    "ProbeSubset",
    "SizeColumn",
    "comparable_with_published",
    "cube_of_submissions",
    "live_cube",
    "published_cube",
    "published_pairs",
    "published_probe_subset",
    "reference_cube",
]

SizeColumn = Literal["best", "meta", "readme", "paper"]

#: Pretraining corpora the paper leaves out of its "in-domain" set of 36 models.
OUT_OF_DOMAIN_CORPORA = frozenset({"prokaryotic", "plant-genomes", "multi-species-microbial"})

_SIZE_COLUMNS: dict[str, str] = {
    "best": "params",
    "meta": "params_meta",
    "readme": "params_readme",
    "paper": "params_paper",
}


@dataclass(frozen=True, slots=True)
class ControlledPair:
    """Two models matched in all but one design choice (paper, appendix on controlled pairs).

    ``stated`` is the paper's macro difference a - b as printed, None for a pair of the user's.
    """

    model_a: str
    model_b: str
    factor: str
    stated: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeSubset:
    """The 11 models x 13 tasks of the paper's probe-stability table, with its stated means."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    linear: tuple[float, ...]
    mlp: tuple[float, ...]


def _rows(name: str) -> list[dict[str, str]]:
    text = (config_folder() / "published" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(StringIO(text)))


@functools.cache
def published_cube(sizes: SizeColumn = "best") -> ScoreCube:
    """The 40 models, three regimes and 100 tasks of the released submissions.

    Args:
        sizes: Which size column counts. "best" is model_meta.json with Caduceus-PS-131k at 7.73M,
            the one that gives the paper's printed digits; "meta" that file untouched; "readme" the
            repository's README; "paper" the rounded sizes of the paper's model table.
    """
    column = _SIZE_COLUMNS[sizes]
    suite = load_suite("geneb")
    facts = tuple(
        ModelFacts(
            label=row["model_id"],
            display=row["paper_name"],
            params=int(row[column]),
            architecture=row["architecture"],
            tokenization=row["tokenization"],
            corpus=row["corpus"],
            source="published",
        )
        for row in _rows("models.csv")
    )
    regimes = tuple(regime.name for regime in suite.protocol.regimes)
    text = (config_folder() / "published" / "scores.csv").read_text(encoding="utf-8")
    header, *lines = csv.reader(StringIO(text))
    models = header[2:]
    if tuple(models) != tuple(model.label for model in facts):
        raise ValueError("configs/published: scores.csv and models.csv name different models")
    place = {task.task_id: column for column, task in enumerate(suite.tasks)}
    mcc = np.full((len(models), len(regimes), len(suite.tasks)), np.nan)
    for regime, task_id, *values in lines:
        mcc[:, regimes.index(regime), place[task_id]] = np.array(values, dtype=np.float64)
    if not np.isfinite(mcc).all():
        raise ValueError("configs/published: scores.csv lacks a task of the suite")
    mcc.setflags(write=False)
    return ScoreCube(
        models=facts,
        regimes=regimes,
        tasks=suite.tasks,
        mcc=mcc,
        seed_sd=np.full(mcc.shape, np.nan),
        test_rows=np.zeros(len(suite.tasks), dtype=np.int64),
    )


@functools.cache
def live_cube(metric: str = "mcc") -> ScoreCube:
    """The entries that the live leaderboard got after the paper: SpliceBERT is the 41st.

    They are the files of the benchmark's submissions, as they were published.

    Args:
        metric: ``mcc``, ``accuracy`` or ``macro_f1``.
    """
    folder = Path(str(config_folder() / "published" / "live"))
    suite = load_suite("geneb")
    found = [read_submission(path, suite, source="live") for path in sorted(folder.glob("*.json"))]
    return cube_of_submissions([_with_labels(one) for one in found], suite, metric)


def _with_labels(entry: ReadSubmission) -> ReadSubmission:
    """An entry says nothing of its architecture; where the model is registered, its file does."""
    spec = known_spec(entry.facts.label)
    if spec is None:
        return entry
    labels = ModelFacts(
        label=entry.facts.label,
        architecture=spec.labels.architecture,
        tokenization=spec.labels.tokenization,
        corpus=spec.labels.corpus,
    )
    return replace(entry, facts=entry.facts.filled_from(labels))


def cube_of_submissions(
    submissions: Sequence[ReadSubmission], suite: Suite, metric: str = "mcc"
) -> ScoreCube:
    """The cube of submissions over a suite; what a file lacks is NaN.

    A label that occurs twice is told apart by a number.
    """
    regimes = tuple(regime.name for regime in suite.protocol.regimes)
    facts: list[ModelFacts] = []
    mcc = np.full((len(submissions), len(regimes), len(suite.tasks)), np.nan)
    for row, one in enumerate(submissions):
        label, count = one.facts.label, 1
        while label in {model.label for model in facts}:
            count += 1
            label = with_variant(one.facts.label, (f"submission {count}",))
        variant = () if count == 1 else (f"submission {count}",)
        facts.append(replace(one.facts, label=label, variant=variant))
        scores = one.scores[metric]
        for r, regime in enumerate(regimes):
            for t, task in enumerate(suite.tasks):
                mcc[row, r, t] = scores.get((regime, task.task_id), np.nan)
    return ScoreCube(
        models=tuple(facts),
        regimes=regimes,
        tasks=suite.tasks,
        mcc=mcc,
        seed_sd=np.full(mcc.shape, np.nan),
        test_rows=np.zeros(len(suite.tasks), dtype=np.int64),
        data={
            model.label: dict.fromkeys(one.unlike, DataStanding.UNLIKE.value)
            for model, one in zip(facts, submissions, strict=True)
            if one.unlike
        },
        metric=metric,
    )


def reference_cube(sizes: SizeColumn = "best", metric: str = "mcc") -> ScoreCube:
    """What a leaderboard of today holds: the paper's 40 models and the later entries.

    The 40 were published with accuracy and F1 only in files that are not shipped, so with another
    metric than MCC the later entries are alone.
    """
    if metric != "mcc":
        return live_cube(metric)
    return join_cubes(published_cube(sizes), live_cube())


def published_pairs() -> tuple[ControlledPair, ...]:
    """The paper's 30 controlled pairs."""
    return tuple(
        ControlledPair(row["model_a"], row["model_b"], row["factor"], row["delta_macro_stated"])
        for row in _rows("controlled_pairs.csv")
    )


def published_probe_subset() -> ProbeSubset:
    """The models, tasks and stated means of the paper's probe-stability table."""
    text = (config_folder() / "published" / "probe_subset.toml").read_text(encoding="utf-8")
    content: dict[str, Any] = tomllib.loads(text)
    models = content["models"]
    return ProbeSubset(
        models=tuple(entry["id"] for entry in models),
        tasks=tuple(content["tasks"]),
        linear=tuple(float(entry["linear"]) for entry in models),
        mlp=tuple(float(entry["mlp"]) for entry in models),
    )


def comparable_with_published(suite: Suite) -> bool:
    """Whether scores on this suite may stand beside the published ones.

    They may when the data are not simulated, the suite pins the benchmark's data set, and each of
    its tasks is one of the benchmark's, in the same category.
    """
    if suite.simulated:
        return False
    geneb = load_suite("geneb")
    known = {task.task_id: task.category for task in geneb.tasks}
    return suite.dataset == geneb.dataset and all(
        known.get(task.task_id) == task.category for task in suite.tasks
    )
