"""Checked input: features, label codes, subsets of rows, row weights, C.

Everything a user can get wrong is refused here, before any array reaches a device.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike

from geneb_jax_probes.errors import ProbeDataError, ProbeOptionError
from geneb_jax_probes.labels import as_array, encode_labels, name_rows

__all__ = [
    "ClassWeight",
    "Dtype",
    "Problem",
    "check_C",
    "check_dtype",
    "check_features",
    "check_sample_weight",
    "make_problem",
    "problem_of_checked",
    "uneven_scales",
]

Dtype = Literal["float32", "float64"]
ClassWeight = Mapping[Any, float] | Literal["balanced"] | None

#: Squares of rows, and sizes of columns, that lie further apart leave float32 products too few
#: digits for the small ones.
_UNEVEN_ROWS, _UNEVEN_COLUMNS = 1e4, 1e3
_SAMPLED_ROWS = 256


@dataclass(frozen=True, slots=True)
class Problem:
    """One feature matrix with its labels, and the subsets of rows to fit on.

    Attributes:
        X: Features ``[n, d]``, float32 or float64, finite.
        codes: int32 ``[n]``, index of each row's label in ``classes``.
        classes: Distinct labels in sorted order, length K.
        subsets: For each fit the int64 rows it sees; None is all rows.
        weights: Row weights ``[n]`` float64, or None for ones.
        class_weight: As in scikit-learn; applied within each subset.
        uneven: Whether :func:`uneven_scales` says so of X.
    """

    X: Float[np.ndarray, "row dim"]
    codes: Int[np.ndarray, " row"]
    classes: Shaped[np.ndarray, " class"]
    subsets: tuple[Int[np.ndarray, " _"] | None, ...]
    weights: Float[np.ndarray, " row"] | None = None
    class_weight: ClassWeight = None
    uneven: bool = False

    @property
    def class_count(self) -> int:
        """Number of distinct labels, K."""
        return len(self.classes)

    def subset_rows(self, index: int) -> Int[np.ndarray, " chosen"]:
        """Rows of one subset as int64 indices."""
        rows = self.subsets[index]
        return np.arange(len(self.codes)) if rows is None else rows

    def row_weights(self, index: int) -> Float[np.ndarray, " chosen"] | None:
        """Row weights of one subset, class weights included; None for all ones."""
        rows = self.subset_rows(index)
        weights = None if self.weights is None else self.weights[rows]
        if self.class_weight is None:
            return weights
        codes = self.codes[rows]
        weights = np.ones(len(rows)) if weights is None else weights
        if self.class_weight == "balanced":
            totals = np.bincount(codes, weights=weights, minlength=self.class_count)
            present = int(np.count_nonzero(np.bincount(codes, minlength=self.class_count)))
            factors = totals.sum() / (present * np.where(totals > 0, totals, 1.0))
        else:
            table = dict(self.class_weight)
            factors = np.array([float(table.get(label, 1.0)) for label in self.classes.tolist()])
        return weights * factors[codes]


def check_C(C: float | Sequence[float] | np.ndarray) -> Float[np.ndarray, " C"]:
    """Inverse regularisation strengths as float64, all positive and finite."""
    try:
        values = np.atleast_1d(np.asarray(C, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ProbeOptionError(f"C must be numbers, got {C!r}") from error
    if values.ndim != 1 or not len(values):
        raise ProbeOptionError("C must be a number or a non-empty sequence of numbers")
    if not (np.isfinite(values) & (values > 0)).all():
        raise ProbeOptionError(f"every C must be positive and finite, got {values.tolist()}")
    return values


def check_dtype(dtype: str | np.dtype | type) -> Dtype:
    """The name of a precision; refuse all but float32 and float64."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = repr(dtype)
    if name == "float32":
        return "float32"
    if name == "float64":
        return "float64"
    raise ProbeOptionError(f"dtype must be float32 or float64, got {name}")


