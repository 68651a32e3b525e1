"""What a run would do: counted, and timed on a small sample; nothing is written."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np

from geneb_jax.data import SequenceTable
from geneb_jax.embed import Forward, embed_sequences, open_store
from geneb_jax.models import Encoder, TokenEncoder
from geneb_jax.places import store_folder
from geneb_jax.results import Records
from geneb_jax.runs.embed_stage import load_requested
from geneb_jax.runs.observer import RunObserver
from geneb_jax.runs.request import RunRequest
from geneb_jax.runs.task_choice import choose_tasks
from geneb_jax.runs.task_data import TaskData
from geneb_jax.runs.units import fits_a_strength, probe_settings, unit_key

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
        embedding_seconds: Estimated on a small sample; None if not measured.
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
    """Count and estimate.

    Args:
        request: The run.
        observer: Receives progress of reading the files.
        measure: Whether to embed a small sample to estimate the time.

    Raises:
        GenebError: as the run itself would, before its first sequence.
    """
    chosen = choose_tasks(request)
    data = TaskData(chosen, observer or RunObserver())
    sequences = data.read()
    settings = probe_settings(request, chosen.suite, platform=jax.default_backend())
    records = Records(request.out)
    plans = []
    for name in request.models:
        encoder = load_requested(request, name)
        identity = encoder.identity
        units = [
            fits_a_strength(regime, settings) * len(settings.C) * len(table.test_labels)
            for task, table in data.tables.items()
            for regime in settings.regimes
            if records.find(
                unit_key(
                    identity.model_id,
                    identity.as_dict(),
                    task,
                    chosen.fingerprints[task],
                    regime,
                    settings,
                )
            )
            is None
        ]
        plans.append(_plan_model(encoder, request, sequences, units, measure=measure))
    lengths = np.array([len(text) for text in sequences.sequences], np.int64)
    tables = data.tables.values()
    return RunPlan(
        suite=chosen.suite.name,
        tasks=len(data.tables),
        rows=sum(len(table.train_labels) + len(table.test_labels) for table in tables),
        distinct=len(sequences),
        bases=int(
            sum(
                lengths[rows].sum()
                for part in (sequences.train_rows, sequences.test_rows)
                for rows in part
            )
        ),
        distinct_bases=int(lengths.sum()),
        models=tuple(plans),
        problems={task.task_id: why for task, why in (chosen.failures | data.failures).items()},
    )


def _plan_model(
    encoder: Encoder,
    request: RunRequest,
    sequences: SequenceTable,
    units: list[int],
    *,
    measure: bool,
) -> ModelPlan:
    """The plan of one model; ``units`` has the predictions of each unit that is left."""
    store = open_store(request.store or str(store_folder()), encoder, read_only=True)
    missing = store.missing(sequences.digests)
    chosen = np.random.RandomState(0).permutation(len(missing))
    texts = [sequences.sequences[missing[at]] for at in chosen[:COUNTED]]
    tokens: int | None = None
    if isinstance(encoder, TokenEncoder) and texts:
        counted = sum(len(encoder.tokenize(text).ids) for text in texts)
        tokens = round(counted * len(missing) / len(texts))
    seconds: float | None = 0.0 if not texts else None
    if measure and texts:
        seconds = _seconds(encoder, texts, request.batch_tokens) * len(missing)
    return ModelPlan(
        model_id=encoder.identity.model_id,
        missing=len(missing),
        tokens=tokens,
        store_bytes=len(missing) * encoder.width * 4,
        device_bytes=_bytes(encoder),
        embedding_seconds=seconds,
        units=len(units),
        predictions_bytes=sum(units),
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
