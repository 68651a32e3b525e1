"""The probes as scikit-learn estimators."""
