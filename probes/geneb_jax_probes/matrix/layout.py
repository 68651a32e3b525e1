"""Lay out the fits of one feature matrix: centre, scale and pad rows, fold fits into columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, softmax

from geneb_jax_probes.plan import FeatureGroup
from geneb_jax_probes.problem import Dtype, Problem
from geneb_jax_probes.shapes import aligned_zeros

__all__ = ["Columns", "Layout", "centre_and_scale", "lay_out"]

#: Rows that show the size of the features, and sizes, in powers of two from 1, that are left alone:
#: squares of 2**24 and sums of a billion of them are in the range of float32.
_SAMPLED_ROWS = 256
_HARMLESS = 24


@dataclass(frozen=True, slots=True)
class Columns:
    """What one run of the machines is to solve: some fits of a group, each at several penalties.

    Attributes:
        fits: Which fits.
        penalty: ``1 / (C n)``, scaled. Problems run over strengths, then over fits.
        start: Where to begin, the intercept last.
    """

    fits: slice
    penalty: Float[np.ndarray, "strength fit"]
    start: Float[np.ndarray, "problem logit dim_and_one"]

    @property
    def count(self) -> int:
        """Columns of a product with X: logits of all problems."""
        return self.start.shape[0] * self.start.shape[1]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the solver is to see of a group: rows of features made on demand, the rest ready.

    Attributes:
        source: The features as given.
        codes: Class of each row.
        columns: Row shares of each fit.
        mean: Subtracted from the features.
        scale: The features are multiplied by it, a power of two.
        dtype: Of the rows made: float32 features stay so and are widened block by block.
        uneven: Whether float32 products lose what the fit hangs on (see
            :func:`~geneb_jax_probes.problem.uneven_scales`).
    """

    source: Float[np.ndarray, "row dim"]
    codes: Int[np.ndarray, " row"]
    columns: Float[np.ndarray, "row fit"]
    mean: Float[np.ndarray, " dim"]
    scale: float
    dtype: type[np.floating]
    uneven: bool = False

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.source)

    @property
    def width(self) -> int:
        """Number of features."""
        return self.source.shape[1]

    @property
    def bytes(self) -> int:
        """Size of all rows made."""
        return self.rows * self.width * np.dtype(self.dtype).itemsize

    def features(self, start: int, stop: int, capacity: int) -> Float[np.ndarray, "capacity dim"]:
        """Rows ``start`` to ``stop``, centred and scaled, padded with zeros."""
        part = self.source[start:stop]
        made = aligned_zeros((capacity, self.width), self.dtype)
        inside = made[: len(part)]
        if self.mean.any():
            # In the wider of both: centred float32 rows have more digits than float32 holds.
            kind = np.result_type(part.dtype, self.dtype)
            mean = self.mean.astype(kind)
            np.subtract(part, mean, out=inside, dtype=kind, casting="same_kind")
        else:
            inside[...] = part
        if self.scale != 1.0:
            inside *= np.asarray(self.scale, self.dtype)
        return made

    def chances(
        self, weights: Float[np.ndarray, "logit dim"], intercept: Float[np.ndarray, " logit"]
    ) -> Float[np.ndarray, "class row"]:
        """Probability of each class at one fit of the centred and scaled features, by row."""
        raw = self.scale * weights
        z = (self.source @ raw.T.astype(self.source.dtype)).astype(np.float64)
        z += intercept - raw @ self.mean
        chance = np.stack([expit(-z), expit(z)]) if len(raw) == 1 else softmax(z, axis=1).T
        return chance.reshape(-1, self.rows)

    def weighted_sum(self, weights: Float[np.ndarray, " row"]) -> Float[np.ndarray, " dim"]:
        """Sum of the centred and scaled rows with these weights, float64."""
        raw = (weights.astype(self.source.dtype) @ self.source).astype(np.float64)
        return (raw - weights.sum() * self.mean) * self.scale

    def labels(self, start: int, stop: int, capacity: int) -> Int[np.ndarray, " capacity"]:
        """Class of each of these rows, padded."""
        made = np.zeros(capacity, np.int32)
        made[: stop - start] = self.codes[start:stop]
        return made

    def shares(
        self, start: int, stop: int, capacity: int, columns: Columns
    ) -> Float[np.ndarray, "capacity problem"] | Float[np.ndarray, "capacity 1"]:
        """Row shares of each problem in these rows, padded, float64.

        Where there is one fit, one column serves all its strengths.
        """
        chosen = self.columns[start:stop, columns.fits]
        made = np.zeros((capacity, chosen.shape[1]))
        made[: stop - start] = chosen
        return np.tile(made, (1, len(columns.penalty))) if made.shape[1] > 1 else made


def lay_out(group: FeatureGroup, problem: Problem, *, centre: bool, dtype: Dtype) -> Layout:
    """The layout of one group; ``centre`` centres and scales it."""
    source = problem.X if group.rows is None else problem.X[group.rows]
    narrow = dtype == "float32" or (source.dtype == np.float32 and not centre)
    mean, scale = np.zeros(source.shape[1]), 1.0
    if centre:
        # The intercept is free, so centring leaves the minimum where it is, and better seen.
        mean, scale = centre_and_scale(source)
    codes = np.zeros(len(source), np.int32)
    columns = np.zeros((len(source), len(group.fits)))
    for column, fit in zip(columns.T, group.fits, strict=True):
        at = np.arange(len(source)) if fit.rows is None or group.rows is not None else fit.rows
        codes[at] = fit.codes
        np.add.at(column, at, fit.shares)
    made = np.float32 if narrow else np.float64
    return Layout(source, codes, columns, mean, scale, made, problem.uneven)


def centre_and_scale(X: Float[np.ndarray, "row dim"]) -> tuple[Float[np.ndarray, " dim"], float]:
    """The mean of the rows, and a power of two that brings the rest to a size of about 1.

    Both change no minimum: the intercept takes up the mean, and multiplying X by s divides the
    weights by s and multiplies their penalty by s squared, exactly.

    Returns:
        The mean, float64, rounded to the dtype of X so that subtracting it is undone
        exactly; and the factor, 1 unless squares of X would leave the range of float32.
    """
    mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype).astype(np.float64)
    sample = X[:: max(1, len(X) // _SAMPLED_ROWS)].astype(np.float64) - mean
    size = float(np.sqrt(np.mean(np.square(sample))))
    if not (np.isfinite(size) and size > 0):
        return mean, 1.0
    power = -round(float(np.log2(size)))
    return mean, 2.0**power if abs(power) > _HARMLESS else 1.0
