"""What a run would do: counted, and timed on a small sample; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np

from geneb_jax.embed import Forward, embed_sequences, open_store
from geneb_jax.models import Encoder, TokenEncoder
from geneb_jax.models.adapters.harness_encoder import HarnessEncoder
from geneb_jax.results import require_suite
from geneb_jax.runs.encoder_source import joint_encoder
from geneb_jax.runs.harness_order import missing_rows
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.work import ModelWork, RunWork, plan_work

__all__ = ["ModelPlan", "RunPlan", "plan_run"]

#: Sequences whose tokens are counted (and timed, if that is quick), and the first ones to be timed.
COUNTED, TIMED = 2000, 64


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What is left to do for one model.

    Attributes:
        model_id: The model.
        missing: Distinct sequences that are not in the store.
        tokens: Tokens of the missing sequences, estimated from a sample of at most 2000.
        store_bytes: What their embeddings will take in the store, before its checksums.
        device_bytes: Bytes of the parameters on the device; None where the model keeps them itself.
        embedding_seconds: Estimated on a small sample; None if not measured. Of layers and
            poolings that share a forward, the first has its time and the others 0.
        units: (task, regime) units without a record.
        predictions_bytes: Most that those units' kept predictions take in the output folder: a byte
            a fit and test row (up to 256 classes), before they are deflated.
    """

    model_id: str
    missing: int
    tokens: int | None
    store_bytes: int
    device_bytes: int | None
    embedding_seconds: float | None
    units: int
    predictions_bytes: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is left to do: tasks, rows, distinct sequences, bases, and each model's part."""

    suite: str
    tasks: int
    rows: int
    distinct: int
    bases: int
    distinct_bases: int
    models: tuple[ModelPlan, ...]
    problems: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def plan_run(
    request: RunRequest, observer: RunObserver | None = None, *, measure: bool = True
) -> RunPlan:
    """Count the work of a run and estimate its time.

    Args:
        request: The run.
        observer: Receives progress of reading the files, and what is to be said of them.
        measure: Whether to embed a small sample to estimate the time.

    Raises:
        GenebError: as the run itself would, before its first sequence.
    """
    work = plan_work(request, observer)
    require_suite(request.out, work.suite, update=request.update_suite)
    for text in work.notes:
        (observer or RunObserver()).note(text)
    read = work.tables.read(observer)
    lengths = np.array([len(text) for text in read.sequences.sequences], np.int64)
    rows = [part for task in read.tables for part in read.rows_of(task)]
    return RunPlan(
        suite=work.suite.name,
        tasks=len(read.tables),
        rows=sum(map(len, rows)),
        distinct=len(read.sequences),
        bases=int(sum(lengths[part].sum() for part in rows)),
        distinct_bases=int(lengths.sum()),
        models=tuple(
            planned
            for group in work.groups
            for planned in _plan_group(work, group, measure=measure)
        ),
        problems=dict(work.problems)
        | {task.task_id: why for task, why in work.tables.failures.items()},
    )


def _plan_group(work: RunWork, group: Sequence[ModelWork], *, measure: bool) -> Iterator[ModelPlan]:
    """The plans of one model, or of those of its layers and poolings that the run takes."""
    read, batch_tokens = work.tables.read(), work.request.batch_tokens
    encoders = [model.reference.encoder() for model in group]
    stores = [
        open_store(model.reference.store, encoder, read_only=True)
        for model, encoder in zip(group, encoders, strict=True)
    ]
    encoder = joint_encoder([model.reference for model in group])
    if isinstance(encoder, HarnessEncoder):
        rows = sum(missing_rows(stores[0], table) for table in read.tables.values())
        yield _planned(work, group[0], encoder, rows)
        return
    each = [store.missing(read.sequences.digests) for store in stores]
    missing = np.unique(np.concatenate(each))
    chosen = np.random.RandomState(0).permutation(len(missing))
    texts = [read.sequences.sequences[missing[at]] for at in chosen[:COUNTED]]
    tokens: int | None = None
    if isinstance(encoder, TokenEncoder) and texts:
        counted = sum(len(encoder.tokenize(text).ids) for text in texts)
        tokens = round(counted * len(missing) / len(texts))
    seconds: float | None = 0.0 if not texts else None
    if measure and texts:
        seconds = _seconds(encoder, texts, batch_tokens) * len(missing)
    for model, one, own in zip(group, encoders, each, strict=True):
        yield _planned(work, model, one, len(own), tokens, seconds)
        seconds = seconds and 0.0


def _planned(
    work: RunWork,
    model: ModelWork,
    encoder: Encoder,
    missing: int,
    tokens: int | None = None,
    seconds: float | None = None,
) -> ModelPlan:
    """What is known of a model's part once its missing rows are counted."""
    read, settings = work.tables.read(), work.settings
    absent = [(task, regime) for task, regime in model.absent if task in read.tables]
    return ModelPlan(
        model_id=model.facts.label,
        missing=missing,
        tokens=tokens,
        store_bytes=missing * encoder.width * 4,
        device_bytes=_bytes(encoder),
        embedding_seconds=seconds,
        units=len(absent),
        predictions_bytes=sum(
            len(settings.fit_seeds(regime)) * len(settings.C) * len(read.tables[task].test_labels)
            for task, regime in absent
        ),
    )


def _seconds(encoder: Encoder, texts: list[str], batch_tokens: int | None) -> float:
    """Seconds a sequence, compilation left out: a few sequences, then more if those were quick."""
    forward = (
        Forward(encoder, batch_tokens=batch_tokens) if isinstance(encoder, TokenEncoder) else None
    )

    def timed(sample: list[str]) -> float:
        started = time.perf_counter()
        embed_sequences(encoder, sample, batch_tokens=batch_tokens, forward=forward)
        return time.perf_counter() - started

    sample = texts[:TIMED]
    if forward is not None:
        timed(sample)
    seconds = timed(sample)
    if seconds < 1.0 and len(texts) > TIMED:
        sample = texts
        if forward is not None:
            timed(sample)
        seconds = timed(sample)
    return seconds / len(sample)


def _bytes(encoder: Encoder) -> int | None:
    if not isinstance(encoder, TokenEncoder):
        return None
    return sum(int(leaf.nbytes) for leaf in jax.tree.leaves(encoder.params))
