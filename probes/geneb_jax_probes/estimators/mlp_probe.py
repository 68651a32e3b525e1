"""The MLP probe as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from geneb_jax_probes.errors import ProbeDataError
from geneb_jax_probes.estimators.base import ProbeClassifier, checked_labels
from geneb_jax_probes.mlp.recipe import MLPRecipe
from geneb_jax_probes.mlp.training import MLPFits, train_mlps
from geneb_jax_probes.problem import make_problem

__all__ = ["MLPProbe"]


class MLPProbe(ProbeClassifier):
    """One hidden layer of ReLU units, trained with Adam and early stopping, in float32.

    The recipe is that of scikit-learn's ``MLPClassifier(hidden_layer_sizes=(256,),
    early_stopping=True)``; :class:`MLPRecipe` has the details.

    Args:
        hidden: Units of the hidden layer.
        seed: Decides the held-out rows, the initial weights and the batches.
        learning_rate: Of Adam.
        batch_rows: Rows of a minibatch.
        l2: Penalty on the weights.
        held_out: Share of the training rows kept for early stopping.
        patience: Epochs without gain before the stop.
        max_epochs: Most passes over the training rows.

    Attributes:
        classes_: Sorted labels.
        n_iter_: Epochs.
        loss_: Mean training loss of the last epoch.
        status_: ``converged`` where early stopping ended the fit, else ``max_iter``.
        n_features_in_: d.
    """

    def __init__(
        self,
        hidden: int = 256,
        *,
        seed: int = 0,
        learning_rate: float = 1e-3,
        batch_rows: int = 200,
        l2: float = 1e-4,
        held_out: float = 0.1,
        patience: int = 10,
        max_epochs: int = 200,
    ) -> None:
        self.hidden = hidden
        self.seed = seed
        self.learning_rate = learning_rate
        self.batch_rows = batch_rows
        self.l2 = l2
        self.held_out = held_out
        self.patience = patience
        self.max_epochs = max_epochs

    def fit(self, X: object, y: object) -> MLPProbe:
        """Fit on features ``[n, d]`` and labels ``[n]``."""
        labels = checked_labels(y)
        problem = make_problem(self._training_features(X), labels)
        recipe = MLPRecipe(
            hidden=self.hidden,
            learning_rate=self.learning_rate,
            batch_rows=self.batch_rows,
            l2=self.l2,
            held_out=self.held_out,
            patience=self.patience,
            max_epochs=self.max_epochs,
        )
        fits = train_mlps(
            problem.X,
            problem.codes,
            problem.class_count,
            [problem.subset_rows(0)],
            [int(self.seed)],
            recipe,
        )
        if not np.isfinite(fits.loss[0]):
            raise ProbeDataError(
                "the training loss is not finite: the features are too large for float32 or for "
                "the learning rate; standardise them"
            )
        self._fits: MLPFits = fits
        self.classes_ = problem.classes
        self.n_iter_ = int(fits.epochs[0])
        self.loss_ = float(fits.loss[0])
        self.status_ = "converged" if fits.stopped[0] else "max_iter"
        return self

    def predict_proba(self, X: object) -> np.ndarray:
        """Class probabilities ``[n, K]``."""
        features = self._test_features(X).astype(np.float32, copy=False)
        return softmax(self._fits.logits(features)[0], axis=1)
