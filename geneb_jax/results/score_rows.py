"""One row of scores.csv: what was scored, the scores, and how the fit ended.

A :class:`ScoreRow` that exists is well formed: its constructor refuses NaN, infinities, scores out
of range, booleans in the place of numbers and failed rows that carry a score. Whoever reads or
computes rows therefore never has to ask again.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, SupportsFloat, SupportsIndex

from geneb_jax.benchmark.data_standing import DataStanding
from geneb_jax_probes.endings import Ending

__all__ = [
    "DECISION_RANGES",
    "EARLIER_RECORD_COLUMNS",
    "FAILED",
    "METRIC_RANGES",
    "PROTOCOL_PROBE",
    "PROTOCOL_SOLVER",
    "RECORD_COLUMNS",
    "SCORE_COLUMNS",
    "SCORE_RANGES",
    "TASK_COUNTS",
    "UNCOUNTED_RECORD_COLUMNS",
    "FitName",
    "ScoreRow",
    "metric_of",
]

#: The ``status`` of a row without scores; its ``error`` says why.
FAILED = Ending.FAILED.value
#: The probe and the solver that make a score comparable with the published ones: scikit-learn up to
#: 1.8, in float64. ``reference32`` (1.9 and later) is another setting and stands apart.
PROTOCOL_PROBE = "logistic"
PROTOCOL_SOLVER = "reference"
#: Closed ranges of the scores, by column.
SCORE_RANGES = {"mcc": (-1.0, 1.0), "accuracy": (0.0, 1.0), "macro_f1": (0.0, 1.0)}
#: The same of scores that need decision values. A row may lack them: the benchmark has none, nor
#: have records of before they were computed, test sets of one class, probes without probabilities.
DECISION_RANGES = {"auroc": (0.0, 1.0), "auprc": (0.0, 1.0), "brier": (0.0, 2.0)}
#: What models can be ranked by, larger being better: the Brier score with its sign turned, under
#: scikit-learn's name for that.
METRIC_RANGES = {
    **SCORE_RANGES,
    "auroc": DECISION_RANGES["auroc"],
    "auprc": DECISION_RANGES["auprc"],
    "neg_brier": (-2.0, 0.0),
}

#: (model_id, task_id, regime, seed, C, probe, solver): unique in a scores.csv.
FitName = tuple[str, str, str, int, float, str, str]

_NAMES = ("model_id", "task_id", "category", "regime", "probe", "solver")
_COUNTS = ("n_train", "n_test", "n_classes", "n_iter")
#: What the model made of all rows of the task, train and test, whatever the fit took of them.
TASK_COUNTS = ("cut_bp", "windows", "unknown_bp", "unknown_tokens", "empty")
_TEXTS = ("weights", "pooling", "dtype")
_ENDINGS = tuple(ending.value for ending in Ending)
_STANDINGS = tuple(standing.value for standing in DataStanding)
_IDENTITY = re.compile(r"([0-9a-f]{8})?")
_ROUNDING = 1e-9  # a score computed in floating point may leave its range by a few ulp


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score of one fit on one task.

    In the full regime one fit serves every seed; it is written once a seed, with equal values, so
    that a mean over seeds is the same arithmetic in every regime.

    Attributes:
        model_id: The row's label: the model's name, with what sets this variant of it apart.
        C: Inverse strength of the L2 penalty (scikit-learn's ``LogisticRegression.C``).
        n_train: Training rows of this fit (after the few-shot draw).
        n_classes: Classes among those rows.
        n_iter: Steps of the solver.
        grad_norm: Largest absolute entry of the gradient of the mean loss where the solver stopped;
            None for a probe that does not stop by it.
        status: How the fit ended, a word of :class:`geneb_jax_probes.endings.Ending`; ``failed``:
            then the scores are None and ``error`` is not empty.
        identity: 8 hexadecimal digits of the embedding's identity, which is what made the row;
            empty for scores from elsewhere, as are the four columns that spell it out.
        weights: ``pretrained``, ``random:SEED``, or ``none`` for a model that has no weights.
        layer: Hidden state that was pooled, -1 for the last.
        pooling: How token vectors became one.
        dtype: Compute dtype of the embedding.
        error: Why the fit failed, on one line of printable characters whatever it was made from.
        data: A word of :class:`geneb_jax.benchmark.DataStanding`: how near the task's files are to
            the benchmark's. A table's word, as the suite's sizes may be mended; no record has it.
        auroc: Area under the ROC curve, one class against the rest if there are more than two; None
            where it is not known or not defined, as are ``auprc`` (average precision) and
            ``brier`` (0 to 2, smaller is better).
        cut_bp: Letters of the task's train and test rows that the context had no room for. None, as
            each of the counts below, where the model does not say.
        windows: Pieces that these rows were read in, one a row unless it was overlong.
        unknown_bp: Their letters other than A, C, G, T.
        unknown_tokens: Tokens of them that the model's vocabulary does not know.
        empty: Rows without any token.

    Raises:
        ValueError: if a value is missing, of the wrong type, not finite or out of range.
    """

    model_id: str
    task_id: str
    category: str
    regime: str
    seed: int
    C: float
    probe: str
    solver: str
    mcc: float | None
    accuracy: float | None
    macro_f1: float | None
    n_train: int | None
    n_test: int | None
    n_classes: int | None
    n_iter: int | None
    grad_norm: float | None
    status: str
    identity: str = ""
    weights: str = ""
    layer: int | None = None
    pooling: str = ""
    dtype: str = ""
    error: str = ""
    data: str = ""
    auroc: float | None = None
    auprc: float | None = None
    brier: float | None = None
    cut_bp: int | None = None
    windows: int | None = None
    unknown_bp: int | None = None
    unknown_tokens: int | None = None
    empty: int | None = None

    def __post_init__(self) -> None:
        for name in _NAMES:
            _require_name(name, getattr(self, name))
        if not isinstance(self.status, str) or self.status not in _ENDINGS:
            raise ValueError(f"status {self.status!r} is none of {', '.join(_ENDINGS)}")
        if not isinstance(self.error, str):
            raise ValueError(f"error {self.error!r} is not a text")
        if self.error:
            object.__setattr__(self, "error", _one_line(self.error))
        self._check_what_made_it()
        self._set("seed", _integer("seed", self.seed))
        self._set("C", _number("C", self.C))
        if self.C <= 0:
            raise ValueError(f"C {self.C!r} is not positive")
        failed = self.status == FAILED
        if failed and not self.error:
            raise ValueError("a failed row must say why in error")
        for name, (low, high) in SCORE_RANGES.items():
            value = getattr(self, name)
            if failed:
                if value is not None:
                    raise ValueError(f"a failed row must not carry {name}")
                continue
            number = _number(name, value)
            if not low - _ROUNDING <= number <= high + _ROUNDING:
                raise ValueError(f"{name} {number!r} is outside [{low:g}, {high:g}]")
            self._set(name, min(max(number, low), high))
        for name, bounds in DECISION_RANGES.items():
            self._check_decided(name, *bounds)
        for name in (*_COUNTS, *TASK_COUNTS):
            count = getattr(self, name)
            if count is None and (failed or name in TASK_COUNTS):
                continue
            whole = _integer(name, count)
            if whole < 0:
                raise ValueError(f"{name} {whole} is negative")
            self._set(name, whole)
        if self.grad_norm is not None:
            norm = _number("grad_norm", self.grad_norm)
            if norm < 0:
                raise ValueError(f"grad_norm {norm!r} is negative")
            self._set("grad_norm", norm)

    def _check_decided(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if self.status == FAILED:
            raise ValueError(f"a failed row must not carry {name}")
        number = _number(name, value)
        if not low - _ROUNDING <= number <= high + _ROUNDING:
            raise ValueError(f"{name} {number!r} is outside [{low:g}, {high:g}]")
        self._set(name, min(max(number, low), high))

    def _check_what_made_it(self) -> None:
        if not isinstance(self.identity, str) or not _IDENTITY.fullmatch(self.identity):
            raise ValueError(f"identity {self.identity!r} is not 8 hexadecimal digits")
        for name in _TEXTS:
            if getattr(self, name) != "":
                _require_name(name, getattr(self, name))
        if self.data not in _STANDINGS:
            raise ValueError(f"data {self.data!r} is none of {', '.join(filter(None, _STANDINGS))}")
        if self.layer is not None:
            self._set("layer", _integer("layer", self.layer))

    def _set(self, name: str, value: float | int) -> None:
        if getattr(self, name) is not value:
            object.__setattr__(self, name, value)

    @property
    def failed(self) -> bool:
        """Whether this row has no scores."""
        return self.status == FAILED

    @property
    def converged(self) -> bool:
        """Whether the fit stopped by a rule that it was meant to stop by."""
        return Ending(self.status).converged

    @property
    def fit(self) -> FitName:
        """Which fit the row is about; no two rows of a table share it."""
        return (
            self.model_id,
            self.task_id,
            self.regime,
            self.seed,
            self.C,
            self.probe,
            self.solver,
        )

    def as_dict(self) -> dict[str, Any]:
        """The columns in their order."""
        return dict(zip(SCORE_COLUMNS, self.cells(), strict=True))

    def for_a_record(self, columns: tuple[str, ...] | None = None) -> dict[str, Any]:
        """The columns that a record keeps: all that the fit itself decided.

        Args:
            columns: Those of an earlier release's record; this one's by default.
        """
        kept = RECORD_COLUMNS if columns is None else columns
        return dict(zip(kept, _getter(kept)(self), strict=True))

    def cells(self) -> tuple[str | int | float | None, ...]:
        """The values in the order of :data:`SCORE_COLUMNS`."""
        return _cells(self)


def metric_of(row: ScoreRow, metric: str) -> float | None:
    """A score of a row by a name of :data:`METRIC_RANGES`; None where the row lacks it."""
    if metric == "neg_brier":
        return None if row.brier is None else -row.brier
    value: float | None = getattr(row, metric)
    return value


def _ordered() -> tuple[str, ...]:
    """All columns, the scores side by side."""
    names = [field.name for field in fields(ScoreRow) if field.name not in DECISION_RANGES]
    place = names.index("macro_f1") + 1
    return (*names[:place], *DECISION_RANGES, *names[place:])


#: The header of scores.csv, in order.
SCORE_COLUMNS: tuple[str, ...] = _ordered()
#: The columns of a row in a record.
RECORD_COLUMNS: tuple[str, ...] = tuple(name for name in SCORE_COLUMNS if name != "data")
#: Those of a record of before the task's rows were counted.
UNCOUNTED_RECORD_COLUMNS: tuple[str, ...] = tuple(
    name for name in RECORD_COLUMNS if name not in TASK_COUNTS
)
#: Those of a record of before decision values were scored.
EARLIER_RECORD_COLUMNS: tuple[str, ...] = tuple(
    name for name in UNCOUNTED_RECORD_COLUMNS if name not in DECISION_RANGES
)
_cells = operator.attrgetter(*SCORE_COLUMNS)


@lru_cache(maxsize=8)
def _getter(columns: tuple[str, ...]) -> Callable[[ScoreRow], tuple[Any, ...]]:
    """The values of several columns at once."""
    return operator.attrgetter(*columns)


def _one_line(text: str) -> str:
    if text.isprintable():
        return text.strip()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _require_name(column: str, value: object) -> None:
    if not isinstance(value, str) or not value or value != value.strip() or not value.isprintable():
        raise ValueError(
            f"{column} {value!r} is not a printable, non-empty text without outer spaces"
        )


def _number(column: str, value: SupportsFloat | None) -> float:
    if type(value) is float:
        number = value
    elif value is None or isinstance(value, bool | str | bytes):
        raise ValueError(f"{column} {value!r} is not a number")
    else:
        try:
            number = float(value)
        except OverflowError as error:
            raise ValueError(f"{column} is beyond the range of float64") from error
    if not math.isfinite(number):
        raise ValueError(f"{column} is {number!r}")
    return number


def _integer(column: str, value: SupportsIndex | None) -> int:
    if type(value) is int:
        return value
    if value is None or isinstance(value, bool | str | bytes):
        raise ValueError(f"{column} {value!r} is not a whole number")
    try:
        return operator.index(value)
    except TypeError as error:
        raise ValueError(f"{column} {value!r} is not a whole number") from error
