"""What scikit-learn asks of an estimator, without asking users to have scikit-learn.

scikit-learn is imported only by the hooks that it calls itself, or to raise its own exception and
warning types where it is loaded already.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from typing import Any, TypeVar

import numpy as np

from geneb_jax_probes.errors import ProbeDataError, ProbeOptionError
from geneb_jax_probes.metrics import scores
from geneb_jax_probes.problem import check_features

__all__ = ["ProbeClassifier", "checked_labels"]

_Probe = TypeVar("_Probe", bound="ProbeClassifier")


def _from_sklearn(name: str, fallback: type) -> type:
    """A class of ``sklearn.exceptions`` where scikit-learn is loaded, else ``fallback``."""
    module = sys.modules.get("sklearn.exceptions")
    return fallback if module is None else getattr(module, name)


class _NotFittedError(ValueError, AttributeError):
    """Predict before fit."""


def checked_labels(y: object) -> np.ndarray:
    """Class labels as one dimension; a column is flattened with a warning, as scikit-learn does."""
    if y is None:
        raise ProbeDataError("a probe requires y to be passed, but the target y is None")
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of "
            "y to (n_samples,), for example using ravel().",
            _from_sklearn("DataConversionWarning", UserWarning),
            stacklevel=3,
        )
        labels = labels.ravel()
    if labels.dtype.kind == "c":
        raise ProbeDataError("Complex data not supported (y)")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise ProbeDataError("y contains NaN or infinity (inf)")
        if (labels != np.floor(labels)).any():
            raise ProbeDataError("Unknown label type: continuous. A probe needs classes")
    return labels


class ProbeClassifier:
    """Parameters by signature, checked input, predictions by probabilities.

    Subclasses define ``__init__`` with keyword parameters stored as they are, ``fit``, and
    ``predict_proba``.
    """

    classes_: np.ndarray
    n_features_in_: int
    _estimator_type = "classifier"

    @classmethod
    def _parameter_names(cls) -> list[str]:
        signature = inspect.signature(cls.__init__)
        return sorted(name for name in signature.parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters of the constructor."""
        del deep
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self: _Probe, **params: object) -> _Probe:
        """Set parameters of the constructor; unknown names are refused."""
        names = self._parameter_names()
        for name, value in params.items():
            if name not in names:
                raise ProbeOptionError(f"{type(self).__name__} has no parameter {name!r}: {names}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """Tags of a classifier on dense input; called by scikit-learn only."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether ``fit`` has run."""
        return hasattr(self, "classes_")

    def _training_features(self, X: object) -> np.ndarray:
        """Features of ``fit``, their width and names remembered."""
        features = self._features(X)
        self.n_features_in_ = features.shape[1]
        names = _column_names(X)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return features

    def _test_features(self, X: object) -> np.ndarray:
        """Features of ``predict``, as wide and named as those of ``fit``."""
        if not self.__sklearn_is_fitted__():
            raise _from_sklearn("NotFittedError", _NotFittedError)(
                f"This {type(self).__name__} instance is not fitted yet: call fit first"
            )
        _match_names(getattr(self, "feature_names_in_", None), _column_names(X), type(self))
        features = self._features(X)
        if features.shape[1] != self.n_features_in_:
            raise ProbeDataError(
                f"X has {features.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return features

    @staticmethod
    def _features(X: object) -> np.ndarray:
        if hasattr(X, "tocsr"):
            raise ProbeDataError("X is sparse: a probe takes dense features, use X.toarray()")
        array = np.asarray(X)
        if array.dtype.kind not in "fiubc":
            array = array.astype(np.float64)
        if array.ndim != 2:
            raise ProbeDataError(
                f"Expected 2D array, got {array.ndim}D array instead. Reshape your data: "
                "X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one row"
            )
        for axis, thing in ((0, "sample"), (1, "feature")):
            if array.shape[axis] == 0:
                raise ProbeDataError(
                    f"Found array with 0 {thing}(s) (shape={array.shape}) while a minimum of 1 is "
                    "required by a probe"
                )
        return check_features(array)

    def predict(self, X: object) -> np.ndarray:
        """The most probable class of each row."""
        best = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[best]

    def predict_proba(self, X: object) -> np.ndarray:
        """Class probabilities ``[n, K]``."""
        raise NotImplementedError

    def predict_log_proba(self, X: object) -> np.ndarray:
        """Logarithms of the class probabilities ``[n, K]``."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Accuracy, as scikit-learn's classifiers give it."""
        guess, truth = self.predict(X), np.asarray(y).ravel()
        if sample_weight is not None:
            return float(np.average(guess == truth, weights=np.asarray(sample_weight)))
        return float(scores(truth, guess).accuracy)


def _column_names(X: object) -> np.ndarray | None:
    """Names of the columns of a data frame, if all are strings."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = np.asarray(list(columns), dtype=object)
    return names if len(names) and all(isinstance(name, str) for name in names) else None


def _match_names(fitted: np.ndarray | None, given: np.ndarray | None, kind: type) -> None:
    if fitted is None and given is not None:
        warnings.warn(
            f"X has feature names, but {kind.__name__} was fitted without feature names",
            UserWarning,
            stacklevel=3,
        )
    elif fitted is not None and given is None:
        warnings.warn(
            f"X does not have valid feature names, but {kind.__name__} was fitted with feature "
            "names",
            UserWarning,
            stacklevel=3,
        )
    elif fitted is not None and given is not None and list(fitted) != list(given):
        unseen = [name for name in given if name not in fitted]
        missing = [name for name in fitted if name not in given]
        lines = ["The feature names should match those that were passed during fit."]
        for title, names in (
            ("Feature names unseen at fit time:", unseen),
            ("Feature names seen at fit time, yet now missing:", missing),
        ):
            if names:
                lines += [title, *(f"- {name}" for name in sorted(names)[:5])]
        if not unseen and not missing:
            lines.append("Feature names must be in the same order as they were in fit.")
        raise ProbeDataError("\n".join([*lines, ""]))