def uneven_scales(X: Float[np.ndarray, "some dim"], squares: Float[np.ndarray, " row"]) -> bool:
    """Whether columns, or rows, are so far apart in size that float32 products of X lose some.

    Args:
        X: Features, or evenly spaced rows of them.
        squares: Sum of squares of each row, of all of them.
    """
    usual = np.median(squares[squares > 0]) if (squares > 0).any() else 0.0
    if not np.isfinite(usual) or squares.max() > _UNEVEN_ROWS * usual > 0:
        return bool(squares.max() > 0)
    sample = X[:: max(1, len(X) // _SAMPLED_ROWS)].astype(np.float64)
    sizes = np.sqrt(np.mean(np.square(sample - sample.mean(axis=0)), axis=0))
    sizes = sizes[sizes > 0]
    return bool(len(sizes) and sizes.max() > _UNEVEN_COLUMNS * sizes.min())


def check_features(X: ArrayLike, name: str = "X") -> Float[np.ndarray, "row dim"]:
    """A finite two-dimensional float array.

    Raises:
        ProbeDataError: Another rank, no rows or columns, complex or non-numeric values, or rows
            with NaN or infinity, which are named.
    """
    return _measured(X, name)[0]


def _measured(
    X: ArrayLike, name: str
) -> tuple[Float[np.ndarray, "row dim"], Float[np.ndarray, " row"]]:
    """The checked features, and the sum of squares of each row."""
    array = as_array(X, name)
    if np.iscomplexobj(array):
        raise ProbeDataError(f"{name}: Complex data not supported")
    if array.dtype.kind in "USMmV":
        raise ProbeDataError(f"{name} is not numeric: it holds {array.dtype} values")
    if array.dtype not in (np.float32, np.float64):
        try:
            array = array.astype(np.float64 if array.dtype != np.float16 else np.float32)
        except (TypeError, ValueError) as error:
            raise ProbeDataError(f"{name} is not numeric: {error}") from error
    if array.ndim != 2:
        raise ProbeDataError(f"{name} must have two dimensions (rows, features), got {array.ndim}")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ProbeDataError(f"{name} has {array.shape[0]} rows and {array.shape[1]} features")
    # A finite sum of every row is proof enough, and one pass without a boolean copy of X. A product
    # would be as short, but leaves BLAS threads spinning on the cores that the solver needs next.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", array, array)
        suspects = np.flatnonzero(~np.isfinite(squares))
    if len(suspects):
        bad = suspects[~np.isfinite(array[suspects]).all(axis=1)]
        if len(bad):
            raise ProbeDataError(f"{name} holds NaN or infinity in row {name_rows(bad)}")
    return array, squares


def check_sample_weight(sample_weight: object, row_count: int) -> Float[np.ndarray, " row"] | None:
    """Row weights float64 from a number or an array; None stays None."""
    if sample_weight is None:
        return None
    try:
        weights: np.ndarray = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProbeDataError(f"sample_weight must be numbers: {error}") from error
    weights = np.full(row_count, float(weights)) if weights.ndim == 0 else weights
    if weights.shape != (row_count,):
        raise ProbeDataError(f"sample_weight has shape {weights.shape}, not ({row_count},)")
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise ProbeDataError("sample_weight must be finite, not negative, and not all zero")
    return weights


def make_problem(
    X: ArrayLike,
    y: ArrayLike,
    subsets: Sequence[ArrayLike | None] | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
) -> Problem:
    """Check everything about one feature matrix and its fits.

    Raises:
        ProbeDataError: Unusable features or labels, one class, lengths that differ, subsets with
            rows outside X, negative weights.
    """
    features, squares = _measured(X, "X")
    uneven = uneven_scales(features, squares)
    return problem_of_checked(features, y, subsets, sample_weight, class_weight, uneven=uneven)


def problem_of_checked(
    features: Float[np.ndarray, "row dim"],
    y: ArrayLike,
    subsets: Sequence[ArrayLike | None] | None = None,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
    *,
    uneven: bool = False,
) -> Problem:
    """The same for features that were found finite before, or stand for those that were.

    Raises:
        ProbeDataError: As :func:`make_problem`, but for features.
    """
    classes, codes = encode_labels(y)
    row_count = len(features)
    if len(codes) != row_count:
        raise ProbeDataError(f"X has {row_count} rows and y has {len(codes)}")
    if len(classes) < 2:
        raise ProbeDataError(
            f"y holds one class ({classes.tolist()[0]!r}): a probe needs at least two classes"
        )
    check_class_weight(class_weight, classes)
    chosen = _check_subsets(subsets, row_count)
    weights = check_sample_weight(sample_weight, row_count)
    return Problem(features, codes, classes, chosen, weights, class_weight, uneven)


def check_class_weight(class_weight: object, classes: Shaped[np.ndarray, " class"]) -> None:
    """Refuse weights that would not be those of the classes.

    As in scikit-learn, keys that are no label may stand beside weights of all classes, and classes
    may lack a weight where every key is a label.

    Raises:
        ProbeOptionError: Anything else.
    """
    if class_weight is None or class_weight == "balanced":
        return
    if not isinstance(class_weight, Mapping):
        raise ProbeOptionError(
            f"class_weight must be None, 'balanced' or a weight a label, got {class_weight!r}"
        )
    labels = classes.tolist()
    without = [label for label in labels if label not in class_weight]
    if without and len(labels) - len(without) != len(class_weight):
        unknown = [key for key in class_weight if key not in labels]
        raise ProbeOptionError(
            f"The classes, {without}, are not in class_weight, whose {unknown} are no labels: "
            "keys must be of the labels' own type"
        )
    for key, weight in class_weight.items():
        number = isinstance(weight, (int, float, np.integer, np.floating))
        if not (number and 0 <= weight <= sys.float_info.max):
            raise ProbeOptionError(
                f"class_weight of {key!r} must be a number from 0, got {repr(weight)[:40]}"
            )


def _check_subsets(
    subsets: Sequence[ArrayLike | None] | None, row_count: int
) -> tuple[Int[np.ndarray, " _"] | None, ...]:
    """Row numbers of each fit."""
    try:
        listed = (None,) if subsets is None else tuple(subsets)
    except TypeError as error:
        raise ProbeDataError(f"subsets must be a list of lists of rows: {error}") from error
    chosen: list[np.ndarray | None] = []
    for number, rows in enumerate(listed):
        if rows is None:
            chosen.append(None)
            continue
        index = as_array(rows, f"subset {number}")
        if index.dtype == bool:
            if index.shape != (row_count,):
                raise ProbeDataError(
                    f"subset {number} is a mask of shape {index.shape} over {row_count} rows"
                )
            index = np.flatnonzero(index)
        if index.ndim != 1 or not len(index) or index.dtype.kind not in "iu":
            raise ProbeDataError(f"subset {number} must be a non-empty list of row numbers")
        if index.min() < 0 or index.max() >= row_count:
            raise ProbeDataError(f"subset {number} names rows outside 0..{row_count - 1}")
        chosen.append(index.astype(np.int64))
    if not chosen:
        raise ProbeDataError("subsets is empty: give at least one, or None for all rows")
    return tuple(chosen)
