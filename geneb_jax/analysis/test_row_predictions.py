"""What a run's models predicted, test row by test row: read from the run's folder when asked for.

Predictions are believed only for a score that they give: the record beside them must hold the very
rows of scores.csv, and MCC computed from them must be the row's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax.analysis.bootstrap import row_bootstrap
from geneb_jax.analysis.cube_from_scores import ProbeSetting, rows_in
from geneb_jax.analysis.unit_rows import SettingRows
from geneb_jax.results import Records, ScoreRow, find_answer_key, find_repeats

__all__ = ["ModelPredictions", "TaskRows", "model_predictions"]

_SMALL_RANGE = 2**16
_SAME = 1e-9  # both are exact up to the rounding of one division and one square root


@dataclass(frozen=True, slots=True, eq=False)
class TaskRows:
    """One model's predictions of one task's test rows in one regime.

    Attributes:
        fingerprint: Of the task's files; rows of equal fingerprints are the same rows.
        truth: int64 ``[row]``.
        leaked: Bool ``[row]``: the sequence is among the task's training rows.
        guesses: int64 ``[fit, row]``: a fit a seed, or one that serves all seeds.
        kinds: uint8 ``[row]`` of :class:`geneb_jax.data.LeakKind`, where the run searched for
            reverse complements and near repeats.
    """

    fingerprint: str
    truth: np.ndarray
    leaked: np.ndarray
    guesses: np.ndarray
    kinds: np.ndarray | None = None

    def mcc(self) -> np.ndarray:
        """float64 ``[fit]``: MCC of each fit on all rows."""
        return self.score("mcc")

    def score(self, metric: str) -> np.ndarray:
        """float64 ``[fit]``: a metric of each fit on all rows."""
        return self.draws(0, metric=metric)[0]

    def draws(self, count: int, seed: int = 0, metric: str = "mcc") -> np.ndarray:
        """float64 ``[draw, fit]``: a metric on resampled rows, every fit on the same ones."""
        codes = as_codes(np.concatenate([self.truth[None], self.guesses]))
        return row_bootstrap(codes[0], codes[1:], metric=metric, draws=count, seed=seed)


def as_codes(labels: np.ndarray) -> np.ndarray:
    """Labels of any sortable kind as 0 ... K - 1, shape kept."""
    codes: np.ndarray
    if labels.size and labels.dtype.kind in "iu":
        low, high = int(labels.min()), int(labels.max())
        if high - low < _SMALL_RANGE:  # the usual case, without a sort
            places = (labels - low).astype(np.int64)
            seen = np.bincount(places.ravel(), minlength=high - low + 1) > 0
            codes = (np.cumsum(seen) - 1)[places]
            return codes
    codes = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    return codes


@dataclass(frozen=True, slots=True, eq=False)
class ModelPredictions:
    """The kept predictions of one model of a run, in one probe setting.

    Attributes:
        folder: The run's output folder.
        scores: (regime, task id) -> the model's rows of scores.csv, one a seed; empty where the
            folder keeps no prediction of the model.
    """

    folder: Path
    scores: Mapping[tuple[str, ...], tuple[ScoreRow, ...]]

    def task(self, regime: str, task_id: str) -> TaskRows | None:
        """The predictions behind one score, or None where they were not kept or do not give it."""
        rows = self.scores.get((regime, task_id), ())
        if not rows or any(row.failed for row in rows):
            return None
        unit = Records(self.folder).kept_unit(rows)
        if unit is None:
            return None
        answers = find_answer_key(self.folder, task_id, unit.key.task_fingerprint)
        labels = unit.predictions.labels[unit.key.C.index(rows[0].C)]
        if answers is None or len(answers.labels) != labels.shape[1]:
            return None
        fits = [0] if len(labels) == 1 else [unit.key.seeds.index(row.seed) for row in rows]
        kinds = find_repeats(self.folder, task_id, unit.key.task_fingerprint)
        found = TaskRows(
            unit.key.task_fingerprint,
            answers.labels,
            answers.in_training,
            labels[fits],
            kinds if kinds is not None and len(kinds) == len(answers.labels) else None,
        )
        recorded = np.array([row.mcc for row in rows], dtype=np.float64)
        return found if np.abs(found.mcc() - recorded).max() <= _SAME else None


def model_predictions(
    folder: Path, scores: Iterable[ScoreRow], setting: ProbeSetting | None
) -> dict[str, ModelPredictions]:
    """Model id -> where its predictions in a setting are; nothing is read yet."""
    table = rows_in(scores, setting)
    found = {}
    for label in table.values("model_id", table.group("model_id")[1]):
        mine = table.where(model_id=label)
        identities = mine.values("identity", mine.group("identity")[1])
        if any(Records(folder).keeps_predictions(one) for one in identities):
            found[label] = ModelPredictions(folder, SettingRows(mine, "regime", "task_id"))
        else:
            found[label] = ModelPredictions(folder, {})
    return found
