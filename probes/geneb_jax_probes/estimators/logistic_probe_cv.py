"""The logistic probe with C chosen by stratified cross-validation, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from geneb_jax_probes.errors import ProbeDataError, ProbeOptionError
from geneb_jax_probes.estimators.base import checked_labels
from geneb_jax_probes.estimators.logistic_probe import LinearProbe, Standardisation
from geneb_jax_probes.fits import LogisticFits
from geneb_jax_probes.logistic import fit_logistic
from geneb_jax_probes.metrics import scores
from geneb_jax_probes.problem import ClassWeight, check_sample_weight

__all__ = ["LogisticProbeCV", "stratified_folds"]

Scoring = Literal["mcc", "accuracy", "macro_f1"]


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold of each row ``[n]``: those of scikit-learn's shuffled ``StratifiedKFold``.

    The rows, sorted by class, are dealt out like cards, so that every fold has its share of every
    class; which of a class's rows get which of its cards is drawn with ``RandomState(seed)``.
    """
    rng = np.random.RandomState(seed)
    fold = np.empty(len(labels), np.int64)
    classes, first = np.unique(labels, return_index=True)
    dealt = 0
    for label in classes[np.argsort(first)]:
        rows = np.flatnonzero(labels == label)
        cards = np.sort((dealt + np.arange(len(rows))) % folds)
        rng.shuffle(cards)
        fold[rows] = cards
        dealt += len(rows)
    return fold


class LogisticProbeCV(LinearProbe):
    """A logistic probe with C chosen by stratified cross-validation.

    All folds, all C and the final fit are problems of one batched call. The score of a probe with
    a chosen C is not the benchmark's, whose C is fixed: report it apart.

    Args:
        Cs: Values of C to choose from.
        folds: Number of folds, those of scikit-learn's ``StratifiedKFold(folds, shuffle=True,
            random_state=seed)``; a class with fewer rows is in fewer folds.
        scoring: ``mcc``, ``accuracy`` or ``macro_f1`` of the held-out rows, averaged over folds.
        seed: Decides which rows go into which fold.
        solver: As in :class:`LogisticProbe`, likewise the rest.
        tol: As there.
        max_iter: As there.
        standardize: As there; each fold by its own training rows.
        class_weight: As there.
        dtype: As there.

    Attributes:
        C_: The C chosen: the best mean score, the smallest of equals.
        scores_: Held-out scores ``[fold, C]``.
        classes_, coef_, intercept_, n_iter_, status_, n_features_in_: Of the final fit on all rows.
    """

    def __init__(
        self,
        Cs: Sequence[float] = (0.01, 0.1, 1.0, 10.0, 100.0),
        *,
        folds: int = 5,
        scoring: Scoring = "mcc",
        seed: int = 0,
        solver: str = "exact",
        tol: float | None = None,
        max_iter: int = 1000,
        standardize: bool = False,
        class_weight: ClassWeight = None,
        dtype: str | None = None,
    ) -> None:
        self.Cs = Cs
        self.folds = folds
        self.scoring = scoring
        self.seed = seed
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.standardize = standardize
        self.class_weight = class_weight
        self.dtype = dtype

    def fit(self, X: object, y: object, sample_weight: object = None) -> LogisticProbeCV:
        """Choose C and fit on features ``[n, d]``, labels ``[n]``, optional row weights ``[n]``."""
        labels = checked_labels(y)
        features = self._training_features(X)
        if self.scoring not in ("mcc", "accuracy", "macro_f1"):
            raise ProbeOptionError(f"scoring must be mcc, accuracy or macro_f1: {self.scoring!r}")
        if len(labels) != len(features):
            raise ProbeDataError(f"X has {len(features)} rows and y has {len(labels)}")
        if not 2 <= self.folds <= len(labels):
            raise ProbeOptionError(
                f"folds must be at least 2 and at most the rows, n_samples = {len(labels)}: "
                f"got {self.folds}"
            )
        weights = check_sample_weight(sample_weight, len(features))
        fold = stratified_folds(labels, self.folds, self.seed)
        held_out = [np.flatnonzero(fold == k) for k in range(self.folds)]
        train = [np.flatnonzero(fold != k) for k in range(self.folds)]
        if self.standardize:
            found: list[tuple[LogisticFits, int, Standardisation | None]] = [
                self._fold(features, labels, weights, rows) for rows in (*train, None)
            ]
        else:
            together = self._fit_subsets(features, labels, weights, (*train, None))
            found = [(together, s, None) for s in range(self.folds + 1)]
        self.scores_ = np.stack(
            [
                self._held_out_scores(features[rows], labels[rows], *one)
                for rows, one in zip(held_out, found[:-1], strict=True)
            ]
        )
        means = self.scores_.mean(axis=0)
        order = np.lexsort((np.asarray(self.Cs, float), -means))
        best = int(order[0])
        self.C_ = float(np.asarray(self.Cs)[best])
        final, s, scale = found[-1]
        self._take(final, s, best, scale)
        return self

    def _fit_subsets(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray | None,
        subsets: Sequence[np.ndarray | None],
    ) -> LogisticFits:
        return fit_logistic(
            features,
            labels,
            C=self.Cs,
            subsets=subsets,
            solver=self.solver,
            tol=self.tol,
            max_iter=self.max_iter,
            sample_weight=weights,
            class_weight=self.class_weight,
            dtype=self.dtype,
        )

    def _fold(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray | None,
        rows: np.ndarray | None,
    ) -> tuple[LogisticFits, int, Standardisation | None]:
        """One fold standardised by its own rows."""
        seen = features if rows is None else features[rows]
        own = weights if weights is None or rows is None else weights[rows]
        scale = Standardisation.of(seen, own)
        return self._fit_subsets(scale.apply(features), labels, weights, (rows,)), 0, scale

    def _held_out_scores(
        self,
        X: np.ndarray,
        y: np.ndarray,
        fits: LogisticFits,
        s: int,
        scale: Standardisation | None,
    ) -> np.ndarray:
        """Scores ``[C]`` of one fold's fits on the rows it did not see."""
        guesses = fits.predict(X if scale is None else scale.apply(X))[s]
        return getattr(scores(y, guesses), self.scoring)
