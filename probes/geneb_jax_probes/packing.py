"""Lay out the fits of one feature matrix: centre and pad the rows, fold the fits into columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from geneb_jax_probes.plan import Fit
from geneb_jax_probes.problem import Problem
from geneb_jax_probes.scaling import centre_and_scale
from geneb_jax_probes.settings import Settings
from geneb_jax_probes.shapes import aligned_zeros

__all__ = ["Columns", "FeatureGroup", "Layout", "lay_out"]


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Fits over one X that hold the same classes.

    Attributes:
        fits: The fits.
        rows: Rows of X to copy out; None where each fit is a mask over all of X.
    """

    fits: tuple[Fit, ...]
    rows: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Columns:
    """What one run of the machines is to solve: some fits of a group, each at several penalties.

    Attributes:
        fits: Which fits.
        penalty: ``1 / (C n)``, scaled, ``[C, fit]``.
        start: Where to begin ``[C * fit, logit, d + 1]``, the intercept last.
    """

    fits: slice
    penalty: np.ndarray
    start: np.ndarray


@dataclass(frozen=True, slots=True)
class Layout:
    """What the solver is to see of a group: rows of features made on demand, the rest ready.

    Attributes:
        source: The features as given ``[row, d]``.
        codes: Class of each row ``[row]`` int32.
        columns: Row shares of each fit ``[row, fit]`` float64.
        mean: Subtracted from the features ``[d]``.
        scale: The features are multiplied by it, a power of two.
        dtype: Of the rows made: float32 features stay so and are widened block by block.
    """

    source: np.ndarray
    codes: np.ndarray
    columns: np.ndarray
    mean: np.ndarray
    scale: float
    dtype: type[np.floating]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.source)

    @property
    def width(self) -> int:
        """Number of features."""
        return self.source.shape[1]

    def features(self, start: int, stop: int, capacity: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, centred and scaled, padded with zeros ``[capacity, d]``."""
        part = self.source[start:stop]
        made = aligned_zeros((capacity, self.width), self.dtype)
        inside = made[: len(part)]
        if self.mean.any():
            np.subtract(part, self.mean.astype(part.dtype), out=inside, casting="same_kind")
        else:
            inside[...] = part
        if self.scale != 1.0:
            inside *= np.asarray(self.scale, self.dtype)
        return made

    def chances(self, weights: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        """Probability of each class at one fit, by row.

        Args:
            weights: ``[logit, d]`` of the centred and scaled features.
            intercept: ``[logit]``.

        Returns:
            ``[class, row]``.
        """
        raw = self.scale * weights
        z = (self.source @ raw.T.astype(self.source.dtype)).astype(np.float64)
        z += intercept - raw @ self.mean
        chance = np.stack([expit(-z), expit(z)]) if len(raw) == 1 else softmax(z, axis=1).T
        return chance.reshape(-1, self.rows)

    def weighted_sum(self, weights: np.ndarray) -> np.ndarray:
        """Sum of the centred and scaled rows with these weights ``[row]``, ``[d]`` float64."""
        raw = (weights.astype(self.source.dtype) @ self.source).astype(np.float64)
        return (raw - weights.sum() * self.mean) * self.scale

    def labels(self, start: int, stop: int, capacity: int) -> np.ndarray:
        """Class of each of these rows, padded ``[capacity]``."""
        made = np.zeros(capacity, np.int32)
        made[: stop - start] = self.codes[start:stop]
        return made

    def shares(self, start: int, stop: int, capacity: int, fits: slice, copies: int) -> np.ndarray:
        """Row shares of some fits in these rows, padded, ``[capacity, fit * copies]`` float64.

        Where there is one fit, one column serves all copies.
        """
        chosen = self.columns[start:stop, fits]
        made = np.zeros((capacity, chosen.shape[1]))
        made[: stop - start] = chosen
        return np.tile(made, (1, copies)) if made.shape[1] > 1 else made


def lay_out(group: FeatureGroup, problem: Problem, settings: Settings) -> Layout:
    """The layout of one group."""
    source = problem.X if group.rows is None else problem.X[group.rows]
    narrow = settings.dtype == "float32" or (source.dtype == np.float32 and not settings.exact)
    mean, scale = np.zeros(source.shape[1]), 1.0
    if settings.exact:
        # The intercept is free, so centring leaves the minimum where it is, and better seen.
        mean, scale = centre_and_scale(source)
    codes = np.zeros(len(source), np.int32)
    columns = np.zeros((len(source), len(group.fits)))
    for column, fit in zip(columns.T, group.fits, strict=True):
        at = np.arange(len(source)) if fit.rows is None or group.rows is not None else fit.rows
        codes[at] = fit.codes
        np.add.at(column, at, fit.shares)
    return Layout(source, codes, columns, mean, scale, np.float32 if narrow else np.float64)
